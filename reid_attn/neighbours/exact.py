"""Exact nearest neighbours by cosine similarity.

The answer does not depend on the order in which floats are summed, on how many queries come
together, or on how the rows are stored: a row's score is computed in float64 and rounded to
float32, and equal scores are ordered by id. The scan that finds the rows may be as coarse as it
likes, as long as a bound on its error is known (`candidates.py`).

On the CPU there is no `IndexFlatIP`, whose threshold between two ways of computing is one setting
for the whole process, which gives the id −1 for no answer, and falls back to the slow way under a
filter: only the scans for single queries are FAISS's. A GPU is used if FAISS has one (`card.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DamagedError
from .candidates import Candidates, cosines, ranked
from .card import Card
from .checks import (
    Ids,
    Mask,
    Stored,
    Vectors,
    batches,
    checked_additions,
    checked_k,
    checked_keep,
    checked_removals,
    checked_vectors,
)
from .coded import HalfPart, RefinedPart
from .contract import Index
from .parts import ROWS, Part

AnExactIndex = TypeVar("AnExactIndex", bound="ExactIndex")

_QUERIES = 256  # that are looked for at a time
_PAIRS = 4096  # that are compared at a time


class ExactIndex(Index):
    """Unit vectors of one dimension under unique ids, compared one by one."""

    kind: ClassVar[str] = "exact"
    part: ClassVar[type[Part]] = Part

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self._hold([])

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def ids(self) -> Ids:
        """The ids (N,) in the order of the vectors."""
        return np.concatenate([np.empty(0, np.int64), *(part.ids for part in self._parts)])

    @classmethod
    def of(cls: type[AnExactIndex], ids: ArrayLike, features: ArrayLike) -> AnExactIndex:
        """An index of vectors (N, D) that it shares, so that nobody may change them any more."""
        index = cls(np.shape(features)[-1])
        labels, vectors = checked_additions(ids, features, index.dimension, index.ids)
        whole = batches(len(labels), ROWS)
        index._hold([index.part.of(labels[some], vectors[some]) for some in whole])
        return index

    def add(self, ids: ArrayLike, features: ArrayLike) -> None:
        """See `Index.add`."""
        labels, vectors = checked_additions(ids, features, self.dimension, self.ids)
        new = [
            self.part.of(labels[some].copy(), vectors[some].copy())
            for some in batches(len(labels), ROWS)
        ]
        self._hold(self._tidied([*self._parts, *new]))

    def remove(self, ids: ArrayLike) -> None:
        """See `Index.remove`."""
        labels = checked_removals(ids, self.ids)
        self._hold(self._tidied([self._without(labels, part) for part in self._parts]))

    def search(
        self, queries: ArrayLike, k: int, keep: ArrayLike | None = None
    ) -> tuple[Vectors, Ids]:
        """See `Index.search`."""
        checked_k(k)
        vectors = checked_vectors(queries, self.dimension)
        mask = None if keep is None else checked_keep(keep, self.ids)
        shape = (len(vectors), min(k, len(self) if mask is None else int(mask.sum())))
        if 0 in shape:
            return np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        together = 1 if len(vectors) < self.part.few else _QUERIES
        scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
        for some in batches(len(vectors), together):
            scores[some], ids[some] = self._best(vectors[some], shape[1], mask)
        return scores, ids

    def contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `Index.contents`."""
        facts = {"dimension": self.dimension, "parts": len(self._parts)}
        parts = enumerate(part.arrays() for part in self._parts)
        return facts, {f"{name}.{n}": array for n, part in parts for name, array in part.items()}

    @classmethod
    def restore(
        cls: type[AnExactIndex], facts: Mapping[str, Any], arrays: Mapping[str, Stored]
    ) -> AnExactIndex:
        """See `Index.restore`."""
        index = cls(facts["dimension"])
        for number in range(facts["parts"]):
            ending = f".{number}"
            own = {n.removesuffix(ending): a for n, a in arrays.items() if n.endswith(ending)}
            index._hold([*index._parts, index.part.restore(own)])
            if own["rows"].shape != (len(own["ids"]), index.dimension):
                raise DamagedError("the index holds rows that do not fit: build it again")
        return index

    def _hold(self, parts: list[Part]) -> None:
        self._parts = parts
        self._card = Card(parts)

    def _best(self, queries: Vectors, k: int, mask: Mask | None) -> tuple[Vectors, Ids]:
        candidates = self._card.candidates(queries, k) if mask is None else None
        query, places = (candidates or self._scanned(queries, k, mask)).left()
        return ranked(query, *self._scored(queries, query, places), (len(queries), k))

    def _scanned(self, queries: Vectors, k: int, mask: Mask | None) -> Candidates:
        candidates = Candidates(len(queries), k)
        for here, part in self._placed():
            part.scan(queries, candidates, here.start, None if mask is None else mask[here])
        return candidates

    def _scored(self, queries: Vectors, query: Ids, places: Ids) -> tuple[Vectors, Ids]:
        """The exact scores and the ids (n,) of rows for queries."""
        scores, ids = np.empty(len(query), np.float32), np.empty(len(query), np.int64)
        for here, part in self._placed():
            pairs = np.flatnonzero((places >= here.start) & (places < here.stop))
            for some in (pairs[some] for some in batches(len(pairs), _PAIRS)):
                rows = places[some] - here.start
                ids[some] = part.ids[rows]
                scores[some] = cosines(part.vectors(rows), queries[query[some]])
        return scores, ids

    def _placed(self) -> Iterator[tuple[slice, Part]]:
        """The parts, each with the places of its rows."""
        start = 0
        for part in self._parts:
            yield slice(start, start + len(part)), part
            start += len(part)

    def _without(self, labels: Ids, part: Part) -> Part:
        stays = np.flatnonzero(~np.isin(part.ids, labels))
        if len(stays) == len(part):
            return part
        return self.part.of(part.ids[stays], part.vectors(stays))

    def _tidied(self, parts: list[Part]) -> list[Part]:
        """The same rows in few parts: a row is copied at most log2(`ROWS`) times as more come."""
        tidy: list[Part] = []
        for part in parts:
            while tidy and len(tidy[-1]) <= min(len(part), ROWS - len(part)):
                part = self._joined(tidy.pop(), part)
            if len(part):
                tidy.append(part)
        return tidy

    def _joined(self, left: Part, right: Part) -> Part:
        vectors = [part.vectors(slice(None)) for part in (left, right)]
        return self.part.of(np.concatenate((left.ids, right.ids)), np.concatenate(vectors))


class HalfIndex(ExactIndex):
    """Exact on vectors that were rounded to float16, in half the memory."""

    kind = "half"
    part = HalfPart


class RefinedIndex(ExactIndex):
    """The very answers of `ExactIndex` from a scan of eight-bit codes: a fourth more memory.

    Only single queries gain. For many at once, one matrix product is faster than any scan.
    """

    kind = "refined"
    part = RefinedPart
