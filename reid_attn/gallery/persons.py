"""Keys and names of persons: who is there, and what a new one is called."""

import itertools
from collections.abc import Iterable

from .contract import Store
from .filters import EVERYTHING, Where
from .record import Row


def named_rows(store: Store, persons: Iterable[str]) -> list[Row]:
    """All rows of these persons, expired or not."""
    wanted = frozenset(persons)
    return store.rows(Where(persons=wanted, expired=None)) if wanted else []


def given_names(rows: Iterable[Row]) -> dict[str, str]:
    """What persons who have a name are called: the name that was given last."""
    named = sorted((row for row in rows if row.name), key=lambda row: (row.changed, row.row))
    return {row.person: row.name for row in named}


class NewKeys:
    """Keys for new persons, such as `p-000123-45`: after the first row, and the generation.

    A row that once showed somebody who was forgotten may still be there, and nothing else of him,
    not even his key. But no generation comes back, so that no key does for somebody else.
    """

    def __init__(self, store: Store) -> None:
        self._generation = store.meta().generation
        self._taken = {row.person for row in store.rows(EVERYTHING)}  # people choose keys too
        for correction in store.corrections():
            for labels in correction.rows.values():
                self._taken.update(person for person, _ in labels)

    def after(self, row: int) -> str:
        """The key of a new person who was first seen in `row`."""
        keys = (f"p-{row:06d}-{number}" for number in itertools.count(self._generation))
        found = next(key for key in keys if key not in self._taken)
        self._taken.add(found)
        return found
