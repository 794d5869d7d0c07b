"""Parts that a single query scans in a shorter code, with a bound on what the code gets wrong."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates, rounding
from .checks import Ids, Mask, Stored, Vectors, batches
from .library import faiss
from .parts import SPARSE, Part

_SMALL = 4096  # rows below which codes are not worth making
_MORE = 512  # answers more than k that a scan of codes gives
_CHUNK = 4096
_LANES = 32  # numbers that a row of codes is a multiple of, as FAISS's fast loops want it


class Coded(NamedTuple):
    """One query as codes see it: its score with a row is `scale` times that of FAISS."""

    codes: Any
    query: Vectors
    scale: float
    error: float
    """That a score may be off by."""


class CodedPart(Part):
    """A part with codes beside its rows, or in place of them."""

    few: ClassVar[int] = 8

    @abstractmethod
    def _coded(self, query: Vectors) -> Coded:
        """A query (1, D) for the codes, which are made or read if that was not done yet."""

    def scan(self, queries: Vectors, candidates: Candidates, start: int, keep: Mask | None) -> None:
        """See `Part.scan`: what the codes leave in doubt is scanned without them."""
        sparse = keep is not None and keep.mean() < SPARSE
        if len(queries) > 1 or len(self) < _SMALL or sparse:
            super().scan(queries, candidates, start, keep)
            return
        codes, query, scale, error = self._coded(queries)
        count = min(candidates.k + _MORE, len(self) if keep is None else int(keep.sum()))
        scores, places = codes.search(query, count, params=_only(keep))
        scores, places = np.float32(scale) * scores[0], places[0]
        near = scores + error >= candidates.floor[0]
        candidates.offer(np.zeros(near.sum(), int), start + places[near], scores[near], error)
        if scores[-1] + error >= candidates.floor[0]:
            rest = np.ones(len(self), bool) if keep is None else keep.copy()
            rest[places] = False
            super().scan(queries, candidates, start, rest)


class HalfPart(CodedPart):
    """Float16 rows, which FAISS holds: they are the truth here, and are scanned as they are."""

    def __init__(self, ids: Ids, rows: Stored) -> None:
        super().__init__(ids, rows)
        self._codes: Any = None

    @classmethod
    def of(cls, ids: Ids, vectors: Vectors) -> "HalfPart":
        """A part of rounded vectors."""
        return cls(ids, vectors.astype(np.float16))

    def vectors(self, chosen: slice | Ids) -> Vectors:
        """Some rows as float32."""
        wide: Vectors = self._rows[chosen].astype(np.float32)
        return wide

    def _coded(self, query: Vectors) -> Coded:
        dimension = query.shape[1]
        if self._codes is None:
            self._codes = _codes("QT_fp16", self._rows[:].view(np.uint8), dimension)
            self._rows = _held(self._codes).view(np.float16)
        return Coded(self._codes, query, 1, rounding(dimension))


class RefinedPart(CodedPart):
    """Float32 rows x with an eight-bit code c of each number.

    With a step for each dimension, x = step · c + r. A query is coded too, by a step s of its own:
    step · q = s p + t. So q·x = s p·c + t·c + q·r, where p·c is a sum of integers, and the rest is
    at most ‖t‖‖c‖ + ‖r‖, by Cauchy-Schwarz.
    """

    def __init__(self, ids: Ids, rows: Stored) -> None:
        super().__init__(ids, rows)
        self._made: tuple[Any, Vectors, float, float] | None = None
        self._stored: Mapping[str, Stored] = {}

    @classmethod
    def restore(cls, arrays: Mapping[str, Stored]) -> "RefinedPart":
        """See `Part.restore`."""
        part = cls(arrays["ids"][:], arrays["rows"])
        part._stored = arrays
        return part

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `Part.arrays`."""
        codes, step, *longest = self._ready()
        figures = {"step": step, "longest": np.array(longest)}
        return {**super().arrays(), "codes": _held(codes), **figures}

    def _coded(self, query: Vectors) -> Coded:
        codes, step, code, rest = self._ready()
        stepped = query * step
        scale = float(np.abs(stepped).max() / 127)
        coded = np.rint(stepped / scale)
        error = np.linalg.norm(stepped - scale * coded) * code + rest
        wide = np.zeros((1, codes.d), np.float32)
        wide[:, : len(step)] = coded
        return Coded(codes, wide, scale, 1.01 * float(error) + rounding(codes.d))

    def _ready(self) -> tuple[Any, Vectors, float, float]:
        """FAISS's index of the codes, their steps (D,), the longest code and the longest rest."""
        if self._made is None:
            self._made = self._read() if self._stored else self._encode()
            self._stored = {}
        return self._made

    def _read(self) -> tuple[Any, Vectors, float, float]:
        codes, step, longest = (self._stored[name][:] for name in ("codes", "step", "longest"))
        return _codes("QT_8bit_direct_signed", codes, codes.shape[1]), step, *longest.tolist()

    def _encode(self) -> tuple[Any, Vectors, float, float]:
        rows: Vectors = self._rows[:]
        step = np.maximum(np.abs(rows).max(axis=0), np.finfo(np.float32).tiny) / np.float32(127)
        codes = np.full((len(rows), -(-len(step) // _LANES) * _LANES), 128, np.uint8)
        longest = np.zeros(2)
        for some in batches(len(rows), _CHUNK):
            code = np.rint(rows[some] / step)
            codes[some, : len(step)] = code + 128
            rest = rows[some] - code * step
            longest = np.maximum(longest, [_longest(code), _longest(rest)])
        index = _codes("QT_8bit_direct_signed", codes, codes.shape[1])
        return index, step, *longest.tolist()


def _longest(rows: Vectors) -> float:
    return float(np.linalg.norm(rows, axis=1).max())


def _codes(kind: str, codes: NDArray[np.uint8], dimension: int) -> Any:
    """FAISS's index of codes (N, bytes)."""
    quantizer = getattr(faiss().ScalarQuantizer, kind)
    index = faiss().IndexScalarQuantizer(dimension, quantizer, faiss().METRIC_INNER_PRODUCT)
    index.is_trained = True
    index.add_sa_codes(codes)
    return index


def _held(index: Any) -> NDArray[np.uint8]:
    """The codes (N, bytes) inside FAISS, without a copy: valid as long as `index`."""
    held: NDArray[np.uint8] = faiss().rev_swig_ptr(index.codes.data(), index.codes.size())
    return held.reshape(index.ntotal, -1)


def _only(keep: Mask | None) -> Any:
    """FAISS's form of a filter."""
    if keep is None:
        return None
    bits = np.packbits(keep, bitorder="little")
    return faiss().SearchParameters(sel=faiss().IDSelectorBitmap(bits))
