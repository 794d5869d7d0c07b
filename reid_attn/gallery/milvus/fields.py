"""The two collections of a gallery, and what a row is in them.

A row is kept whole as JSON with its SHA-256; what filters ask for stands beside it in fields of its
own. Texts are asked for by 63-bit digests of them, so that no name needs quoting, and no number
needs a sign, in an expression.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ...errors import DamagedError, DataError
from ..record import Row, attributes_of, checksum
from .link import Link, Record

NEVER = 2**63 - 1
UNKNOWN = -1.7976931348623157e308
"""The time of a row without one; the smallest there is, and in no window."""
TEXT = 65_535  # bytes of one text that Milvus takes
ATTRIBUTES = 1024
STATE = "_state"
"""What follows a gallery's name in the name of its second collection."""

PLAIN = ("row", "record", "checksum")
VECTOR = (*PLAIN, "vector")
THUMBNAIL = (*PLAIN, "thumbnail")
ALL = (*PLAIN, "vector", "thumbnail")

_BYTES = {"source", "source_hash", "key", "vector_hash", "thumbnail_hash"}


def make_collections(link: Link, name: str, dimension: int) -> None:
    """Create both; the one of the state last, since without it there is no gallery."""
    from pymilvus import DataType

    schema = link.client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    for field in ("camera", "person", "track", "expiry"):
        schema.add_field(field, DataType.INT64)
    schema.add_field("time", DataType.DOUBLE)
    schema.add_field(
        "attributes", DataType.ARRAY, element_type=DataType.INT64, max_capacity=ATTRIBUTES
    )
    for field, length in (("key", 64), ("checksum", 64), ("record", TEXT), ("thumbnail", TEXT)):
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    _make(link, name, schema)

    schema = link.client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=128)
    for field, length in (("kind", 16), ("checksum", 64), ("text", TEXT)):
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)  # no collection is without one
    _make(link, name + STATE, schema)


def _make(link: Link, collection: str, schema: Any) -> None:
    index = link.client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    with link.explained():
        link.client.create_collection(
            collection, schema=schema, index_params=index, consistency_level="Strong"
        )


def encode(row: Row, vector: bytes, thumbnail: bytes | None) -> Record:
    """The record of a row; `DataError` for what Milvus cannot hold."""
    described = {
        name: value.hex() if name in _BYTES and value is not None else value
        for name, value in asdict(row).items()
    }
    attributes = attributes_of(row.attributes)
    record = {
        "row": row.row,
        "vector": np.frombuffer(vector, "<f4"),
        "camera": digest(row.camera),
        "person": digest(row.person),
        "track": track_digest(row.camera, row.track),
        "expiry": NEVER if row.expiry is None else row.expiry,
        "time": UNKNOWN if row.time is None else row.time,
        "attributes": [attribute_digest(key, value) for key, value in attributes.items()],
        "key": row.key.hex(),
        "checksum": _sum(row).hex(),
        "record": json.dumps(described, separators=(",", ":")),
        "thumbnail": base64.b64encode(thumbnail or b"").decode(),
    }
    _check_size(row, record)
    return record


def decode(record: Mapping[str, Any], place: str) -> Row:
    """The row of a record; `DamagedError` when it is not as it was written."""
    row, found = None, ""
    try:
        described = json.loads(record["record"])
        values: dict[str, Any] = {
            name: bytes.fromhex(value) if name in _BYTES and value is not None else value
            for name, value in described.items()
        }
        row = Row(**values)
        found = _sum(row).hex()
    except (ValueError, TypeError, AttributeError, DataError):
        pass
    if row is None or row.row != record["row"] or found != record["checksum"]:
        raise damaged(place, f"row {record['row']}")
    return row


def vector(record: Mapping[str, Any], row: Row, place: str) -> bytes:
    """The vector of a record, little-endian float32, verified against its row."""
    found = np.asarray(record["vector"], "<f4").tobytes()
    if checksum((found,)) != row.vector_hash:
        raise damaged(place, f"the vector of row {row.row}")
    return found


def thumbnail(record: Mapping[str, Any], row: Row, place: str) -> bytes | None:
    """The thumbnail of a record, verified against its row; `None` where there is none."""
    try:
        found = base64.b64decode(record["thumbnail"]) or None
    except ValueError:
        found = b""
    if (None if found is None else checksum((found,))) != row.thumbnail_hash:
        raise damaged(place, f"the thumbnail of row {row.row}")
    return found


def filters_agree(record: Mapping[str, Any], row: Row) -> bool:
    """Whether the fields that filters ask for say what the row says."""
    expected = encode(row, b"", None)
    names = ("camera", "person", "track", "expiry", "time", "key")
    same = all(record[name] == expected[name] for name in names)
    return same and sorted(record["attributes"]) == sorted(expected["attributes"])


FILTERS = ("camera", "person", "track", "expiry", "time", "key", "attributes")


def damaged(place: str, part: str) -> DamagedError:
    """The error that names `part`."""
    return DamagedError(
        f"{place} is damaged: {part} is not as it was written; bring it back from a backup, or "
        "make the gallery again from its pictures"
    )


def digest(*values: object) -> int:
    """63 bits of the SHA-256 of `values`."""
    return int.from_bytes(checksum(values)[:8], "big") >> 1


def track_digest(camera: int, track: str) -> int:
    """The digest of a track; negative for a row that stands alone at its camera."""
    found = digest(camera, track)
    return found if track else -1 - found


def attribute_digest(key: str, value: object) -> int:
    """The digest of an attribute: 1.0 is 1, and true is not."""
    kind = "bool" if isinstance(value, bool) else ""
    return digest(key, kind, json.dumps(_plain(value), sort_keys=True))


def _plain(value: Any) -> Any:
    """`value` with equal numbers written alike, as Python compares them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _sum(row: Row) -> bytes:
    return checksum(getattr(row, field.name) for field in fields(Row))


def _check_size(row: Row, record: Record) -> None:
    for name in ("record", "thumbnail"):
        if len(record[name]) > TEXT:
            what = "thumbnail" if name == "thumbnail" else "text (names, source, attributes)"
            remedy = (
                "make the gallery with --no-pictures"
                if name == "thumbnail"
                else "shorten its attributes"
            )
            raise DataError(
                f"the {what} of {row.source!r} needs {len(record[name])} bytes and Milvus takes "
                f"{TEXT}: {remedy}"
            )
    if len(record["attributes"]) > ATTRIBUTES:
        raise DataError(f"{row.source!r} has more than {ATTRIBUTES} attributes: leave some out")


def size_of(dimension: int, pictures: bool) -> int:
    """About how many bytes a record has on its way."""
    return 4 * dimension + (20_000 if pictures else 0) + 2_000


def numbers(records: Iterable[Mapping[str, Any]]) -> list[int]:
    """The row numbers of records, ascending."""
    return sorted(int(record["row"]) for record in records)
