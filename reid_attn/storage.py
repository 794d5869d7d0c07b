"""The only writer of files.

A file appears whole or not at all: temporary name in the same folder, write, length check, fsync,
rename, fsync of the folder. Several files that belong together form a *generation*: a folder with a
manifest of lengths and SHA-256 sums, made current by one atomic pointer, `CURRENT`.

A folder may come from anywhere. What is written in place is therefore never a symbolic link, which
may lead to any file of the user.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import DamagedError, DataError, DiskError, LockedError, ReidError, UsageError

POINTER = "CURRENT"
MANIFEST = "manifest.json"
LOCK = ".lock"
SCHEMA = 1

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not every system has it
_TEMPORARY = re.compile(r"\.(?P<pid>\d{1,9})\.tmp$", re.ASCII)
_GENERATION = re.compile(r"gen-(?P<number>\d{6,})$", re.ASCII)
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically; errors as `write_pieces` has them."""
    write_pieces(path, [data])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Replace `path` atomically by bytes that need not be in memory together.

    On `DiskError` the old file is untouched, except when nothing but the last step failed, the
    fsync of the folder: then the new one is there, whole, and may not survive a power loss.
    `UsageError` for a name that is too long.
    """
    temporary = _temporary(path)
    _forget(temporary)  # which somebody dead with our number has left, or a link by that name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=_not_a_link) as file:
            length = 0
            for piece in pieces:
                file.write(piece)
                length += len(piece)
            file.flush()
            if file.tell() != length:
                raise OSError(f"{file.tell()} of {length} bytes written")
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        _forget(temporary)
        advice = (
            ": nothing is lost or half written; free some space or check the permissions, then run "
            "the command again"
        )
        raise _refused(f"could not write {path}", error, advice) from error
    except Exception:  # of whoever makes the pieces
        _forget(temporary)
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
    _refuse_existing(path)
    write_bytes(path, bytes(length))
    remove(path)


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON line to a log such as `metrics.jsonl`."""
    try:
        with open(path, "a", encoding="utf-8", opener=_not_a_link) as file:
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise _refused(f"could not append to {path}", error) from error


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
            open(witness, "ab+", buffering=0, opener=_not_a_link) as lock,
            open(path, "ab+", opener=_not_a_link) as file,
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
        raise _refused(f"could not append to {path}", error) from error
    return line


def make_folder(path: Path) -> Path:
    """Make `path` and its parents, or accept what exists; returns `path`."""
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent)
    except OSError as error:
        raise _refused(f"could not make the folder {path}", error) from error
    return path


@contextmanager
def target_folder(path: Path) -> Iterator[Path]:
    """`path`, made when missing and tried, before the block does the work that is to end in it.

    If the block fails, what was made is removed again as far as it is empty.
    """
    made = _missing(path)
    try:
        try_out(_temporary(make_folder(path) / "results"), 1)
        yield path
    except BaseException:
        _remove_empty(made)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder under another name, to be filled by the block, that becomes `path` at its end.

    Nobody shall take half of it for the whole. `UsageError` when there is something already.
    """
    _refuse_existing(path)
    remove(_temporary(path))  # as in `write_pieces`
    unfinished = make_folder(_temporary(path))
    try:
        _sweep_temporaries(path.parent)
        yield unfinished
        _move(unfinished, path)
    except BaseException:
        remove(unfinished)
        raise


def _refuse_existing(path: Path) -> None:
    """`UsageError` when there is anything at `path`, a link to nowhere too."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _refused(f"could not write {path}", error) from error
    raise UsageError(f"{path} exists already: choose a name that is free")


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
        _sync_folder(path.parent)
    except OSError as error:
        raise _refused(f"could not write {path}", error) from error


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
        raise _refused(f"could not remove {path}", error) from error


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sweep(folder: Path) -> None:
    """Remove the temporary files, and generations without a manifest, that dead processes left."""
    _sweep_temporaries(folder)
    for path in folder.glob("gen-*"):
        if _GENERATION.match(path.name) and not os.path.exists(path / MANIFEST):
            remove(path)


def _sweep_temporaries(folder: Path) -> None:
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.search(path.name)
        if match and not _alive(int(match["pid"])):
            remove(path)


