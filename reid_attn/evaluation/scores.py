"""How near every gallery picture is to every query: scores, a block of queries at a time.

A score is higher for a nearer picture. By definition it is summed in float64 and rounded to
float32, so that two copies of one picture tie and no result depends on the size of a block. A
float64 product of everything would cost more than twice a float32 one, so the blocks hold float32
products, and whoever compares two scores that are closer than `slack` asks `exact` for both. The
slack is an estimate, far on the safe side: of a large block it is measured, 12 standard deviations
of the error at each query's nearest picture, where a sum is largest and so is its error; of a small
one it follows from the growth of rounding errors with √D (Higham & Mary, SIAM J. Sci. Comput.
2019). Where most scores are that close together, as those of an untrained network, the blocks are
float64 products instead.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, UsageError, nearest

Metric = Literal["cosine", "euclidean"]

_TILE = 2048  # gallery rows that are float64 at a time
_SCORES = 2**25  # most scores in a block of queries (128 MiB)
_LARGEST = 1e37  # squared norms above it would overflow float32
_SMALL, _LARGE = 1e-12, 1e15  # norms between them have products that float32 holds with all digits
_CROWDED = 1 / 32  # of the gallery needing `exact` for one query, a float64 product is as cheap
_UNIT = 2.0**-24  # rounding error of float32
_ENOUGH, _DEVIATIONS = 64, 12  # queries that show how large errors are; how many times as much

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Row:
    """The scores of one query."""

    query: int
    scores: Scores
    """(G,); the caller may change them."""
    slack: float
    """Scores at most so far apart may be in the other order."""
    exact: Callable[[Integers], Scores]
    """Scores of some gallery rows (n,) by definition."""


@dataclass(frozen=True, eq=False)
class Side:
    """The queries or the gallery, checked."""

    name: str
    vectors: NDArray[np.floating[Any]]  # (N, D)
    squares: Doubles  # (N,) squared norms

    @classmethod
    def of(cls, name: str, features: ArrayLike) -> "Side":
        """Raises `DataError` for what is no array of finite floats."""
        vectors = array(f"{name}_features", features, 2, "floats")
        if 0 in vectors.shape:
            raise DataError(f"{name}_features has the shape {vectors.shape}: pass at least one row")
        tiles = _tiles(vectors, _TILE)
        squares = np.concatenate([np.einsum("nd,nd->n", tile, tile) for _, tile in tiles])
        side = cls(name, vectors, squares)
        side.refuse(~(side.squares < _LARGEST), "numbers that are not finite, or too large")
        return side

    def refuse(self, bad: NDArray[np.bool_], what: str) -> None:
        """`DataError` that names the first bad row, if there is one."""
        if bad.any():
            raise DataError(
                f"{self.name}_features, row {int(np.argmax(bad))} holds {what} "
                f"({np.count_nonzero(bad)} such rows): extract the features again without them"
            )


class FeatureScores:
    """Scores of features: q·g / |q||g| for cosine, 2 q·g − |g|² for Euclidean.

    The latter is |q|² − d², which falls as the distance d grows; d² itself would be noise for near
    pictures, a small difference of large numbers.
    """

    def __init__(
        self,
        query: ArrayLike,
        gallery: ArrayLike,
        metric: Metric,
        block: int,
        precise: bool = False,
    ) -> None:
        self.query, self.gallery = compared(query, gallery, metric)
        self.metric, self.shape = metric, (len(self.query.squares), len(self.gallery.squares))
        lengths = np.sqrt(self.gallery.squares)
        if metric == "cosine":
            self._scale, self._shift = 1 / lengths, np.zeros(len(lengths))
        else:
            self._scale, self._shift = np.full(len(lengths), 2.0), -self.gallery.squares
        self._block = min(block, max(1, _SCORES // len(lengths)), self.shape[0])
        fine = precise or not self._fits_float32(lengths)
        self._singles = None if fine else self.gallery.vectors.astype(np.float32, copy=False)
        self._resolved = 0

    def _fits_float32(self, lengths: Doubles) -> bool:
        every = np.concatenate((lengths, np.sqrt(self.query.squares)))
        smallest = every.min() if self.metric == "cosine" else every.max()
        return bool(smallest > _SMALL and every.max() < _LARGE)

    def __iter__(self) -> Iterator[Row]:
        buffer = np.empty((self._block, self.shape[1]), dtype=np.float32)
        for start in range(0, self.shape[0], self._block):
            left, scores, slacks = self._product(start, buffer)
            for index, slack in enumerate(slacks.tolist()):
                yield Row(start + index, scores[index], slack, self._exact(left[index]))

    def _product(self, start: int, buffer: Scores) -> tuple[Doubles, Scores, Doubles]:
        """The queries of a block in float64, their scores, and the slack of each."""
        rows = slice(start, start + self._block)
        left = self.query.vectors[rows].astype(np.float64)
        if self.metric == "cosine":
            left /= np.sqrt(self.query.squares[rows, None])
        scores = buffer[: len(left)]
        if self._singles is None or self._resolved > _CROWDED * self.shape[1] * start:
            self._multiply_finely(left, scores)
            return left, scores, np.zeros(len(left))
        np.matmul(left.astype(np.float32), self._singles.T, out=scores)
        scores *= self._scale.astype(np.float32)
        if self.metric == "euclidean":
            scores += self._shift.astype(np.float32)
        return left, scores, self._slacks(rows, left, scores)

    def _multiply_finely(self, left: Doubles, scores: Scores) -> None:
        for columns, right in _tiles(self.gallery.vectors, _TILE):
            product = left @ right.T
            product *= self._scale[columns]
            product += self._shift[columns]
            scores[:, columns] = product

    def _slacks(self, rows: slice, left: Doubles, scores: Scores) -> Doubles:
        """(b,) how far apart two scores must be for their order to be sure."""
        width = (4 + 2 * np.sqrt(left.shape[1])) * _UNIT
        if len(left) < _ENOUGH:
            longest = np.sqrt(self.gallery.squares.max())
            if self.metric == "cosine":
                return np.full(len(left), 2 * width)
            return np.asarray(4 * width * longest * (np.sqrt(self.query.squares[rows]) + longest))
        best = scores.argmax(axis=1)
        products = np.einsum("bd,bd->b", left, self.gallery.vectors[best].astype(np.float64))
        errors = scores[np.arange(len(left)), best] - (
            products * self._scale[best] + self._shift[best]
        )
        largest = max(float(scores.max()), -float(scores.min()))
        spread = _DEVIATIONS * np.sqrt(np.mean(errors**2))
        return np.full(len(left), max(float(spread), 4 * _UNIT * largest))

    def _exact(self, left: Doubles) -> Callable[[Integers], Scores]:
        def scores(rows: Integers) -> Scores:
            self._resolved += len(rows)
            found = np.empty(len(rows), dtype=np.float32)
            for start in range(0, len(rows), _TILE):
                some = rows[start : start + _TILE]
                product = self.gallery.vectors[some].astype(np.float64) @ left
                found[start : start + _TILE] = product * self._scale[some] + self._shift[some]
            return found

        return scores


class DistanceScores:
    """Scores of given distances: what is nearer has the higher score, equal distances tie."""

    def __init__(self, distances: ArrayLike | Iterable[ArrayLike], shape: tuple[int, int]) -> None:
        """`distances` is a (Q, G) matrix, or an iterable over blocks of its rows (b, G)."""
        self.shape = shape
        is_matrix = hasattr(distances, "shape") or isinstance(distances, list | tuple)
        self._blocks: Iterable[ArrayLike] = [distances] if is_matrix else distances  # type: ignore[assignment,list-item]

    def __iter__(self) -> Iterator[Row]:
        query = 0
        for values in self._blocks:
            block = array("distances", values, 2, "floats")
            if block.shape[1] != self.shape[1] or query + len(block) > self.shape[0]:
                raise self._misfit(query + len(block), block.shape[1])
            for distances in block:
                if not np.isfinite(distances).all():
                    raise DataError(f"distances, row {query} holds numbers that are not finite")
                scores = -distances
                yield Row(query, scores, 0.0, scores.__getitem__)
                query += 1
        if query < self.shape[0]:
            raise self._misfit(query, self.shape[1])

    def _misfit(self, rows: int, columns: int) -> DataError:
        return DataError(
            f"distances has {rows} rows and {columns} columns: pass one row for each of "
            f"{self.shape[0]} queries and one column for each of {self.shape[1]} gallery pictures"
        )


def array(name: str, values: ArrayLike, axes: int, numbers: str) -> NDArray[Any]:
    """`values` as an array of `floats` or `integers` with that many axes, or `DataError`."""
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as an array: {error}") from error
    if found.ndim != axes or found.dtype.kind not in {"floats": "f", "integers": "iu"}[numbers]:
        raise DataError(
            f"{name} is {found.dtype} of shape {found.shape}: pass {numbers} with {axes} axes"
        )
    return found


def check_positive(**options: int) -> None:
    """`UsageError` for an option below 1."""
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


def compared(query: ArrayLike, gallery: ArrayLike, metric: Metric) -> tuple[Side, Side]:
    """Features (Q, D) and (G, D), checked.

    `DataError` for what is empty, no floats, not finite, too large, of two dimensions or, for
    cosine, zero; `UsageError` for an unknown metric.
    """
    if metric not in get_args(Metric):
        hint = nearest(str(metric), get_args(Metric))
        raise UsageError(f"unknown metric '{metric}'{hint}: use cosine or euclidean")
    sides = Side.of("query", query), Side.of("gallery", gallery)
    dimensions = [side.vectors.shape[1] for side in sides]
    if dimensions[0] != dimensions[1]:
        raise DataError(
            f"query_features has {dimensions[0]} dimensions and gallery_features "
            f"{dimensions[1]}: extract both with the same network"
        )
    for side in sides if metric == "cosine" else ():
        side.refuse(side.squares == 0, "the zero vector, which has no cosine")
    return sides


def _tiles(vectors: NDArray[np.floating[Any]], height: int) -> Iterator[tuple[slice, Doubles]]:
    for start in range(0, len(vectors), height):
        rows = slice(start, start + height)
        yield rows, vectors[rows].astype(np.float64)
