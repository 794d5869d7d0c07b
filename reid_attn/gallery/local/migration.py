"""The way from the tables of earlier versions to these, row by verified row."""

import secrets
from typing import Any

from ..record import SCHEMA, Row, checksum, entry_key
from .connection import Connection
from .records import insert, meta_of, read_values, write_values
from .schema import ADDED, FIRST_TABLES, META_TABLE, SQLITE_OWN, TABLES, create, tables

_FIRST = sorted((*FIRST_TABLES, SQLITE_OWN))
_THIRD = sorted({*TABLES, SQLITE_OWN} - {*ADDED[4]})
_SECOND = sorted({*_THIRD} - {*ADDED[3]})


def is_current(connection: Connection) -> bool:
    """Whether these are the tables of this version; `False` for an earlier one.

    `MismatchError` for a later version, `DamagedError` for anything else.
    """
    found = tables(connection)
    if META_TABLE in found:
        read_values(connection)  # first: a later version may have the same tables
    if found == sorted((*TABLES, SQLITE_OWN)):
        return True
    if found in (_FIRST, _SECOND, _THIRD):
        return False
    raise connection.damaged("the schema")


def migrate(connection: Connection) -> None:
    """Bring what is there to this version; inside one transaction: it is done or not begun."""
    found = tables(connection)
    if found == _FIRST:
        _migrate_first(connection)
        return
    for statement in TABLES:
        if statement not in found:
            connection.execute(statement)
    write_values(connection, meta_of(connection, {**read_values(connection), "schema": SCHEMA}))


def _migrate_first(connection: Connection) -> None:
    """From version 1: every row is verified on its way and keeps its number."""
    values = read_values(connection)
    last = connection.value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")
    refused = list(connection.execute("SELECT salted_hash FROM refused"))
    for statement in ("ALTER TABLE people RENAME TO people_1", "DROP TABLE refused"):
        connection.execute(statement)
    connection.execute("DROP TABLE meta")
    create(connection)
    new = {"controller": "", "until": None, "pictures": False, "salt": secrets.token_hex(16)}
    meta = meta_of(connection, {**new, **values, "schema": SCHEMA})
    count = 0
    for record in connection.execute("SELECT * FROM people_1 ORDER BY row_id"):
        *columns, recorded = record
        if checksum(columns) != recorded:
            raise connection.damaged(f"row {columns[0]} of table 'people'")
        _insert_first(connection, columns, meta.generation)
        count += 1
    if count != meta.rows:
        raise connection.damaged(f"table 'people', with {count} of {meta.rows} rows,")
    connection.execute("DROP TABLE people_1")
    connection.execute("DELETE FROM sqlite_sequence")
    connection.execute("INSERT INTO sqlite_sequence VALUES ('people', ?)", (last,))
    for (salted,) in refused:
        connection.execute("INSERT INTO refused VALUES (?, ?)", (salted, checksum((salted,))))
    write_values(connection, meta)
    connection.execute("INSERT INTO changes VALUES (?, ?)", (meta.generation, meta.change))


def _insert_first(connection: Connection, columns: list[Any], generation: int) -> None:
    """Insert a row of version 1."""
    number, person, camera, added, source, source_hash, expiry, vector = columns
    row = Row(
        row=number,
        person=person,
        name="",
        camera=camera,
        time=None,
        track="",
        source=source,
        source_hash=source_hash,
        key=entry_key(source_hash, person, camera, None, ""),
        attributes="{}",
        added=added,
        expiry=expiry,
        vector_hash=checksum((vector,)),
        thumbnail_hash=None,
        changed=generation,
    )
    insert(connection, row, vector, None)
