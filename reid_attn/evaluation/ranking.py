"""CMC, both average precisions and INP of a query set against a gallery; needs numpy alone.

For a query of person p and camera c the gallery falls into three parts: **junk** (person p at
camera c, and every picture of person −1), removed before anything is counted; **good** (person p
at another camera); and wrong matches, the distractors of person 0 among them. Sort the junk-free
gallery by distance, then by gallery index, and let r_0 < … < r_{n−1} be the positions of the n good
pictures, counted from 0:

    CMC@k          1 if r_0 < k, else 0
    AP             (1/n)  Σ_i  (i+1)/(r_i+1)
    AP, trapezoid  (1/2n) Σ_i [(i+1)/(r_i+1) + q_i],   q_i = i/r_i, or 1 where r_i = 0
    INP            n / (r_{n−1}+1)

The reported values are means over the **valid** queries, those with a good picture. Most systems
print the plain AP; the trapezoid is that of the official Market-1501 code. Sources: Zheng et al.,
Scalable Person Re-identification, ICCV 2015 (junk, AP); Ye et al., Deep Learning for Person
Re-identification, TPAMI 2021 (INP).

No Q×G matrix is held: one block of queries meets the gallery tile by tile. Products are summed in
float64 and rounded to float32. The last bits of a matrix product depend on its shape, so a float32
product scores two copies of one picture differently, and every block size ranks them anew. The
rounding takes that noise away: what ties in float32 ties always, and the gallery index decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, UsageError, nearest

Metric = Literal["cosine", "euclidean"]
JUNK = -1
"""The person of gallery pictures that count neither for nor against a query."""

_TILE = 2048  # gallery rows that are float64 at a time
_SCORES = 2**25  # most scores in a block of queries (128 MiB)
_LARGEST = 1e37  # squared norms above it would overflow float32

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What `evaluate` found, as fractions: values per query (NaN: invalid) and their means."""

    first_hit: Doubles
    """(Q,) position of the first good picture, from 0."""
    average_precision: Doubles
    """(Q,) plain AP."""
    trapezoid_precision: Doubles
    """(Q,) trapezoid AP."""
    inverse_negative_penalty: Doubles
    """(Q,) INP."""
    junk: int
    """Pairs of a query and a gallery picture that the junk rule removed."""
    gallery: int
    """Gallery pictures, junk included."""
    max_rank: int
    """Length of `cmc`."""

    @property
    def queries(self) -> int:
        """Number of queries Q."""
        return len(self.first_hit)

    @property
    def valid_queries(self) -> int:
        """Queries that have a good picture."""
        return int(np.count_nonzero(~np.isnan(self.first_hit)))

    def hits(self, k: int) -> Doubles:
        """(Q,) 1 where a good picture is among the first `k`, else 0; NaN for an invalid query."""
        return np.where(np.isnan(self.first_hit), np.nan, self.first_hit < k)

    def rank(self, k: int) -> float:
        """CMC@k; beyond the end of a junk-free gallery it keeps its last value."""
        return float(np.nanmean(self.hits(k)))

    @property
    def cmc(self) -> list[float]:
        """CMC@1 to CMC@max_rank."""
        return [self.rank(k) for k in range(1, self.max_rank + 1)]

    @property
    def rank1(self) -> float:
        """CMC@1."""
        return self.rank(1)

    @property
    def rank5(self) -> float:
        """CMC@5."""
        return self.rank(5)

    @property
    def rank10(self) -> float:
        """CMC@10."""
        return self.rank(10)

    @property
    def rank20(self) -> float:
        """CMC@20."""
        return self.rank(20)

    @property
    def mAP(self) -> float:
        """Mean of the plain AP."""
        return float(np.nanmean(self.average_precision))

    @property
    def mAP_trapezoid(self) -> float:
        """Mean of the trapezoid AP."""
        return float(np.nanmean(self.trapezoid_precision))

    @property
    def mINP(self) -> float:
        """Mean INP."""
        return float(np.nanmean(self.inverse_negative_penalty))

    def as_dict(self) -> dict[str, Any]:
        """The means and counts under the names of `metrics.json`, in full precision."""
        names = ("rank1", "rank5", "rank10", "rank20", "mAP", "mAP_trapezoid", "mINP")
        counts = ("queries", "valid_queries", "gallery", "junk", "cmc")
        return {name: getattr(self, name) for name in names + counts}


@dataclass(frozen=True, eq=False)
class RankedList:
    """The nearest gallery pictures of one query, junk left out."""

    indices: Integers
    """(n,) rows of the gallery, nearest first; n < k where the junk-free gallery is smaller."""
    scores: Doubles
    """(n,) cosine similarities, or Euclidean distances."""


