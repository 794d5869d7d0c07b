"""Evaluation during training, each process with its share of the pictures."""

from collections.abc import Sequence

import numpy as np

from ..data import Dataset, Picture
from ..evaluation import Ranking
from ..evaluation.labels import Labels
from ..features import Features, FeatureSet, extract
from ..features.extract import Progress
from ..models import Network
from ..settings import Settings
from .processes import Processes


def refuse_unmatched(dataset: Dataset) -> None:
    """`DataError` for a test in which no query has a match; a set without a test is none."""
    if dataset.query and dataset.gallery:
        sides = (
            [picture.person for picture in dataset.query],
            [picture.camera for picture in dataset.query],
            [picture.person for picture in dataset.gallery],
            [picture.camera for picture in dataset.gallery],
        )
        Labels(*sides, rule=None).refuse_unmatched()


def extract_together(
    network: Network,
    dataset: Dataset,
    settings: Settings,
    processes: Processes,
    progress: Progress,
) -> FeatureSet | None:
    """Features of a data set's queries and gallery in the first process, None in the others.

    `progress` may end it in any process by a `ReidError`, which all are then given.

    All use the running statistics of the first process; without synchronised batch norm each has
    its own.
    """
    processes.spread(list(network.buffers()))
    query = _part(network, dataset.query, settings, processes, progress)
    gallery = _part(network, dataset.gallery, settings, processes, progress)
    return FeatureSet(query, gallery, dataset.name) if query and gallery else None


def _part(
    network: Network,
    pictures: Sequence[Picture],
    settings: Settings,
    processes: Processes,
    progress: Progress,
) -> Features | None:
    paths = [picture.path for picture in processes.share(pictures)]
    parts = processes.to_first(
        processes.together(lambda: extract(network, paths, settings, progress) if paths else None)
    )
    found = [part for part in parts if part is not None]
    return Features.of(np.concatenate(found), pictures) if found else None


def headline(ranking: Ranking) -> dict[str, float]:
    """What the log says of an evaluation."""
    return {
        "rank1": ranking.rank1,
        "mAP": ranking.mAP,
        "mAP_trapezoid": ranking.mAP_trapezoid,
        "mINP": ranking.mINP,
    }
