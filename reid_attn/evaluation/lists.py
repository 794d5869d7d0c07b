"""The head of each query's ranked list, for people to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .junk import JunkRule
from .labels import Labels
from .scores import FeatureScores, Metric, check_positive


@dataclass(frozen=True, eq=False)
class RankedList:
    """The nearest gallery pictures of one query."""

    indices: NDArray[np.int64]
    """(n,) rows of the gallery, nearest first; n < k where there are fewer."""
    scores: NDArray[np.float64]
    """(n,) cosine similarities, or Euclidean distances."""
    junk: NDArray[np.bool_]
    """(n,) whether the picture is junk, which the measures leave out."""


def top(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    k: int,
    *,
    metric: Metric = "cosine",
    block: int = 256,
    junk: JunkRule | None = None,
    keep_junk: bool = False,
) -> list[RankedList]:
    """The first `k` gallery pictures of each query, in the order in which `evaluate` ranks them.

    Junk is left out, or with `keep_junk` shown where its score puts it. Other arguments and errors
    as for `evaluate`; an invalid query has a list like any other.
    """
    check_positive(k=k, block=block)
    labels = Labels(query_ids, query_cams, gallery_ids, gallery_cams, junk)
    labels.refuse_misfit(query_features, gallery_features)
    scores = FeatureScores(query_features, gallery_features, metric, block, precise=True)
    lists = []
    for row in scores:
        left_out = np.zeros(scores.shape[1], dtype=bool)
        left_out[labels.matches(row.query)[1]] = True
        shown = row.scores if keep_junk else np.where(left_out, -np.inf, row.scores)
        count = len(shown) if keep_junk else np.count_nonzero(~left_out)
        nearest_first = np.argsort(-shown, kind="stable")[: min(k, count)]
        found = row.scores[nearest_first].astype(np.float64)
        if metric == "euclidean":
            rows = scores.gallery.vectors[nearest_first].astype(np.float64)
            found = np.linalg.norm(rows - scores.query.vectors[row.query], axis=1)
        lists.append(RankedList(nearest_first, found, left_out[nearest_first]))
    return lists
