"""What is searched for: pictures, rows of the gallery, and vectors, as one unit row each."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .contract import Embedder, Store, Vectors, fitting_rows, float_array

Source = str | os.PathLike[str]
Query = Source | int | Sequence[Source] | ArrayLike
"""A picture, the number of a row, several pictures of one person, or a vector (D,)."""


def query_vectors(
    store: Store, queries: Sequence[Query], dimension: int, embedder: Callable[[], Embedder]
) -> Vectors:
    """(Q, D) float32 of unit length; several pictures of one person by the mean of their vectors.

    All pictures are embedded in one call; `embedder` is asked for only when there are any.
    """
    paths = [path for query in queries for path in _paths(query)]
    embedded = iter(embedder()(paths) if paths else np.empty((0, dimension), np.float32))
    rows = []
    for query in queries:
        count = len(_paths(query))
        if count:
            several = fitting_rows([next(embedded) for _ in range(count)], dimension)
            row = several.mean(axis=0) if count > 1 else several[0]
        elif isinstance(query, int):
            row = store.vectors([query])[0]
        else:
            row = fitting_rows(float_array(query)[None], dimension)[0]
        rows.append(row)
    return fitting_rows(np.reshape(rows, (-1, dimension)), dimension)


def own_row(query: Query) -> int | None:
    """The row that a query is, and which is therefore no answer to it."""
    return query if isinstance(query, int) else None


def _paths(query: Query) -> list[Path]:
    if isinstance(query, str | os.PathLike):
        return [Path(query)]
    if isinstance(query, Sequence) and all(isinstance(q, str | os.PathLike) for q in query):
        return [Path(path) for path in query if isinstance(path, str | os.PathLike)]
    return []
