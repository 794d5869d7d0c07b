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
import re
import reprlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

from ..errors import DamagedError, DataError

SCHEMA = 4
DISTANCE = "cosine"
DIGEST_BYTES = hashlib.sha256().digest_size
MOST_DAYS = 36_525  # a hundred years
LAST_MOMENT = 253_402_300_799  # of the year 9999, the last that dates can tell
MOST_NUMBERS = 2**28  # of a vector; SQLite takes no longer one
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """From which score on a person counts as known, measured on the gallery's own vectors."""

    threshold: float
    wanted_rate: float
    """The share of unknown persons that was allowed to be accepted."""
    measured_rate: float
    """The share that was accepted among persons that the threshold was not chosen on."""
    detection_rate: float
    """The share of known persons that was accepted and rightly named there."""
    gallery: int
    """Pictures in the gallery then; n times as many have about n times the false matches."""
    unknown_queries: int
    """On which the threshold was chosen."""
    generation: int

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Calibration | None":
        """What a gallery keeps of a calibration; `None` as long as there was none."""
        if not stored:
            return None
        # what was wanted used to be kept under a name that reads like a measurement
        renamed = {"false_match_rate": "wanted_rate"}
        return cls(**{renamed.get(name, name): value for name, value in stored.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The state of a whole gallery; `DataError` for a value that none can have."""

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

    def __post_init__(self) -> None:
        for name, fits in _FITS.items():
            value = getattr(self, name)
            if not fits(value):
                raise DataError(f"{reprlib.repr(value)} is no {name} of a gallery")


Fits = Callable[[Any], bool]


def _whole(least: int, most: int = 2**63 - 1) -> Fits:
    return lambda value: type(value) is int and least <= value <= most


def _none_or(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_unicode(value: Any) -> bool:
    """A text without halves of characters, which has one form in bytes."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _is_hexadecimal(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("([0-9a-f]{2})*", value) is not None


def _is_measured(value: Any) -> bool:
    """The fields of a `Calibration`, all of them finite numbers."""
    try:
        Calibration.of(value)
        numbers = list(value.values())
    except (TypeError, AttributeError):
        return False
    return bool(numbers) and all(
        (type(n) is int or isinstance(n, float)) and -(2.0**63) <= n < 2.0**63 for n in numbers
    )


_FITS: dict[str, Fits] = {
    **dict.fromkeys(("purpose", "controller", "run", "created", "versions", "host"), _is_text),
    **dict.fromkeys(("fingerprint", "distance", "change"), _is_unicode),
    **dict.fromkeys(("schema", "generation", "rows", "pid"), _whole(0)),
    "dimension": _whole(1, MOST_NUMBERS),
    "keep_days": _none_or(_whole(1, MOST_DAYS)),
    "until": _none_or(_whole(0, LAST_MOMENT)),
    "pictures": lambda value: isinstance(value, bool),
    "salt": _is_hexadecimal,
    "calibration": _none_or(_is_measured),
}
"""What the value of each field of `Meta` must be: who forges one forges its checksum as well."""


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


def attributes_of(text: str) -> dict[str, Any]:
    """The attributes of a row; `DamagedError` when `text` is not what `attributes_text` writes."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DamagedError(
            f"the attributes {reprlib.repr(text)} of a row are no JSON object: the gallery is "
            "damaged, and 'reid-attn gallery verify' names the row"
        )
    return found


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
