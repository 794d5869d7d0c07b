"""Who rows showed before they were corrected: what `undo` needs, and `forget` must not leave."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import LockedError
from ..contract import Correction, Label, ranges
from ..record import Meta, Row, checksum
from . import records
from .changes import write
from .connection import Connection

_RECORD = "INSERT INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NAMING = (
    "DELETE FROM corrections WHERE ? IN (old_person, person)",
    "DELETE FROM corrections WHERE ? IN (old_name, name)",
)


def relabel(
    connection: Connection,
    meta: Meta,
    persons: Mapping[int, Label],
    action: str,
    as_of: int | None,
    undoes: int,
) -> int:
    """Write the labels that differ, each with a correction; returns how many."""
    rows = records.get(connection, list(persons))
    late = [row.row for row in rows if as_of is not None and row.changed > as_of]
    if late:
        raise LockedError(
            f"row {late[0]} of {connection.path.parent} was changed by somebody else meanwhile: "
            "nothing was done; run the command again"
        )
    changed = [row for row in rows if persons[row.row] != (row.person, row.name)]
    generation = meta.generation + 1
    for row in changed:
        person, name = persons[row.row]
        records.write_row(connection, replace(row, person=person, name=name, changed=generation))
    if changed:
        labels = {row.row: ((row.person, row.name), persons[row.row]) for row in changed}
        insert(connection, Correction(generation, records.now(), action, undoes, labels))
        write(connection, meta, action, {"rows": ranges(labels)})
    return len(changed)


def insert(connection: Connection, correction: Correction) -> None:
    """Keep a correction."""
    number, at, action, undoes, labels = correction
    for row, (before, after) in labels.items():
        known = (number, row, at, action, undoes, *before, *after)
        connection.execute(_RECORD, (*known, checksum(known)))


def read(connection: Connection) -> list[Correction]:
    """All corrections, oldest first, verified."""
    found: dict[int, Correction] = {}
    query = 'SELECT * FROM corrections ORDER BY generation, "row"'
    for *known, recorded in connection.execute(query):
        if checksum(known) != recorded:
            raise connection.damaged(f"correction {known[0]} of row {known[1]}")
        generation, row, at, action, undoes, old_person, old_name, person, name = known
        correction = found.setdefault(generation, Correction(generation, at, action, undoes, {}))
        correction.rows[row] = (old_person, old_name), (person, name)
    return list(found.values())


def forget(connection: Connection, rows: Sequence[Row]) -> None:
    """Delete every correction that has a key or a name which the rows have, or ever had."""
    numbers = {row.row for row in rows}
    labels = {(row.person, row.name) for row in rows}
    for correction in read(connection):
        for row in numbers & correction.rows.keys():
            labels.update(correction.rows[row])
    for statement, words in zip(_NAMING, zip(*labels, strict=True), strict=False):
        for word in filter(None, set(words)):
            connection.execute(statement, (word,))
