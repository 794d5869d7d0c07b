"""Verification: is it the same person? One picture against one, accepted at a threshold.

A score (`pairs.py`) **accepts** where it reaches the threshold. Person −1 is junk and left out on
both sides; so are pairs of one person at one camera. Everything else is genuine or an impostor, the
distractors of person 0 among them. Source: Phillips, Grother & Micheals, Evaluation Methods in Face
Recognition (Handbook of Face Recognition, 2011).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .pairs import check_share, checked, genuine_scores, tiles
from .scores import Metric

_POINTS = 199  # of a drawn curve, beside the one without a false positive
_RATES = ("1e-1", "1e-2", "1e-3", "1e-4")

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Verification:
    """The ROC curve of 1:1 verification; every rate is exact."""

    genuine: int
    """Pairs of one person at two cameras."""
    impostors: int
    """Pairs of two persons."""
    area: float
    """Below the curve: the share of (genuine, impostor) with the higher score; a tie counts ½."""
    scores: Doubles = field(repr=False)
    """(U,) the different genuine scores, falling: the corners of the curve."""
    genuine_accepted: Integers = field(repr=False)
    """(U,) genuine pairs at or above each."""
    impostors_accepted: Integers = field(repr=False)
    """(U,) impostors at or above each."""
    fpr: Doubles = field(init=False, repr=False)
    """(≤ 200,) false positive rates of corners, about evenly spaced in their logarithm."""
    tpr: Doubles = field(init=False, repr=False)
    """Their true positive rates."""
    threshold: Doubles = field(init=False, repr=False)
    """Their scores."""

    def __post_init__(self) -> None:
        targets = [0.0, *np.geomspace(1 / self.impostors, 1.0, _POINTS)]
        corners = np.unique([self._corner(target) for target in targets])
        corners = corners[corners >= 0]
        object.__setattr__(self, "fpr", self.impostors_accepted[corners] / self.impostors)
        object.__setattr__(self, "tpr", self.genuine_accepted[corners] / self.genuine)
        object.__setattr__(self, "threshold", self.scores[corners])

    def tpr_at(self, fpr: float) -> float:
        """The highest true positive rate at which at most a share `fpr` of impostors is let in."""
        corner = self._corner(fpr)
        return float(self.genuine_accepted[corner] / self.genuine) if corner >= 0 else 0.0

    def threshold_at(self, fpr: float) -> float:
        """The genuine score that reaches `tpr_at(fpr)`; ∞ where none can be accepted."""
        corner = self._corner(fpr)
        return float(self.scores[corner]) if corner >= 0 else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """Plain values; a rate is None where fewer than 1/rate impostors cannot measure it."""
        measured = {name: self.impostors >= round(1 / float(name)) for name in _RATES}
        reached = {name: measured[name] and self._corner(float(name)) >= 0 for name in _RATES}
        return {
            **{name: getattr(self, name) for name in ("genuine", "impostors", "area")},
            "tpr_at": {n: self.tpr_at(float(n)) if measured[n] else None for n in _RATES},
            "threshold_at": {
                n: self.threshold_at(float(n)) if reached[n] else None for n in _RATES
            },
            **{name: getattr(self, name).tolist() for name in ("fpr", "tpr", "threshold")},
        }

    def _corner(self, fpr: float) -> int:
        """The last corner with at most this rate, or −1."""
        check_share("fpr", 0 <= fpr <= 1, fpr)
        most = np.floor(fpr * self.impostors * (1 + 1e-12))  # 0.29 · 100 is 28.999…
        return int(np.searchsorted(self.impostors_accepted, most, side="right")) - 1


def verification(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric = "cosine",
) -> Verification:
    """Is it the same person? Over all pairs of a query and a gallery picture that are not junk.

    Features are (Q, D) and (G, D) floats, ids and cameras (Q,) and (G,) integers. All genuine
    scores are kept; impostors are sorted tile by tile and only counted against them, which is exact
    at every rate, since the true positive rate rises at genuine scores alone. Memory: a tile and
    some 40 bytes per genuine pair. Raises `DataError` for arrays that do not fit, or without a
    genuine or an impostor pair; `UsageError` for an unknown metric.
    """
    arrays = (query_features, query_ids, query_cams, gallery_features, gallery_ids, gallery_cams)
    query, gallery = checked(*arrays, metric=metric)
    rising, counts = np.unique(genuine_scores(query, gallery, metric), return_counts=True)
    impostors, reach, above = 0, np.zeros_like(counts), np.zeros_like(counts)
    for rows, columns, tile in tiles(query, gallery, metric):
        same = query.persons[rows, None] == gallery.persons[columns]
        impostors += same.size - int(np.count_nonzero(same))
        tile[same] = -np.inf  # sorts below every genuine score
        flat = tile.ravel()
        flat.sort()
        reach += len(flat) - np.searchsorted(flat, rising, side="left")
        above += len(flat) - np.searchsorted(flat, rising, side="right")
    genuine = int(counts.sum())
    if not genuine or not impostors:
        raise DataError(
            f"verification found {genuine} genuine pairs and {impostors} of two persons and needs "
            "both: add pictures of the query persons from other cameras, and of other persons"
        )
    area = 1 - float(counts @ (reach + above)) / (2 * genuine * impostors)
    scores = rising[::-1].astype(np.float64)
    return Verification(genuine, impostors, area, scores, counts[::-1].cumsum(), reach[::-1])
