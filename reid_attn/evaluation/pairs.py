"""Pairs of a query and a gallery picture: which count, and how similar they are, tile by tile.

Scores are higher for what is nearer: the cosine, or the Euclidean distance with a minus sign. No
Q×G matrix is held: a tile of it is scored in float64, rounded to a fixed grid, so that two copies
of a picture tie whatever the tile, and used up before the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .junk import JUNK
from .labels import Labels
from .scores import Metric, compared

_ROWS, _COLUMNS = 512, 4096  # queries and gallery pictures of a tile (16 MiB)
_NUMBERS = 2**21  # numbers gathered at a time for genuine pairs (16 MiB a side)
_BITS = 26  # of a score that count; the noise of float64 sums is far below the last one

Scores = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The queries or the gallery, checked, without person −1."""

    vectors: NDArray[np.floating[Any]]
    """(N, D)."""
    persons: Integers
    """(N,)."""
    cameras: Integers
    """(N,)."""

    def take(self, chosen: Mask) -> "Pictures":
        """Those whose entry in `chosen` (N,) is true; no copy where all are."""
        if chosen.all():
            return self
        return Pictures(self.vectors[chosen], self.persons[chosen], self.cameras[chosen])


def checked(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric,
) -> tuple[Pictures, Pictures]:
    """Both sides without person −1; errors as for `evaluate`."""
    labels = Labels(query_ids, query_cams, gallery_ids, gallery_cams, None)
    labels.refuse_misfit(query_features, gallery_features)
    query, gallery = compared(query_features, gallery_features, metric)
    both = (
        Pictures(query.vectors, labels.query_persons, labels.query_cameras),
        Pictures(gallery.vectors, labels.gallery_persons, labels.gallery_cameras),
    )
    one, other = (side.take(side.persons != JUNK) for side in both)
    return one, other


def tiles(
    query: Pictures, gallery: Pictures, metric: Metric
) -> Iterator[tuple[slice, slice, Scores]]:
    """Query rows, gallery columns and their scores (rows, columns), which the caller may change."""
    for rows in _slices(len(query.persons), _ROWS):
        left, left_squares = _exact(query.vectors[rows], metric)
        for columns in _slices(len(gallery.persons), _COLUMNS):
            right, right_squares = _exact(gallery.vectors[columns], metric)
            squares = left_squares[:, None] + right_squares
            yield rows, columns, _scores(left @ right.T, squares, metric)


def genuine_pairs(query: Pictures, gallery: Pictures) -> Iterator[tuple[Integers, Integers]]:
    """Indices of the pairs of one person at two cameras, (n,) and (n,), tile by tile."""
    for rows in _slices(len(query.persons), _ROWS):
        for columns in _slices(len(gallery.persons), _COLUMNS):
            one, other = np.nonzero(query.persons[rows, None] == gallery.persons[columns])
            one, other = one + rows.start, other + columns.start
            elsewhere = query.cameras[one] != gallery.cameras[other]
            yield one[elsewhere], other[elsewhere]


def genuine_scores(query: Pictures, gallery: Pictures, metric: Metric) -> Scores:
    """(n,) scores of the genuine pairs; each has the bits that its tile gives it."""
    found = [np.empty(0, dtype=np.float32)]
    for one, other in genuine_pairs(query, gallery):
        for part in _slices(len(one), max(1, _NUMBERS // max(1, query.vectors.shape[1]))):
            left, left_squares = _exact(query.vectors[one[part]], metric)
            right, right_squares = _exact(gallery.vectors[other[part]], metric)
            products = np.einsum("nd,nd->n", left, right)
            found.append(_scores(products, left_squares + right_squares, metric))
    return np.concatenate(found)


def _exact(vectors: NDArray[np.floating[Any]], metric: Metric) -> tuple[Doubles, Doubles]:
    """In float64: the vectors, for cosine of unit length, and the squared norms as they were."""
    exact = vectors.astype(np.float64)
    squares = np.einsum("nd,nd->n", exact, exact)
    if metric == "cosine":
        exact /= np.sqrt(squares)[:, None]
    return exact, squares


def _scores(products: Doubles, squares: Doubles, metric: Metric) -> Scores:
    """The cosine of unit vectors, or −d from d² = |q|² + |g|² − 2 q·g, on a grid.

    d² is a small difference of large numbers for near pictures, so its grid follows their size.
    """
    if metric == "cosine":
        products *= 2.0**_BITS
        np.rint(products, out=products)
        products *= 2.0**-_BITS
        return products.astype(np.float32)
    bits = _BITS - np.frexp(squares)[1]
    squared = np.ldexp(np.rint(np.ldexp(squares - 2 * products, bits)), -bits)
    distances: Doubles = np.sqrt(np.maximum(squared, 0.0))
    return (0.0 - distances).astype(np.float32)


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def check_share(name: str, fits: bool, value: float) -> None:
    """`UsageError` for a share that does not fit."""
    if not fits:
        raise UsageError(f"{name} = {value}: use a share between 0 and 1")
