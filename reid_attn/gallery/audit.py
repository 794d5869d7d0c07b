"""The audit log: one JSON line for each act, each chained to the one before by its SHA-256.

A line says who did what, when, for which purpose and to which rows; never a name, a picture or a
vector, so that it may outlive the persons it counts. A changed or lost line breaks the chain where
it is; a lost end shows against `audit.head`, a copy of the last line, from which the log goes on,
so that the gap stays. A power cut leaves one too, since searches do not wait for the disk: a line
may acknowledge it, and then it is told with who did so, and no longer as damage. Whoever rewrites
both files leaves no trace: keep the last hash elsewhere (`gallery verify` shows it).
"""

import getpass
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import DamagedError, DataError

NAME = "audit.jsonl"
HEAD = "audit.head"
START = "0" * 64
ACKNOWLEDGE = "acknowledge"

Gap = tuple[Any, ...]
"""First and last of the lines that are missing, after the name of their chain if there are many."""


def append(folder: Path, action: str, details: Mapping[str, Any], *, sync: bool) -> None:
    """Add a line to the log of `folder`; with `sync` it is on the disk when this returns."""
    told = act(action, details)

    def follow(last: bytes, witness: bytes) -> bytes:
        number, previous = _latest(last, witness)
        return _encoded(chained(number + 1, previous, told))

    storage.append_after(folder / NAME, folder / HEAD, follow, sync)


def act(action: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says: when, who, and what."""
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "who": f"{_user()}@{platform.node()}:{os.getpid()}",
        "action": action,
        **details,
    }


def chained(number: int, previous: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The line of that number, which follows the line with the hash `previous`."""
    body = {"line": number, "previous": previous, **told}
    return {**body, "hash": _digest(body)}


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines, oldest first; what cannot be read as a line is passed over (see `problems`)."""
    for text in _texts(folder):
        line = _parsed(text)
        if line is not None:
            yield line


def problems(folder: Path) -> list[str]:
    """A sentence for each place where the log is not as it was written; of a gap, until it is
    acknowledged.
    """
    known = acknowledged(lines(folder))
    return [sentence for sentence, gap in _findings(folder) if gap not in known]


def gaps(folder: Path) -> list[Gap]:
    """The gaps that nobody has acknowledged."""
    known = acknowledged(lines(folder))
    return [gap for _, gap in _findings(folder) if gap is not None and gap not in known]


def acknowledged(log: Iterable[Mapping[str, Any]]) -> dict[Gap, str]:
    """The gaps that lines of a log acknowledge, each with a sentence."""
    found: dict[Gap, str] = {}
    for line in log:
        try:
            missing = line["missing"] if line["action"] == ACKNOWLEDGE else ()
            for *chain, first, last in missing:
                of = " ".join(["the audit log", *chain])
                sentence = f"lines {first} to {last} of {of} are missing"
                known = f"{line['who']} acknowledged it at {line['at']}"
                found[(*chain, first, last)] = f"{sentence}; {known}"
        except (KeyError, TypeError, ValueError):  # a forged line acknowledges nothing
            continue
    return found


def _findings(folder: Path) -> Iterator[tuple[str, Gap | None]]:
    """A sentence for each place that is not as it was written, with the gap if it is one."""
    previous, number, last = START, 0, b""
    for place, text in enumerate(_texts(folder), start=1):
        line, last = _parsed(text), text
        if line is None:
            yield f"line {place} of {NAME} cannot be read", None
            number, previous = number + 1, ""
            continue
        if not _is_intact(line, text):
            yield f"line {place} of {NAME} was changed", None
        elif line["line"] != number + 1:
            sentence = f"before line {place} of {NAME}, lines {number + 1} ff. are missing"
            yield sentence, _gap(number, line["line"])
        elif previous and line["previous"] != previous:
            yield f"line {place} of {NAME} does not follow the line before it", None
        number, previous = line["line"], line["hash"]
    yield from _end_findings(folder, number, last)


def _end_findings(folder: Path, number: int, last: bytes) -> Iterator[tuple[str, Gap | None]]:
    """Whether the copy of the last line agrees; it may be one line late, or cut, after a kill."""
    if not (folder / HEAD).exists():
        yield f"{HEAD if number else NAME} is missing", None
        return
    witness = _parsed(storage.read_bytes(folder / HEAD))
    if witness is not None and witness["line"] >= number and _encoded(witness) != last:
        count = witness["line"]
        sentence = f"the end of {NAME} is not what was last written: it has had {count} lines"
        yield sentence, _gap(number, count + 1)


def _gap(before: int, after: int) -> Gap | None:
    """What is missing between two lines; `None` when they are in the wrong order."""
    return (before + 1, after - 1) if before + 1 < after else None


def _latest(last: bytes, witness: bytes) -> tuple[int, str]:
    """Number and hash of the line that was written last, which the log may have lost since."""
    number, previous = _place(last)
    copy = _parsed(witness)
    if copy is None or not _is_intact(copy, witness) or copy["line"] < number:
        return number, previous
    return copy["line"], copy["hash"]


def _place(last: bytes) -> tuple[int, str]:
    """Number and hash of the last line."""
    if not last:
        return 0, START
    line = _parsed(last)
    if line is None:
        return 0, hashlib.sha256(last).hexdigest()  # go on after damage, which verifying names
    return line["line"], line["hash"]


def _texts(folder: Path) -> list[bytes]:
    """The lines; an end without a newline is none: a killed process left it, or one still writes.

    Whoever appends next cuts it off (`storage.append_after`). Had it been a line once, the copy in
    `audit.head` would tell.
    """
    path = folder / NAME
    if not path.exists():
        return []
    try:
        return storage.read_bytes(path).split(b"\n")[:-1]
    except DataError as error:
        raise DamagedError(str(error)) from error


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    sound = (
        isinstance(line, dict)
        and type(line.get("line")) is int
        and isinstance(line.get("hash"), str)
        and isinstance(line.get("previous"), str)
        and isinstance(line.get("action"), str)
    )
    return line if sound else None


def _is_intact(line: Mapping[str, Any], text: bytes) -> bool:
    """Whether `text` is how this line is written, with its hash."""
    body = {key: value for key, value in line.items() if key != "hash"}
    return _encoded(line) == text and line["hash"] == _digest(body)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded(body)).hexdigest()


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a number without a name in the system's list
        return "unknown"
