"""From pictures to features, in float32 whatever the training's precision was."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data import Dataset, Picture
from ..data.batches import evaluation_batches
from ..models import Network
from ..settings import Settings
from .file import Features, FeatureSet

Progress = Callable[[int], None]
"""Called with the number of pictures that were just finished."""


def silent(_: int) -> None:
    """The `Progress` that shows nothing."""


def extract(
    network: Network,
    paths: Sequence[Path | bytes],
    settings: Settings,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Features (N, D) of the pictures, on the network's device; the network's mode is kept.

    A picture is a file, or the content of one.

    Before or after the neck, and averaged with the mirrored picture, as `settings.evaluation` says.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    features = []
    try:
        with torch.inference_mode():
            pin, batch = device.type == "cuda", settings.evaluation.batch
            batches = evaluation_batches(paths, settings.data, batch, pin=pin)
            for images in batches:
                images = images.to(device, non_blocking=True)
                features.append(_embed(network, images, settings).cpu().numpy())
                progress(len(images))
    finally:
        network.train(was_training)
    return np.concatenate(features) if features else np.empty((0, 0), np.float32)


def extract_set(
    network: Network, dataset: Dataset, settings: Settings, progress: Progress = silent
) -> FeatureSet:
    """Features of a data set's queries and gallery."""

    def part(pictures: Sequence[Picture]) -> Features:
        vectors = extract(network, [picture.path for picture in pictures], settings, progress)
        return Features.of(vectors, pictures)

    return FeatureSet(part(dataset.query), part(dataset.gallery), dataset.name)


def _embed(network: Network, images: Tensor, settings: Settings) -> Tensor:
    if settings.training.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    feature = getattr(network(images), settings.evaluation.feature)
    if settings.evaluation.flip:
        feature = (feature + getattr(network(images.flip(3)), settings.evaluation.feature)) / 2
    return torch.as_tensor(feature)
