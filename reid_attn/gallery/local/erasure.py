"""Deleting beyond recovery, and the proof of it.

SQLite keeps what was deleted in free pages unless `secure_delete` is on, in the main file until the
log is folded into it, and in the log until that is emptied; where it moved rows to other pages, old
copies stay in the gaps of pages that are in use, until the file is written anew; the caches hold
copies. Each step here is needed, and the last one looks through the bytes of every file.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ... import storage
from ...errors import DamagedError, DiskError, LockedError, UsageError
from . import cache, changes, connection, corrections, records, scan
from .connection import Connection

MOST_PIECES = 1_000_000
_DISTINCT = 12  # different bytes of a piece that can be told from padding
_NOTHING = "nothing was deleted"
_UNFINISHED = "the rows are deleted, not yet erased"
_SCAN_DATA = b"\xff\xda"  # JPEG: what comes before it is alike in all pictures

_CACHES = [form for name in (cache.INDEX, cache.COLUMNS) for form in (name, f".{name}.*.tmp")]
"""The caches, and what somebody is writing for them."""
_OURS = (*(connection.NAME + end for end in ("", "-wal", "-shm", "-journal")), *_CACHES)
"""The files of a gallery that may hold a picture's numbers."""

UNREACHABLE = (
    "backups and copies of the gallery that were made before",
    "vectors and pictures that were exported or sent elsewhere",
    "blocks of the disk that the file system has given up, and its snapshots",
    "memory of other processes that have this gallery open, until their next search",
    "weights of a network that was trained with pictures of this person",
    "the same picture with other bytes: the block-list knows the content that was added",
)


