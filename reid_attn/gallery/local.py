"""The truth of a gallery: one SQLite database in WAL mode, which this file alone may touch.

Nobody else may open the database, not even to read it: closing any descriptor of it drops the POSIX
locks of this process, and another process would then delete the write-ahead log under our feet.
SQLite notices neither a flipped bit nor a lost row, so every record carries a SHA-256 over all its
columns, and the number of rows is recorded beside them.
"""

import json
import os
import platform
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, fields, replace
from pathlib import Path
from typing import Any

from .. import __version__, storage
from ..errors import DamagedError, DiskError, LockedError, ReidError, UsageError
from .record import SQLITE_OWN, TABLES, Entry, Meta, Row, checksum

NAME = "gallery.sqlite"
BUSY_SECONDS = 10
OLDEST_SQLITE = (3, 37)  # the first with STRICT tables
SECONDS_A_DAY = 86_400

_PRAGMAS: tuple[tuple[str, str, int | str], ...] = (
    ("trusted_schema", "OFF", 0),
    ("cell_size_check", "ON", 1),
    ("mmap_size", "0", 0),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("secure_delete", "ON", 1),
    ("temp_store", "MEMORY", 2),
    ("foreign_keys", "ON", 1),
)
"""Name, what is set, and what must read back. All but the journal mode last for one connection."""


