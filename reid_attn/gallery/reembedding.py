"""A gallery for another model: every vector is made anew, and all take their place at once.

From the source, where the file is still what was added; else from the thumbnail, which is smaller
and was compressed again; else the row is lost. Until the end the old gallery is valid and in use.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..data.images import read
from ..errors import DataError, UsageError
from .contract import Embedder, Picture, Store, fitting_rows
from .filters import EVERYTHING
from .local import LocalStore
from .pictures import CHUNK, Progress
from .record import Row


def reembed(
    store: Store, embedder: Embedder, run: str, drop_lost: bool, progress: Progress
) -> dict[str, Any]:
    """Replace every vector; returns how many are of sources and thumbnails, and which were lost.

    What was interrupted goes on where it was. `DataError` when rows would be lost, unless
    `drop_lost` deletes them; `UsageError` when this is the gallery's model already, or the gallery
    is not in a folder.
    """
    if not isinstance(store, LocalStore):
        raise UsageError(f"{store.place} is not in a folder: copy it to one, or make a new gallery")
    if store.meta().fingerprint == embedder.fingerprint:
        raise UsageError(f"the vectors of {store.place} are of this model already")
    while True:
        rows = store.rows(EVERYTHING)
        sources = {row.row for row in rows if _source(row) is not None}
        lost = [row for row in rows if row.row not in sources and row.thumbnail_hash is None]
        if lost and not drop_lost:
            raise DataError(_refusal(store, lost, len(rows)))
        done = store.staged(embedder.fingerprint) | {row.row for row in lost}
        progress(len(done))
        _stage(store, embedder, [row for row in rows if row.row not in done], progress)
        numbers = [row.row for row in lost]
        if store.switch(embedder.fingerprint, embedder.dimension, run, numbers):
            break  # else somebody has added rows meanwhile
    thumbnails = len(rows) - len(sources) - len(lost)
    return {"sources": len(sources), "thumbnails": thumbnails, "lost": numbers}


def _stage(store: LocalStore, embedder: Embedder, rows: list[Row], progress: Progress) -> None:
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        pictures = list(_pictures(store, part))
        vectors = fitting_rows(embedder(pictures), embedder.dimension)
        named = zip(part, vectors, strict=True)
        store.stage(embedder.fingerprint, {row.row: v.astype("<f4").tobytes() for row, v in named})
        progress(len(part))


def _pictures(store: LocalStore, rows: Iterable[Row]) -> Iterable[Picture]:
    for row in rows:
        picture = _source(row) or store.thumbnails([row.row])[0]
        if picture is None:
            raise DataError(f"{row.source!r} was changed or removed meanwhile: try again")
        yield picture


def _source(row: Row) -> bytes | None:
    """The content of the file that was added; `None` when it is not there any more.

    Nor is it known for a part of a frame, whose box is not kept.
    """
    try:
        content = read(Path(row.source.decode(errors="surrogateescape")))
    except (DataError, ValueError):  # ValueError: a NUL in the name
        return None
    return content if sha256(content).digest() == row.source_hash else None


def _refusal(store: Store, lost: list[Row], count: int) -> str:
    files = ", ".join(repr(row.source.decode(errors="replace")) for row in lost[:3])
    return (
        f"{len(lost)} of {count} rows of {store.place} have neither their source nor a thumbnail "
        f"(row {lost[0].row}; {files}{', …' if len(lost) > 3 else ''}): bring the files back, or "
        "give these rows up with --drop-lost; nothing was changed"
    )
