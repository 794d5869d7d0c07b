"""Records of the database, written with a checksum and verified when they are read."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ...errors import DataError, MismatchError, UsageError
from ..contract import Vectors
from ..record import SCHEMA, Meta, Row, checksum
from .connection import Connection

COLUMNS = tuple(field.name for field in fields(Row))


def read_values(connection: Connection) -> dict[str, Any]:
    """The records of `meta`, their checksums verified; `MismatchError` of a later version."""
    values = {}
    for key, value, recorded in connection.execute("SELECT * FROM meta"):
        if checksum((key, value)) != recorded:
            raise connection.damaged(f"the entry {key!r} of table 'meta'")
        try:
            values[key] = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise connection.damaged(f"the entry {key!r} of table 'meta'") from error
    schema = values.get("schema", 0)
    if type(schema) is not int:
        raise connection.damaged("the entry 'schema' of table 'meta'")
    if schema > SCHEMA:
        raise MismatchError(
            f"{connection.path} was written by a later version of reid_attn: update this one"
        )
    return values


def write_values(connection: Connection, meta: Meta) -> None:
    """Record every field of `meta`."""
    for key, value in asdict(meta).items():
        text = json.dumps(value)
        record = (key, text, checksum((key, text)))
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", record)


def read_meta(connection: Connection) -> Meta:
    """The state of the gallery."""
    values = read_values(connection)
    if values.keys() != {field.name for field in fields(Meta)}:
        raise connection.damaged("table 'meta'")
    return meta_of(connection, values)


def meta_of(connection: Connection, values: Mapping[str, Any]) -> Meta:
    """The state with these values; `DamagedError` when no gallery has such."""
    try:
        return Meta(**values)
    except (DataError, TypeError) as error:
        raise connection.damaged(f"table 'meta' ({error})") from error


def rows(connection: Connection) -> Iterator[Row]:
    """As many rows as there must be, by number."""
    count, expected = connection.value("SELECT count(*) FROM people"), read_meta(connection).rows
    if count != expected:
        raise connection.damaged(f"table 'people', with {count} of {expected} rows,")
    for record in connection.execute('SELECT * FROM people ORDER BY "row"'):
        yield verified(connection, record)


def changed_since(connection: Connection, generation: int) -> Iterator[Row]:
    """The rows that a later generation than this wrote."""
    query = "SELECT * FROM people WHERE changed > ?"
    for record in connection.execute(query, (generation,)):
        yield verified(connection, record)


def get(connection: Connection, numbers: Sequence[int]) -> list[Row]:
    """Rows by number, in the order asked for; `UsageError` for one that is not there."""
    found = {}
    for record in connection.by_numbers('SELECT * FROM people WHERE "row" IN ({})', numbers):
        found[record[0]] = verified(connection, record)
    for number in numbers:
        if number not in found:
            raise UsageError(f"row {number} is not in the gallery {connection.path.parent}")
    return [found[number] for number in numbers]


def vectors(connection: Connection, wanted: Sequence[Row], dimension: int) -> Vectors:
    """(N, D) float32, each verified against its row."""
    numbers = [row.row for row in wanted]
    query = 'SELECT * FROM vectors WHERE "row" IN ({})'
    stored = dict(connection.by_numbers(query, numbers))
    for row in wanted:
        vector = stored.get(row.row, b"")
        if checksum((vector,)) != row.vector_hash or not is_vector(vector, dimension):
            raise connection.damaged(f"the vector of row {row.row} of table 'people'")
    found = np.empty((len(wanted), dimension), np.float32)
    for place, row in enumerate(wanted):
        found[place] = np.frombuffer(stored[row.row], "<f4")
    return found


def is_vector(content: bytes, dimension: int) -> bool:
    """Whether it has this dimension and a direction: finite, and not zero."""
    if len(content) != 4 * dimension:
        return False
    vector = np.frombuffer(content, "<f4")
    return 0 < float(np.vdot(vector, vector)) < np.inf


def thumbnails(connection: Connection, wanted: Sequence[Row]) -> list[bytes | None]:
    """JPEG files, each verified against its row; `None` where there is none."""
    query = 'SELECT * FROM thumbnails WHERE "row" IN ({})'
    stored = dict(connection.by_numbers(query, [row.row for row in wanted]))
    for row in wanted:
        picture = stored.get(row.row)
        if (None if picture is None else checksum((picture,))) != row.thumbnail_hash:
            raise connection.damaged(f"the thumbnail of row {row.row} of table 'people'")
    return [stored.get(row.row) for row in wanted]


def names(connection: Connection, persons: Iterable[str]) -> dict[str, str]:
    """What those of `persons` are called who have a name: the one that was given last."""
    query = (
        "SELECT * FROM people WHERE person = ? AND name <> '' "
        'ORDER BY changed DESC, "row" DESC LIMIT 1'
    )
    newest = (connection.execute(query, (person,)).fetchone() for person in persons)
    found = [verified(connection, record) for record in newest if record is not None]
    return {row.person: row.name for row in found}


def verified(connection: Connection, record: Sequence[Any]) -> Row:
    """The row of a record whose checksum is right."""
    *columns, recorded = record
    if checksum(columns) != recorded:
        raise connection.damaged(f"row {columns[0]} of table 'people'")
    return Row(**dict(zip(COLUMNS, columns, strict=True)))


def insert(connection: Connection, row: Row, vector: bytes, thumbnail: bytes | None) -> None:
    """Write a row with its vector and thumbnail."""
    write_row(connection, row, "INSERT")
    connection.execute("INSERT INTO vectors VALUES (?, ?)", (row.row, vector))
    if thumbnail is not None:
        connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (row.row, thumbnail))


def write_row(connection: Connection, row: Row, verb: str = "REPLACE") -> None:
    """Write the record of a row in `people`."""
    columns = [getattr(row, name) for name in COLUMNS]
    marks = ", ".join("?" * (len(columns) + 1))
    connection.execute(f"{verb} INTO people VALUES ({marks})", (*columns, checksum(columns)))


def now() -> int:
    """Seconds since 1970, UTC."""
    return int(time.time())
