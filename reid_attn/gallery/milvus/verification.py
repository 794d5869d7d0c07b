"""Counting and reading everything."""

from collections.abc import Iterator

from ...errors import DamagedError
from ..record import Meta
from . import fields
from .rows import Rows

_CHUNK = 1000


def counts(rows: Rows, last: int, now: int) -> dict[str, int]:
    """How many different persons, cameras and tracks there are, and expired rows."""
    persons, cameras, tracks, expired = set[int](), set[int](), set[int](), 0
    for record in rows.small(last, ("row", "person", "camera", "track", "expiry")):
        persons.add(record["person"])
        cameras.add(record["camera"])
        tracks.add(record["track"])
        expired += record["expiry"] <= now
    return {
        "persons": len(persons - {fields.digest("")}),
        "cameras": len(cameras),
        "tracks": sum(track >= 0 for track in tracks),
        "expired": expired,
    }


def problems(rows: Rows, meta: Meta, last: int) -> Iterator[str]:
    """A sentence for each row that is missing or not as it was written."""
    numbers = sorted(record["row"] for record in rows.small(last, ("row",)))
    if len(set(numbers)) != meta.rows or len(set(numbers)) != len(numbers):
        yield f"there are {len(numbers)} of {meta.rows} rows"
    for start in range(0, len(numbers), _CHUNK):
        yield from _problems(rows, numbers[start : start + _CHUNK])


def _problems(rows: Rows, numbers: list[int]) -> Iterator[str]:
    for record in rows.raw(numbers):
        try:
            row = fields.decode(record, rows.place)
            fields.vector(record, row, rows.place)
            fields.thumbnail(record, row, rows.place)
        except DamagedError as error:
            yield str(error).partition(";")[0]
        else:
            if not fields.filters_agree(record, row):
                yield f"what filters ask of row {row.row} is not what the row says"
