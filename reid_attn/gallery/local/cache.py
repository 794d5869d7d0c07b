"""The caches: what can be made from the database again, in a form made for searching.

Each is one file with a *stamp*, which says what state of which database it was made from. A cache
of an earlier state of the same database is brought up to date; one of any other is not read. They
may be deleted at any time. This file knows the stamps, and the one of the columns, which has a
SHA-256 over all of it; the index is written by `neighbours/files.py`.
"""

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ... import storage
from ...errors import DataError
from ..record import Meta
from .connection import Connection

INDEX = "index.cache"
COLUMNS = "columns.cache"

State = Literal["fresh", "stale", "absent"]

SMALL = 10_000  # rows up to which a cache is written after every change
SHARE = 20  # of larger galleries, one in so many rows must have changed

_STAMP = struct.Struct("<8sIQ32s32s16sIQ")
_LENGTH = struct.Struct("<Q")  # bytes of the payload
HEAD = _STAMP.size + _LENGTH.size
_SUM = hashlib.sha256().digest_size


class Stamp(NamedTuple):
    """The state that a cache was made from."""

    magic: bytes
    format: int
    generation: int
    change: bytes
    fingerprint: bytes
    distance: bytes
    dimension: int
    rows: int

    def fits(self, meta: Meta) -> bool:
        """Whether it is of a gallery such as `meta`, of this generation or an earlier one."""
        now = stamp(meta)
        same = ("magic", "format", "fingerprint", "distance", "dimension")
        alike = all(getattr(self, name) == getattr(now, name) for name in same)
        return alike and self.generation <= meta.generation

    def plain(self) -> list[int | str]:
        """As JSON has it."""
        return [part.hex() if isinstance(part, bytes) else part for part in self]

    @classmethod
    def of_plain(cls, parts: Sequence[int | str]) -> "Stamp":
        """The stamp of `plain()`."""
        texts = [bytes.fromhex(part) if isinstance(part, str) else part for part in parts]
        return cls(*texts)  # type: ignore[arg-type]


def stamp(meta: Meta) -> Stamp:
    """Of the state `meta`."""
    return Stamp(
        b"reidattn",
        2,
        meta.generation,
        change_digest(meta.change),
        hashlib.sha256(meta.fingerprint.encode()).digest(),
        meta.distance.encode().ljust(16, b"\0"),
        meta.dimension,
        meta.rows,
    )


def change_digest(change: str) -> bytes:
    """How a stamp names a change."""
    return hashlib.sha256(change.encode()).digest()


def is_ours(connection: Connection, stamp: Stamp) -> bool:
    """Whether this very database has been in that state."""
    query = "SELECT change FROM changes WHERE generation = ?"
    changes = connection.execute(query, (stamp.generation,))
    return any(change_digest(change) == stamp.change for (change,) in changes)


def worth_writing(behind: int, rows: int) -> bool:
    """Whether a cache from which `behind` rows differ should be written again."""
    return behind > 0 and (rows <= SMALL or behind * SHARE > rows)


def write(path: Path, stamp: Stamp, payload: bytes) -> None:
    """Replace the file atomically; `DiskError` leaves the old one."""
    head = _STAMP.pack(*stamp) + _LENGTH.pack(len(payload))
    storage.write_bytes(path, head + _sum(head, payload) + payload)


def read(path: Path, meta: Meta) -> tuple[Stamp, bytes] | None:
    """Stamp and payload; `None` on any doubt: absent, unreadable, of another gallery, damaged."""
    try:
        data = storage.read_bytes(path)
    except DataError:
        return None
    head, recorded, payload = data[:HEAD], data[HEAD : HEAD + _SUM], data[HEAD + _SUM :]
    if len(head) < HEAD or recorded != _sum(head, payload):
        return None
    found = Stamp(*_STAMP.unpack_from(head))
    (length,) = _LENGTH.unpack_from(head, _STAMP.size)
    return (found, payload) if found.fits(meta) and length == len(payload) else None


def _sum(head: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(payload)
    return digest.digest()