def evaluate(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric = "cosine",
    max_rank: int = 50,
    block: int = 256,
) -> Ranking:
    """Rank the gallery for every query and measure it (formulas: head of this file).

    Features are (Q, D) and (G, D) of any float type; ids and cameras are (Q,) and (G,) integers.
    `block` queries are ranked at a time, fewer where the gallery is huge; no result depends on it.
    Raises `DataError` for arrays that do not fit, a vector that is not finite or, for cosine, zero,
    and when no query is valid; `UsageError` for a wrong option.
    """
    _check_positive(max_rank=max_rank, block=block)
    query = _Side.of("query", query_features, query_ids, query_cams)
    gallery = _Side.of("gallery", gallery_features, gallery_ids, gallery_cams)
    measures = np.full((4, len(query.persons)), np.nan)
    removed = 0
    for index, row, good, junk in _walk(query, gallery, metric, block):
        removed += len(junk)
        if len(good):
            measures[:, index] = _measure(_positions(row, good))
    if np.isnan(measures).all():
        raise _no_valid_query(query, gallery)
    first, plain, trapezoid, penalty = measures
    return Ranking(first, plain, trapezoid, penalty, removed, len(gallery.persons), max_rank)


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
) -> list[RankedList]:
    """The first `k` junk-free gallery pictures of each query, in the order `evaluate` ranks them.

    Arguments and errors as for `evaluate`; an invalid query has a list like any other.
    """
    _check_positive(k=k, block=block)
    query = _Side.of("query", query_features, query_ids, query_cams)
    gallery = _Side.of("gallery", gallery_features, gallery_ids, gallery_cams)
    lists = []
    for index, row, _, junk in _walk(query, gallery, metric, block):
        nearest_first = np.argsort(-row, kind="stable")[: min(k, len(row) - len(junk))]
        if metric == "cosine":
            scores = row[nearest_first].astype(np.float64)
        else:
            difference = gallery.vectors[nearest_first].astype(np.float64) - query.vectors[index]
            scores = np.linalg.norm(difference, axis=1)
        lists.append(RankedList(nearest_first, scores))
    return lists


@dataclass(frozen=True, eq=False)
class _Side:
    """The queries or the gallery, checked."""

    name: str
    vectors: NDArray[np.floating[Any]]  # (N, D)
    persons: Integers  # (N,)
    cameras: Integers  # (N,)
    squares: Doubles  # (N,) squared norms

    @classmethod
    def of(cls, name: str, features: ArrayLike, ids: ArrayLike, cams: ArrayLike) -> "_Side":
        vectors = _array(f"{name}_features", features, 2, "floats")
        persons = _array(f"{name}_ids", ids, 1, "integers")
        cameras = _array(f"{name}_cams", cams, 1, "integers")
        if not len(vectors) == len(persons) == len(cameras) > 0:
            raise DataError(
                f"{name}_features has {len(vectors)} rows, {name}_ids {len(persons)} and "
                f"{name}_cams {len(cameras)}: the three need the same number, at least one"
            )
        tiles = _tiles(vectors, _TILE)
        squares = np.concatenate([np.einsum("nd,nd->n", tile, tile) for _, tile in tiles])
        side = cls(name, vectors, persons.astype(np.int64), cameras.astype(np.int64), squares)
        side.refuse(~(squares < _LARGEST), "numbers that are not finite, or too large")
        return side

    def refuse(self, bad: NDArray[np.bool_], what: str) -> None:
        """`DataError` that names the first bad row, if there is one."""
        if bad.any():
            raise DataError(
                f"{self.name}_features, row {int(np.argmax(bad))} holds {what} "
                f"({np.count_nonzero(bad)} such rows): extract the features again without them"
            )


class _Matches:
    """Good and junk gallery pictures of a query, found without a pass over the gallery."""

    def __init__(self, gallery: _Side) -> None:
        self._cameras = gallery.cameras
        self._by_person = np.argsort(gallery.persons)
        self._persons = gallery.persons[self._by_person]
        self._nobody = np.flatnonzero(gallery.persons == JUNK)

    def of(self, person: int, camera: int) -> tuple[Integers, Integers]:
        if person == JUNK:
            return self._nobody[:0], self._nobody
        start, end = np.searchsorted(self._persons, (person, person + 1))
        same = self._by_person[start:end]
        elsewhere = self._cameras[same] != camera
        return same[elsewhere], np.concatenate((self._nobody, same[~elsewhere]))


