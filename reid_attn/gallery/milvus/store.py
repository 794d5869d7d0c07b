"""A gallery in two collections of Milvus. Keeps the contract of `Store`.

A change is valid when the call returns, all or nothing (`journal.py`), and an answer is of one
state: what was read is read again when the state has moved meanwhile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ...errors import DamagedError, LockedError, MismatchError, ReidError, UsageError, nearest
from .. import audit
from ..arrival import arrived, called, refuse_erased, salted
from ..contract import Correction, Erasure, Found, Label, Summary, Vectors, ranges
from ..copying import Content, Copyable, blank, copy
from ..filters import Where
from ..local import LocalStore
from ..local import records as clock
from ..pictures import Progress, silent
from ..record import SCHEMA, Entry, Meta, Row
from . import corrections, erasure, refusals, verification
from .address import Address, parse
from .expressions import expression
from .fields import STATE, encode, make_collections
from .journal import Effects, Journal, State, look
from .link import Link
from .lock import Lock
from .log import Log
from .notes import Notes
from .rows import Rows
from .search import search

T = TypeVar("T")

STEADY_SECONDS = 60


class MilvusStore:
    """The rows of one gallery in Milvus."""

    def __init__(self, link: Link, meta: Meta) -> None:
        self._link = link
        self._notes = Notes(link)
        self._log = Log(self._notes)
        self._rows = Rows(link, meta.dimension, meta.pictures)
        lock = Lock(self._notes, audit.act("", {})["who"], link.address.folder is None)
        self._journal = Journal(self._rows, self._notes, lock)

    @classmethod
    def create(cls, place: str, meta: Meta) -> None:
        """Make the collections of a new gallery; `UsageError` when there is one already."""
        with closing(Link(parse(place))) as link:
            if there := set(link.collections()).intersection(_collections(link.address)):
                raise UsageError(
                    f"there is a collection {min(there)!r} at {link.address.uri} already: open it "
                    "if it is a gallery, or choose another name"
                )
            make_collections(link, link.address.name, meta.dimension)
            cls(link, meta)._journal.create(meta)

    @classmethod
    def copy_of(cls, source: Copyable, place: str, progress: Progress = silent) -> int:
        """Copy a gallery to a place where there is none; returns the number of rows.

        When that fails, what there is of it is removed, unless somebody else has written to it.
        """
        cls.create(place, blank(source.meta()))
        with closing(cls.open(place)) as store:
            try:
                return copy(source, store, progress)
            except BaseException as error:
                if not store._discard() and isinstance(error, ReidError):
                    raise LockedError(
                        f"somebody else has written to {store.place} while it was made, so that it "
                        f"was left as it is, and no copy: {error}"
                    ) from error
                raise

    @classmethod
    def open(cls, place: str) -> "MilvusStore":
        """Open a gallery that is there; `UsageError` when there is none."""
        address = parse(place)
        if address.folder is not None and not address.folder.exists():
            raise _absent(address, [])
        link = Link(address)
        try:
            there = link.collections()
            if not set(_collections(address)) <= set(there):
                raise _absent(address, there)
            for collection in _collections(address):
                link.load(collection)
            state, _ = look(Notes(link))
            if state is None:  # who was creating it was killed
                raise _absent(address, there)
            if state.meta.schema > SCHEMA:
                raise MismatchError(
                    f"{place} was written by a later version of reid_attn: update this one"
                )
            return cls(link, state.meta)
        except BaseException:
            link.close()
            raise

    @property
    def place(self) -> str:
        """The address, without any password."""
        return str(self._link.address)

    def close(self) -> None:
        """Let go of the server."""
        self._link.close()

    def meta(self) -> Meta:
        """The state as it is now."""
        return self._journal.state().meta

    def annotate(self, action: str, **changes: Any) -> None:
        """Change fields of the state."""
        with self._journal.changing() as state:
            self._journal.commit(state, replace(state.meta, **changes), action, {})

    def add(self, entries: Sequence[Entry]) -> int:
        """Keep the entries that are not there yet."""
        now = clock.now()
        with self._journal.changing() as state:
            meta = state.meta
            refuse_erased(entries, self._erased(meta, [entry.source_hash for entry in entries]))
            there = self._rows.known([entry.key for entry in entries], state.last, now)
            new = {entry.key: entry for entry in entries if entry.key not in there}
            names = self._names(state, {entry.person for entry in new.values()} - {""})
            records = [
                encode(arrived(number, entry, meta, now), entry.vector, entry.thumbnail)
                for number, entry in enumerate(called(new.values(), names), start=state.last + 1)
            ]
            if records:
                after = replace(meta, rows=meta.rows + len(records))
                details = {"rows": ranges(record["row"] for record in records)}
                self._journal.commit(state, after, "add", details, new=records)
        return len(records)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that rows have which have not expired."""
        return self._steady(lambda state: self._rows.known(keys, state.last, clock.now()))

    def erased(self, source_hashes: Sequence[bytes]) -> set[bytes]:
        """Those of `source_hashes` that may not come back."""
        return self._steady(lambda state: self._erased(state.meta, source_hashes))

    def relabel(
        self,
        persons: Mapping[int, Label],
        action: str,
        *,
        as_of: int | None = None,
        undoes: int = 0,
    ) -> int:
        """Give rows another (person, name)."""
        with self._journal.changing() as state:
            rows = self._rows.get(_valid(list(persons), state))
            if late := [row.row for row in rows if as_of is not None and row.changed > as_of]:
                raise LockedError(
                    f"row {late[0]} of {self.place} was changed by somebody else meanwhile: "
                    "nothing was done; run the command again"
                )
            labels = {row.row: ((row.person, row.name), persons[row.row]) for row in rows}
            changed = {row: both for row, both in labels.items() if both[0] != both[1]}
            if changed:
                generation = state.meta.generation + 1
                correction = Correction(generation, clock.now(), action, undoes, changed)
                effects = Effects(
                    relabel={row: after for row, (_, after) in changed.items()},
                    notes={corrections.KIND: corrections.noted(correction)},
                )
                details = {"rows": ranges(changed)}
                self._journal.commit(state, state.meta, action, details, effects)
        return len(changed)

    def corrections(self) -> list[Correction]:
        """What `relabel` has done, oldest first."""
        return self._steady(lambda _: corrections.read(self._notes))

    def remove(self, rows: Sequence[int]) -> int:
        """Delete rows; in Milvus, a deletion is a mark until the server compacts."""
        return self._delete(rows, "remove", False)

    def erase(self, rows: Sequence[int], action: str, block: bool) -> Erasure:
        """Delete rows and have the server compact; see `erasure.py` for what that proves."""
        count = self._delete(rows, action, block)
        proof = erasure.compact(self._link, self._rows, sorted(set(rows)))
        return Erasure(count, proof, erasure.UNREACHABLE)

    def rows(self, where: Where) -> list[Row]:
        """The rows that are meant, by number."""

        def read(state: State) -> list[Row]:
            return self._rows.get(self._rows.numbers(expression(where, state.last, clock.now())))

        return self._steady(read)

    def get(self, rows: Sequence[int]) -> list[Row]:
        """Rows by number, in the order asked for."""
        return self._steady(lambda state: self._rows.get(_valid(rows, state)))

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """(N, D) float32 unit rows, in the order asked for."""
        return self._steady(lambda state: self._rows.vectors(_valid(rows, state)))

    def thumbnails(self, rows: Sequence[int]) -> list[bytes | None]:
        """JPEG files, in the order asked for."""
        return self._steady(lambda state: self._rows.thumbnails(_valid(rows, state)))

    def search(self, queries: Vectors, k: int, where: Where) -> list[list[Found]]:
        """The most similar rows of each query, from one state of the gallery."""

        def find(state: State) -> list[list[Found]]:
            meant = expression(where, state.last, clock.now())
            return search(self._rows, queries, k, meant, state.meta.rows)

        return self._steady(find)

    def summary(self) -> Summary:
        """The gallery in numbers; `bytes` are those of the vectors alone."""

        def count(state: State) -> Summary:
            counts = verification.counts(self._rows, state.last, clock.now())
            return Summary(
                state.meta,
                **counts,
                erased=len(refusals.read(self._notes)),
                bytes=4 * state.meta.dimension * state.meta.rows,
                cache="fresh",
                rebuild_seconds=None,
                store={"milvus": self._link.version},
            )

        return self._steady(count)

    def record(self, action: str, details: Mapping[str, Any]) -> None:
        """Put a line into the audit log."""
        self._log.record(action, details)

    def history(self) -> Iterator[dict[str, Any]]:
        """The lines of the audit log."""
        return self._log.lines()

    def gaps(self) -> list[audit.Gap]:
        """Lines that the audit log lacks, and of which none says so."""
        return self._steady(lambda state: self._log.gaps(state.lines, state.head))

    def verify(self) -> list[str]:
        """Everything that is damaged, a sentence each."""

        def look_through(state: State) -> list[str]:
            found = [*verification.problems(self._rows, state.meta, state.last)]
            return [*found, *self._log.problems(state.lines, state.head)]

        return self._steady(look_through)

    def backup(self, target: Path) -> None:
        """A copy in a folder of its own, read back and verified."""
        LocalStore.copy_of(self, target)

    def blocked(self) -> list[bytes]:
        """The salted hashes of the sources that may not come back."""
        return self._steady(lambda _: refusals.read(self._notes))

    def last_number(self) -> int:
        """The last number that a row was ever given."""
        return self._journal.state().last

    def receive(self, content: Content) -> None:
        """Become a copy of another gallery."""
        with self._journal.changing() as state:
            if state.last:
                raise UsageError(f"{self.place} has or had rows of its own: copy to a new gallery")
            notes = {
                refusals.KIND: refusals.noted(content.blocked),
                corrections.KIND: {
                    name: text
                    for correction in content.corrections
                    for name, text in corrections.noted(correction).items()
                },
            }
            parts = ([encode(*kept) for kept in part] for part in content.parts)
            before = replace(state, last=content.last)
            after = replace(content.meta, rows=len(content.numbers))
            details = {"of": content.origin, "rows": ranges(content.numbers)}
            effects = Effects(notes=notes)
            self._journal.carry_out(before, after, "copy", details, effects, content.numbers, parts)

    def _discard(self) -> bool:
        """Remove the gallery, unless it was changed by anybody but who made this copy."""
        with self._journal.changing() as state:
            if not self._journal.only_ours(state):
                return False
            for collection in reversed(_collections(self._link.address)):
                self._link.drop(collection)  # without a state, the first one, it is none
            self._journal.abandon()
        return True

    def _delete(self, rows: Sequence[int], action: str, block: bool) -> int:
        with self._journal.changing() as state:
            wanted = self._rows.get(_valid(sorted(set(rows)), state))
            if wanted:
                meta = replace(state.meta, rows=state.meta.rows - len(wanted))
                hidden = {salted(meta, row.source_hash) for row in wanted} if block else set()
                numbers = [row.row for row in wanted]
                effects = Effects(
                    remove=numbers,
                    notes={refusals.KIND: refusals.noted(sorted(hidden))},
                    drop=corrections.leaving(corrections.read(self._notes), wanted, block),
                )
                details = {"rows": ranges(numbers)}
                self._journal.commit(state, meta, action, details, effects)
        return len(wanted)

    def _erased(self, meta: Meta, source_hashes: Sequence[bytes]) -> set[bytes]:
        hidden = {salted(meta, source): source for source in source_hashes}
        return {hidden[found] for found in refusals.among(self._notes, list(hidden))}

    def _names(self, state: State, persons: set[str]) -> dict[str, str]:
        """What those of `persons` who have a name are called, which each of their rows tells."""
        theirs = Where(persons=frozenset(persons), expired=None)
        meant = expression(theirs, state.last, clock.now())
        rows = self._rows.get(self._rows.newest_of_each(meant) if persons else [])
        return {row.person: row.name for row in rows if row.name}

    def _steady(self, work: Callable[[State], T]) -> T:
        """What `work` finds in one state, which has not moved when it is done."""
        limit = time.monotonic() + STEADY_SECONDS
        state = self._journal.state()
        while True:
            failed: UsageError | DamagedError | None = None
            try:
                found = work(state)
            except (UsageError, DamagedError) as error:  # of a row that was changed meanwhile?
                failed = error
            after = self._journal.state()
            if after.meta.change == state.meta.change:
                if failed is not None:
                    raise failed
                return found
            if time.monotonic() > limit:
                raise LockedError(
                    f"{self.place} has been changing for {STEADY_SECONDS} s, faster than it could "
                    "be read: try again when less is written"
                )
            state = after


def _valid(rows: Sequence[int], state: State) -> Sequence[int]:
    """`rows`, of which those above the last number are not there yet."""
    return [row if row <= state.last else -1 for row in rows]


def _collections(address: Address) -> tuple[str, str]:
    return address.name, address.name + STATE


def _absent(address: Address, there: Sequence[str]) -> UsageError:
    names = [name.removesuffix(STATE) for name in there if name.endswith(STATE)]
    return UsageError(
        f"there is no gallery {address.name!r} at {address.uri}{nearest(address.name, names)}: "
        f"make one with 'reid-attn gallery create {address} --run RUN'"
    )
