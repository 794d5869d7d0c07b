"""The protocol of CUHK03's first splits: one gallery picture of each person, drawn many times.

Li et al., DeepReID, CVPR 2014. For each query the junk is removed; then, `repeats` times, one of
the kept pictures of each person is drawn, which leaves one right answer, and the CMC of the reduced
ranking is taken. Curves are averaged over draws, then over valid queries. The AP beside it is that
of the whole kept gallery, as torchreid prints it. Upstream codes do not seed the draws; here a seed
makes them repeat.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .junk import JunkRule
from .labels import Labels
from .ranking import Ranking, evaluate
from .scores import FeatureScores, Metric, check_positive


@dataclass(frozen=True, eq=False)
class SingleShot:
    """CMC of the draws, and the ranking of the whole gallery."""

    cmc: list[float]
    """CMC@1 to CMC@max_rank; it keeps its last value where there are fewer persons."""
    whole: Ranking


def single_shot(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric = "cosine",
    max_rank: int = 50,
    repeats: int = 10,
    seed: int = 0,
    junk: JunkRule | None = None,
) -> SingleShot:
    """Draw one picture of each gallery person `repeats` times for every query, and rank it.

    Other arguments and errors as for `evaluate`.
    """
    check_positive(repeats=repeats)
    six = (query_features, query_ids, query_cams, gallery_features, gallery_ids, gallery_cams)
    whole = evaluate(*six, metric=metric, max_rank=max_rank, junk=junk)
    labels = Labels(query_ids, query_cams, gallery_ids, gallery_cams, junk)
    scores = FeatureScores(query_features, gallery_features, metric, 1024, precise=True)
    generator = np.random.default_rng(seed)
    found = np.zeros(max_rank)
    for row, good, _ in labels.walk(scores):
        if len(good):
            order = np.argsort(-row.scores, kind="stable")
            order = order[row.scores[order] > -np.inf]  # nearest first, without junk
            persons = labels.gallery_persons[order]
            own = labels.query_persons[row.query]
            for place in _draws(persons, own, repeats, generator):
                found[place:] += 1  # nothing where the place is beyond max_rank
    return SingleShot((found / (repeats * whole.valid_queries)).tolist(), whole)


def _draws(
    persons: NDArray[np.int64], own: int, repeats: int, generator: np.random.Generator
) -> list[int]:
    """One entry of each of `persons` (n,), nearest first, is drawn: where `own` is among them."""
    places = []
    for _ in range(repeats):
        shuffled = generator.permutation(len(persons))
        _, first = np.unique(persons[shuffled], return_index=True)
        drawn = np.sort(shuffled[first])
        places.append(int(np.flatnonzero(persons[drawn] == own)[0]))
    return places
