"""Reading everything: each thing that is not as it was written, by name."""

import sqlite3
from collections.abc import Iterator

from ...errors import DamagedError
from ..record import attributes_of, checksum
from . import changes, corrections, records, staging
from .connection import Connection

_SHOWN = 20  # sentences of SQLite's own check


def problems(connection: Connection) -> list[str]:
    """A sentence for each thing that is damaged. Called inside a transaction."""
    found = []
    check = f"PRAGMA integrity_check({_SHOWN})"
    try:
        found += [f"SQLite: {text}" for (text,) in connection.execute(check) if text != "ok"]
        meta = records.read_meta(connection)
        numbers = [row for (row,) in connection.execute('SELECT "row" FROM people ORDER BY "row"')]
        if len(numbers) != meta.rows:
            found.append(f"table 'people' has {len(numbers)} of {meta.rows} rows")
        for number in numbers:
            found += _row_problems(connection, number, meta.dimension)
        found += _strays(connection)
        changes.refused(connection)
        corrections.read(connection)
        staging.verify(connection)
    except (DamagedError, sqlite3.Error) as error:
        found.append(str(error))
    return found


def _row_problems(connection: Connection, number: int, dimension: int) -> Iterator[str]:
    """What is wrong with a row, its vector and its thumbnail."""
    query = 'SELECT * FROM {} WHERE "row" = ?'
    try:
        record = connection.execute(query.format("people"), (number,)).fetchone()
        row = records.verified(connection, record or (number, b""))
        attributes_of(row.attributes)
        for table, expected in (("vector", row.vector_hash), ("thumbnail", row.thumbnail_hash)):
            stored = connection.execute(query.format(f"{table}s"), (number,)).fetchone()
            same = (None if stored is None else checksum(stored[1:])) == expected
            if not same or (table == "vector" and not records.is_vector(stored[1], dimension)):
                yield f"the {table} of row {number} of table 'people' is not as it was written"
    except (DamagedError, sqlite3.Error) as error:
        reason = "" if isinstance(error, DamagedError) else f" ({error})"
        yield f"row {number} of table 'people' is not as it was written{reason}"


def _strays(connection: Connection) -> Iterator[str]:
    query = 'SELECT count(*) FROM {} WHERE "row" NOT IN (SELECT "row" FROM people)'
    for table in ("vectors", "thumbnails"):
        if count := connection.value(query.format(table)):
            yield f"table '{table}' has {count} entries of no row"
