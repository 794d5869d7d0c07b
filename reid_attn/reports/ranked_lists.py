"""A ranked list: one query picture and what the gallery answered, best match first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = ("right", "wrong", "junk", "distractor")


@dataclass(frozen=True)
class Hit:
    """One answer of the gallery. `correct` is None where the right answer is not known."""

    picture: Path | None
    score: float
    correct: bool | None
    person: str
    camera: str
    kind: str = ""
    """`right`, `wrong`, `junk` (not counted), `distractor` (nobody's query); empty: by `correct`"""

    @property
    def verdict(self) -> str:
        """What it is for its frame: `kind`, or what follows from `correct`; empty if not known."""
        if self.kind in KINDS:
            return self.kind
        return {True: "right", False: "wrong", None: ""}[self.correct]


@dataclass(frozen=True)
class RankedList:
    """A query with its hits, best first. `average_precision` (0 to 1) is None where not known."""

    query: Path | None
    person: str
    camera: str
    hits: tuple[Hit, ...]
    average_precision: float | None


@dataclass(frozen=True)
class Failure:
    """A query whose answer was not perfect, and what that costs."""

    list: RankedList
    cost: float
    """How much higher the mAP would be if its AP were 1: (1 − AP) / valid queries."""


def extremes(
    average_precision: Sequence[float] | NDArray[np.float64], count: int
) -> tuple[list[int], list[int]]:
    """At most `count` best and `count` worst query rows, most extreme first, none in both.

    `average_precision` (Q,) holds NaN for a query without a right answer; such rows are left out.
    Few queries are shared between the two halves, so that none is shown as best and as worst.
    """
    valid = [row for row, value in enumerate(average_precision) if not math.isnan(value)]
    order = sorted(valid, key=lambda row: -average_precision[row])
    middle = (len(order) + 1) // 2
    return order[:middle][:count], order[middle:][::-1][:count]


def printable(name: object) -> str:
    r"""`name` on one line that shows every character: a newline becomes `\n`.

    File names may hold control characters, changes of the writing direction, and bytes that are
    not UTF-8; none of them may act on a terminal or hide in a page.
    """
    characters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))
    return "".join(characters)
