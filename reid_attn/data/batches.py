"""P×K batches: the order depends on seed and epoch alone, the workers only decode."""

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from ..errors import ReidError, UsageError
from ..settings import BatchSettings, DataSettings, Settings
from .augment import augment, normalise
from .dataset import Dataset
from .images import decode

HANG_SECONDS = 300
"""A worker that gives no batch for so long is taken for dead."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Batch:
    """`images` (N, 3, H, W) float32, `labels` (N,) int64, `indices` into the training pictures."""

    images: Tensor
    labels: Tensor
    indices: list[int]


def epoch_batches(
    labels: Sequence[int], batch: BatchSettings, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch: lists of P×K indices into `labels`, K in a row for each person.

    P×K sampling is of Hermans et al. (arXiv 1703.07737); the field made it exhaustive, which is
    `epoch="images"`: each person's pictures are shuffled and cut into groups of K (a rest waits for
    another epoch), and P persons with a group left are drawn until there are fewer than P. With
    `epoch="persons"` each person has one group; what does not fill a batch is left out.
    `UsageError` when there are fewer persons than P.
    """
    generator = _generator(seed, epoch, 0)
    pictures: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        pictures[label].append(index)
    if len(pictures) < batch.persons:
        raise UsageError(
            f"batch.persons is {batch.persons}, but there are only {len(pictures)} persons to "
            f"train with: set batch.persons to {len(pictures)} or less"
        )
    groups = {}
    for person in sorted(pictures):
        cut = _groups(pictures[person], batch.images, generator)
        groups[person] = cut[:1] if batch.epoch == "persons" else cut
    batches = []
    while len(groups) >= batch.persons:
        drawn = generator.choice(list(groups), batch.persons, replace=False).tolist()
        batches.append([index for person in drawn for index in groups[person].pop()])
        groups = {person: left for person, left in groups.items() if left}
    return batches


def train_batches(
    dataset: Dataset, settings: Settings, epoch: int, first_step: int = 0
) -> Iterator[Batch]:
    """The epoch's batches from `first_step` on, augmented.

    Each picture's draws come from (seed, epoch, place in the epoch): neither the number of workers
    nor a resumed epoch changes a value. `DataError` names a picture that cannot be used.
    """
    classes = dataset.labels()
    labels = [classes[picture.person] for picture in dataset.train]
    batches = epoch_batches(labels, settings.batch, settings.seed, epoch)
    size = (settings.data.height, settings.data.width)

    def prepare(step: int) -> Batch:
        indices = batches[step]
        first = 1 + step * len(indices)
        images = [
            augment(
                decode(dataset.train[index].path),
                settings.augment,
                _generator(settings.seed, epoch, place),
                size,
            )
            for place, index in enumerate(indices, first)
        ]
        chosen = torch.tensor([labels[index] for index in indices])
        return Batch(torch.stack(images), chosen, indices)

    return _in_order(prepare, range(first_step, len(batches)), settings.data.workers)


def evaluation_batches(
    paths: Sequence[Path | bytes], data: DataSettings, batch: int
) -> Iterator[Tensor]:
    """The pictures in order as (N, 3, H, W) float32; N = `batch`, the last may be smaller."""
    size = (data.height, data.width)

    def prepare(start: int) -> Tensor:
        return torch.stack([normalise(decode(path, size)) for path in paths[start : start + batch]])

    return _in_order(prepare, range(0, len(paths), batch), data.workers)


def _generator(seed: int, epoch: int, place: int) -> np.random.Generator:
    """Place 0 orders the epoch; place n belongs to its n-th picture, counted from 1."""
    return np.random.default_rng((seed, epoch, place))


def _groups(indices: Sequence[int], images: int, generator: np.random.Generator) -> list[list[int]]:
    """Shuffled groups of `images`; a person with fewer pictures repeats some in its only group."""
    shuffled = generator.permutation(indices).tolist()
    if len(shuffled) < images:
        shuffled += generator.choice(shuffled, images - len(shuffled)).tolist()
    return [shuffled[i : i + images] for i in range(0, len(shuffled) - images + 1, images)]


class _Work(torch_data.Dataset[_Item | ReidError]):
    """What the workers run: one step, one item. A refusal is handed over as a value.

    Raised in a worker it would come back wrapped in that worker's traceback.
    """

    def __init__(self, prepare: Callable[[int], _Item]) -> None:
        self.prepare = prepare

    def __getitem__(self, step: int) -> _Item | ReidError:
        try:
            return self.prepare(step)
        except ReidError as error:
            return error


def _in_order(prepare: Callable[[int], _Item], steps: range, workers: int) -> Iterator[_Item]:
    """`prepare(step)` for each step, in order, in this process or ahead of time in `workers`."""
    workers = min(workers, len(steps))
    loader = torch_data.DataLoader(
        _Work(prepare),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        # Forked workers start in milliseconds, which matters as every epoch starts its own.
        multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
        generator=torch.Generator(),  # so that nothing is drawn from torch's global one
        timeout=HANG_SECONDS if workers else 0,
    )
    items = iter(loader)
    while True:
        try:
            item = next(items, None)
        except RuntimeError as error:
            if not workers:
                raise
            raise ReidError(
                f"a decoding worker stopped ({error}): free some memory or lower data.workers"
            ) from error
        if item is None:
            return
        if isinstance(item, ReidError):
            raise item
        yield item
