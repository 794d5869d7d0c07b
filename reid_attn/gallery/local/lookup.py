"""The columns and the index of a gallery, made from its rows and kept up with them.

Both remember the state that they are of. Later states of the same database are followed row by row;
where that is not possible beyond doubt, they are made anew from all rows.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DamagedError, ReidError
from ...neighbours import ExactIndex
from ..contract import Vectors
from ..record import Meta, Row
from . import cache, records
from .cache import Cache, Stamp
from .columns import Columns, Ids
from .connection import Connection

SMALL = 10_000  # rows up to which a cache is written after every change
SHARE = 20  # of larger galleries, one in so many rows must have changed
_CHUNK = 4096


class Lookup:
    """The columns and the index of one folder. Everything is called inside a transaction."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._columns: tuple[Stamp, Columns] | None = None
        self._index: tuple[Stamp, Ids, ExactIndex] | None = None
        self._seconds = {cache.COLUMNS: 0.0, cache.INDEX: 0.0}
        self._behind = {cache.COLUMNS: 0, cache.INDEX: 0}
        """Rows that changed since each file was written; zero for one that is up to date."""
        self._trusted = True

    def columns(self, meta: Meta) -> Columns:
        """The columns of the state `meta`."""
        now = cache.stamp(meta)
        if self._columns is None:
            self._columns = self._read_columns(meta)
        if self._columns is None or self._columns[0] != now:
            columns = self._follow_columns(meta)
            if columns is None:
                columns = self._make_columns()
            self._columns = now, columns
        return self._columns[1]

    def search(
        self, meta: Meta, queries: Vectors, k: int, meant: Ids
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and row numbers (Q, min(k, N)) of the rows `meant`, best first."""
        index = self._current_index(meta)
        withheld = len(index) - len(meant)
        scores, found = index.search(queries, k + withheld)
        if not withheld:
            return scores, found
        keep = np.isin(found, meant)
        order = np.argsort(~keep, axis=1, kind="stable")[:, : min(k, len(meant))]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)

    def forget(self) -> None:
        """Let go of what is in memory and look at no file again: make it anew when needed."""
        self._columns = self._index = None
        self._behind = dict.fromkeys(self._behind, 0)
        self._trusted = False

    def save(self) -> None:
        """Write the caches that are far enough from their files; `DiskError`, `LockedError`.

        A cache of rows that were just erased must not come back. So nobody may write meanwhile,
        and what is not of the present state is not written.
        """
        if not any(map(self._worth_writing, self._behind)):
            return
        with self._connection.transaction("IMMEDIATE"):
            now = cache.stamp(records.read_meta(self._connection))
            if self._columns and self._columns[0] == now and self._worth_writing(cache.COLUMNS):
                self._write(cache.COLUMNS, now, self._columns[1].to_bytes())
            if self._index and self._index[0] == now and self._worth_writing(cache.INDEX):
                _, rows, index = self._index
                self._write(cache.INDEX, now, rows.tobytes() + index.to_bytes())

    def _worth_writing(self, name: str) -> bool:
        found = self._columns if name == cache.COLUMNS else self._index
        rows = found[0].rows if found else 0
        behind = self._behind[name]
        return behind > 0 and (rows <= SMALL or behind * SHARE > rows)

    def _write(self, name: str, stamp: Stamp, payload: bytes) -> None:
        cache.write(self._folder / name, Cache(stamp, payload, self._seconds[name]))
        self._behind[name] = 0

    def _read(self, name: str, meta: Meta) -> Cache | None:
        """A cache that is of this state or an earlier one of this very database."""
        found = cache.read(self._folder / name, meta) if self._trusted else None
        if found is None or not self._is_ours(found.stamp):
            return None
        self._seconds[name] = found.seconds
        return found

    def _is_ours(self, stamp: Stamp) -> bool:
        query = "SELECT change FROM changes WHERE generation = ?"
        changes = self._connection.execute(query, (stamp.generation,))
        return any(cache.change_digest(change) == stamp.change for (change,) in changes)

    def _read_columns(self, meta: Meta) -> tuple[Stamp, Columns] | None:
        found = self._read(cache.COLUMNS, meta)
        try:
            return (found.stamp, Columns.from_bytes(found.payload)) if found else None
        except DamagedError:
            return None

    def _follow_columns(self, meta: Meta) -> Columns | None:
        """The columns at hand, brought to the state `meta`; `None` when that cannot be done."""
        if self._columns is None or not self._is_ours(self._columns[0]):
            return None
        since = self._columns[0].generation
        changed = list(records.changed_since(self._connection, since))
        query = 'SELECT "row" FROM gone WHERE generation > ?'
        gone = np.array([row for (row,) in self._connection.execute(query, (since,))], np.int64)
        columns = self._columns[1].follow(Columns.of(changed), gone)
        if len(columns) != meta.rows or meta.rows != self._count():
            return None
        self._behind[cache.COLUMNS] += len(changed) + len(gone)
        return columns

    def _make_columns(self) -> Columns:
        start = time.perf_counter()
        columns = Columns.of(records.rows(self._connection))
        self._seconds[cache.COLUMNS] = time.perf_counter() - start
        self._behind[cache.COLUMNS] = len(columns)
        return columns

    def _count(self) -> int:
        return int(self._connection.value("SELECT count(*) FROM people"))

    def _current_index(self, meta: Meta) -> ExactIndex:
        """The index of the rows that the columns have."""
        wanted = self.columns(meta).rows
        if self._index is None or not self._is_ours(self._index[0]):
            self._index = self._read_index(meta) or self._no_index(meta)
        stamp, rows, index = self._index
        if stamp != cache.stamp(meta):
            start = time.perf_counter()
            gone, new = np.setdiff1d(rows, wanted), np.setdiff1d(wanted, rows)
            if len(gone):
                index.remove(gone)
            self._add(index, new, meta.dimension)
            self._behind[cache.INDEX] += len(gone) + len(new)
            if len(new) == len(wanted):
                self._seconds[cache.INDEX] = time.perf_counter() - start
            self._index = cache.stamp(meta), wanted, index
        return index

    def _add(self, index: ExactIndex, numbers: Ids, dimension: int) -> None:
        for start in range(0, len(numbers), _CHUNK):
            part = records.get(self._connection, numbers[start : start + _CHUNK].tolist())
            index.add(_numbers(part), records.vectors(self._connection, part, dimension))

    def _read_index(self, meta: Meta) -> tuple[Stamp, Ids, ExactIndex] | None:
        found = self._read(cache.INDEX, meta)
        if found is None:
            return None
        rows = np.frombuffer(found.payload[: 8 * found.stamp.rows], np.int64)
        try:
            index = ExactIndex.from_bytes(found.payload[8 * found.stamp.rows :])
        except ReidError:  # sound, but written by a library that this one cannot read
            return None
        return (found.stamp, rows, index) if len(index) == len(rows) else None

    def _no_index(self, meta: Meta) -> tuple[Stamp, Ids, ExactIndex]:
        nothing = cache.stamp(meta)._replace(generation=0, rows=0)
        return nothing, np.empty(0, np.int64), ExactIndex(meta.dimension)


def _numbers(rows: Iterable[Row]) -> Ids:
    return np.array([row.row for row in rows], np.int64)
