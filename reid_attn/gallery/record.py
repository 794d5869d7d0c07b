"""What a gallery keeps: entries on their way in, rows, and the state of the whole."""

import hashlib
import json
import operator
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

from ..errors import DataError

SCHEMA = 3
DISTANCE = "cosine"
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture on its way into a gallery, checked; `vector` is little-endian float32."""

    person: str
    """Empty as long as nobody knows."""
    name: str = ""
    camera: int
    time: float | None = None
    track: str = ""
    source: bytes
    source_hash: bytes
    """SHA-256 of the content, and of the box where the picture is a part of it."""
    attributes: str = "{}"
    vector: bytes
    thumbnail: bytes | None = None

    @property
    def key(self) -> bytes:
        """Two entries of one key are the same sighting, whoever it is later found to be."""
        return entry_key(self.source_hash, self.person, self.camera, self.time, self.track)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One picture in a gallery, read and verified. Times are seconds since 1970, UTC."""

    row: int
    """Its number, from 1; never given twice."""
    person: str
    """The key of its person; empty as long as nobody knows."""
    name: str
    """What people call the person; may be empty, and changes without the key."""
    camera: int
    time: float | None
    """When it was taken, if known."""
    track: str
    """The tracker's number within the camera; empty when it stands alone."""
    source: bytes
    source_hash: bytes
    key: bytes
    attributes: str
    """A JSON object, keys sorted."""
    added: int
    expiry: int | None
    vector_hash: bytes
    thumbnail_hash: bytes | None
    changed: int
    """The generation that wrote it last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The state of a whole gallery."""

    fingerprint: str
    dimension: int
    purpose: str
    controller: str
    """Who answers for the gallery."""
    run: str
    keep_days: int | None
    until: int | None
    """The end of the gallery: no row outlives it."""
    created: str
    pictures: bool
    """Whether thumbnails are kept."""
    salt: str
    """Of the hashes of erased sources, hexadecimal."""
    calibration: dict[str, Any] | None = None
    """What `calibrate` measured; see `calibration.py`."""
    schema: int = SCHEMA
    distance: str = DISTANCE
    generation: int = 0
    """Grows by one with every change."""
    change: str = ""
    """Drawn anew by every change, so that a restored or remade gallery never passes for this."""
    rows: int = 0
    versions: str = ""
    pid: int = 0
    host: str = ""


def entry_key(
    source_hash: bytes, person: str, camera: int, time: float | None, track: str
) -> bytes:
    """SHA-256 over what tells one sighting from another, as they were when it was added."""
    return checksum((source_hash, person, camera, time, track))


def person_name(name: str) -> str:
    """`name` as it is stored: in Unicode's form NFC, so that macOS and Linux agree on a person."""
    try:
        storable = bool(name.encode())
    except (AttributeError, UnicodeEncodeError):
        storable = False
    if not storable:
        raise DataError(
            f"the person {name!r} cannot be stored: a name is a text of at least one character, "
            "without bytes that are not UTF-8"
        )
    return unicodedata.normalize("NFC", name)


def camera_number(camera: SupportsIndex) -> int:
    """`camera` as a plain integer of 64 bits."""
    try:
        number = operator.index(camera)
    except TypeError:
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise DataError(f"the camera {camera!r} cannot be stored: it must be a 64-bit integer")
    return number


def attributes_text(attributes: Attributes | None) -> str:
    """A JSON object with sorted keys; `DataError` for anything else."""
    try:
        if not all(isinstance(key, str) for key in attributes or {}):
            raise TypeError("a key is not text")
        text = json.dumps(
            dict(attributes or {}), sort_keys=True, allow_nan=False, separators=(",", ":")
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"the attributes {attributes!r} are no JSON object ({error})") from error
    return text


def checksum(columns: Iterable[object]) -> bytes:
    """SHA-256 over type, length and content of each column, so that no two records encode alike."""
    parts = []
    for column in columns:
        content = (
            column if isinstance(column, bytes) else str(column).encode("utf-8", "surrogateescape")
        )
        parts += [f"{type(column).__name__} {len(content)} ".encode(), content]
    return hashlib.sha256(b"".join(parts)).digest()
