"""Becoming a copy of another gallery."""

from dataclasses import replace

from ...errors import UsageError
from ..contract import ranges
from ..copying import Content
from ..record import checksum
from . import changes, corrections, records
from .connection import Connection


def receive(connection: Connection, content: Content) -> None:
    """See `copying.Copyable.receive`; one transaction."""
    with changes.changing(connection):
        if changes.last_number(connection):
            raise UsageError(
                f"{connection.path.parent} has or had rows of its own: copy to a new gallery"
            )
        for part in content.parts:
            for row, vector, picture in part:
                records.insert(connection, row, vector, picture)
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'people'")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('people', ?)", (content.last,))
        for hidden in content.blocked:
            record = (hidden, checksum((hidden,)))
            connection.execute("INSERT INTO refused VALUES (?, ?)", record)
        for correction in content.corrections:
            corrections.insert(connection, correction)
        after = replace(content.meta, rows=len(content.numbers))
        details = {"of": content.origin, "rows": ranges(content.numbers)}
        changes.write(connection, after, "copy", details)
