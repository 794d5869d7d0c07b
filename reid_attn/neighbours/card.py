"""The rows of an exact index on a GPU, where FAISS has one.

The GPU only says which rows may be among the best, by scores with a known error; what comes of it
is the same answer as on the CPU (`candidates.py`). FAISS computes them in float32 there too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .candidates import Candidates, rounding
from .checks import Vectors
from .library import faiss
from .parts import Part

_MORE = 128  # answers more than k that the GPU gives
_WORTH = 25_000_000  # numbers from which copying them pays
_MOST = 2048  # that FAISS gives on a GPU


class Card:
    """Some parts, copied to all GPUs at the first search."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._rows: Any = None

    def candidates(self, queries: Vectors, k: int) -> Candidates | None:
        """What may be among the best `k`; `None` where the GPU cannot tell, or is not there."""
        rows, dimension = sum(map(len, self._parts)), queries.shape[1]
        count = min(k + _MORE, rows)
        if rows * dimension < _WORTH or count > _MOST or not faiss().get_num_gpus():
            return None
        if self._rows is None:
            self._rows = _copied(self._parts, dimension)
        error = rounding(dimension)
        scores, places = self._rows.search(queries, count)
        enough = scores[:, -1] < scores[:, k - 1] - np.float32(2 * error)
        if not (enough.all() or count == rows):
            return None
        candidates = Candidates(len(queries), k)
        query = np.repeat(np.arange(len(queries)), count)
        candidates.offer(query, places.ravel(), scores.ravel(), error)
        return candidates


def _copied(parts: Sequence[Part], dimension: int) -> Any:
    """FAISS's flat index on the GPUs. `get_num_gpus` was asked: without any, it would be empty."""
    rows = faiss().index_cpu_to_all_gpus(faiss().IndexFlatIP(dimension))
    for part in parts:
        rows.add(part.vectors(slice(None)))
    return rows
