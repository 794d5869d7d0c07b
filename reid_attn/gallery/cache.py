"""The index cache: the vectors in a form made for searching, worth nothing without their database.

One file, because two can disagree. Its head is a *stamp*, which says what state of which database
the index was built from, and a SHA-256 over all the rest of the file. A cache is used only if its
stamp is, byte for byte, that of the database as it is now. It may be deleted at any time.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from .. import storage
from ..errors import DamagedError, DataError
from ..neighbours import ExactIndex
from .contract import CacheState
from .record import Meta

NAME = "index.cache"

_STAMP = struct.Struct("<8sIQ32s32s16sIQ")
_FIGURES = struct.Struct("<dQ")  # seconds that the build took, bytes of the index
_HEAD = _STAMP.size + _FIGURES.size
_SUM = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Built:
    """An index, the stamp of what it was built from, and the seconds that this took."""

    index: ExactIndex
    stamp: bytes
    seconds: float


def stamp(meta: Meta) -> bytes:
    """Magic, format, generation, change, fingerprint, distance, dimension, number of rows."""
    change, fingerprint = (hashlib.sha256(t.encode()) for t in (meta.change, meta.fingerprint))
    return _STAMP.pack(
        b"reidattn",
        1,
        meta.generation,
        change.digest(),
        fingerprint.digest(),
        meta.distance.encode(),
        meta.dimension,
        meta.rows,
    )


def write(folder: Path, built: Built) -> None:
    """Replace the cache of the gallery in `folder` atomically; `DiskError` leaves the old one."""
    payload = built.index.to_bytes()
    head = built.stamp + _FIGURES.pack(built.seconds, len(payload))
    storage.write_bytes(folder / NAME, head + _sum(head, payload) + payload)


def read(folder: Path, meta: Meta) -> Built | None:
    """The cached index; `None` on any doubt: absent, unreadable, of another state, or damaged."""
    try:
        data = storage.read_bytes(folder / NAME)
    except DataError:
        return None
    head, recorded, payload = data[:_HEAD], data[_HEAD : _HEAD + _SUM], data[_HEAD + _SUM :]
    if not head.startswith(stamp(meta)) or recorded != _sum(head, payload):
        return None
    seconds, length = _FIGURES.unpack_from(head, _STAMP.size)
    try:
        index = ExactIndex.from_bytes(payload)
    except DamagedError:  # sound, but written by a library that this one cannot read
        return None
    return (
        Built(index, stamp(meta), seconds)
        if (length, len(index)) == (len(payload), meta.rows)
        else None
    )


def state(folder: Path, meta: Meta) -> tuple[CacheState, float | None]:
    """What the head of the cache says, and the seconds that the build took, if it is fresh."""
    try:
        with (folder / NAME).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "absent", None
    if len(head) < _HEAD or not head.startswith(stamp(meta)):
        return "stale", None
    return "fresh", _FIGURES.unpack_from(head, _STAMP.size)[0]


def _sum(head: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(payload)
    return digest.digest()
