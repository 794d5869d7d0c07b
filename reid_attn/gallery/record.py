"""What the database holds, and the checksum over each of its records."""

import hashlib
import operator
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import SupportsIndex

from ..errors import DataError

SCHEMA = 1
DISTANCE = "cosine"

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum BLOB NOT NULL)"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE people (row_id INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL,"
    " camera INTEGER NOT NULL, time INTEGER NOT NULL, source BLOB NOT NULL,"
    " source_hash BLOB NOT NULL, expiry INTEGER, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
    " STRICT",
    "CREATE TABLE refused (salted_hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
)
"""`meta` has a record for each field of `Meta`, `people` the columns of `Row` in their order."""
SQLITE_OWN = "CREATE TABLE sqlite_sequence(name,seq)"  # the last row number ever given


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture on its way into the gallery; `vector` holds little-endian float32."""

    person: str
    camera: int
    source: bytes
    source_hash: bytes
    vector: bytes

    @property
    def key(self) -> tuple[bytes, str, int]:
        """Two entries of one key are the same picture of the same person and camera."""
        return self.source_hash, self.person, self.camera


@dataclass(frozen=True, slots=True)
class Row:
    """One picture in the gallery. Times are seconds since 1970, UTC."""

    row_id: int
    person: str
    camera: int
    time: int
    source: bytes
    source_hash: bytes
    expiry: int | None
    vector: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The state of the whole gallery, one record per field."""

    fingerprint: str
    dimension: int
    purpose: str
    run: str
    keep_days: int | None
    created: str
    schema: int = SCHEMA
    distance: str = DISTANCE
    generation: int = 0
    change: str = ""
    """Drawn anew by every change, so that a restored or remade database never passes for this."""
    rows: int = 0
    versions: str = ""
    pid: int = 0
    host: str = ""


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


def checksum(columns: Iterable[object]) -> bytes:
    """SHA-256 over type, length and content of each column, so that no two records encode alike."""
    digest = hashlib.sha256()
    for column in columns:
        content = (
            column if isinstance(column, bytes) else str(column).encode("utf-8", "surrogateescape")
        )
        digest.update(f"{type(column).__name__} {len(content)} ".encode())
        digest.update(content)
    return digest.digest()