class Database:
    """One connection. Everything but `verify` and `add` is called inside a `transaction`."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.path = folder / NAME
        with self._explained():
            self._connection = _connect(self.path, mode)

    @classmethod
    def create(cls, folder: Path, meta: Meta) -> None:
        """Make the database of a new gallery; `UsageError` when there is one already."""
        database = cls(storage.make_folder(folder), "rwc")
        with closing(database), database.transaction("IMMEDIATE"):
            if database._schema():
                raise UsageError(
                    f"there is a gallery in {folder} already: add to it, or choose another folder"
                )
            for statement in TABLES:
                database._connection.execute(statement)
            database._write(meta)

    @classmethod
    def open(cls, folder: Path) -> "Database":
        """Open and check what can be checked without reading every vector."""
        absent = UsageError(
            f"there is no gallery in {folder}: make one with "
            f"'reid-attn gallery create {folder} --run RUN'"
        )
        if not (folder / NAME).exists():
            raise absent
        database = cls(folder, "rw")
        try:
            with database.transaction():
                database._check("quick_check(1)")
                schema = database._schema()
                if not schema:  # the process that was creating it was killed
                    raise absent
                if schema != sorted((*TABLES, SQLITE_OWN)):
                    raise database._damaged("the schema")
                database.meta()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the connection; the last one to close folds the write-ahead log into the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        """Reads inside see one state; changes (`IMMEDIATE`) are all made or none."""
        with self._explained():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends some by itself, on a full disk
                    self._connection.execute("ROLLBACK")
                raise

    def meta(self) -> Meta:
        """The state of the gallery, its checksums verified."""
        values = {}
        for key, value, recorded in self._connection.execute("SELECT * FROM meta"):
            if checksum((key, value)) != recorded:
                raise self._damaged(f"the entry {key!r} of table 'meta'")
            values[key] = json.loads(value)
        if values.keys() != {field.name for field in fields(Meta)}:
            raise self._damaged("table 'meta'")
        return Meta(**values)

    def add(self, entries: Sequence[Entry]) -> int:
        """Insert in one transaction the entries that are not there yet; returns their number."""
        with self.transaction("IMMEDIATE"):
            meta, known, now = self.meta(), self.known(), int(time.time())
            expiry = meta.keep_days and now + meta.keep_days * SECONDS_A_DAY
            new = {entry.key: entry for entry in entries if entry.key not in known}
            rows = (
                Row(number, e.person, e.camera, now, e.source, e.source_hash, expiry, e.vector)
                for number, e in enumerate(new.values(), start=self._last_row() + 1)
            )
            self._connection.executemany(
                "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((*astuple(row), checksum(astuple(row))) for row in rows),
            )
            if new:
                self._write(replace(meta, rows=meta.rows + len(new)))
        return len(new)

    def known(self) -> set[tuple[bytes, str, int]]:
        """The `Entry.key` of every row that has not expired."""
        query = "SELECT source_hash, person, camera FROM people WHERE coalesce(expiry > ?, TRUE)"
        return set(self._connection.execute(query, (int(time.time()),)))

    def row(self, number: int) -> Row:
        """One row, its checksum verified; `DamagedError`, too, when it is missing."""
        query = "SELECT * FROM people WHERE row_id = ?"
        record = self._connection.execute(query, (number,)).fetchone()
        return self._verified(record or (number, b""))

    def rows(self) -> Iterator[Row]:
        """As many rows as there must be, in the order of their numbers, each checksum verified."""
        count, expected = self._value("SELECT count(*) FROM people"), self.meta().rows
        if count != expected:
            raise self._damaged(f"table 'people', with {count} of {expected} rows,")
        records = self._connection.execute("SELECT * FROM people ORDER BY row_id")
        return map(self._verified, records)

    def withheld(self, camera: int | None, now: int) -> int:
        """The number of rows that a search leaves out: seen by `camera`, or expired by `now`."""
        query = "SELECT count(*) FROM people WHERE camera = ? OR expiry <= ?"
        return int(self._value(query, camera, now))

    def persons_and_cameras(self) -> tuple[int, int]:
        """How many different ones there are."""
        persons = self._value("SELECT count(DISTINCT person) FROM people")
        return int(persons), int(self._value("SELECT count(DISTINCT camera) FROM people"))

    def verify(self) -> int:
        """Check the structure of the file and every checksum; returns the number of rows."""
        with self.transaction():
            self._check("integrity_check(1)")
            return sum(1 for _ in self.rows())

    def _verified(self, record: Sequence[Any]) -> Row:
        *columns, recorded = record
        if checksum(columns) != recorded:
            raise self._damaged(f"row {columns[0]} of table 'people'")
        return Row(*columns)

    def _write(self, meta: Meta) -> None:
        """Record `meta` as the next generation."""
        change = replace(
            meta,
            generation=meta.generation + 1,
            change=secrets.token_hex(16),
            versions=f"reid_attn {__version__}, SQLite {sqlite3.sqlite_version}",
            pid=os.getpid(),
            host=platform.node(),
        )
        records = [(key, json.dumps(value)) for key, value in asdict(change).items()]
        self._connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)",
            [(*record, checksum(record)) for record in records],
        )

    def _last_row(self) -> int:
        return int(self._value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence"))

    def _schema(self) -> list[str]:
        return sorted(
            str(sql) for (sql,) in self._connection.execute("SELECT sql FROM sqlite_schema")
        )

    def _check(self, pragma: str) -> None:
        if self._value(f"PRAGMA {pragma}") != "ok":
            raise self._damaged("the structure of the file")

    def _value(self, query: str, *values: int | None) -> int | str:
        value: int | str = self._connection.execute(query, values).fetchone()[0]
        return value

    def _damaged(self, part: str) -> DamagedError:
        return DamagedError(
            f"{self.path} is damaged: {part} is not as it was written; bring the folder back from "
            "a backup, or make the gallery again from its pictures"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of SQLite as errors of the project."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # of a damaged name in its message
            raise self._meaning(str(error)) from error

    def _meaning(self, text: str) -> ReidError:
        """By SQLite's fixed texts, since Python has its error codes only from 3.11 on."""
        if "locked" in text:
            return LockedError(
                f"{self.path} has been in use for {BUSY_SECONDS} s, last written by "
                f"{self._last_writer()}: nothing was changed; wait for it to end and try again"
            )
        if any(sign in text for sign in ("full", "disk I/O", "readonly", "unable to open")):
            return DiskError(
                f"could not use {self.path} ({text}): what was there before is untouched; free "
                "some space or check the permissions of the folder, then run the command again"
            )
        return self._damaged(f"something in it ({text})")

    def _last_writer(self) -> str:
        try:
            meta = self.meta()
        except (AttributeError, ReidError, sqlite3.Error):  # no connection yet, or not readable
            return "an unknown process"
        return f"process {meta.pid} on {meta.host}"


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """The only way to open the database; every setting is read back."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise UsageError(
            f"Python's SQLite is {sqlite3.sqlite_version}, and a gallery needs 3.37 or newer: "
            "use a newer Python"
        )
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", BUSY_SECONDS, isolation_level=None, uri=True
    )
    try:
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        for name, value, expected in _PRAGMAS:
            connection.execute(f"PRAGMA {name} = {value}")
            (found,) = connection.execute(f"PRAGMA {name}").fetchone()
            if found != expected:
                raise DiskError(f"{path} cannot be used: SQLite's {name} is {found}, not {value}")
    except BaseException:
        connection.close()
        raise
    return connection
