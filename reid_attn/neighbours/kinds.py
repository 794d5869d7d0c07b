"""Which indexes there are, which of them fits a gallery, and what it finds there."""

import numpy as np

from ..errors import UsageError, nearest
from .cells import CellIndex, ProductCellIndex, ScalarCellIndex
from .checks import Ids, Vectors
from .contract import Index
from .exact import ExactIndex, HalfIndex, RefinedIndex
from .graph import GraphIndex

_INDEXES: tuple[type[Index], ...] = (
    ExactIndex,
    HalfIndex,
    RefinedIndex,
    GraphIndex,
    CellIndex,
    ScalarCellIndex,
    ProductCellIndex,
)

EXACT = 25_000_000  # numbers, count times dimension, that one query compares in some 10 ms
REFINED = 1_000_000_000  # and that the codes of a query take some 130 ms for


def kinds() -> list[str]:
    """The names of all kinds of indexes."""
    return [index.kind for index in _INDEXES]


def index_class(kind: str) -> type[Index]:
    """The class of a kind; `UsageError` when there is none."""
    for index in _INDEXES:
        if index.kind == kind:
            return index
    known = kinds()
    raise UsageError(
        f"there is no index of kind {kind!r}{nearest(kind, known)}: use one of {', '.join(known)}"
    )


def make(kind: str, dimension: int) -> Index:
    """An empty index."""
    return index_class(kind)(dimension)


def choose(count: int, dimension: int) -> str:
    """The kind for a gallery of `count` vectors: exact as long as that answers in a moment.

    From some 50,000 vectors of 512 numbers on, a single query is answered from eight-bit codes,
    with the same results; from two million on, from a graph, which misses some.
    """
    if count * dimension <= EXACT:
        return ExactIndex.kind
    return RefinedIndex.kind if count * dimension <= REFINED else GraphIndex.kind


def recall(
    index: Index, ids: Ids, vectors: Vectors, k: int = 10, queries: int = 200, seed: int = 0
) -> float:
    """The share of the `k` nearest vectors that `index` finds, which holds `vectors` under `ids`.

    Measured on the gallery's own: some of its vectors are looked for, each without itself, in the
    index and in all of `vectors` (N, D), and the share is averaged over them. NaN for fewer than
    two vectors.
    """
    if len(ids) < 2:
        return float("nan")
    generator = np.random.default_rng(seed)
    asked = generator.choice(len(ids), min(queries, len(ids)), replace=False)
    both = index, ExactIndex.of(ids, vectors)
    answers = [one.search(vectors[asked], k + 1)[1] for one in both]
    shares = [
        _share(*(found[found != own][:k] for found in pair))
        for own, *pair in zip(ids[asked], *answers, strict=True)
    ]
    return float(np.mean(shares))


def _share(found: Ids, nearest_ones: Ids) -> float:
    return len(np.intersect1d(found, nearest_ones)) / len(nearest_ones)
