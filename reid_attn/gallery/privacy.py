"""What a person may ask for: to be forgotten, and to see what is kept of him.

A receipt says what was deleted, how that was proved, and what it cannot reach. Its last line of
defence is the audit log, which holds its hash. Where it is to be written is tried out before
anything is deleted, since nobody can be forgotten a second time.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__, storage
from ..errors import DiskError, ReidError, UsageError, nearest
from .contract import Store
from .filters import EVERYTHING, Where
from .record import Row, attributes_of

RECEIPTS = "receipts"
_ROOM = 2**16  # bytes, more than most receipts have


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
    path = _free_place(store, receipt or _default_receipt(store, action))
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
    _keep(store, action, path, storage.json_text(told))
    return told


def _default_receipt(store: Store, action: str) -> Path:
    """In the folder of the gallery, or in the working folder when the gallery is elsewhere.

    A name that no other receipt has: one of the generation would be that of the last receipt again
    when nothing has expired since.
    """
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    name = f"{action}-{moment}-{secrets.token_hex(3)}.json"
    if Path(store.place).is_dir():
        return Path(store.place) / RECEIPTS / name
    return Path(RECEIPTS) / f"{store.place.rpartition('/')[2]}-{name}"


def _free_place(store: Store, receipt: str | os.PathLike[str]) -> Path:
    """`receipt`, where a file can be written and nothing is; refused while nothing is deleted."""
    path, folder = Path(receipt), Path(os.path.realpath(store.place))
    there = Path(os.path.realpath(path))
    if there.is_relative_to(folder) and not there.is_relative_to(folder / RECEIPTS):
        raise UsageError(
            f"nothing was deleted: {path} is in the folder of the gallery, where only {RECEIPTS}/ "
            "takes receipts: choose another place for this one"
        )
    storage.try_out(path, _ROOM)
    return path


def _keep(store: Store, action: str, path: Path, text: str) -> None:
    """Write the receipt `text`, and its hash into the audit log; else it is in the error."""
    try:
        storage.write_text(path, text)
        digest = storage.sha256(storage.read_bytes(path))
        store.record("receipt", {"of": action, "sha256": digest})
    except ReidError as error:
        raise DiskError(
            f"the erasure is done, and only its receipt could not be kept in {path} "
            f"({error.__cause__ or error}): keep it from here\n{text}"
        ) from error


def _described(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    hidden = ("source", "source_hash", "key", "vector_hash", "thumbnail_hash", "attributes")
    plain = {name: value for name, value in asdict(row).items() if name not in hidden}
    source = os.fsencode(row.source).decode("utf-8", "replace")
    return {**plain, "source": source, "attributes": attributes_of(row.attributes)}
