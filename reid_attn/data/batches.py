"""Batches: the order depends on seed and epoch alone, the workers only decode and place.

A batch of training pictures is made in two halves: `train_batches` reads the pictures and puts them
in place as uint8, and `finish` mirrors, normalises and erases. Where the second half runs is the
choice of `augment.where`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..settings import DataSettings, Settings
from .augment import Draws, draw, normalise, place
from .auto_augment import AutoAugment
from .cache import Cache, open_cache
from .dataset import Dataset
from .finish import Finish
from .images import Pixels, decode, resize
from .sampling import Shard, generator, plan_epoch
from .workers import in_order


@dataclass(frozen=True)
class Batch:
    """The pictures of one step, or the share of this process in them.

    `images` (N, 3, H, W) float32, or (N, H, W, 3) uint8 with `rest` to do; `labels` (N,) int64;
    `indices` into the training pictures.
    """

    images: Tensor
    labels: Tensor
    indices: list[int]
    rest: Finish | None = None

    def pin_memory(self) -> "Batch":
        """The same in memory that a GPU reads directly; torch's loader calls it."""
        images, labels = self.images.pin_memory(), self.labels.pin_memory()
        rest = self.rest and self.rest.pin_memory()
        return replace(self, images=images, labels=labels, rest=rest)


def finish(batch: Batch, device: torch.device) -> Tensor:
    """The batch's pictures on `device`, (N, 3, H, W) float32, whichever half had to be done."""
    images = batch.images.to(device, non_blocking=True)
    return batch.rest(images) if batch.rest else images


def train_batches(
    dataset: Dataset,
    settings: Settings,
    epoch: int,
    first_step: int = 0,
    *,
    shard: Shard | None = None,
    pin: bool = False,
    cache: Cache | None = None,
) -> Iterator[Batch]:
    """The epoch's batches from `first_step` on, augmented; with a `shard` its share of each.

    Each picture's draws come from (seed, epoch, place in the epoch): neither the number of workers,
    nor that of processes, nor a resumed epoch changes a value. With `pin` the batches lie in pinned
    memory. `cache` is what `open_cache` gave; without it, it is opened here, for each epoch anew.
    `DataError` names a picture that cannot be used.
    """
    classes = dataset.labels()
    labels = [classes[picture.person] for picture in dataset.train]
    batches = plan_epoch(dataset, settings, epoch)
    share = (shard or Shard()).places(settings.batch)
    size = (settings.data.height, settings.data.width)
    read = _reader(dataset, settings, cache or open_cache(dataset, settings))

    def prepare(step: int) -> Batch:
        indices = batches[step][share]
        first = 1 + step * len(batches[step]) + share.start
        draws = [
            draw(settings.augment, size, generator(settings.seed, epoch, number))
            for number in range(first, first + len(indices))
        ]
        pixels = np.zeros((len(indices), *size, 3), np.uint8)
        for target, index, drawn in zip(pixels, indices, draws, strict=True):
            place(read(index, drawn), drawn.corner, target)
        images = torch.from_numpy(pixels)
        rest = Finish.of(draws, settings.data, settings.augment)
        chosen = torch.tensor([labels[index] for index in indices])
        if settings.augment.where == "worker":
            return Batch(rest(images), chosen, indices)
        return Batch(images, chosen, indices, rest)

    return in_order(prepare, range(first_step, len(batches)), settings.data.workers, pin)


def evaluation_batches(
    paths: Sequence[Path | bytes], data: DataSettings, batch: int, *, pin: bool = False
) -> Iterator[Tensor]:
    """The pictures in order as (N, 3, H, W) float32; N = `batch`, the last may be smaller."""
    size = (data.height, data.width)

    def prepare(start: int) -> Tensor:
        some = paths[start : start + batch]
        pixels = np.stack([decode(path, size, data.interpolation) for path in some])
        return normalise(pixels, data.normalisation)

    return in_order(prepare, range(0, len(paths), batch), data.workers, pin)


def _reader(
    dataset: Dataset, settings: Settings, cache: Cache | None
) -> Callable[[int, Draws], Pixels]:
    """How a training picture becomes pixels of the size that was drawn for it."""
    interpolation = settings.data.interpolation
    augment = AutoAugment() if settings.augment.auto else None  # once, before the workers start

    def read(index: int, drawn: Draws) -> Pixels:
        path = dataset.train[index].path
        if augment and drawn.policy:  # which comes before the resize: the cache cannot serve it
            return resize(augment(decode(path), drawn.policy), drawn.size, interpolation)
        return cache.read(index, drawn.size) if cache else decode(path, drawn.size, interpolation)

    return read
