"""What a trained network has to beat: itself before training, and the colour histogram."""

from collections.abc import Sequence

import numpy as np
import torch

from ..data import Dataset, Picture
from ..data.histogram import colour_histogram
from ..data.images import decode
from ..models import build_network
from ..models.hardware import choose_device
from ..models.weights import initialise
from ..settings import Settings
from .extract import Progress, extract_set, silent
from .file import Features, FeatureSet


def untrained(settings: Settings, dataset: Dataset, progress: Progress = silent) -> FeatureSet:
    """Features of the network that training with these settings starts from."""
    torch.manual_seed(settings.seed)
    network = build_network(settings, max(len(dataset.labels()), 1))
    initialise(network, settings.model.weights, settings.model.stride_in_1x1)
    return extract_set(network.to(choose_device("auto")), dataset, settings, progress)


def histograms(settings: Settings, dataset: Dataset, progress: Progress = silent) -> FeatureSet:
    """Colour histograms of the pictures at the network's input size."""
    size = (settings.data.height, settings.data.width)

    def part(pictures: Sequence[Picture]) -> Features:
        vectors = []
        for picture in pictures:
            vectors.append(colour_histogram(decode(picture.path, size)))
            progress(1)
        return Features.of(np.stack(vectors), pictures)

    return FeatureSet(part(dataset.query), part(dataset.gallery), dataset.name)
