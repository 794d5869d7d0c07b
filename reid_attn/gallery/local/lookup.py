"""Which rows are meant and which are near: the columns and the index, kept up with the database.

Both remember the state that they are of. Later states of the same database are followed row by row;
where that is not possible beyond doubt, they are made anew from all rows.
"""

from pathlib import Path

import numpy as np

from ...errors import DamagedError
from ..contract import Vectors
from ..filters import Where
from ..record import Meta
from . import cache, records
from .cache import Stamp
from .columns import Columns, Ids
from .connection import Connection
from .index import VectorIndex


class Lookup:
    """The columns and the index of one folder. Everything is called inside a transaction."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self._path = folder / cache.COLUMNS
        self._connection = connection
        self._index = VectorIndex(folder, connection)
        self._columns: tuple[Stamp, Columns] | None = None
        self._behind = 0
        self._trusted = True

    def columns(self, meta: Meta) -> Columns:
        """The columns of the state `meta`."""
        now = cache.stamp(meta)
        if self._columns is None:
            self._columns = self._read(meta)
        if self._columns is None or self._columns[0] != now:
            self._columns = now, self._follow(meta) or self._make()
        return self._columns[1]

    def search(self, meta: Meta, queries: Vectors, k: int, where: Where) -> tuple[Vectors, Ids]:
        """Scores and row numbers (Q, min(k, N)) of the rows that are meant, best first."""
        columns = self.columns(meta)
        index = self._index.of(meta, columns.rows)
        chosen = columns.chosen(where, records.now())
        if chosen.all():
            return index.search(queries, k)
        same_order = np.array_equal(index.ids, columns.rows)
        return index.search(queries, k, chosen if same_order else columns.rows[chosen])

    def forget(self) -> None:
        """Let go of what is in memory and look at no file again: make it anew when needed."""
        self._columns, self._behind, self._trusted = None, 0, False
        self._index.forget()

    def save(self) -> None:
        """Write the caches that are far enough from their files; `DiskError`, `LockedError`.

        A cache of rows that were just erased must not come back. So nobody may write meanwhile,
        and what is not of the present state is not written.
        """
        if not self._behind and not self._index.behind:
            return
        with self._connection.at_once(), self._connection.transaction("IMMEDIATE"):
            meta = records.read_meta(self._connection)
            current = self._columns is not None and self._columns[0] == cache.stamp(meta)
            if self._columns and current and cache.worth_writing(self._behind, meta.rows):
                cache.write(self._path, self._columns[0], self._columns[1].to_bytes())
                self._behind = 0
            self._index.save(meta)

    def _read(self, meta: Meta) -> tuple[Stamp, Columns] | None:
        """What the file holds, if it is of this state or an earlier one of this very database."""
        found = cache.read(self._path, meta) if self._trusted else None
        if found is None or not cache.is_ours(self._connection, found[0]):
            return None
        try:
            return found[0], Columns.from_bytes(found[1])
        except DamagedError:
            return None

    def _follow(self, meta: Meta) -> Columns | None:
        """The columns at hand, brought to the state `meta`; `None` when that cannot be done."""
        if self._columns is None or not cache.is_ours(self._connection, self._columns[0]):
            return None
        since = self._columns[0].generation
        changed = list(records.changed_since(self._connection, since))
        query = 'SELECT "row" FROM gone WHERE generation > ?'
        gone = np.array([row for (row,) in self._connection.execute(query, (since,))], np.int64)
        columns = self._columns[1].follow(Columns.of(changed), gone)
        count = self._connection.value("SELECT count(*) FROM people")
        if not len(columns) == meta.rows == count:
            return None
        self._behind += len(changed) + len(gone)
        return columns

    def _make(self) -> Columns:
        columns = Columns.of(records.rows(self._connection))
        self._behind = len(columns)
        return columns
