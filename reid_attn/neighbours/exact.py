"""Exact nearest neighbours by cosine similarity: FAISS's flat index with its traps shut.

FAISS accepts a NaN row and never finds it again, accepts an id twice, pads results with the id −1,
and loads damaged bytes as other vectors. Here such input is refused, `k` ends at the size of the
index, and what is loaded goes through the same checks as what is added.

FAISS sums in float32, in an order that depends on how many queries come together. The scores of its
answer are therefore computed again in float64 and rounded to float32, so that a pair of vectors has
one score in every batch. Equal scores are ordered by id; which of the vectors that tie for the
last place is returned remains FAISS's choice. Searches run on the CPU, with a GPU build too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DamagedError, DataError, MissingExtra, ReidError, UsageError

_DISTRIBUTIONS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-gpu-cuvs")
_LENGTH_TOLERANCE = 1e-3
_BATCH = 4  # queries from which a matrix product beats FAISS's loop over single ones (measured)

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class ExactIndex:
    """Unit vectors of one dimension under unique ids, compared one by one."""

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise UsageError(f"an index needs at least one dimension, not {dimension}")
        self.dimension = dimension
        self._faiss = _load_faiss()
        self._flat = self._faiss.IndexFlatIP(dimension)
        self._index = self._faiss.IndexIDMap2(self._flat)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: ArrayLike, features: ArrayLike) -> None:
        """Add vectors (N, D), float32 of unit length, under new ids (N,), integers from 0.

        `DataError` refuses them all when one is not finite, not of unit length or of another
        dimension, or when an id is there already.
        """
        labels, vectors = _checked_ids(ids), self._checked_vectors(features)
        if len(labels) != len(vectors):
            raise DataError(f"{len(labels)} ids for {len(vectors)} vectors: pass one id per vector")
        _, first = np.unique(labels, return_index=True)
        repeated = np.concatenate((np.delete(labels, first), self._known(labels)))
        if len(repeated):
            raise DataError(f"the id {repeated[0]} would be in the index twice: nothing was added")
        self._index.add_with_ids(vectors, labels)

    def remove(self, ids: ArrayLike) -> None:
        """Remove the vectors of `ids` (N,); `DataError` when one is not there, and nothing goes."""
        labels = _checked_ids(ids)
        missing = np.setdiff1d(labels, self._known(labels))
        if len(missing):
            raise DataError(f"the id {missing[0]} is not in the index: nothing was removed")
        self._index.remove_ids(labels)

    def search(self, queries: ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The `k` most similar vectors of each query (Q, D): scores and ids, both (Q, min(k, N)).

        Rows are sorted by descending cosine similarity, then by id. Queries are held to the rules
        of `add`.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, not {k}")
        vectors = self._checked_vectors(queries)
        shape = (len(vectors), min(k, len(self)))
        if 0 in shape:
            return np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        with _matrix_products(self._faiss, len(vectors) >= _BATCH):
            _, places = self._flat.search(vectors, shape[1])
        stored, ids = self._stored(), self._ids()[places]
        scores = np.stack(
            [_cosines(stored[row], q) for row, q in zip(places, vectors, strict=True)]
        )
        order = np.lexsort((ids, -scores), axis=-1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)

    def to_bytes(self) -> bytes:
        """The index as FAISS serialises it; store it beside its checksum, which it has not."""
        data: NDArray[np.uint8] = self._faiss.serialize_index(self._index)
        return data.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ExactIndex":
        """The index of `to_bytes`; `DamagedError` for anything else, before memory is spent on it.

        Ids and vectors go through `add`. Flipped bits that leave a vector's length as it was pass:
        compare a checksum first.
        """
        dimension, ids, vectors = _deserialise(_load_faiss(), data)
        try:
            index = cls(dimension)
            index.add(ids, vectors)
        except ReidError as error:
            raise DamagedError(f"the index is damaged ({error}): build it again") from error
        return index

    def _ids(self) -> Ids:
        ids: Ids = self._faiss.vector_to_array(self._index.id_map)
        return ids

    def _known(self, ids: Ids) -> Ids:
        return ids[np.isin(ids, self._ids())]

    def _stored(self) -> Vectors:
        """The vectors (N, D) inside FAISS, without a copy: valid until the next change."""
        numbers: Vectors = self._faiss.rev_swig_ptr(self._flat.get_xb(), len(self) * self.dimension)
        return numbers.reshape(len(self), self.dimension)

    def _checked_vectors(self, features: ArrayLike) -> Vectors:
        vectors = np.asarray(features)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension or vectors.dtype != np.float32:
            raise DataError(
                f"vectors are {vectors.dtype} of shape {vectors.shape}: this index takes float32 "
                f"of shape (N, {self.dimension})"
            )
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))
        if len(wrong):
            raise DataError(
                f"vector {wrong[0]} has length {lengths[wrong[0]]:.4g}: vectors must be finite and "
                "of length 1"
            )
        return np.ascontiguousarray(vectors)


def _checked_ids(ids: ArrayLike) -> Ids:
    labels = np.asarray(ids)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (labels < 0).any():
        raise DataError("ids must be one row of integers from 0")
    return np.ascontiguousarray(labels, dtype=np.int64)


def _cosines(rows: Vectors, query: Vectors) -> Vectors:
    return (rows.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)


def _deserialise(faiss: Any, data: bytes) -> tuple[int, Ids, Vectors]:
    """Dimension, ids and vectors of an ID map over a flat inner-product index, and no other."""
    limit = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(2 * len(data))
    try:
        index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    except (MemoryError, RuntimeError) as error:
        raise DamagedError("the index cannot be read by FAISS: build it again") from error
    finally:
        faiss.set_deserialization_vector_byte_limit(limit)
    flat: Any = faiss.downcast_index(index.index) if type(index) is faiss.IndexIDMap2 else None
    if type(flat) is not faiss.IndexFlatIP or flat.d < 1:
        raise DamagedError("the index is of another kind than ours: build it again")
    numbers = faiss.vector_to_array(flat.codes).view(np.float32)
    return flat.d, faiss.vector_to_array(index.id_map), numbers.reshape(-1, flat.d)


@contextmanager
def _matrix_products(faiss: Any, wanted: bool) -> Iterator[None]:
    """Let FAISS compute a batch as one matrix product, as it otherwise does for large ones only."""
    threshold = faiss.cvar.distance_compute_blas_threshold
    if wanted:
        faiss.cvar.distance_compute_blas_threshold = 1
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = threshold


def _load_faiss() -> Any:
    """The module `faiss`, which its distributions overwrite for one another."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra("faiss", "cpu") from error
    installed = [name for name in _DISTRIBUTIONS if _is_installed(name)]
    if len(installed) > 1:
        raise UsageError(
            f"{' and '.join(installed)} are installed over one another: "
            f"pip uninstall {' '.join(installed)}, then install one of them"
        )
    return faiss


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
