"""What a gallery keeps: entries on their way in, rows, and the state of the whole.

Values arrive as whatever behaves like text, bytes or numbers: numpy's scalars, members of an enum.
The functions here make plain ones of them, or refuse. Only those are stored, since a checksum names
the type and a value must come back as the one that went in.
"""

import hashlib
import json
import math
import operator
import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

from ..errors import DataError

SCHEMA = 4
DISTANCE = "cosine"
DIGEST_BYTES = hashlib.sha256().digest_size
Attributes = Mapping[str, Any]

_PLAIN = {str, bytes, int, float, type(None)}


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
    """The key or name of a person as it is stored; `DataError` for an empty one."""
    return _text(name, "person")


def track_number(track: str | None) -> str:
    """A tracker's number as it is stored; empty for a picture that stands alone."""
    return "" if track is None or track == "" else _text(track, "track")


def _text(text: str, what: str) -> str:
    """A plain text in Unicode's form NFC, so that macOS and Linux agree on a person."""
    try:
        encoded = str.encode(text)  # the content, also of a text with a type of its own
    except (TypeError, UnicodeEncodeError):
        encoded = b""
    if not encoded:
        raise DataError(
            f"the {what} {text!r} cannot be stored: it must be a text of at least one character, "
            "without bytes that are not UTF-8"
        )
    return unicodedata.normalize("NFC", encoded.decode())


def source_name(source: str | bytes | os.PathLike[str]) -> bytes:
    """A file name as its bytes."""
    try:
        return bytes(os.fsencode(source))
    except (TypeError, UnicodeEncodeError) as error:
        raise DataError(f"the source {source!r} cannot be stored: it is no file name") from error


def source_digest(digest: bytes) -> bytes:
    """The SHA-256 of a source: exactly 32 bytes."""
    if not isinstance(digest, bytes | bytearray | memoryview) or len(bytes(digest)) != DIGEST_BYTES:
        raise DataError(
            f"the hash {digest!r} cannot be stored: it must be a SHA-256 digest, {DIGEST_BYTES} "
            "bytes"
        )
    return bytes(digest)


def camera_number(camera: SupportsIndex) -> int:
    """`camera` as a plain integer of 64 bits."""
    try:
        number = int(operator.index(camera))
    except TypeError:
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise DataError(f"the camera {camera!r} cannot be stored: it must be a 64-bit integer")
    return number


def stored_camera(camera: SupportsIndex) -> int:
    """The camera of a picture on its way in; `DataError` for a negative number, which means none.

    Filters take one (`camera_number`): earlier versions let it in.
    """
    number = camera_number(camera)
    if number < 0:
        raise DataError(f"the camera {number} cannot be stored: cameras are numbered from 0 on")
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


def attribute_value(text: str) -> Any:
    """The value that is written as `text`: JSON of a number, a truth value or a text, or itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    plain = isinstance(value, int | str) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else text


def checksum(columns: Iterable[object]) -> bytes:
    """SHA-256 over type, length and content of each column, so that no two records encode alike.

    `DataError` for a column that would come back as another type than it has now.
    """
    parts = []
    for column in columns:
        if type(column) not in _PLAIN:
            raise DataError(
                f"{column!r} of type {type(column).__name__} cannot be stored: only plain texts, "
                "bytes and numbers can"
            )
        content = (
            column if isinstance(column, bytes) else str(column).encode("utf-8", "surrogateescape")
        )
        parts += [f"{type(column).__name__} {len(content)} ".encode(), content]
    return hashlib.sha256(b"".join(parts)).digest()
