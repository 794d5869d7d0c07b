"""What an operator corrects: who rows show. Each correction can be undone until rows are deleted.

A person has a key, which never changes, and a name, which people choose.
"""

from collections.abc import Iterable, Sequence

from ..errors import UsageError
from .contract import Correction, Store
from .persons import NewKeys, given_names, named_rows
from .privacy import rows_of
from .record import Row, camera_number, person_name, track_number

Track = tuple[int, str]
"""A camera, and the number that its tracker gave."""


def merge(store: Store, person: str, others: Sequence[str]) -> int:
    """Let all rows of `others` show `person`, whose name stays; returns how many rows.

    `UsageError` for somebody who is not there, or is `person`; `DataError` for what is no key.
    """
    person, others = person_name(person), [person_name(other) for other in others]
    if person in others:
        raise UsageError(f"{person!r} cannot be merged with itself: name two persons")
    generation = store.meta().generation
    label = person, given_names(rows_of(store, person)).get(person, "")
    rows = [row.row for other in others for row in rows_of(store, other)]
    return store.relabel(dict.fromkeys(rows, label), "merge", as_of=generation)


def split(
    store: Store,
    person: str,
    rows: Iterable[int] = (),
    tracks: Iterable[Track] = (),
    to: str | None = None,
) -> str:
    """Let some rows of `person`, by number or by track, show somebody else; returns the key.

    That is `to`, who may be there already and then keeps his name, or else a new person.
    `UsageError` when a row or track is not of `person`, nothing would be left of him, or `to` is
    he; `DataError` for what is no key.
    """
    generation, person = store.meta().generation, person_name(person)
    key = None if to is None else person_name(to)
    if key == person:
        raise UsageError(
            f"these show {person!r} already: name somebody else, or no one for a new person"
        )
    theirs = {row.row: row for row in rows_of(store, person)}
    meant = {(camera_number(camera), track_number(track)) for camera, track in tracks}
    chosen = _chosen(person, theirs, set(rows), meant)
    if len(chosen) == len(theirs):
        raise UsageError(f"these are all rows of {person!r}: nothing would be left of him")
    if key is None:
        label = NewKeys(store).after(min(chosen)), ""
    else:
        label = key, given_names(named_rows(store, [key])).get(key, "")
    store.relabel(dict.fromkeys(chosen, label), "split", as_of=generation)
    return label[0]


def give_name(store: Store, person: str, name: str) -> int:
    """Give a person another name (empty: none); the key stays. Returns how many rows changed."""
    generation, person = store.meta().generation, person_name(person)
    label = person, person_name(name) if name else ""
    rows = [row.row for row in rows_of(store, person)]
    return store.relabel(dict.fromkeys(rows, label), "rename", as_of=generation)


def undoable(store: Store) -> list[Correction]:
    """The corrections that have not been undone, newest first."""
    return _standing(store.corrections())


def undo(store: Store, number: int | None = None) -> Correction:
    """Take back a correction, by default the newest; returns it. This is itself recorded.

    Rows of these persons that came later get the names that come back, since nobody may have two.
    `UsageError` when there is none of that number, or when a later one changed the same rows or
    gave one of their persons another name.
    """
    generation = store.meta().generation
    standing = undoable(store)
    if not standing:
        raise UsageError(f"there is nothing to undo in {store.place}")
    numbers = [correction.number for correction in standing]
    number = numbers[0] if number is None else number
    if number not in numbers:
        raise UsageError(
            f"there is no correction {number} in {store.place} that can be undone: those are "
            f"{', '.join(map(str, numbers))}"
        )
    place = numbers.index(number)
    undone = standing[place]
    for later in reversed(standing[:place]):
        if overtaken := _overtaken(undone, later):
            raise UsageError(
                f"correction {number} cannot be undone: {overtaken} later, by correction "
                f"{later.number} ({later.action}); undo that one first"
            )
    before = {row: labels[0] for row, labels in undone.rows.items()}
    names = {person: name for person, name in before.values() if person}
    newcomers = {row.row: (row.person, names[row.person]) for row in named_rows(store, names)}
    store.relabel({**newcomers, **before}, "undo", as_of=generation, undoes=number)
    return undone


def _overtaken(undone: Correction, later: Correction) -> str:
    """What a later correction did that keeps this one from being undone; empty for nothing."""
    if shared := later.rows.keys() & undone.rows.keys():
        return f"row {min(shared)} was changed"
    restored = {before for before, _ in undone.rows.values()}
    persons = {person for person, _ in restored} - {""}
    for label in (after for _, after in later.rows.values()):
        if label[0] in persons and label not in restored:
            return f"rows of {label[0]!r} were called {label[1]!r}"
    return ""


def _standing(corrections: Sequence[Correction]) -> list[Correction]:
    undone = {correction.undoes for correction in corrections}
    return [c for c in reversed(corrections) if not c.undoes and c.number not in undone]


def _chosen(person: str, theirs: dict[int, Row], rows: set[int], tracks: set[Track]) -> list[int]:
    """The numbers of the rows that are meant."""
    there = {(row.camera, row.track) for row in theirs.values() if row.track}
    if strangers := rows - theirs.keys():
        raise UsageError(f"row {min(strangers)} does not show {person!r}")
    if missing := tracks - there:
        camera, track = min(missing)
        raise UsageError(f"{person!r} has no track {track!r} of camera {camera}")
    chosen = [
        row.row for row in theirs.values() if row.row in rows or (row.camera, row.track) in tracks
    ]
    if not chosen:
        raise UsageError(f"say which rows or tracks of {person!r} show somebody else")
    return chosen