def _walk(
    query: _Side, gallery: _Side, metric: Metric, block: int
) -> Iterator[tuple[int, Scores, Integers, Integers]]:
    """Each query's index, score row (G,) with junk at −inf, good and junk gallery indices."""
    matches = _Matches(gallery)
    for index, row in enumerate(_score_rows(query, gallery, metric, block)):
        good, junk = matches.of(int(query.persons[index]), int(query.cameras[index]))
        row[junk] = -np.inf
        yield index, row, good, junk


def _score_rows(query: _Side, gallery: _Side, metric: Metric, block: int) -> Iterator[Scores]:
    """One row (G,) per query, higher is nearer: scale · (q·g) + shift.

    Cosine: q·g / |q||g|. Euclidean: 2 q·g − |g|² = |q|² − d², which falls as the distance d grows;
    d² itself would be noise for near pictures, a small difference of large numbers.
    """
    _check_pair(query, gallery, metric)
    if metric == "cosine":
        scale, shift = 1 / np.sqrt(gallery.squares), np.zeros(len(gallery.squares))
    else:
        scale, shift = np.full(len(gallery.squares), 2.0), -gallery.squares
    block = min(block, max(1, _SCORES // len(scale)), len(query.vectors))
    scores = np.empty((block, len(scale)), dtype=np.float32)
    for rows, left in _tiles(query.vectors, block):
        if metric == "cosine":
            left /= np.sqrt(query.squares[rows, None])
        for columns, right in _tiles(gallery.vectors, _TILE):
            product = left @ right.T
            product *= scale[columns]
            product += shift[columns]
            scores[: len(left), columns] = product
        yield from scores[: len(left)]


def _tiles(vectors: NDArray[np.floating[Any]], height: int) -> Iterator[tuple[slice, Doubles]]:
    for start in range(0, len(vectors), height):
        rows = slice(start, start + height)
        yield rows, vectors[rows].astype(np.float64)


def _positions(row: Scores, good: Integers) -> Integers:
    """Sorted positions of `good` by descending score, ties by index: r_0 < … < r_{n−1}.

    Sorting bare values is several times faster than sorting indices, and tells how many scores are
    above each hit; the ties before it are counted only where there are any.
    """
    ascending, values = np.sort(row), row[good]
    not_above = np.searchsorted(ascending, values, side="right")
    tied = not_above - np.searchsorted(ascending, values, side="left") > 1
    positions = len(row) - not_above
    for hit in np.flatnonzero(tied):
        positions[hit] += np.count_nonzero(row[: good[hit]] == values[hit])
    return np.sort(positions)


def _measure(positions: Integers) -> tuple[float, float, float, float]:
    """First hit, plain AP, trapezoid AP and INP of one query from its hits' sorted positions."""
    before = np.arange(len(positions))
    precision = (before + 1) / (positions + 1)
    precision_before = np.where(positions > 0, before / np.maximum(positions, 1), 1.0)
    plain, left = float(precision.mean()), float(precision_before.mean())
    return float(positions[0]), plain, (plain + left) / 2, float(precision[-1])


def _check_pair(query: _Side, gallery: _Side, metric: Metric) -> None:
    if metric not in get_args(Metric):
        hint = nearest(str(metric), get_args(Metric))
        raise UsageError(f"unknown metric '{metric}'{hint}: use cosine or euclidean")
    if query.vectors.shape[1] != gallery.vectors.shape[1]:
        raise DataError(
            f"query_features has {query.vectors.shape[1]} dimensions and gallery_features "
            f"{gallery.vectors.shape[1]}: extract both with the same network"
        )
    if metric == "cosine":
        for side in (query, gallery):
            side.refuse(side.squares == 0, "the zero vector, which has no cosine")


def _no_valid_query(query: _Side, gallery: _Side) -> DataError:
    present = np.isin(query.persons, gallery.persons[gallery.persons != JUNK])
    lost = int(np.count_nonzero(present))
    return DataError(
        f"none of the {len(present)} queries has a match: {lost} have gallery pictures from their "
        f"own camera only, which the junk rule removes, and {len(present) - lost} have no picture "
        "in the gallery: add pictures of these persons from other cameras"
    )


def _array(name: str, values: ArrayLike, axes: int, numbers: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as an array: {error}") from error
    if array.ndim != axes or array.dtype.kind not in {"floats": "f", "integers": "iu"}[numbers]:
        raise DataError(
            f"{name} is {array.dtype} of shape {array.shape}: pass {numbers} with {axes} axes"
        )
    return array


def _check_positive(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
