"""The index of a gallery's vectors: made from its rows, kept up with them, and saved in a file.

Which kind it is follows from the size (`neighbours/kinds.py`). The file is opened without reading
it all and checked where a search looks at it. Facts beside it say what state it is of.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DamagedError, DataError
from ...neighbours import Index, choose, load, make, read_facts, recall, save
from ..contract import Vectors
from ..record import Meta
from . import cache, records
from .cache import State
from .columns import Ids
from .connection import Connection

_NUMBERS = 2**25  # of vectors that are read at a time (128 MiB)
_EXACT = ("exact", "refined")  # find all there is to find


class VectorIndex:
    """The index at hand, and the facts about it. Everything is called inside a transaction."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self._path = folder / cache.INDEX
        self._connection = connection
        self._index: Index | None = None
        self._facts: dict[str, Any] = {}
        self.behind = 0
        """Vectors that came or went since the file was written."""
        self.trusted = True
        """Whether the file may be read."""

    def of(self, meta: Meta, wanted: Ids) -> Index:
        """The index of the rows `wanted`, which are those of the state `meta`."""
        now = cache.stamp(meta)
        if self._index is None or not cache.is_ours(self._connection, self._stamp()):
            self._read(meta)
        index = self._index
        if index is None or index.kind != choose(len(wanted), meta.dimension):
            index = self._index = self._make(meta, wanted)
        elif self._stamp() != now:
            self._follow(index, wanted)
        self._facts["stamp"] = now.plain()
        return index

    def forget(self) -> None:
        """Let go of the index and do not look at the file again."""
        self._index, self.behind, self.trusted = None, 0, False

    def save(self, meta: Meta) -> None:
        """Write the file if the index is of the state `meta` and far enough from it."""
        if self._index is None or self._stamp() != cache.stamp(meta):
            return
        if cache.worth_writing(self.behind, meta.rows):
            save(self._path, self._index, self._facts)
            self.behind = 0

    def _stamp(self) -> cache.Stamp:
        return cache.Stamp.of_plain(self._facts["stamp"])

    def _read(self, meta: Meta) -> None:
        self._index, self.behind = None, 0
        try:
            if self.trusted and _stamp_of(read_facts(self._path)).fits(meta):
                self._index, self._facts = load(self._path)
        except (DamagedError, DataError):  # or not there: it is made again
            return
        if self._index and not cache.is_ours(self._connection, self._stamp()):
            self._index = None

    def _make(self, meta: Meta, wanted: Ids) -> Index:
        start = time.perf_counter()
        index = make(choose(len(wanted), meta.dimension), meta.dimension)
        for some in _parts(wanted, meta.dimension):
            index.add(some, self._vectors(some, meta.dimension))
        self._facts = {"kind": index.kind, "seconds": time.perf_counter() - start, "recall": 1.0}
        if index.kind not in _EXACT:
            self._facts["recall"] = recall(index, wanted, self._vectors(wanted, meta.dimension))
        self.behind = len(wanted)
        return index

    def _follow(self, index: Index, wanted: Ids) -> None:
        here = index.ids
        gone, new = np.setdiff1d(here, wanted), np.setdiff1d(wanted, here)
        if len(gone):
            index.remove(gone)
        for some in _parts(new, index.dimension):
            index.add(some, self._vectors(some, index.dimension))
        self.behind += len(gone) + len(new)

    def _vectors(self, numbers: Ids, dimension: int) -> Vectors:
        rows = records.get(self._connection, numbers.tolist())
        return records.vectors(self._connection, rows, dimension)


def state(folder: Path, meta: Meta) -> tuple[State, dict[str, Any]]:
    """Whether the file is of this very state, and the facts beside the index if it is."""
    path = folder / cache.INDEX
    if not path.exists():
        return "absent", {}
    try:
        facts = read_facts(path)
        fresh = _stamp_of(facts) == cache.stamp(meta)
    except (DamagedError, DataError):
        return "stale", {}
    return ("fresh", facts) if fresh else ("stale", {})


def _stamp_of(facts: dict[str, Any]) -> cache.Stamp:
    try:
        return cache.Stamp.of_plain(facts["stamp"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"the facts of an index are of another kind ({error})") from error


def _parts(numbers: Ids, dimension: int) -> Sequence[Ids]:
    size = max(1, _NUMBERS // dimension)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
