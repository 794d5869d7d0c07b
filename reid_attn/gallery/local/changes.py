"""What belongs to every change: one transaction, the next generation, a line in the audit log."""

import os
import platform
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ... import __version__
from ...errors import DataError
from .. import audit
from ..contract import ranges
from ..record import Entry, Meta, Row, checksum
from . import records
from .connection import Connection

HISTORY = 1000  # generations that a cache may be behind
SECONDS_A_DAY = 86_400


@contextmanager
def changing(connection: Connection) -> Iterator[Meta]:
    """A transaction that may write, with the state before it."""
    with connection.transaction("IMMEDIATE"):
        yield records.read_meta(connection)


def write(connection: Connection, meta: Meta, action: str, details: Mapping[str, Any]) -> None:
    """Record `meta` as the next generation. Without its line in the log there is no change."""
    change = replace(
        meta,
        generation=meta.generation + 1,
        change=secrets.token_hex(16),
        versions=f"reid_attn {__version__}, SQLite {sqlite3.sqlite_version}",
        pid=os.getpid(),
        host=platform.node(),
    )
    records.write_values(connection, change)
    latest = (change.generation, change.change)
    connection.execute("INSERT INTO changes VALUES (?, ?)", latest)
    past = (change.generation - HISTORY,)
    connection.execute("DELETE FROM changes WHERE generation < ?", past)
    connection.execute("DELETE FROM gone WHERE generation < ?", past)
    line = {"generation": change.generation, **details}
    audit.append(connection.path.parent, action, line, sync=True)


def insert(connection: Connection, meta: Meta, entries: Sequence[Entry]) -> int:
    """Insert the entries that are not there yet; returns how many."""
    _refuse_erased(connection, meta, entries)
    there = known(connection, [entry.key for entry in entries])
    new = {entry.key: entry for entry in entries if entry.key not in there}
    first = connection.value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence") + 1
    for number, entry in enumerate(new.values(), start=first):
        records.insert(connection, _row(number, entry, meta), entry.vector, entry.thumbnail)
    if new:
        details = {"rows": [[first, first + len(new) - 1]]}
        write(connection, replace(meta, rows=meta.rows + len(new)), "add", details)
    return len(new)


def delete(connection: Connection, meta: Meta, rows: Sequence[Row], action: str) -> None:
    """Delete rows that are there."""
    for row in rows:
        connection.execute('DELETE FROM people WHERE "row" = ?', (row.row,))
        connection.execute('DELETE FROM vectors WHERE "row" = ?', (row.row,))
        connection.execute('DELETE FROM thumbnails WHERE "row" = ?', (row.row,))
        connection.execute("INSERT INTO gone VALUES (?, ?)", (row.row, meta.generation + 1))
    if rows:
        details = {"rows": ranges(row.row for row in rows)}
        write(connection, replace(meta, rows=meta.rows - len(rows)), action, details)


def known(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` that rows have which have not expired."""
    query = "SELECT 1 FROM people WHERE key = ? AND coalesce(expiry > ?, TRUE)"
    now = records.now()
    return {key for key in keys if connection.execute(query, (key, now)).fetchone()}


def block(connection: Connection, meta: Meta, rows: Sequence[Row]) -> None:
    """Refuse the sources of `rows` from now on."""
    for row in rows:
        salted = _salted(meta, row.source_hash)
        record = (salted, checksum((salted,)))
        connection.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", record)


def refused(connection: Connection) -> set[bytes]:
    """The salted hashes of the sources that may not come back."""
    found = set()
    for salted, recorded in connection.execute("SELECT * FROM refused"):
        if checksum((salted,)) != recorded:
            raise connection.damaged("an entry of table 'refused'")
        found.add(salted)
    return found


def erased(connection: Connection, meta: Meta, source_hashes: Sequence[bytes]) -> set[bytes]:
    """Those of `source_hashes` that may not come back."""
    hidden = refused(connection)
    return {source for source in source_hashes if hidden and _salted(meta, source) in hidden}


def _refuse_erased(connection: Connection, meta: Meta, entries: Sequence[Entry]) -> None:
    hidden = erased(connection, meta, [entry.source_hash for entry in entries])
    names = [os.fsdecode(entry.source) for entry in entries if entry.source_hash in hidden]
    if names:
        raise DataError(
            f"{len(names)} of {len(entries)} pictures were erased from this gallery and may not "
            f"come back, such as {names[0]}: leave them out"
        )


def _salted(meta: Meta, source_hash: bytes) -> bytes:
    """How the block-list names a source, so that other lists of hashes do not lead to it."""
    return sha256(bytes.fromhex(meta.salt) + source_hash).digest()


def _row(number: int, entry: Entry, meta: Meta) -> Row:
    """The row that an entry becomes."""
    now, thumbnail = records.now(), entry.thumbnail
    ends = [meta.until, None if meta.keep_days is None else now + meta.keep_days * SECONDS_A_DAY]
    return Row(
        row=number,
        person=entry.person,
        name=entry.name,
        camera=entry.camera,
        time=entry.time,
        track=entry.track,
        source=entry.source,
        source_hash=entry.source_hash,
        key=entry.key,
        attributes=entry.attributes,
        added=now,
        expiry=min((end for end in ends if end is not None), default=None),
        vector_hash=checksum((entry.vector,)),
        thumbnail_hash=None if thumbnail is None else checksum((thumbnail,)),
        changed=meta.generation + 1,
    )
