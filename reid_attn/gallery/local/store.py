"""A gallery in a folder: `gallery.sqlite` is the truth, the caches are copies made for searching.

Keeps the contract of `Store`. One connection for each process and thread.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import storage
from ...errors import DamagedError, DiskError, LockedError, MismatchError, UsageError
from .. import audit
from ..contract import Correction, Erasure, Found, Label, Summary, Vectors
from ..copying import Content, Copyable, blank, copy
from ..filters import Where
from ..pictures import Progress, silent
from ..record import Entry, Meta, Row
from . import (
    changes,
    corrections,
    erasure,
    index,
    receiving,
    records,
    schema,
    staging,
    verification,
)
from .changes import changing, write
from .connection import NAME, Connection
from .lookup import Lookup
from .migration import is_current, migrate


class LocalStore:
    """The rows of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connect()

    def _connect(self) -> None:
        self._connection = Connection(self.folder, "rw")
        self._connection.last_writer = self._last_writer
        self._lookup = Lookup(self.folder, self._connection)

    @classmethod
    def create(cls, folder: Path, meta: Meta) -> None:
        """Make the database of a new gallery; `UsageError` when there is one already."""
        connection = Connection(storage.make_folder(folder), "rwc")
        with closing(connection), connection.transaction("IMMEDIATE"):
            if schema.tables(connection):
                raise UsageError(
                    f"there is a gallery in {folder} already: add to it, or choose another folder"
                )
            schema.create(connection)
            write(connection, meta, "create", {"purpose": meta.purpose})

    @classmethod
    def copy_of(cls, source: Copyable, folder: Path, progress: Progress = silent) -> int:
        """Copy a gallery to a folder that must not exist; returns the number of rows.

        It has its name when it is whole: until then nobody can write to it, or be deceived.
        """
        with storage.new_folder(folder) as unfinished:
            cls.create(unfinished, blank(source.meta()))
            with closing(cls.open(unfinished)) as store:
                return copy(source, store, progress)

    @classmethod
    def open(cls, folder: Path) -> "LocalStore":
        """Open, migrate if it is old, and check what can be checked without reading every row."""
        absent = UsageError(
            f"there is no gallery in {folder}: make one with "
            f"'reid-attn gallery create {folder} --run RUN'"
        )
        if not (folder / NAME).exists():
            raise absent
        store = cls(folder)
        connection = store._connection
        try:
            with connection.transaction():
                connection.quick_check()
                if not schema.tables(connection):  # the process that was creating it was killed
                    raise absent
                current = is_current(connection)
            if not current:
                store._migrate()
            store.meta()
            storage.sweep(folder)
        except BaseException:
            connection.close()
            raise
        return store

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def close(self) -> None:
        """Write the caches where that is worth it; failing to is a warning, no error."""
        if self._connection.closed:
            return
        try:
            self._lookup.save()
        except (LockedError, MismatchError):
            pass  # somebody is writing, and what is here would be old at once
        except (DamagedError, DiskError) as error:
            warnings.warn(f"the index will be built again: {error}", stacklevel=3)
        finally:
            self._connection.close()

    def meta(self) -> Meta:
        """The state, its checksums verified."""
        with self._connection.transaction():
            return records.read_meta(self._connection)

    def annotate(self, action: str, **fields: Any) -> None:
        """Change fields of the state."""
        with changing(self._connection) as meta:
            write(self._connection, replace(meta, **fields), action, {})

    def add(self, entries: Sequence[Entry]) -> int:
        """Insert in one transaction the entries that are not there yet."""
        with changing(self._connection) as meta:
            return changes.insert(self._connection, meta, entries)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that rows have which have not expired."""
        with self._connection.transaction():
            return changes.known(self._connection, keys)

    def erased(self, source_hashes: Sequence[bytes]) -> set[bytes]:
        """Those of `source_hashes` that may not come back."""
        with self._connection.transaction():
            meta = records.read_meta(self._connection)
            return changes.erased(self._connection, meta, source_hashes)

    def relabel(
        self,
        persons: Mapping[int, Label],
        action: str,
        *,
        as_of: int | None = None,
        undoes: int = 0,
    ) -> int:
        """Give rows another (person, name)."""
        with changing(self._connection) as meta:
            link = self._connection
            return corrections.relabel(link, meta, persons, action, as_of, undoes)

    def corrections(self) -> list[Correction]:
        """What `relabel` has done, oldest first."""
        with self._connection.transaction():
            return corrections.read(self._connection)

    def stage(self, fingerprint: str, vectors: Mapping[int, bytes]) -> None:
        """Keep vectors of another model beside those of the gallery; see `staging.py`."""
        staging.stage(self._connection, fingerprint, vectors)

    def staged(self, fingerprint: str) -> set[int]:
        """The rows that have a vector of that model."""
        with self._connection.transaction():
            return staging.staged(self._connection, fingerprint)

    def switch(self, fingerprint: str, dimension: int, run: str, lost: Sequence[int]) -> bool:
        """Make the gallery one of that model, without the rows `lost`; False: others lack one."""
        done = staging.switch(self._connection, fingerprint, dimension, run, lost)
        self._lookup.forget()
        return done

    def remove(self, rows: Sequence[int]) -> int:
        """Delete rows and their pictures; their bytes may stay in the files, until `erase`."""
        with changing(self._connection) as meta:
            wanted = records.get(self._connection, sorted(set(rows)))
            changes.delete(self._connection, meta, wanted, "remove")
        return len(wanted)

    def erase(self, rows: Sequence[int], action: str, block: bool) -> Erasure:
        """Delete rows and prove that nothing of them is left; see `erasure.py`."""
        numbers = sorted(set(rows))
        with self._connection.transaction():
            meta = records.read_meta(self._connection)
            sought = erasure.pieces(self._connection, numbers, meta.dimension)
        before = erasure.look_through(self.folder, sought)
        erasure.refuse_copies(self.folder, before)
        erasure.refuse_readers(self._connection)
        erasure.delete(self._connection, numbers, action, block)
        self._lookup.forget()
        erasure.remove_caches(self.folder)
        erasure.rewrite(self._connection)
        self._connection.close()
        after = erasure.look_again(self.folder, sought)
        self._connect()
        with self._connection.transaction():
            left = erasure.unexplained(self._connection, sought, after["found"])
        erasure.refuse_leftovers(self.folder, after, left)
        proof = erasure.proof(before, after, len(sought))
        return Erasure(len(numbers), proof, erasure.UNREACHABLE)

    def rows(self, where: Where) -> list[Row]:
        """The rows that are meant, by number."""
        with self._connection.transaction():
            meta = records.read_meta(self._connection)
            columns = self._lookup.columns(meta)
            numbers = columns.rows[columns.chosen(where, records.now())].tolist()
            return records.get(self._connection, numbers)

    def get(self, rows: Sequence[int]) -> list[Row]:
        """Rows by number, in the order asked for."""
        with self._connection.transaction():
            return records.get(self._connection, rows)

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """(N, D) float32 unit rows, in the order asked for."""
        with self._connection.transaction():
            meta, wanted = records.read_meta(self._connection), records.get(self._connection, rows)
            return records.vectors(self._connection, wanted, meta.dimension)

    def thumbnails(self, rows: Sequence[int]) -> list[bytes | None]:
        """JPEG files, in the order asked for."""
        with self._connection.transaction():
            return records.thumbnails(self._connection, records.get(self._connection, rows))

    def search(self, queries: Vectors, k: int, where: Where) -> list[list[Found]]:
        """The most similar rows of each query, from one state of the gallery."""
        with self._connection.transaction():
            meta = records.read_meta(self._connection)
            try:
                return self._found(meta, queries, k, where)
            except (DamagedError, UsageError):  # of a row, or of a cache of other rows:
                self._lookup.forget()  # making it anew tells
                return self._found(meta, queries, k, where)

    def summary(self) -> Summary:
        """The gallery in numbers, all of one state; `bytes` are those of all files."""
        with self._connection.transaction():
            meta = records.read_meta(self._connection)
            counts = self._lookup.columns(meta).counts(records.now())
            erased = self._connection.value("SELECT count(*) FROM refused")
            state, facts = index.state(self.folder, meta)
        size = sum(path.stat().st_size for path in self.folder.glob("[!.]*") if path.is_file())
        return Summary(
            meta,
            **counts,
            erased=erased,
            bytes=size,
            cache=state,
            rebuild_seconds=facts.get("seconds"),
            store={"index": facts.get("kind"), "recall": facts.get("recall")},
        )

    def record(self, action: str, details: Mapping[str, Any]) -> None:
        """Put a line into the audit log."""
        audit.append(self.folder, action, details, sync=False)

    def history(self) -> Iterator[dict[str, Any]]:
        """The lines of the audit log."""
        return audit.lines(self.folder)

    def gaps(self) -> list[audit.Gap]:
        """Lines that the audit log lacks, and of which none says so."""
        return audit.gaps(self.folder)

    def verify(self) -> list[str]:
        """Everything that is damaged, a sentence each."""
        with self._connection.transaction():
            found = verification.problems(self._connection)
        return found + audit.problems(self.folder)

    def backup(self, target: Path) -> None:
        """A copy of the database, made by SQLite and read back whole, with the audit log."""
        with storage.new_folder(target) as folder:
            with closing(Connection(folder, "rwc")) as copy:
                self._connection.copy_to(copy)
            for name in (audit.HEAD, audit.NAME):  # the last line's copy may be late, not early
                storage.write_bytes(folder / name, storage.read_bytes(self.folder / name))
            with closing(LocalStore.open(folder)) as store:
                if problems := store.verify():
                    raise DamagedError(
                        f"no backup was made, as {problems[0]}: 'reid-attn gallery verify "
                        f"{self.folder}' tells everything"
                    )

    def blocked(self) -> list[bytes]:
        """The salted hashes of the sources that may not come back."""
        with self._connection.transaction():
            return sorted(changes.refused(self._connection))

    def last_number(self) -> int:
        """The last number that a row was ever given."""
        with self._connection.transaction():
            return changes.last_number(self._connection)

    def receive(self, content: Content) -> None:
        """Become a copy of another gallery."""
        receiving.receive(self._connection, content)

    def _found(self, meta: Meta, queries: Vectors, k: int, where: Where) -> list[list[Found]]:
        scores, numbers = self._lookup.search(meta, queries, k, where)
        rows = self._verified(np.unique(numbers).tolist(), meta)
        return [
            [Found(score, rows[number]) for score, number in zip(*pair, strict=True)]
            for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def _verified(self, numbers: list[int], meta: Meta) -> dict[int, Row]:
        """The rows by number, each with a vector that is what was written."""
        rows = records.get(self._connection, numbers)
        records.vectors(self._connection, rows, meta.dimension)
        return {row.row: row for row in rows}

    def _migrate(self) -> None:
        with self._connection.transaction("IMMEDIATE"):
            if not is_current(self._connection):  # somebody else may have been faster
                migrate(self._connection)
                write(self._connection, records.read_meta(self._connection), "migrate", {})

    def _last_writer(self) -> str:
        meta = records.read_meta(self._connection)
        return f"process {meta.pid} on {meta.host}"
