"""Approximate neighbours over a graph of near vectors: HNSW.

Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs, TPAMI 2020. Each vector has links to 32 near ones, twice as many in
the lowest layer; a search walks along them and keeps the best `width` that it saw.

FAISS cannot remove a vector from the graph. Here a removed one is overwritten by zeros, so that
nothing of it is left, and only shows the way; when a fourth are such, the graph is built anew. A
filter under which the walk finds fewer than it should, and a filter that keeps few, are answered
exactly.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .candidates import cosines, ranked
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
from .contract import Index
from .library import deserialised, faiss

AGraphIndex = TypeVar("AGraphIndex", bound="GraphIndex")

LINKS = 32
WIDTH = 64
_BUILDING_WIDTH = 80
_GONE = -1
_MOST_GONE = 1 / 4  # of the vectors in the graph
_SPARSE = 1 / 10  # share of kept vectors below which these are compared one by one
_PAIRS = 4096


class GraphIndex(Index):
    """Most of the nearest vectors, much faster than all of them."""

    kind: ClassVar[str] = "hnsw"

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.width = WIDTH
        """Vectors that a search keeps in sight, or twice its answers: more find more, slower."""
        self._graph = self._empty()
        self._labels = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> Ids:
        """The ids (N,) in the order of the vectors."""
        ids: Ids = self._labels[self._labels != _GONE]
        return ids

    def add(self, ids: ArrayLike, features: ArrayLike) -> None:
        """See `Index.add`."""
        labels, vectors = checked_additions(ids, features, self.dimension, self.ids)
        self._graph.add(vectors)
        self._labels = np.concatenate((self._labels, labels))

    def remove(self, ids: ArrayLike) -> None:
        """See `Index.remove`."""
        gone = np.isin(self._labels, checked_removals(ids, self.ids))
        self._rows()[gone] = 0
        self._labels[gone] = _GONE
        here = self._labels != _GONE
        if len(here) and here.mean() < 1 - _MOST_GONE:
            vectors = self._rows()[here]
            self._graph, self._labels = self._empty(), self._labels[here]
            self._graph.add(vectors)

    def search(
        self, queries: ArrayLike, k: int, keep: ArrayLike | None = None
    ) -> tuple[Vectors, Ids]:
        """See `Index.search`: not all of the nearest are found."""
        checked_k(k)
        vectors = checked_vectors(queries, self.dimension)
        mask = self._labels != _GONE
        chosen = None if keep is None else checked_keep(keep, self.ids)
        if chosen is not None:
            mask[mask] = chosen
        shape = (len(vectors), min(k, int(mask.sum())))
        if 0 in shape:
            return np.empty(shape, np.float32), np.empty(shape, np.int64)
        places = self._walk(vectors, shape[1], mask)
        query = np.repeat(np.arange(len(vectors)), shape[1])
        scores = np.empty(len(query), np.float32)
        for some in batches(len(query), _PAIRS):
            scores[some] = cosines(self._rows()[places.ravel()[some]], vectors[query[some]])
        return ranked(query, scores, self._labels[places.ravel()], shape)

    def contents(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `Index.contents`."""
        graph = faiss().serialize_index(self._graph)
        facts = {"dimension": self.dimension, "width": self.width}
        return facts, {"ids": self._labels, "graph": graph}

    @classmethod
    def restore(
        cls: type[AGraphIndex], facts: Mapping[str, Any], arrays: Mapping[str, Stored]
    ) -> AGraphIndex:
        """See `Index.restore`."""
        index = cls(facts["dimension"])
        index.width = facts["width"]
        index._labels = arrays["ids"][:]
        index._graph = deserialised(arrays["graph"])
        return index

    def _empty(self) -> Any:
        metric = faiss().METRIC_INNER_PRODUCT
        graph = faiss().IndexHNSWFlat(self.dimension, LINKS, metric)
        graph.hnsw.efConstruction = _BUILDING_WIDTH
        return graph

    def _walk(self, queries: Vectors, k: int, mask: Mask) -> Ids:
        """The places (Q, k) of rows that are near, all of them in `mask`."""
        if mask.mean() < _SPARSE:
            return self._all(queries, k, mask)
        width = max(self.width, 2 * k)
        only = None if mask.all() else faiss().IDSelectorBitmap(_bits(mask))
        how = faiss().SearchParametersHNSW(efSearch=width, sel=only)
        places: Ids = self._graph.search(queries, k, params=how)[1]
        short = (places < 0).any(axis=1)  # −1 stands for no answer
        if short.any():
            places[short] = self._all(queries[short], k, mask)
        return places

    def _all(self, queries: Vectors, k: int, mask: Mask) -> Ids:
        """The same from every row of `mask`."""
        how = faiss().SearchParameters(sel=faiss().IDSelectorBitmap(_bits(mask)))
        places: Ids = self._graph.storage.search(queries, k, params=how)[1]
        return places

    def _rows(self) -> Vectors:
        """The vectors inside FAISS, without a copy: valid until the next change."""
        flat = faiss().downcast_index(self._graph.storage)
        numbers: Vectors = faiss().rev_swig_ptr(flat.get_xb(), flat.ntotal * self.dimension)
        return numbers.reshape(-1, self.dimension)


def _bits(mask: Mask) -> NDArray[np.uint8]:
    return np.packbits(mask, bitorder="little")
