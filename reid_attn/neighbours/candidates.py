"""The rows that may be among the best `k`, judged by scores with a known error.

A scan need not be exact to find the exact answer. Say that a score s errs by at most e. Then k rows
score at least the k-th largest s − e seen so far, the *floor*, and a row with s + e below the floor
is not among the best k. What is left when all rows were seen is few, and is compared exactly.
"""

import numpy as np
from numpy.typing import NDArray

from .checks import Ids, Vectors

_ROUNDING = 2.0**-24


def rounding(dimension: int) -> float:
    """A bound on the error of a float32 inner product of two unit vectors, in any order of sums.

    n rounded products and sums err by at most γ_n Σ|x_i y_i| ≤ γ_n ‖x‖‖y‖, with γ_n = nu / (1 − nu)
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1, and Cauchy-Schwarz). The
    eight more roundings cover that of exact scores to float32 and those of the bounds themselves.
    """
    return 1.01 * (dimension + 8) * _ROUNDING


class Candidates:
    """What is left of the rows seen so far, for each of Q queries."""

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self.floor = np.full(queries, np.finfo(np.float32).min)
        """(Q,) a row that surely scores less is not among the best."""
        self._best = np.full((queries, k), np.finfo(np.float32).min)  # lower bounds, any order
        self._found: list[tuple[Ids, Ids, Vectors]] = []

    def offer_all(self, scores: Vectors, places: Ids, error: float) -> None:
        """Consider the rows at `places` (B,) by `scores` (Q, B); −inf means never."""
        least, width = self.floor - np.float32(error), scores.shape[1]
        if not self._found and width > self.k:  # no floor yet: these rows have one of their own
            best = np.partition(scores, -self.k, axis=1)[:, -self.k]
            least = np.maximum(least, best - np.float32(2 * error))
        found = np.flatnonzero(scores >= least[:, None])
        query, column = np.divmod(found, max(1, width))
        self.offer(query, places[column], scores.ravel()[found], error)

    def offer(self, query: Ids, places: Ids, scores: Vectors, error: float) -> None:
        """Consider rows (n,) for queries (n,), which ascend; never the same row twice."""
        if not len(query):
            return
        self._raise_floor(query, scores - np.float32(error))
        self._found.append((query, places, scores + np.float32(error)))

    def left(self) -> tuple[Ids, Ids]:
        """Queries and places, both (n,), of the rows that may still be among the best."""
        nothing = np.empty(0, np.int64)
        found = [(nothing, nothing, np.empty(0, np.float32)), *self._found]
        query, places, upper = (np.concatenate(column) for column in zip(*found, strict=True))
        may = upper >= self.floor[query]
        return query[may], places[may]

    def _raise_floor(self, query: Ids, lower: Vectors) -> None:
        """Let new lower bounds take their places among the best."""
        counts = np.bincount(query, minlength=len(self.floor))
        touched = np.flatnonzero(counts)
        k, firsts = self._best.shape[1], np.cumsum(counts) - counts
        table = np.full((len(touched), k + counts.max()), np.finfo(np.float32).min)
        table[:, :k] = self._best[touched]
        row = np.searchsorted(touched, query)
        table[row, k + np.arange(len(query)) - firsts[query]] = lower
        best = np.partition(table, -k, axis=1)[:, -k:]
        self._best[touched] = best
        self.floor[touched] = best[:, 0]


def cosines(rows: Vectors, queries: Vectors) -> Vectors:
    """The inner product (n,) of each pair of rows (n, D): in float64, rounded to float32.

    One pair has one score, whatever it is computed along with.
    """
    left, right = rows.astype(np.float64), queries.astype(np.float64)
    products: Vectors = np.einsum("nd,nd->n", left, right).astype(np.float32)
    return products


def ranked(query: Ids, scores: Vectors, ids: Ids, shape: tuple[int, int]) -> tuple[Vectors, Ids]:
    """The first `shape[1]` of each query by descending score, then by id: both of `shape`."""
    order = np.lexsort((ids, -scores, query))
    counts = np.bincount(query, minlength=shape[0])
    firsts = np.cumsum(counts) - counts
    best: NDArray[np.int64] = order[firsts[:, None] + np.arange(shape[1])]
    return scores[best], ids[best]
