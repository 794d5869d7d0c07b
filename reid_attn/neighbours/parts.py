"""The rows of an exact index in parts, each of which knows how to look through itself."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates, rounding
from .checks import Ids, Mask, Stored, Vectors, batches
from .library import faiss

ROWS = 1 << 16  # in a part at most

_SCORES = 1 << 20  # that are computed at a time at most: they stay in the processor's cache
SPARSE = 1 / 8  # share of rows below which those that are kept are first copied together,
_SPARSE_FOR_MANY = 1 / 2  # and where there are more queries than one (measured)


class Part:
    """Float32 rows (N, D) of unit length under ids (N,), scanned as they are."""

    few: ClassVar[int] = 4
    """Queries from which one matrix product for all is faster than a scan for each (measured)."""

    def __init__(self, ids: Ids, rows: Stored) -> None:
        self.ids = ids
        self._rows = rows

    @classmethod
    def of(cls, ids: Ids, vectors: Vectors) -> "Part":
        """A part of arrays that nobody else changes."""
        return cls(ids, vectors)

    @classmethod
    def restore(cls, arrays: Mapping[str, Stored]) -> "Part":
        """The part of `arrays()`."""
        return cls(arrays["ids"][:], arrays["rows"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `restore` needs."""
        return {"ids": self.ids, "rows": self._rows[:]}

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self, chosen: slice | Ids) -> Vectors:
        """Some rows as float32, without a copy where that is possible."""
        return self._rows[chosen]

    def scan(self, queries: Vectors, candidates: Candidates, start: int, keep: Mask | None) -> None:
        """Offer the rows to `candidates`, by places that begin at `start`."""
        size = min(max(_SCORES // len(queries), ROWS // 16), ROWS)
        sparse = SPARSE if len(queries) == 1 else _SPARSE_FOR_MANY
        for piece in _pieces(len(self), size, keep, sparse):
            scores = _products(queries, self.vectors(piece.rows))
            if piece.hidden is not None:
                scores[:, piece.hidden] = -np.inf
            candidates.offer_all(scores, start + piece.places, rounding(queries.shape[1]))


class _Piece(NamedTuple):
    """Rows that are scanned at a time."""

    rows: slice | Ids
    places: Ids
    hidden: Mask | None
    """Which of them are not to be found."""


def _pieces(count: int, size: int, keep: Mask | None, sparse: float) -> Iterator[_Piece]:
    for part in batches(count, size):
        places = np.arange(part.start, part.stop)
        if keep is None or keep[part].all():
            yield _Piece(part, places, None)
        elif keep[part].mean() >= sparse:
            yield _Piece(part, places, ~keep[part])
        elif keep[part].any():
            kept = places[keep[part]]
            yield _Piece(kept, kept, None)


def _products(queries: Vectors, rows: Vectors) -> Vectors:
    """The inner products (Q, B) of queries (Q, D) and rows (B, D)."""
    if len(queries) > 1:
        return queries @ rows.T
    scores = np.empty((1, len(rows)), np.float32)
    pointers = [faiss().swig_ptr(array) for array in (scores, queries, np.ascontiguousarray(rows))]
    faiss().fvec_inner_products_ny(*pointers, rows.shape[1], len(rows))
    return scores
