"""Approximate neighbours in cells: an inverted file (IVF) of whole or shortened vectors.

k-means divides the space into cells, about four times √N of them, and a query looks into the
`PROBES` nearest. What is kept of a vector is all of it, eight bits of each number, or a product
code of a byte for eight numbers (Jégou, Douze and Schmid, Product quantization for nearest neighbor
search, TPAMI 2011). Scores are those of what is kept, as FAISS sums them.

The cells are laid out by the first vectors that are added, so add many at once. A query that finds
too few answers in its cells, as it may under a filter, looks into all of them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .candidates import ranked
from .checks import (
    Ids,
    Mask,
    Stored,
    Vectors,
    checked_additions,
    checked_k,
    checked_keep,
    checked_removals,
    checked_vectors,
)
from .contract import Index
from .library import deserialised, faiss

ACellIndex = TypeVar("ACellIndex", bound="CellIndex")

PROBES = 32
_TO_LEARN = 39  # vectors for each cell, fewer than which FAISS calls too few


class CellIndex(Index):
    """Whole vectors in cells."""

    kind: ClassVar[str] = "ivf"
    code: ClassVar[str] = "Flat"

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self._cells: Any = None
        self._labels = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def ids(self) -> Ids:
        """The ids (N,) in the order of the vectors."""
        return self._labels

    def add(self, ids: ArrayLike, features: ArrayLike) -> None:
        """See `Index.add`."""
        labels, vectors = checked_additions(ids, features, self.dimension, self.ids)
        if not len(labels):
            return
        if self._cells is None:
            self._cells = self._learnt(vectors)
        self._cells.add_with_ids(vectors, labels)
        self._labels = np.concatenate((self._labels, labels))

    def remove(self, ids: ArrayLike) -> None:
        """See `Index.remove`."""
        labels = checked_removals(ids, self.ids)
        if len(labels):
            self._cells.remove_ids(labels)
            self._labels = self._labels[~np.isin(self._labels, labels)]

    def search(
        self, queries: ArrayLike, k: int, keep: ArrayLike | None = None
    ) -> tuple[Vectors, Ids]:
        """See `Index.search`: not all of the nearest are found."""
        checked_k(k)
        vectors = checked_vectors(queries, self.dimension)
        mask = None if keep is None else checked_keep(keep, self.ids)
        shape = (len(vectors), min(k, len(self) if mask is None else int(mask.sum())))
        if 0 in shape:
            return np.empty(shape, np.float32), np.empty(shape, np.int64)
        scores, ids = self._found(vectors, shape[1], mask, min(PROBES, self._cells.nlist))
        short = (ids < 0).any(axis=1)  # −1 stands for no answer
        if short.any():
            everywhere = self._found(vectors[short], shape[1], mask, self._cells.nlist)
            scores[short], ids[short] = everywhere
        query = np.repeat(np.arange(len(vectors)), shape[1])
        return ranked(query, scores.ravel(), ids.ravel(), shape)

    def contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `Index.contents`."""
        cells = {} if self._cells is None else {"cells": faiss().serialize_index(self._cells)}
        return {"dimension": self.dimension}, {"ids": self._labels, **cells}

    @classmethod
    def restore(
        cls: type[ACellIndex], facts: Mapping[str, Any], arrays: Mapping[str, Stored]
    ) -> ACellIndex:
        """See `Index.restore`."""
        index = cls(facts["dimension"])
        index._labels = arrays["ids"][:]
        if "cells" in arrays:
            index._cells = deserialised(arrays["cells"])
        return index

    def _learnt(self, vectors: Vectors) -> Any:
        """Empty cells, laid out by `vectors`."""
        number = max(1, min(round(4 * len(vectors) ** 0.5), len(vectors) // _TO_LEARN))
        recipe = f"IVF{number},{self.code.format(self.dimension // 8)}"
        cells = faiss().index_factory(self.dimension, recipe, faiss().METRIC_INNER_PRODUCT)
        for learns in filter(None, (cells, getattr(cells, "pq", None))):
            learns.cp.min_points_per_centroid = 1  # else FAISS writes a warning to stderr
        cells.train(vectors)
        return cells

    def _found(
        self, queries: Vectors, k: int, mask: Mask | None, probes: int
    ) -> tuple[Vectors, Ids]:
        only = None if mask is None else faiss().IDSelectorBatch(self._labels[mask])
        how = faiss().SearchParametersIVF(nprobe=probes, sel=only)
        scores, ids = self._cells.search(queries, k, params=how)
        return scores, ids


class ScalarCellIndex(CellIndex):
    """Eight bits of each number, in cells."""

    kind = "ivf-sq"
    code = "SQ8"


class ProductCellIndex(CellIndex):
    """A byte for eight numbers, in cells: for galleries that do not fit into memory otherwise."""

    kind = "ivf-pq"
    code = "PQ{}np"  # np: not the order of codes that only FAISS's polysemous search needs

    def _learnt(self, vectors: Vectors) -> Any:
        if self.dimension % 8 or len(vectors) < 256:
            raise DataError(
                f"a product code needs a dimension that is a multiple of 8, here {self.dimension}, "
                f"and at least 256 vectors at once, here {len(vectors)}: use another index"
            )
        return super()._learnt(vectors)
