"""What a person may ask for: to be forgotten, and to see what is kept of him.

A receipt says what was deleted, how that was proved, and what it cannot reach. Its last line of
defence is the audit log, which holds its hash.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import __version__, storage
from ..errors import UsageError, nearest
from .contract import Store
from .filters import EVERYTHING, Where
from .record import Row

RECEIPTS = "receipts"


def rows_of(store: Store, person: str) -> list[Row]:
    """All rows of a person, expired or not; `UsageError` when there are none."""
    rows = store.rows(Where(persons=frozenset([person]), expired=None))
    if not rows:
        others = {row.person for row in store.rows(EVERYTHING) if row.person}
        raise UsageError(f"there is no person {person!r} in {store.place}{nearest(person, others)}")
    return rows


def forget(store: Store, person: str, receipt: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Erase a person and refuse the sources from now on; returns the receipt."""
    rows = rows_of(store, person)
    return _erase(store, rows, "forget", True, receipt)


def expire(store: Store, receipt: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Erase what has expired; its sources may come back. The receipt may count no rows."""
    return _erase(store, store.rows(Where(expired=True)), "expire", False, receipt)


def export(store: Store, person: str, folder: Path) -> dict[str, Any]:
    """Rows with vectors, thumbnails, and the searches that returned them, in a new folder."""
    with storage.new_folder(folder) as unfinished:
        rows = rows_of(store, person)
        numbers = [row.row for row in rows]
        vectors, thumbnails = store.vectors(numbers), store.thumbnails(numbers)
        searches = [line for line in store.history() if _found(line, set(numbers))]
        described = [
            {**_described(row), "vector": vector.tolist()}
            for row, vector in zip(rows, vectors, strict=True)
        ]
        for row, picture in zip(rows, thumbnails, strict=True):
            if picture is not None:
                storage.write_bytes(unfinished / f"{row.row}.jpg", picture)
        found = {"person": person, "rows": described, "searches": searches}
        storage.write_json(unfinished / "person.json", found)
    store.record("export", {"rows": numbers})
    pictures = sum(picture is not None for picture in thumbnails)
    return {"rows": len(rows), "pictures": pictures, "searches": len(searches)}


def _found(line: Mapping[str, Any], numbers: set[int]) -> bool:
    """Whether a line of the audit log is of a search that returned one of these rows."""
    try:
        answers = line["answers"] if line["action"] == "search" else ()
        return any(numbers.intersection(answer["rows"]) for answer in answers)
    except (KeyError, TypeError):  # a damaged line: `verify` names it
        return False


def _erase(
    store: Store,
    rows: Sequence[Row],
    action: str,
    block: bool,
    receipt: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    meta = store.meta()
    done = store.erase([row.row for row in rows], action, block)
    told = {
        "action": action,
        "gallery": store.place,
        "purpose": meta.purpose,
        "controller": meta.controller,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "rows": [row.row for row in rows],
        "thumbnails": sum(row.thumbnail_hash is not None for row in rows),
        "sources_refused_from_now_on": len({row.source_hash for row in rows}) if block else 0,
        "generation": store.meta().generation,
        "reid_attn": __version__,
        **done.proof,
        "not_reached": list(done.unreachable),
    }
    path = Path(receipt or _default_receipt(store, action, told["generation"]))
    storage.write_json(path, told)
    digest = sha256(storage.read_bytes(path)).hexdigest()
    store.record("receipt", {"of": action, "sha256": digest})
    return told


def _default_receipt(store: Store, action: str, generation: int) -> Path:
    """In the folder of the gallery, or in the working folder when the gallery is elsewhere."""
    name = f"{action}-{generation:06d}.json"
    if Path(store.place).is_dir():
        return Path(store.place) / RECEIPTS / name
    return Path(RECEIPTS) / f"{store.place.rpartition('/')[2]}-{name}"


def _described(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    hidden = ("source", "source_hash", "key", "vector_hash", "thumbnail_hash", "attributes")
    plain = {name: value for name, value in asdict(row).items() if name not in hidden}
    source = os.fsencode(row.source).decode("utf-8", "replace")
    attributes = json.loads(row.attributes)
    return {**plain, "source": source, "attributes": attributes}
