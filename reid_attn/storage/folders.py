"""Folders: made, tried, filled under another name, locked, cleared of what the dead left."""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DiskError, LockedError
from .files import remove, try_out
from .system import (
    alive,
    forget,
    not_a_link,
    refuse_existing,
    refused,
    sync_folder,
    temporary,
)

LOCK = ".lock"

_TEMPORARY = re.compile(r"\.(?P<pid>\d{1,9})\.tmp$", re.ASCII)


def make_folder(path: Path) -> Path:
    """Make `path` and its parents, or accept what exists; returns `path`."""
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            sync_folder(path.parent)
    except OSError as error:
        raise refused(f"could not make the folder {path}", error) from error
    return path


@contextmanager
def target_folder(path: Path) -> Iterator[Path]:
    """`path`, made when missing and tried, before the block does the work that is to end in it.

    If the block fails, what was made is removed again as far as it is empty.
    """
    made = _missing(path)
    try:
        try_out(temporary(make_folder(path) / "results"), 1)
        yield path
    except BaseException:
        _remove_empty(made)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder under another name, to be filled by the block, that becomes `path` at its end.

    Nobody shall take half of it for the whole. `UsageError` when there is something already.
    """
    refuse_existing(path)
    remove(temporary(path))  # as in `write_pieces`
    unfinished = make_folder(temporary(path))
    try:
        sweep_temporaries(path.parent)
        yield unfinished
        _move(unfinished, path)
    except BaseException:
        remove(unfinished)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's only lock, which dies with its process; `LockedError` when it is taken.

    If the block fails before it wrote anything, a folder that was made here is removed again.
    """
    made = _missing(folder)
    path = make_folder(folder) / LOCK
    try:
        file = open(path, "ab+", buffering=0, opener=not_a_link)
    except OSError as error:
        raise refused(f"could not open {path}", error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                raise BlockingIOError  # its holder removed it, and the next one made it anew
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read(20).decode("ascii", "replace") or "unknown"
            raise LockedError(
                f"{folder} is in use by process {owner}: wait for it to end, or use another folder"
            ) from error
        except OSError as error:
            raise DiskError(f"could not lock {path} ({error.strerror})") from error
        try:
            yield
        except BaseException:
            if made and os.listdir(folder) == [LOCK]:
                forget(path)
                _remove_empty(made)
            raise


def sweep_temporaries(folder: Path) -> None:
    """Remove the temporary files and folders that dead processes left."""
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.search(path.name)
        if match and not alive(int(match["pid"])):
            remove(path)


def _missing(folder: Path) -> list[Path]:
    """Of `folder` and its parents those that do not exist, the innermost first."""
    return [place for place in (folder, *folder.parents) if not os.path.lexists(place)]


def _remove_empty(folders: Iterable[Path]) -> None:
    """The innermost first, up to one that holds something."""
    try:
        for folder in folders:
            folder.rmdir()
    except OSError:
        pass  # not empty, or not made at all; the error that led here is the one to tell


def _move(folder: Path, path: Path) -> None:
    try:
        os.rename(folder, path)
        sync_folder(path.parent)
    except OSError as error:
        raise refused(f"could not write {path}", error) from error
