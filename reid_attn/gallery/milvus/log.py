"""The audit log: the lines of `audit.py`, as notes.

The lines of changes are one chain. Searches change nothing and wait
for nobody, so that each store that is opened has a chain of its own for them.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from .. import audit
from .notes import Notes

CHANGE = "change"
OTHER = "other"


class Log:
    """The lines of one gallery."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._session = secrets.token_hex(8)
        self._number = 0
        self._previous = audit.START

    def record(self, action: str, details: Mapping[str, Any]) -> None:
        """A line for what changes nothing."""
        told = audit.act(action, {"session": self._session, **details})
        line = audit.chained(self._number + 1, self._previous, told)
        self._notes.put({f"log/{self._session}/{line['line']}": json.dumps(line)}, OTHER)
        self._number, self._previous = line["line"], line["hash"]

    def lines(self) -> Iterator[dict[str, Any]]:
        """All lines, oldest first."""
        yield from sorted(self._all(), key=lambda line: (line["at"], line["line"]))

    def problems(self, count: int, head: str) -> list[str]:
        """A sentence for each place where the log is not as it was written.

        `count` and `head` are how many lines there are of changes, and the hash of the last.
        """
        known = audit.acknowledged(self._all())
        return [sentence for sentence, gap in self._findings(count, head) if gap not in known]

    def gaps(self, count: int, head: str) -> list[audit.Gap]:
        """The gaps that nobody has acknowledged."""
        known = audit.acknowledged(self._all())
        return [g for _, g in self._findings(count, head) if g is not None and g not in known]

    def _findings(self, count: int, head: str) -> Iterator[tuple[str, audit.Gap | None]]:
        chains: dict[str, list[dict[str, Any]]] = {CHANGE: []}
        for line in sorted(self._all(), key=lambda line: int(line["line"])):
            chains.setdefault(line.get("session", CHANGE), []).append(line)
        for name, lines in chains.items():
            number, previous = 0, audit.START
            for line in lines:
                number += 1
                if line["line"] != number:
                    gap = name, number, line["line"] - 1
                    yield f"of the audit log {name!r}, lines before {line['line']} are missing", gap
                elif line != _again(line, previous):
                    yield f"line {number} of the audit log {name!r} was changed", None
                number, previous = line["line"], line["hash"]
            if name == CHANGE and (number, previous) != (count, head):
                lost = (name, number + 1, count) if number < count else None
                yield f"the end of the audit log is not what was last written: line {count}", lost

    def _all(self) -> Iterator[dict[str, Any]]:
        for kind in (CHANGE, OTHER):
            for text in self._notes.of_kind(kind).values():
                yield json.loads(text)


def _again(line: Mapping[str, Any], previous: str) -> dict[str, Any]:
    told = {key: line[key] for key in line if key not in ("line", "previous", "hash")}
    return audit.chained(line["line"], previous, told)
