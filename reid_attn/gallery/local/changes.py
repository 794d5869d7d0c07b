"""What belongs to every change: one transaction, the next generation, a line in the audit log."""

import os
import platform
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ... import __version__
from .. import audit
from ..arrival import arrived, called, refuse_erased, salted
from ..contract import ranges
from ..record import Entry, Meta, Row, checksum
from . import records
from .connection import Connection

HISTORY = 1000  # generations that a cache may be behind


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
    refuse_erased(entries, erased(connection, meta, [entry.source_hash for entry in entries]))
    there = known(connection, [entry.key for entry in entries])
    new = {entry.key: entry for entry in entries if entry.key not in there}
    first = last_number(connection) + 1
    names = records.names(connection, {entry.person for entry in new.values()})
    for number, entry in enumerate(called(new.values(), names), start=first):
        row = arrived(number, entry, meta, records.now())
        records.insert(connection, row, entry.vector, entry.thumbnail)
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
        connection.execute('DELETE FROM corrections WHERE "row" = ?', (row.row,))
        connection.execute('DELETE FROM staged WHERE "row" = ?', (row.row,))
        connection.execute("INSERT INTO gone VALUES (?, ?)", (row.row, meta.generation + 1))
    if rows:
        details = {"rows": ranges(row.row for row in rows)}
        write(connection, replace(meta, rows=meta.rows - len(rows)), action, details)


def last_number(connection: Connection) -> int:
    """The last number that a row was ever given; 0 when there has been none."""
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'people'"
    return int(connection.value(query))


def known(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of `keys` that rows have which have not expired."""
    query = "SELECT 1 FROM people WHERE key = ? AND coalesce(expiry > ?, TRUE)"
    now = records.now()
    return {key for key in keys if connection.execute(query, (key, now)).fetchone()}


def block(connection: Connection, meta: Meta, rows: Sequence[Row]) -> None:
    """Refuse the sources of `rows` from now on."""
    for row in rows:
        hidden = salted(meta, row.source_hash)
        record = (hidden, checksum((hidden,)))
        connection.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", record)


def refused(connection: Connection) -> set[bytes]:
    """The salted hashes of the sources that may not come back."""
    found = set()
    for hidden, recorded in connection.execute("SELECT * FROM refused"):
        if checksum((hidden,)) != recorded:
            raise connection.damaged("an entry of table 'refused'")
        found.add(hidden)
    return found


def erased(connection: Connection, meta: Meta, source_hashes: Sequence[bytes]) -> set[bytes]:
    """Those of `source_hashes` that may not come back."""
    hidden = refused(connection)
    return {source for source in source_hashes if hidden and salted(meta, source) in hidden}
