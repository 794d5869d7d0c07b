"""Who rows showed before they were corrected, as a note for each row and correction."""

import json
from collections.abc import Sequence

from ..contract import Correction, Label
from ..record import Row
from .notes import Notes

KIND = "correction"


def noted(correction: Correction) -> dict[str, str]:
    """The notes of a correction, by name."""
    _, at, action, undoes, rows = correction
    return {
        _name(correction, row): json.dumps([at, action, undoes, *before, *after])
        for row, (before, after) in rows.items()
    }


def read(notes: Notes) -> list[Correction]:
    """All corrections, oldest first."""
    found: dict[int, Correction] = {}
    texts = {
        (int(number), int(row)): text
        for name, text in notes.of_kind(KIND).items()
        for _, number, row in [name.split("/")]
    }
    for (number, row), text in sorted(texts.items()):
        at, action, undoes, *words = json.loads(text)
        correction = found.setdefault(number, Correction(number, at, action, undoes, {}))
        correction.rows[row] = (words[0], words[1]), (words[2], words[3])
    return list(found.values())


def leaving(corrections: Sequence[Correction], rows: Sequence[Row], erase: bool) -> list[str]:
    """The names of the notes that go with `rows`; with `erase`, of all that ever named them."""
    numbers = {row.row for row in rows}
    named: set[Label] = {(row.person, row.name) for row in rows} if erase else set()
    for correction in corrections if erase else ():
        for row in numbers & correction.rows.keys():
            named.update(correction.rows[row])
    persons, names = ({label[place] for label in named} - {""} for place in (0, 1))
    return [
        _name(correction, row)
        for correction in corrections
        for row, labels in correction.rows.items()
        if row in numbers
        or persons.intersection(label[0] for label in labels)
        or names.intersection(label[1] for label in labels)
    ]


def _name(correction: Correction, row: int) -> str:
    return f"{KIND}/{correction.number}/{row}"
