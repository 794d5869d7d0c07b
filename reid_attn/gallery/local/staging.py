"""Vectors of another model, beside those of the gallery's until every row has one.

They are kept part by part, so that what was interrupted goes on where it was, and change nothing
before `switch`, which puts all of them into the place of the old ones in one transaction.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..record import checksum
from . import records
from .changes import changing, delete, write
from .connection import Connection


def stage(connection: Connection, fingerprint: str, vectors: Mapping[int, bytes]) -> None:
    """Keep vectors of the model `fingerprint` for rows; those of any third model go."""
    with connection.transaction("IMMEDIATE"):
        connection.execute("DELETE FROM staged WHERE fingerprint <> ?", (fingerprint,))
        for row, vector in vectors.items():
            known = row, fingerprint, vector
            connection.execute(
                'INSERT OR REPLACE INTO staged SELECT ?, ?, ?, ? FROM people WHERE "row" = ?',
                (*known, checksum(known), row),  # a row may have been deleted meanwhile
            )


def staged(connection: Connection, fingerprint: str) -> set[int]:
    """The rows that have a vector of this model."""
    query = 'SELECT "row" FROM staged WHERE fingerprint = ?'
    return {row for (row,) in connection.execute(query, (fingerprint,))}


def switch(
    connection: Connection, fingerprint: str, dimension: int, run: str, lost: Collection[int]
) -> bool:
    """Put the staged vectors into place and delete the rows `lost`; False if others lack one."""
    with changing(connection) as meta:
        ready = staged(connection, fingerprint)
        there = [row for (row,) in connection.execute('SELECT "row" FROM people')]
        gone = [row for row in there if row not in ready]
        if not set(gone) <= set(lost):
            return False
        delete(connection, meta, records.get(connection, gone), "remove")
        meta = records.read_meta(connection)
        for row in sorted(ready):
            _replace(connection, row, meta.generation + 1)
        for statement in ("DELETE FROM staged", "DELETE FROM changes"):  # no cache can follow
            connection.execute(statement)
        new = replace(meta, fingerprint=fingerprint, dimension=dimension, run=run, calibration=None)
        write(connection, new, "reembed", {"fingerprint": fingerprint, "rows": len(ready)})
    return True


def verify(connection: Connection) -> None:
    """`DamagedError` for a staged vector that is not as it was written."""
    for row, fingerprint, vector, recorded in connection.execute("SELECT * FROM staged"):
        if checksum((row, fingerprint, vector)) != recorded:
            raise connection.damaged(f"the staged vector of row {row}")


def _replace(connection: Connection, number: int, generation: int) -> None:
    """Give a row its staged vector."""
    query = 'SELECT * FROM staged WHERE "row" = ?'
    *known, recorded = connection.execute(query, (number,)).fetchone()
    if checksum(known) != recorded:
        raise connection.damaged(f"the staged vector of row {number}")
    vector = known[2]
    connection.execute('UPDATE vectors SET vector = ? WHERE "row" = ?', (vector, number))
    (row,) = records.get(connection, [number])
    fresh = replace(row, vector_hash=checksum((vector,)), changed=generation)
    records.write_row(connection, fresh)
