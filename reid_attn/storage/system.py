"""What writing takes of the system: names, openers, and errors that tell what to do."""

import errno
import os
from pathlib import Path

from ..errors import DiskError, ReidError, UsageError

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not every system has it


def temporary(path: Path) -> Path:
    """Where this process makes what is to stand in `path`; the name has at most 255 bytes."""
    return path.with_name(f".{path.name[:50]}.{os.getpid()}.tmp")


def not_a_link(path: str, flags: int) -> int:
    """The opener of files that are written; `OSError` for a symbolic link in place of one."""
    return os.open(path, flags | _NO_FOLLOW, 0o666)


def refused(what: str, error: OSError, advice: str = "") -> ReidError:
    """The error that tells `what`; neither a name that no disk takes nor a link is its fault."""
    told = f"{what} ({error.strerror or error})"
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"{told}: choose a shorter name")
    if error.errno == errno.ELOOP and error.filename and os.path.islink(error.filename):
        return DiskError(
            f"{what}: {error.filename} is a symbolic link, and nothing is written to where it "
            "leads; remove it, or put what it leads to in its place"
        )
    return DiskError(told + advice)


def refuse_existing(path: Path) -> None:
    """`UsageError` when there is anything at `path`, a link to nowhere too."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise refused(f"could not write {path}", error) from error
    raise UsageError(f"{path} exists already: choose a name that is free")


def sync_folder(folder: Path) -> None:
    """What was renamed in the folder is on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget(path: Path) -> None:
    """Remove a file, if that is possible."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the folder itself is gone or read-only; the first error is the one to tell


def alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
