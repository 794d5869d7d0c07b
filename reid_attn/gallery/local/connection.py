"""The only way to the database of a gallery, and what SQLite's errors mean.

Nobody else may open the file, not even to read it: closing any descriptor of it drops the POSIX
locks of this process, and another process would then delete the write-ahead log under our feet.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import DamagedError, DataError, DiskError, LockedError, ReidError, UsageError

NAME = "gallery.sqlite"
BUSY_SECONDS = 60  # SQLite lets no queue form: among busy writers one may be unlucky for long
CHECKED_BYTES = 2**28  # up to which the structure of the file is checked when it is opened
LONGEST_PATH = 504  # bytes; SQLite opens no longer one
OLDEST_SQLITE = (3, 37)  # the first with STRICT tables

PRAGMAS: tuple[tuple[str, str, int | str], ...] = (
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


_MISUSE = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
_NOT_STORABLE = (sqlite3.IntegrityError, sqlite3.DataError, UnicodeEncodeError, OverflowError)


class Connection:
    """One connection; `execute` is called inside a `transaction`."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.path = folder / NAME
        self.last_writer: Callable[[], str] = lambda: "an unknown process"
        self.closed = False
        with self.explained():
            self._sqlite = _connect(self.path, mode)

    def close(self) -> None:
        """Close; the last one to close folds the write-ahead log into the file."""
        with self.explained():
            self._sqlite.close()
        self.closed = True

    def copy_to(self, other: "Connection") -> None:
        """Make `other` a copy of this database as it is now; `DiskError` names both.

        SQLite does not tell which of them failed.
        """
        try:
            with self.explained():
                self._sqlite.backup(other._sqlite)
        except DiskError as error:
            raise DiskError(
                f"could not copy {self.path} to {other.path} ({error.__cause__}): the gallery is "
                "as it was; free some space where the copy is to be, or choose another place for it"
            ) from error

    @contextmanager
    def transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        """Reads inside see one state; changes (`IMMEDIATE`) are all made or none."""
        with self.explained():
            self._sqlite.execute(f"BEGIN {kind}")
            try:
                yield
                self._sqlite.execute("COMMIT")
            except BaseException:
                if self._sqlite.in_transaction:  # SQLite ends some by itself, on a full disk
                    self._sqlite.execute("ROLLBACK")
                raise

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, nobody is waited for: what is locked is `LockedError` now."""
        with self.explained():
            self._sqlite.execute("PRAGMA busy_timeout = 0")
            try:
                yield
            finally:
                self._sqlite.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """One statement."""
        return self._sqlite.execute(statement, values)

    def execute_many(self, statement: str, records: Iterator[Sequence[object]]) -> None:
        """One statement for each of `records`."""
        self._sqlite.executemany(statement, records)

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first record."""
        return self._sqlite.execute(query, values).fetchone()[0]

    def by_numbers(self, query: str, numbers: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The records of `query`, whose `IN ({})` takes `numbers` some hundreds at a time.

        No record has a number of more than 64 bits, which SQLite could not be asked for.
        """
        numbers = [number for number in numbers if -(2**63) <= number < 2**63]
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            yield from self._sqlite.execute(query.format(",".join("?" * len(part))), part)

    def quick_check(self) -> None:
        """`DamagedError` when the structure of the file is broken; of a large one, not looked at.

        That would read it all. What is broken there is found by SQLite or by the checksums of the
        records when it is read, and by `gallery verify`.
        """
        pages, size = self.value("PRAGMA page_count"), self.value("PRAGMA page_size")
        if pages * size <= CHECKED_BYTES and self.value("PRAGMA quick_check(1)") != "ok":
            raise self.damaged("the structure of the file")

    def rewrite(self) -> None:
        """Write the file anew, with nothing in it but what is there to be read."""
        with self.explained():
            self._sqlite.execute("VACUUM")

    def checkpoint(self) -> bool:
        """Fold the write-ahead log into the file and empty it; False when a reader prevents it."""
        with self.explained():
            busy, _, _ = self._sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def damaged(self, part: str) -> DamagedError:
        """The error that names `part`."""
        return DamagedError(
            f"{self.path} is damaged: {part} is not as it was written; bring the folder back from "
            "a backup, or make the gallery again from its pictures"
        )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of SQLite as errors of the project."""
        try:
            yield
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> ReidError:
        """By type, and SQLite's fixed texts: Python has its error codes only from 3.11 on."""
        text = str(error)
        if isinstance(error, _MISUSE):
            return UsageError(
                f"{self.path} cannot be used like this ({text}): open one gallery per process and "
                "thread, and use it until it is closed"
            )
        if isinstance(error, _NOT_STORABLE) and "UNIQUE" not in text:  # our numbers are, if sound
            return DataError(f"{self.path} cannot hold this ({text}): nothing was changed")
        if "locked" in text:
            return LockedError(
                f"{self.path} has been in use for {BUSY_SECONDS} s, last written by "
                f"{self._writer()}: nothing was changed; wait for it to end and try again"
            )
        if "unable to open" in text and _is_too_long(self.path):
            return UsageError(
                f"{self.path} cannot be used: SQLite opens no file whose whole path has more than "
                f"{LONGEST_PATH} bytes: choose a shorter one for the gallery"
            )
        if any(sign in text for sign in ("full", "disk I/O", "readonly", "unable to open")):
            return DiskError(
                f"could not use {self.path} ({text}): what was there before is untouched; free "
                "some space or check the permissions of the folder, then run the command again"
            )
        return self.damaged(f"something in it ({text})")

    def _writer(self) -> str:
        try:
            return self.last_writer()
        except (ReidError, sqlite3.Error):  # locked before it could be read, or not readable
            return "an unknown process"


def _is_too_long(path: Path) -> bool:
    return len(os.fsencode(os.path.realpath(path))) > LONGEST_PATH


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection whose every setting reads back."""
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
        for name, value, expected in PRAGMAS:
            connection.execute(f"PRAGMA {name} = {value}")
            (found,) = connection.execute(f"PRAGMA {name}").fetchone()
            if found != expected:
                raise DiskError(f"{path} cannot be used: SQLite's {name} is {found}, not {value}")
    except BaseException:
        connection.close()
        raise
    return connection
