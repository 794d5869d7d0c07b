"""Texts of any length under names: what a gallery keeps beside its rows.

Milvus takes texts of 65,535 bytes, so that a longer one is cut. Its first part says how many there
are and the SHA-256 of the whole; a text that a killed process left incomplete is not there.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from .fields import STATE, damaged
from .link import Link

_PART = 60_000  # characters, all ASCII
_SIZE = 61_000  # bytes of a record
_FIELDS = ("id", "kind", "checksum", "text")


class Notes:
    """The notes of one gallery."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._collection = link.address.name + STATE

    def put(self, texts: Mapping[str, str], kind: str = "") -> None:
        """Write notes, in the place of any with the same names."""
        records = [
            {
                "id": f"{name}/{place}",
                "kind": kind,
                "checksum": _sum(f"{name}/{place}", kind, part),
                "text": part,
                "vector": [1.0, 0.0],
            }
            for name, text in texts.items()
            for place, part in enumerate(_cut(text))
        ]
        self._link.upsert(self._collection, records, _SIZE)

    def get(self, names: Iterable[str]) -> dict[str, str]:
        """The notes of these names that are there, whole."""
        wanted = list(names)
        first = self._by_ids([f"{name}/0" for name in wanted])
        more = [
            f"{name}/{place}"
            for name in wanted
            if f"{name}/0" in first
            for place in range(1, _parts(first[f"{name}/0"]))
        ]
        return _joined({**first, **self._by_ids(more)}, wanted)

    def of_kind(self, kind: str) -> dict[str, str]:
        """All notes of one kind, by name."""
        expression = f'kind == "{kind}"'
        parts = self._checked(self._link.query(self._collection, expression, _FIELDS))
        return _joined(parts, [name.rpartition("/")[0] for name in parts if name.endswith("/0")])

    def drop(self, name: str) -> None:
        """Delete a note; one that is not there is no error."""
        first = self._by_ids([f"{name}/0"])
        count = _parts(first[f"{name}/0"]) if first else 0
        ids = [f"{name}/{place}" for place in range(count)]
        self._link.delete(self._collection, "id", ids)

    def drop_short(self, names: Iterable[str]) -> None:
        """Delete notes of one part."""
        self._link.delete(self._collection, "id", [f"{name}/0" for name in names])

    def _by_ids(self, ids: list[str]) -> dict[str, str]:
        return self._checked(self._link.get(self._collection, "id", ids, _FIELDS, _SIZE))

    def _checked(self, records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        found = {}
        for record in records:
            if _sum(record["id"], record["kind"], record["text"]) != record["checksum"]:
                raise damaged(str(self._link.address), f"the note {record['id']!r}")
            found[str(record["id"])] = str(record["text"])
        return found


def _cut(text: str) -> Iterator[str]:
    parts = [text[start : start + _PART] for start in range(0, len(text), _PART)] or [""]
    yield f"{len(parts)} {sha256(text.encode()).hexdigest()} {parts[0]}"
    yield from parts[1:]


def _parts(first: str) -> int:
    return int(first.partition(" ")[0])


def _joined(parts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        if f"{name}/0" not in parts:
            continue
        count, recorded, first = parts[f"{name}/0"].split(" ", 2)
        text = first + "".join(parts.get(f"{name}/{n}", "") for n in range(1, int(count)))
        if sha256(text.encode()).hexdigest() == recorded:
            found[name] = text
    return found


def _sum(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()