def _temporary(path: Path) -> Path:
    """Where this process makes what is to stand in `path`; the name has at most 255 bytes."""
    return path.with_name(f".{path.name[:50]}.{os.getpid()}.tmp")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's only lock, which dies with its process; `LockedError` when it is taken.

    If the block fails before it wrote anything, a folder that was made here is removed again.
    """
    made = _missing(folder)
    path = make_folder(folder) / LOCK
    try:
        file = open(path, "ab+", buffering=0, opener=_not_a_link)
    except OSError as error:
        raise _refused(f"could not open {path}", error) from error
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
                _forget(path)
                _remove_empty(made)
            raise


def write_generation(folder: Path, files: Mapping[str, bytes]) -> int:
    """Store `files` as the next generation of `folder` and make it current; returns its number."""
    number = max(generations(folder), default=0) + 1
    target = make_folder(_generation_folder(folder, number))
    for name, data in files.items():
        write_bytes(target / name, data)
    entries = {name: _entry(data) for name, data in files.items()}
    write_json(target / MANIFEST, {"schema": SCHEMA, "files": entries})
    read_generation(folder, number)
    point_to(folder, number)
    return number


def point_to(folder: Path, number: int, pointer: str = POINTER) -> None:
    """Make the file `pointer` name generation `number`."""
    manifest = read_bytes(_generation_folder(folder, number) / MANIFEST)
    write_json(folder / pointer, {"generation": number, "manifest_sha256": sha256(manifest)})


def current_generation(folder: Path, pointer: str = POINTER) -> int:
    """The number in the file `pointer`, after checking that generation's manifest against it."""
    target = read_json(folder / pointer)
    number = target.get("generation") if isinstance(target, dict) else None
    if type(number) is not int:
        raise DamagedError(f"{folder / pointer} does not name a generation")
    manifest = _generation_folder(folder, number) / MANIFEST
    if sha256(_part(manifest, folder, number)) != target.get("manifest_sha256"):
        raise DamagedError(
            f"{folder / pointer} and {manifest} do not agree: one of them is damaged."
            f"{_others(folder, number)}"
        )
    return number


def read_generation(folder: Path, number: int) -> dict[str, bytes]:
    """All files of one generation, each checked against the manifest's length and SHA-256."""
    source = _generation_folder(folder, number)
    files = {}
    for name, entry in _manifest_files(source / MANIFEST).items():
        data = _part(source / name, folder, number)
        if _entry(data) != entry:
            raise DamagedError(
                f"{source / name} is damaged (its SHA-256 differs from the manifest)."
                f"{_others(folder, number)}"
            )
        files[name] = data
    return files


def generations(folder: Path) -> list[int]:
    """The numbers of the complete generations of `folder`, oldest first."""
    complete = (path.name for path in folder.glob("gen-*") if os.path.exists(path / MANIFEST))
    matches = (_GENERATION.match(name) for name in complete)
    return sorted(int(match["number"]) for match in matches if match)


def drop_generations(folder: Path, keep: set[int]) -> None:
    """Remove every generation whose number is not in `keep`."""
    for number in set(generations(folder)) - keep:
        unwanted = _generation_folder(folder, number)
        remove(unwanted / MANIFEST)  # first, so that an interruption leaves an incomplete one
        remove(unwanted)


def _manifest_files(path: Path) -> dict[str, Any]:
    manifest = read_json(path)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("schema") != SCHEMA:
        raise DamagedError(f"{path} is not a manifest of schema {SCHEMA}")
    if not all(_PLAIN_NAME.fullmatch(name) for name in files):
        raise DamagedError(f"{path} names a file that is not plainly one of its folder")
    return files


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": sha256(data)}


def _part(path: Path, folder: Path, number: int) -> bytes:
    try:
        return read_bytes(path)
    except DataError as error:
        raise DamagedError(f"{error}.{_others(folder, number)}") from error


def _generation_folder(folder: Path, number: int) -> Path:
    return folder / f"gen-{number:06d}"


def _others(folder: Path, damaged: int) -> str:
    others = [number for number in generations(folder) if number != damaged]
    if not others:
        return " No other generation is left"
    return f" An older one is still there: --checkpoint {_generation_folder(folder, others[-1])}"


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


def _not_a_link(path: str, flags: int) -> int:
    """The opener of files that are written; `OSError` for a symbolic link in place of one."""
    return os.open(path, flags | _NO_FOLLOW, 0o666)


def _refused(what: str, error: OSError, advice: str = "") -> ReidError:
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # the folder itself is gone or read-only; the first error is the one to tell


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
