"""What is checked of everything that an index takes."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, UsageError

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LARGEST = int(np.iinfo(np.int64).max)
_LENGTH_TOLERANCE = 1e-3


class Stored(Protocol):
    """An array in memory, or one that is read from a file, and checked, where it is looked at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As in numpy."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """Some rows, by a slice or by places (n,)."""


def checked_ids(ids: ArrayLike) -> Ids:
    """`ids` (N,) as int64; `DataError` for anything but integers from 0 that fit into it."""
    labels = np.asarray(ids)
    if labels.size == 0:
        labels = labels.astype(np.int64)
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not whole or (labels < 0).any() or (labels > _LARGEST).any():
        raise DataError(f"ids must be one row of integers from 0 to {_LARGEST}")
    return np.ascontiguousarray(labels, dtype=np.int64)


def checked_vectors(features: ArrayLike, dimension: int) -> Vectors:
    """`features` (N, D) if they are what an index takes, else `DataError`."""
    vectors = np.asarray(features)
    if vectors.ndim != 2 or vectors.shape[1] != dimension or vectors.dtype != np.float32:
        raise DataError(
            f"vectors are {vectors.dtype} of shape {vectors.shape}: this index takes float32 "
            f"of shape (N, {dimension})"
        )
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))
    if len(wrong):
        raise DataError(
            f"vector {wrong[0]} has length {lengths[wrong[0]]:.4g}: vectors must be finite and "
            "of length 1"
        )
    return np.ascontiguousarray(vectors)


def checked_additions(
    ids: ArrayLike, features: ArrayLike, dimension: int, known: Ids
) -> tuple[Ids, Vectors]:
    """What may be added to an index that holds `known`."""
    labels, vectors = checked_ids(ids), checked_vectors(features, dimension)
    if len(labels) != len(vectors):
        raise DataError(f"{len(labels)} ids for {len(vectors)} vectors: pass one id per vector")
    _, first = np.unique(labels, return_index=True)
    repeated = np.concatenate((np.delete(labels, first), labels[np.isin(labels, known)]))
    if len(repeated):
        raise DataError(f"the id {repeated[0]} would be in the index twice: nothing was added")
    return labels, vectors


def checked_removals(ids: ArrayLike, known: Ids) -> Ids:
    """What may be removed from an index that holds `known`."""
    labels = checked_ids(ids)
    missing = labels[~np.isin(labels, known)]
    if len(missing):
        raise DataError(f"the id {missing.min()} is not in the index: nothing was removed")
    return labels


def checked_keep(keep: ArrayLike | None, ids: Ids) -> Mask | None:
    """`keep` as a mask in the order of `ids` (N,); `None` when it leaves nothing out."""
    if keep is None:
        return None
    chosen = np.asarray(keep)
    if chosen.dtype != np.bool_:
        chosen = np.isin(ids, checked_ids(chosen))
    elif chosen.shape != ids.shape:
        raise UsageError(f"the mask is of shape {chosen.shape}: this index has {len(ids)} vectors")
    return None if chosen.all() else chosen


def checked_k(k: int) -> None:
    """`UsageError` unless at least one answer is asked for."""
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")


def batches(count: int, size: int) -> Iterator[slice]:
    """`range(count)` in slices of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
