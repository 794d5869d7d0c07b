"""Indexes in files, which are opened fast and checked where they are looked at; see `blocks.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import DamagedError, DataError, UsageError
from .blocks import CheckedArray, pieces, read
from .contract import Index
from .kinds import index_class


def save(path: Path, index: Index, facts: Mapping[str, Any]) -> None:
    """Replace `path` atomically by `index`, with `facts` (JSON) beside it.

    `DiskError` leaves the old file; `DamagedError` when the index comes from a file and something
    of it is not as it was written.
    """
    own, arrays = index.contents()
    head = {"kind": index.kind, "index": own, "facts": facts}
    storage.write_pieces(path, pieces(head, arrays))


def load(path: Path) -> tuple[Index, dict[str, Any]]:
    """The index of `path`, and the facts beside it.

    The head is checked now, what the index holds where a search needs it, which may then raise
    `DamagedError`. `DataError` when there is no such file.
    """
    head, arrays = _opened(path)
    try:
        index = index_class(head["kind"]).restore(head["index"], arrays)
    except UsageError as error:
        raise DamagedError(f"{path} was stored by another version: build it again") from error
    return index, head["facts"]


def read_facts(path: Path) -> dict[str, Any]:
    """The facts beside the index of `path`, without a look at the index."""
    facts: dict[str, Any] = _opened(path)[0]["facts"]
    return facts


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, CheckedArray]]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(f"could not read {path} ({error.strerror}): check the path") from error
    return read(file)
