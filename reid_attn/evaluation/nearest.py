"""The nearest of many items to each of them, by squared Euclidean distance, without all distances.

Neighbours are chosen by float32 products with a few to spare, and put in order by differences
summed in float64, which are exact for near pictures and equal for copies of one picture. Where more
than eight items tie for the last place, which of them are neighbours is left to the products.
"""

import numpy as np
from numpy.typing import NDArray

_TILE = 512  # rows and columns of a tile of distances
_SPARE = 8  # neighbours that float32 may rank wrongly around the last place
_NUMBERS = 2**16  # numbers at a time where single pairs are compared, which fit a cache

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


def nearest_items(items: Floats, count: int) -> tuple[Integers, Doubles, Doubles]:
    """Nearest items and their squared distances, (M, min(count, M)) each; the largest, (M,)."""
    squares = np.einsum("nd,nd->n", items, items)
    best = _Best(len(items), min(len(items), count + _SPARE))
    tiles = slices(len(items), _TILE)
    for index, rows in enumerate(tiles):
        for columns in tiles[index:]:
            distances = items[rows] @ items[columns].T
            distances *= -2
            distances += squares[rows, None]
            distances += squares[columns]
            best.update(rows, columns, distances)
            if rows != columns:
                best.update(columns, rows, np.ascontiguousarray(distances.T))
    candidates = np.column_stack((best.nearest, best.farthest))
    owners = np.repeat(np.arange(len(items)), candidates.shape[1])
    exact = pair_distances(items, owners, candidates.ravel()).reshape(candidates.shape)
    order = np.lexsort((candidates[:, :-1], exact[:, :-1]), axis=-1)[:, :count]
    largest: Doubles = exact.max(axis=1)
    largest[largest == 0] = 1  # all items are copies of one, and every distance is 0
    near = np.take_along_axis(candidates, order, axis=1)
    return near, np.take_along_axis(exact, order, axis=1), largest


class _Best:
    """The nearest items and the farthest one of each, by the tiles seen so far."""

    def __init__(self, items: int, count: int) -> None:
        self.nearest = np.zeros((items, count), dtype=np.int64)
        self.farthest = np.zeros(items, dtype=np.int64)
        self._near = np.full((items, count), np.inf, dtype=np.float32)
        self._far = np.full(items, -np.inf, dtype=np.float32)

    def update(self, rows: slice, columns: slice, distances: Floats) -> None:
        """Take note of the squared distances (r, c) of items `rows` to items `columns`."""
        place = distances.argmax(axis=1)
        far = np.take_along_axis(distances, place[:, None], axis=1)[:, 0]
        farther = far > self._far[rows]
        self._far[rows] = np.where(farther, far, self._far[rows])
        self.farthest[rows] = np.where(farther, place + columns.start, self.farthest[rows])
        values, items = self._near[rows], self.nearest[rows]
        count = values.shape[1]
        # Few are both among the nearest of the tile and below the last one kept so far.
        last = min(count, distances.shape[1]) - 1
        limit = np.minimum(np.partition(distances, last, axis=1)[:, last], values.max(axis=1))
        row, column = np.nonzero(distances <= limit[:, None])
        found = np.bincount(row, minlength=len(values))
        slot = np.arange(len(row)) - np.repeat(np.cumsum(found) - found, found) + count
        spare = ((0, 0), (0, int(found.max())))
        values, items = np.pad(values, spare, constant_values=np.inf), np.pad(items, spare)
        values[row, slot], items[row, slot] = distances[row, column], column + columns.start
        keep = np.argpartition(values, count - 1, axis=1)[:, :count]
        self._near[rows] = np.take_along_axis(values, keep, axis=1)
        self.nearest[rows] = np.take_along_axis(items, keep, axis=1)


def squared_norms(vectors: Floats) -> Doubles:
    """(N,) of the rows of (N, D), summed in float64."""
    return np.concatenate(
        [
            np.einsum("nd,nd->n", vectors[rows], vectors[rows], dtype=np.float64)
            for rows in slices(len(vectors), _TILE)
        ]
    )


def squared_distances(left: Floats, right: Floats, squares: Doubles) -> Doubles:
    """(b, G), from products in float64; `squares` (G,) are the squared norms of `right`."""
    wide = left.astype(np.float64)
    distances = np.empty((len(left), len(right)))
    for columns in slices(len(right), _TILE):
        np.matmul(wide, right[columns].astype(np.float64).T, out=distances[:, columns])
    distances *= -2
    distances += squares
    distances += np.einsum("nd,nd->n", wide, wide)[:, None]
    return np.maximum(distances, 0, out=distances)


def pair_distances(items: Floats, left: Integers, right: Integers) -> Doubles:
    """Squared distances (P,) of the pairs `left` and `right` (P,), summed in float64."""
    distances = np.empty(len(left))
    for pairs in slices(len(left), max(1, _NUMBERS // items.shape[1])):
        difference = items[left[pairs]]
        difference -= items[right[pairs]]
        wide = difference.astype(np.float64)
        np.einsum("pd,pd->p", wide, wide, out=distances[pairs])
    return distances


def slices(length: int, step: int) -> list[slice]:
    """Slices of at most `step` that cover `length` from 0."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
