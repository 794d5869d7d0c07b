"""k-reciprocal re-ranking: distances that ask whether two pictures have the same neighbours.

For all M = Q + G items, queries first, with d_ij = |x_i − x_j|² / max_l |x_i − x_l|² (row i by the
maximum of item i) and N(i, n) the n items nearest to i, i itself among them:

    R(i)   = {j ∈ N(i, k1+1) : i ∈ N(j, k1+1)},   H(j) the same with round(k1/2)+1 neighbours
    R*(i)  = R(i) ∪ ⋃ {H(j) : j ∈ R(i), |H(j) ∩ R(i)| > ⅔ |H(j)|}
    V_ij   = exp(−d_ij) / Σ_l exp(−d_il) over R*(i), 0 elsewhere
    V_i    ← mean of V_l over l ∈ N(i, k2), unless k2 = 1
    m_qg   = Σ_j min(V_qj, V_gj),   J_qg = 1 − m/(2 − m)
    result = (1 − λ) J_qg + λ d_qg

Halves are rounded to even and ties go to the lower item, as in the authors' Python code. Source:
Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017, equations
4 to 12; the ⅔, the squared distance and its normalisation are those of the code.

That code, fast-reid and the BoT family feed squared Euclidean distances of the features, of unit
length where the metric is cosine: 2 − 2 cos. So does this file. torchreid's `re_ranking` squares
what it is given: it takes the plain distance for the same result, whereas its engine hands it
distances that are squared already, or 1 − cos.

R, H and V have some k entries a row and are sparse; distances are computed tile by tile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..errors import UsageError
from ..neighbours import unit_rows
from .nearest import nearest_items, pair_distances, slices, squared_distances, squared_norms
from .scores import Metric, check_positive, compared

_ROWS = 512  # items whose neighbours are expanded at a time

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Sparse = Any  # scipy.sparse.csr_array, which has no types


@dataclass(frozen=True)
class Reciprocal:
    """How to re-rank; numbers from different options are not comparable."""

    k1: int = 20
    """Neighbours that may vouch for each other."""
    k2: int = 6
    """Neighbours, the item included, whose V is averaged; 1 leaves V as it is."""
    weight: float = 0.3
    """λ, the share of the original distance, 0 to 1."""

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise UsageError(
                f"re-ranking with k1 = {self.k1}, k2 = {self.k2} and weight = {self.weight}: use "
                "k1 and k2 of at least 1 and a weight from 0 to 1"
            )


ZHONG = Reciprocal(k1=20, k2=6, weight=0.3)
"""Of the paper, torchreid, fast-reid, BoT, AGW and SOLIDER-REID."""
TRANSREID = Reciprocal(k1=50, k2=15, weight=0.3)
"""Of TransReID and CLIP-ReID."""


def rerank(
    query_features: ArrayLike,
    gallery_features: ArrayLike,
    options: Reciprocal = ZHONG,
    *,
    metric: Metric = "cosine",
    block: int = 256,
) -> Iterator[Floats]:
    """Re-ranked distances of the queries (Q, D) to the gallery (G, D), lower is nearer.

    Yields blocks (b, G) in query order, b = `block` but in the last; no number depends on it.
    Features are of any float type and are compared in float32. Where the items are fewer than k1
    or k2 asks for, all of them are neighbours. Needs no labels: junk is among the neighbours too.

    Raises, before the first block is asked for:
        DataError: arrays that do not fit, a vector that is not finite or, for cosine, zero.
        UsageError: a wrong option.
    """
    check_positive(block=block)
    sides = compared(query_features, gallery_features, metric)
    rows = [np.ascontiguousarray(side.vectors, dtype=np.float32) for side in sides]
    items = np.concatenate([unit_rows(side) for side in rows] if metric == "cosine" else rows)
    # Distances stay the same, and products lose fewer digits to what all features share.
    items -= items.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _blocks(items, len(rows[0]), options, block)


def _blocks(items: Floats, queries: int, options: Reciprocal, block: int) -> Iterator[Floats]:
    near, distances, largest = nearest_items(items, max(options.k1 + 1, options.k2))
    encoded = _encode(items, near, distances, largest, options)
    columns = encoded[queries:].tocsc()
    gallery = items[queries:]
    squares = squared_norms(gallery)
    for rows in slices(queries, block):
        original = squared_distances(items[rows], gallery, squares) / largest[rows, None]
        shared = np.stack([_shared(encoded, query, columns) for query in range(queries)[rows]])
        jaccard = 1 - shared / (2 - shared)
        yield ((1 - options.weight) * jaccard + options.weight * original).astype(np.float32)


def _encode(
    items: Floats, near: Integers, distances: Doubles, largest: Doubles, options: Reciprocal
) -> Sparse:
    """V after its expansion, (M, M) sparse, rows of sum 1."""
    expanded = _expanded(near, options.k1)
    expanded.data[:] = 1
    # Most of R* are neighbours, whose distances are known: exp(−d) > 0 keeps them apart from zeros.
    encoded = _sparse(near, np.exp(-distances / largest[:, None])).multiply(expanded).tocsr()
    far = expanded - expanded.multiply(_pattern(near))
    far.eliminate_zeros()
    owners = np.repeat(np.arange(len(items)), np.diff(far.indptr))
    far = far.astype(np.float64)
    far.data = np.exp(-pair_distances(items, owners, far.indices) / largest[owners])
    encoded = encoded + far
    sums = encoded.sum(axis=1)
    encoded.data /= np.repeat(sums, np.diff(encoded.indptr))
    encoded = encoded.astype(np.float32)
    if options.k2 == 1:
        return encoded
    averaged = _pattern(near[:, : options.k2]).astype(np.float32) @ encoded
    averaged.data /= min(options.k2, near.shape[1])
    return averaged


def _expanded(near: Integers, k1: int) -> Sparse:
    """R*, (M, M), as the pattern of a sparse matrix."""
    mutual, half = _mutual(near[:, : k1 + 1]), _mutual(near[:, : round(k1 / 2) + 1])
    sizes, transposed = np.diff(half.indptr), half.T.tocsr()
    parts = []
    for rows in slices(len(near), _ROWS):
        own = mutual[rows]
        common = (own @ transposed).multiply(own).tocsr()  # |H(j) ∩ R(i)| for j in R(i)
        common.data = (3 * common.data > 2 * sizes[common.indices]).astype(np.int32)
        common.eliminate_zeros()
        parts.append(own + common @ half)
    return sparse.vstack(parts, format="csr")


def _mutual(near: Integers) -> Sparse:
    """(M, M): 1 where two items are among the neighbours (M, k) of each other."""
    pattern = _pattern(near)
    return pattern.multiply(pattern.T).tocsr()


def _pattern(near: Integers) -> Sparse:
    return _sparse(near, np.ones(near.shape, dtype=np.int32))


def _sparse(near: Integers, values: NDArray[Any]) -> Sparse:
    """(M, M) with `values` (M, k) at the places of `near` (M, k)."""
    count, width = near.shape
    starts = np.arange(0, near.size + 1, width)
    return sparse.csr_array((values.ravel(), near.ravel(), starts), (count, count))


def _shared(encoded: Sparse, query: int, columns: Sparse) -> Doubles:
    """m of one query, (G,): an inverted index leads to the gallery items that share an entry."""
    own = slice(*encoded.indptr[query : query + 2])
    entries = encoded.indices[own]
    starts = columns.indptr[entries].astype(np.int64)
    lengths = columns.indptr[entries + 1] - starts
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
    lower = np.minimum(columns.data[places], np.repeat(encoded.data[own], lengths))
    sums = np.bincount(columns.indices[places], lower, minlength=columns.shape[0])
    return sums.astype(np.float64, copy=False)
