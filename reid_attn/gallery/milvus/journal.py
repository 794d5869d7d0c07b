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
from ...errors import UsageError
from .. import audit
from ..contract import ranges
from ..copying import Kept
from ..record import Meta
from .fields import damaged, encode, thumbnail, vector
from .link import Record
from .lock import Lock
from .log import CHANGE
from .notes import Notes
from .rows import Rows

SLOTS = ("state/0", "state/1")
BEGUN = "begun"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class State:
    """What is valid."""

    meta: Meta
    last: int
    """The last row number ever given."""
    head: str
    """The hash of the last change's line in the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a change does to rows that are there, and to the block-list."""

    remove: Sequence[int] = ()
    relabel: Mapping[int, tuple[str, str]] | None = None
    block: Sequence[bytes] = ()
    """Salted hashes."""


class Journal:
    """The changes of one gallery."""

    def __init__(self, rows: Rows, notes: Notes, lock: Lock) -> None:
        self._rows = rows
        self._notes = notes
        self._lock = lock

    def state(self) -> State:
        """The state, once every valid change is complete."""
        state, begun = look(self._notes)
        if state is not None and _is_open(begun, state):
            with self.changing() as state:
                pass
        if state is None:
            raise damaged(self._rows.place, "the state of the gallery")
        return state

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Be the only writer, with the state that a change starts from."""
        with self._lock.held():
            state, begun = look(self._notes)
            if state is None:
                raise damaged(self._rows.place, "the state of the gallery")
            if begun is not None and begun["generation"] == state.meta.generation:
                self._complete(begun)
            elif begun is not None:  # of a writer that died before it was valid
                self._rows.delete(_listed(begun["new"]))
            self._notes.drop(BEGUN)
            yield state

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
        self.start(before, meta, action, details, effects, ranges(row["row"] for row in new))
        self._rows.put(new, self._lock.keep)
        self.finish()

    def start(
        self,
        before: State,
        meta: Meta,
        action: str,
        details: Mapping[str, Any],
        effects: Effects | None,
        new: list[list[int]],
    ) -> None:
        """Note what will be done; the rows `new` may be put from now on."""
        effects = effects or Effects()
        generation = before.meta.generation + 1
        told = audit.act(action, {"generation": generation, **details})
        line = audit.chained(generation, before.head, told)
        after = replace(
            meta,
            generation=generation,
            change=secrets.token_hex(16),
            versions=f"reid_attn {__version__}, Milvus {self._rows.link.version}",
            pid=os.getpid(),
            host=platform.node(),
        )
        last = max([before.last, *(end for _, end in new)])
        begun = {
            "generation": generation,
            "state": {"meta": asdict(after), "last": last, "head": line["hash"]},
            "line": line,
            "new": new,
            "remove": ranges(effects.remove),
            "relabel": [[row, *names] for row, names in (effects.relabel or {}).items()],
            "block": [salted.hex() for salted in effects.block],
        }
        self._notes.put({BEGUN: json.dumps(begun)})

    def finish(self) -> None:
        """Make the change valid that was started, and complete it."""
        begun = json.loads(self._notes.get([BEGUN])[BEGUN])
        self._lock.keep()
        slot = SLOTS[begun["generation"] % 2]
        self._notes.put({slot: json.dumps(begun["state"])})
        self._complete(begun)
        self._notes.drop(BEGUN)

    def receive(
        self,
        before: State,
        meta: Meta,
        numbers: Sequence[int],
        blocked: Sequence[bytes],
        parts: Iterable[Sequence[Kept]],
        origin: str,
    ) -> None:
        """See `copying.Copyable.receive`; inside `changing`."""
        if before.last:
            raise UsageError(f"{self._rows.place} has or had rows of its own: copy to a new one")
        generation, listed = before.meta.generation + 1, ranges(numbers)
        after = replace(meta, rows=len(numbers))
        details = {"of": origin, "rows": listed}
        self.start(before, after, "copy", details, Effects(block=blocked), listed)
        for part in parts:
            records = [
                encode(replace(row, changed=generation), content, picture)
                for row, content, picture in part
            ]
            self._rows.put(records, self._lock.keep)
        self.finish()

    def refused(self) -> list[bytes]:
        """The salted hashes of the sources that may not come back."""
        names = self._notes.of_kind(REFUSED)
        return sorted(bytes.fromhex(name.partition("/")[2]) for name in names)

    def among_refused(self, hidden: Sequence[bytes]) -> set[bytes]:
        """Those of the salted hashes that may not come back."""
        found = self._notes.get([f"{REFUSED}/{salted.hex()}" for salted in hidden])
        return {bytes.fromhex(name.partition("/")[2]) for name in found}

    def _complete(self, begun: Mapping[str, Any]) -> None:
        """Everything that follows from a valid change; may be done twice."""
        self._notes.put({f"{REFUSED}/{salted}": "" for salted in begun["block"]}, REFUSED)
        self._rows.delete(_listed(begun["remove"]))
        names = {row: (person, name) for row, person, name in begun["relabel"]}
        self._rows.put(self._renamed(names, begun["generation"]), self._lock.keep)
        self._notes.put({f"log/change/{begun['generation']}": json.dumps(begun["line"])}, CHANGE)

    def _renamed(self, names: Mapping[int, tuple[str, str]], generation: int) -> list[Record]:
        records = []
        for record, row in self._rows.whole(list(names)):
            person, name = names[row.row]
            changed = replace(row, person=person, name=name, changed=generation)
            place = self._rows.place
            stored = vector(record, row, place), thumbnail(record, row, place)
            records.append(encode(changed, *stored))
        return records


def look(notes: Notes) -> tuple[State | None, dict[str, Any] | None]:
    """The state, and what was begun last if that is not known to be complete."""
    found = notes.get([*SLOTS, BEGUN])
    states = [_read(found[slot]) for slot in SLOTS if slot in found]
    begun = json.loads(found[BEGUN]) if BEGUN in found else None
    return max(states, key=lambda state: state.meta.generation, default=None), begun


def _read(text: str) -> State:
    found = json.loads(text)
    known = {field.name for field in fields(Meta)}
    return State(
        Meta(**{name: value for name, value in found["meta"].items() if name in known}),
        found["last"],
        found["head"],
    )


def _is_open(begun: Mapping[str, Any] | None, state: State) -> bool:
    """Whether a valid change has not been carried out in all rows."""
    if begun is None or begun["generation"] != state.meta.generation:
        return False
    return bool(begun["remove"] or begun["relabel"] or begun["block"])


def _listed(pairs: Sequence[Sequence[int]]) -> list[int]:
    return [number for first, last in pairs for number in range(first, last + 1)]