def pieces(link: Connection, numbers: Sequence[int], dimension: int) -> list[bytes]:
    """What must not be found any more: parts of the rows' vectors, pictures and hashes.

    A long vector is stored on several pages, so that it is looked for in pieces. Those that are
    made of few different bytes, such as zeros, and what all JPEG files share are left out.
    """
    rows = records.get(link, numbers)
    share = max(4, MOST_PIECES // max(1, 2 * len(rows)))
    vectors, thumbnails = records.vectors(link, rows, dimension), records.thumbnails(link, rows)
    query = 'SELECT "row", vector FROM staged WHERE "row" IN ({})'
    staged = dict(link.by_numbers(query, numbers))
    found: dict[bytes, None] = {}
    for row, vector, picture in zip(rows, vectors, thumbnails, strict=True):
        content = (picture or b"").partition(_SCAN_DATA)[2]
        other = staged.get(row.row, b"")
        hashes = [row.source_hash, row.key, row.vector_hash, row.thumbnail_hash or b""]
        for text in (vector.astype("<f4").tobytes(), other, content, *hashes):
            found.update(dict.fromkeys(list(_cut(text))[:share]))
    return list(found)


def _cut(text: bytes) -> Iterator[bytes]:
    for start in range(0, len(text) - scan.PIECE + 1, scan.PIECE):
        piece = text[start : start + scan.PIECE]
        if len(set(piece)) >= _DISTINCT:
            yield piece


def delete(link: Connection, numbers: Sequence[int], action: str, block: bool) -> None:
    """Delete the rows, and refuse their sources from now on if `block`."""
    if link.value("PRAGMA secure_delete") != 1:
        raise DiskError(f"{link.path} cannot be erased from: SQLite's secure_delete is not on")
    with changes.changing(link) as meta:
        rows = records.get(link, numbers)
        if block:
            changes.block(link, meta, rows)
            corrections.forget(link, rows)
        changes.delete(link, meta, rows, action)


def remove_caches(folder: Path) -> None:
    """Remove the caches, and what somebody was writing for them."""
    for form in _CACHES:
        for path in folder.glob(form):
            storage.remove(path)


def refuse_readers(link: Connection) -> None:
    """`LockedError` before anything is deleted when somebody has been reading for long.

    The log can only be emptied when nobody reads it, and whether that is so shows when there is
    something in it: a number that we do not use, written as it was.
    """
    with link.transaction("IMMEDIATE"):
        link.execute("PRAGMA user_version = 0")
    _empty_log(link, _NOTHING, "run the command again when nobody is")


def rewrite(link: Connection) -> None:
    """Write the file anew from the rows that stay; needs its size again in memory and on the disk.

    The log is emptied before, too: what is deleted is then overwritten where it was, before the
    file becomes shorter.
    """
    empty_log(link)
    try:
        link.rewrite()
    except LockedError as error:
        raise LockedError(
            f"{_UNFINISHED}: somebody has been writing to {link.path} for "
            f"{connection.BUSY_SECONDS} s; run `gallery expire` when nobody is"
        ) from error
    except (DiskError, MemoryError) as error:
        reason = error.__cause__ or "out of memory"
        raise DiskError(
            f"{_UNFINISHED}: {link.path} could not be written anew ({reason}); free as much of the "
            "disk and of memory as it takes now, and run `gallery expire`"
        ) from error
    empty_log(link)


def empty_log(link: Connection) -> None:
    """Fold the write-ahead log into the file and empty it, when the last reader lets go."""
    _empty_log(link, _UNFINISHED, "run `gallery expire` when nobody is")


def _empty_log(link: Connection, state: str, remedy: str) -> None:
    limit = time.monotonic() + connection.BUSY_SECONDS
    while not link.checkpoint():
        if time.monotonic() > limit:
            raise LockedError(
                f"{state}: somebody has been reading {link.path} for {connection.BUSY_SECONDS} s; "
                f"{remedy}"
            )
        time.sleep(0.05)


def look_again(folder: Path, sought: Sequence[bytes]) -> dict[str, Any]:
    """As `look_through`, when the rows are deleted."""
    return look_through(folder, sought, _UNFINISHED, "run `gallery expire`")


def look_through(
    folder: Path,
    sought: Sequence[bytes],
    state: str = _NOTHING,
    remedy: str = "run the command again",
) -> dict[str, Any]:
    """What `scan.py` finds in the folder; `DiskError` tells `state` and `remedy`."""
    program = [sys.executable, str(Path(scan.__file__)), str(folder)]
    done = subprocess.run(program, input=b"".join(sought), capture_output=True)  # noqa: S603
    if done.returncode:
        raise DiskError(
            f"{state}: the files of {folder} could not be looked through "
            f"({done.stderr.decode(errors='replace').strip()[-200:]}); {remedy}"
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def refuse_copies(folder: Path, before: dict[str, Any]) -> None:
    """`UsageError` before anything is deleted when a file that is not ours holds pieces."""
    copies = [
        name
        for name, file in before["files"].items()
        if file["pieces"] and not any(fnmatchcase(name, form) for form in _OURS)
    ]
    if copies:
        raise UsageError(
            f"{_NOTHING}: {folder / copies[0]} holds a copy of what is to be erased; take "
            "it out of the folder, where only the gallery can be erased, and run the command again"
        )


def unexplained(link: Connection, sought: Sequence[bytes], found: Sequence[int]) -> int:
    """How many of the pieces that were found are not of rows that stay, such as a copy's."""
    left = {sought[place] for place in found}
    queries = (
        "SELECT vector FROM vectors",
        "SELECT picture FROM thumbnails",
        "SELECT source_hash FROM people",
        "SELECT key FROM people",
        "SELECT vector_hash FROM people",
        "SELECT thumbnail_hash FROM people WHERE thumbnail_hash IS NOT NULL",
    )
    for query in queries if left else ():
        for (text,) in link.execute(query):
            left -= {piece for piece in left if piece in text}
    return len(left)


def proof(before: dict[str, Any], after: dict[str, Any], sought: int) -> dict[str, Any]:
    """The figures of the receipt."""
    names = sorted({*before["files"], *after["files"]})
    files = [
        {"name": name, "before": before["files"].get(name), "after": after["files"].get(name)}
        for name in names
    ]
    return {
        "pieces": sought,
        "pieces_found_before": len(before["found"]),
        "pieces_found_after": 0,
        "bytes_scanned": sum(file["bytes"] for file in after["files"].values()),
        "files": files,
    }


def refuse_leftovers(folder: Path, after: dict[str, Any], count: int) -> None:
    """`DamagedError` when something is left."""
    if count:
        names = ", ".join(name for name, file in after["files"].items() if file["pieces"])
        raise DamagedError(
            f"the rows are deleted, but {count} pieces of them are still in the files of {folder} "
            f"({names}): nothing else in the folder was touched, and no receipt was written"
        )
