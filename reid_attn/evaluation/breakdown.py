"""Where the errors are: by pair of cameras, by person, and what each query costs.

Mean values hide which cameras and persons pull them down; these tables add up to the same mean.
Formulas are those of `ranking`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .pairs import checked
from .ranking import evaluate
from .scores import Metric

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CameraPairs:
    """Rank-1 and mAP for each query camera (row) and gallery camera (column)."""

    query_cameras: Integers
    """(R,) rising."""
    gallery_cameras: Integers
    """(C,) rising."""
    rank1: Doubles
    """(R, C) fractions, NaN where no query has a match."""
    mAP: Doubles
    """(R, C) means of the plain AP, NaN likewise."""
    queries: Integers
    """(R, C) queries with a match; the means are over these."""

    def as_dict(self) -> dict[str, Any]:
        """Plain lists under the names of the fields, with None for NaN."""
        return {
            "query_cameras": self.query_cameras.tolist(),
            "gallery_cameras": self.gallery_cameras.tolist(),
            "rank1": _without_nan(self.rank1),
            "mAP": _without_nan(self.mAP),
            "queries": self.queries.tolist(),
        }


@dataclass(frozen=True)
class PersonScore:
    """How well one person is found."""

    person: int
    queries: int
    """Valid ones."""
    mAP: float
    rank1: float

    def as_dict(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def camera_pairs(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric = "cosine",
) -> CameraPairs:
    """Rank the pictures of one gallery camera at a time, for queries that have a match there.

    Features are (Q, D) and (G, D) floats, ids and cameras (Q,) and (G,) integers. Pictures of
    person −1 are left out. A camera paired with itself has no match by the junk rule. Takes about
    as long as one `evaluate`. Raises `DataError` for arrays that do not fit, and when no query has
    a match; `UsageError` for an unknown metric.
    """
    arrays = (query_features, query_ids, query_cams, gallery_features, gallery_ids, gallery_cams)
    query, gallery = checked(*arrays, metric=metric)
    asking, asked = np.unique(query.cameras), np.unique(gallery.cameras)
    rank1 = np.full((len(asking), len(asked)), np.nan)
    precision, queries = rank1.copy(), np.zeros(rank1.shape, dtype=np.int64)
    for column, camera in enumerate(asked):
        there = gallery.take(gallery.cameras == camera)
        has_match = (query.cameras != camera) & np.isin(query.persons, there.persons)
        if not has_match.any():
            continue
        one = query.take(has_match)
        sides = (one.vectors, one.persons, one.cameras, there.vectors, there.persons, there.cameras)
        ranking = evaluate(*sides, metric=metric)
        for row in np.searchsorted(asking, np.unique(one.cameras)):
            own = one.cameras == asking[row]
            queries[row, column] = np.count_nonzero(own)
            rank1[row, column] = np.mean(ranking.first_hit[own] == 0)
            precision[row, column] = np.mean(ranking.average_precision[own])
    if not queries.any():
        raise DataError(
            f"none of the {len(query.persons)} queries has a match at another camera: add pictures "
            "of their persons from other cameras to the gallery"
        )
    return CameraPairs(asking, asked, rank1, precision, queries)


def persons(
    persons: ArrayLike, average_precision: ArrayLike, first_hit: ArrayLike
) -> list[PersonScore]:
    """Each person with a valid query, hardest first: by mAP, then Rank-1, then number.

    Takes the persons (Q,) of the queries and two arrays (Q,) of their `Ranking`. Raises `DataError`
    where these do not fit each other.
    """
    labels, precision = np.asarray(persons), np.asarray(average_precision, dtype=np.float64)
    first = np.asarray(first_hit, dtype=np.float64)
    if not labels.shape == precision.shape == first.shape == (labels.size,):
        raise DataError(
            f"persons {labels.shape}, average_precision {precision.shape} and first_hit "
            f"{first.shape} do not fit: pass one of each per query"
        )
    valid = ~np.isnan(precision)
    names, index, counts = np.unique(labels[valid], return_inverse=True, return_counts=True)
    precisions = np.bincount(index, precision[valid], minlength=len(names)) / counts
    hits = np.bincount(index, first[valid] == 0, minlength=len(names)) / counts
    return [
        PersonScore(int(names[i]), int(counts[i]), float(precisions[i]), float(hits[i]))
        for i in np.lexsort((names, hits, precisions))
    ]


def costs(average_precision: ArrayLike) -> Doubles:
    """(Q,) what each query takes from mAP: (1 − AP) / valid queries; NaN for an invalid one.

    They add up to 1 − mAP.
    """
    precision = np.asarray(average_precision, dtype=np.float64)
    valid = int(np.count_nonzero(~np.isnan(precision)))
    shares: Doubles = (1 - precision) / max(1, valid)
    return shares


def _without_nan(rates: Doubles) -> list[list[float | None]]:
    return [[None if np.isnan(rate) else rate for rate in row] for row in rates.tolist()]
