"""Single files: written whole or not at all, appended to by one at a time, read with an error."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DamagedError, DataError
from .system import forget, not_a_link, refuse_existing, refused, sync_folder, temporary

_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically; errors as `write_pieces` has them."""
    write_pieces(path, [data])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Replace `path` atomically by bytes that need not be in memory together.

    On `DiskError` the old file is untouched, except when nothing but the last step failed, the
    fsync of the folder: then the new one is there, whole, and may not survive a power loss.
    `UsageError` for a name that is too long.
    """
    unfinished = temporary(path)
    forget(unfinished)  # which somebody dead with our number has left, or a link by that name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "wb", opener=not_a_link) as file:
            length = 0
            for piece in pieces:
                file.write(piece)
                length += len(piece)
            file.flush()
            if file.tell() != length:
                raise OSError(f"{file.tell()} of {length} bytes written")
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        sync_folder(path.parent)
    except OSError as error:
        forget(unfinished)
        advice = (
            ": nothing is lost or half written; free some space or check the permissions, then run "
            "the command again"
        )
        raise refused(f"could not write {path}", error, advice) from error
    except Exception:  # of whoever makes the pieces
        forget(unfinished)
        raise


def write_text(path: Path, text: str) -> None:
    r"""Replace `path` by `text` in UTF-8; undecodable file names inside survive as they came.

    Half a character, which no file name holds, is spelt out, such as `\ud800`.
    """
    whole = _HALF.sub(lambda half: half[0].encode("unicode_escape").decode(), text)
    write_bytes(path, whole.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `json_text`."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Indented JSON that ends in a newline. NaN and infinity are refused."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def try_out(path: Path, length: int) -> None:
    """Raise now what would prevent writing `length` bytes to a new file `path`; leaves no file.

    `UsageError` when there is something already; the folder of `path` is made.
    """
    refuse_existing(path)
    write_bytes(path, bytes(length))
    remove(path)


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON line to a log such as `metrics.jsonl`."""
    try:
        with open(path, "a", encoding="utf-8", opener=not_a_link) as file:
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise refused(f"could not append to {path}", error) from error


def append_after(
    path: Path, witness: Path, follow: Callable[[bytes, bytes], bytes], sync: bool
) -> bytes:
    """Append to `path` the line that `follow` makes of its last one; returns the new line.

    Only one process at a time is between reading the last line and appending; the others wait.
    They meet at the file `witness`, which then holds a copy of the line: it shows when the end of
    `path` is missing, and `follow` is given its content too. It may be a line late, or cut, after a
    kill. Lines are without their newline. With `sync` the line is on the disk.
    """
    try:
        with (
            open(witness, "ab+", buffering=0, opener=not_a_link) as lock,
            open(path, "ab+", opener=not_a_link) as file,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            last, end = _last_line(file)
            file.truncate(end)  # what a killed process left of a line was never acknowledged
            lock.seek(0)
            line = follow(last, lock.read())
            try:
                file.write(line + b"\n")
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)  # no half line, which nobody could follow
                raise
            lock.truncate(0)
            lock.write(line)
    except OSError as error:
        raise refused(f"could not append to {path}", error) from error
    return line


def read_bytes(path: Path) -> bytes:
    """The content of a file that must exist."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"could not read {path} ({reason}): check the path") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file; a broken one is `DamagedError`."""
    data = read_bytes(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not readable as JSON ({error})") from error


def remove(path: Path) -> None:
    """Delete a file or folder; one that is not there is no error."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(f"could not remove {path}", error) from error


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def _last_line(file: BinaryIO) -> tuple[bytes, int]:
    """The last whole line, without its newline, and where it ends."""
    start = end = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.count(b"\n") < 2:
        start = max(0, start - 65_536)
        file.seek(start)
        tail = file.read(end - start)
    whole, newline, _ = tail.rpartition(b"\n")
    return whole.rpartition(b"\n")[2], start + len(whole + newline)
