"""Keys of persons: who is there, and what a new one is called."""

import itertools
import re
from collections.abc import Collection, Iterable

from .contract import Store
from .filters import EVERYTHING, Where
from .record import Row

_NEW = re.compile(r"p-\d{6,}", re.ASCII)


def named_rows(store: Store, persons: Iterable[str]) -> list[Row]:
    """All rows of these persons, expired or not."""
    return store.rows(Where(persons=frozenset(persons), expired=None))


def taken_keys(store: Store) -> set[str]:
    """The keys like `p-000123` that rows have, or had before a correction that can be undone."""
    keys = {row.person for row in store.rows(EVERYTHING)}
    for correction in store.corrections():
        for labels in correction.rows.values():
            keys.update(person for person, _ in labels)
    return {key for key in keys if _NEW.fullmatch(key)}


def key_after(row: int, taken: Collection[str]) -> str:
    """The key of a new person who was first seen in `row`: `p-000123`, or the next that is free.

    No row has the number of another, ever, so that no key comes back for somebody else.
    """
    keys = (f"p-{number:06d}" for number in itertools.count(row))
    return next(key for key in keys if key not in taken)
