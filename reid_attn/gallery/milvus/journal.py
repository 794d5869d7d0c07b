"""Changes that are all or nothing, in a place without transactions.

The state is a note in one of two slots, written in turn: writing the next one makes a change valid.
What a change does is noted first, under `begun`. New rows have numbers above the state's `last` and
are invisible before. Rows that go, or get other names, do so afterwards, and whoever finds a valid
change with its note still there completes it before he reads or writes anything.
"""

import json
import os
import platform
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ... import __version__
from .. import audit
from ..contract import Label, ranges
from ..record import Meta
from .fields import damaged, encode, thumbnail, vector
from .link import Record
from .lock import Lock
from .log import CHANGE
from .notes import Notes
from .rows import Rows

SLOTS = ("state/0", "state/1")
BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class State:
    """What is valid."""

    meta: Meta
    last: int = 0
    """The last row number ever given."""
    lines: int = 0
    """Of the audit log, for changes."""
    head: str = audit.START
    """The hash of the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a change does besides putting rows."""

    remove: Sequence[int] = ()
    relabel: Mapping[int, Label] | None = None
    notes: Mapping[str, Mapping[str, str]] | None = None
    """To be written, by kind and name."""
    drop: Sequence[str] = ()
    """Names of short notes to be deleted."""


class Journal:
    """The changes of one gallery."""

    def __init__(self, rows: Rows, notes: Notes, lock: Lock) -> None:
        self._rows = rows
        self._notes = notes
        self._lock = lock
        self._wrote = ""
        """The change that was made here last."""

    def create(self, meta: Meta) -> None:
        """Make the first state."""
        with self._lock.held():
            self.commit(State(meta), meta, "create", {"purpose": meta.purpose})

    def state(self) -> State:
        """The state, once every valid change is complete."""
        state, begun = self._look()
        if begun is not None and _is_open(begun, state):
            with self.changing() as state:
                pass
        return state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Be the only writer, with the state that a change starts from."""
        with self._lock.held():
            state, begun = self._look()
            if begun is not None and begun["generation"] == state.meta.generation:
                self._complete(begun)
            elif begun is not None:  # of a writer that died before it was valid
                self._rows.delete(_listed(begun["new"]))
            self._notes.drop(BEGUN)
            yield state

    def only_ours(self, state: State) -> bool:
        """Whether nothing has changed since the gallery was made, or one thing, by this store."""
        return state.lines == 1 or (state.lines == 2 and state.meta.change == self._wrote)

    def abandon(self) -> None:
        """The collections are gone, and what is noted in them; inside `changing`."""
        self._lock.abandon()

    def commit(
        self,
        before: State,
        meta: Meta,
        action: str,
        details: Mapping[str, Any],
        effects: Effects | None = None,
        new: Sequence[Record] = (),
    ) -> None:
        """Make `meta` the next state, with rows that are new; inside `changing`."""
        numbers = [int(record["row"]) for record in new]
        self.carry_out(before, meta, action, details, effects or Effects(), numbers, [new])

    def carry_out(
        self,
        before: State,
        meta: Meta,
        action: str,
        details: Mapping[str, Any],
        effects: Effects,
        numbers: Sequence[int],
        parts: Iterable[Sequence[Record]],
    ) -> None:
        """As `commit`, with new rows of these numbers that need not be in memory together."""
        begun = self._plan(before, meta, action, details, effects, numbers)
        self._notes.put({BEGUN: json.dumps(begun)})
        for part in parts:
            self._rows.insert(part, self._lock.keep)
        self._lock.keep()
        self._wrote = begun["state"]["meta"]["change"]
        self._notes.put({SLOTS[begun["line"]["line"] % 2]: json.dumps(begun["state"])})
        self._complete(begun)
        self._notes.drop(BEGUN)

    def _plan(
        self,
        before: State,
        meta: Meta,
        action: str,
        details: Mapping[str, Any],
        effects: Effects,
        numbers: Sequence[int],
    ) -> dict[str, Any]:
        """What is noted under `begun`."""
        generation = meta.generation + 1
        told = audit.act(action, {"generation": generation, **details})
        line = audit.chained(before.lines + 1, before.head, told)
        after = replace(
            meta,
            generation=generation,
            change=secrets.token_hex(16),
            versions=f"reid_attn {__version__}, Milvus {self._rows.link.version}",
            pid=os.getpid(),
            host=platform.node(),
        )
        last = max([before.last, *numbers])
        return {
            "generation": generation,
            "state": asdict(State(after, last, line["line"], line["hash"])),
            "line": line,
            "new": ranges(numbers),
            "remove": ranges(effects.remove),
            "relabel": [[row, *label] for row, label in (effects.relabel or {}).items()],
            "notes": effects.notes or {},
            "drop": effects.drop,
        }

    def _look(self) -> tuple[State, dict[str, Any] | None]:
        state, begun = look(self._notes)
        if state is None:
            raise damaged(self._rows.place, "the state of the gallery")
        return state, begun

    def _complete(self, begun: Mapping[str, Any]) -> None:
        """Everything that follows from a valid change; may be done twice."""
        for kind, texts in begun["notes"].items():
            self._notes.put(texts, kind)
        self._notes.drop_short(begun["drop"])
        self._rows.delete(_listed(begun["remove"]))
        labels = {row: (person, name) for row, person, name in begun["relabel"]}
        self._rows.replace(self._renamed(labels, begun["generation"]), self._lock.beat)
        line = begun["line"]
        self._notes.put({f"log/change/{line['line']}": json.dumps(line)}, CHANGE)

    def _renamed(self, labels: Mapping[int, Label], generation: int) -> list[Record]:
        records, place = [], self._rows.place
        for record, row in self._rows.whole(list(labels)):
            person, name = labels[row.row]
            changed = replace(row, person=person, name=name, changed=generation)
            stored = vector(record, row, place), thumbnail(record, row, place)
            records.append(encode(changed, *stored))
        return records


def look(notes: Notes) -> tuple[State | None, dict[str, Any] | None]:
    """The state, and what was begun last if that is not known to be complete."""
    found = notes.get([*SLOTS, BEGUN])
    states = [_read(found[slot]) for slot in SLOTS if slot in found]
    begun = json.loads(found[BEGUN]) if BEGUN in found else None
    return max(states, key=lambda state: state.lines, default=None), begun


def _read(text: str) -> State:
    found = json.loads(text)
    names = {field.name for field in fields(Meta)}  # a later version may have more
    meta = Meta(**{name: value for name, value in found["meta"].items() if name in names})
    return State(**{**found, "meta": meta})


def _is_open(begun: Mapping[str, Any], state: State) -> bool:
    """Whether a valid change has not been carried out everywhere."""
    effects = begun["remove"] or begun["relabel"] or begun["notes"] or begun["drop"]
    return begun["generation"] == state.meta.generation and bool(effects)


def _listed(pairs: Sequence[Sequence[int]]) -> list[int]:
    return [number for first, last in pairs for number in range(first, last + 1)]
