"""Becoming a copy of another gallery."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...errors import UsageError
from ..contract import ranges
from ..copying import Kept
from ..record import Meta, checksum
from . import changes, records
from .connection import Connection


def receive(
    connection: Connection,
    meta: Meta,
    numbers: Sequence[int],
    blocked: Sequence[bytes],
    parts: Iterable[Sequence[Kept]],
    origin: str,
) -> None:
    """See `copying.Copyable.receive`; one transaction."""
    with changes.changing(connection) as before:
        if connection.value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence"):
            raise UsageError(
                f"{connection.path.parent} has or had rows of its own: copy to a new gallery"
            )
        for part in parts:
            for row, vector, picture in part:
                row = replace(row, changed=before.generation + 1)
                records.insert(connection, row, vector, picture)
        for hidden in blocked:
            record = (hidden, checksum((hidden,)))
            connection.execute("INSERT INTO refused VALUES (?, ?)", record)
        after = replace(meta, generation=before.generation, rows=len(numbers))
        details = {"of": origin, "rows": ranges(numbers)}
        changes.write(connection, after, "copy", details)
