"""From the address of a gallery to its store."""

import os
from contextlib import closing
from pathlib import Path

from . import milvus
from .copying import Copyable
from .local import LocalStore
from .milvus import MilvusStore
from .pictures import Progress, silent
from .record import Meta

Place = str | os.PathLike[str]
"""A folder, or the address of a gallery in Milvus (`milvus/address.py`)."""


def create(place: Place, meta: Meta) -> None:
    """Make an empty gallery; `UsageError` when there is one already."""
    if milvus.is_address(place):
        MilvusStore.create(os.fspath(place), meta)
    else:
        LocalStore.create(Path(place), meta)


def open_store(place: Place) -> Copyable:
    """The store of a gallery; `UsageError` when there is none."""
    if milvus.is_address(place):
        return MilvusStore.open(os.fspath(place))
    return LocalStore.open(Path(place))


def transfer(source: Place, target: Place, progress: Progress = silent) -> int:
    """Copy a gallery to a new place, compare both, and return the number of rows.

    See `copying.copy`; the audit log of the new place begins with the copy. When that fails there
    is no gallery, so that the call can be repeated.
    """
    with closing(open_store(source)) as old:
        if milvus.is_address(target):
            return MilvusStore.copy_of(old, os.fspath(target), progress)
        return LocalStore.copy_of(old, Path(target), progress)
