"""The caches: what can be made from the database again, in a form made for searching.

Each is one file. Its head is a *stamp*, which says what state of which database it was made from,
and a SHA-256 over all the rest of the file. A cache of an earlier state of the same database is
brought up to date; one of any other is not read. They may be deleted at any time.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ... import storage
from ...errors import DataError
from ..record import Meta

INDEX = "index.cache"
COLUMNS = "columns.cache"

State = Literal["fresh", "stale", "absent"]

_STAMP = struct.Struct("<8sIQ32s32s16sIQ")
_FIGURES = struct.Struct("<dQ")  # seconds that the making took, bytes of the payload
HEAD = _STAMP.size + _FIGURES.size
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


@dataclass(frozen=True, slots=True)
class Cache:
    """What a file holds."""

    stamp: Stamp
    payload: bytes
    seconds: float
    """That making it took."""


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


def write(path: Path, cache: Cache) -> None:
    """Replace the file atomically; `DiskError` leaves the old one."""
    head = _STAMP.pack(*cache.stamp) + _FIGURES.pack(cache.seconds, len(cache.payload))
    storage.write_bytes(path, head + _sum(head, cache.payload) + cache.payload)


def read(path: Path, meta: Meta) -> Cache | None:
    """The content; `None` on any doubt: absent, unreadable, of another gallery, or damaged."""
    try:
        data = storage.read_bytes(path)
    except DataError:
        return None
    head, recorded, payload = data[:HEAD], data[HEAD : HEAD + _SUM], data[HEAD + _SUM :]
    found = _described(head)
    if found is None or not found[0].fits(meta) or recorded != _sum(head, payload):
        return None
    return Cache(found[0], payload, found[1]) if found[2] == len(payload) else None


def state(path: Path, meta: Meta) -> tuple[State, float | None]:
    """What the head says, and the seconds that the making took, if it is of this very state."""
    try:
        with path.open("rb") as file:
            found = _described(file.read(HEAD))
    except OSError:
        return "absent", None
    if found is None or found[0] != stamp(meta):
        return "stale", None
    return "fresh", found[1]


def _described(head: bytes) -> tuple[Stamp, float, int] | None:
    if len(head) < HEAD:
        return None
    return Stamp(*_STAMP.unpack_from(head)), *_FIGURES.unpack_from(head, _STAMP.size)


def _sum(head: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(payload)
    return digest.digest()
