"""What every data set is to the rest of the project: three lists of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

SHOWN = 20
"""Problems that a report lists; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; `person` is 0 for a distractor, `camera` the number as written."""

    path: Path
    person: int
    camera: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures to train with, and the query and gallery of the test.

    `junk` counts the files left out by the rules of the set. Where persons have names, `people`
    holds them: person `n` is `people[n - 1]`.
    """

    name: str
    train: tuple[Picture, ...]
    query: tuple[Picture, ...]
    gallery: tuple[Picture, ...]
    junk: int = 0
    people: tuple[str, ...] = ()

    def labels(self) -> dict[int, int]:
        """Each training person's class, 0 to K - 1, in the order of the person numbers."""
        persons = sorted({picture.person for picture in self.train})
        return {person: label for label, person in enumerate(persons)}

    def describe(self, person: int) -> str:
        """The person's name where there is one, else the number."""
        return self.people[person - 1] if 0 < person <= len(self.people) else str(person)

    def problems(self) -> list[str]:
        """What makes any set useless: an empty split, or a person both trained and tested."""
        splits = {"train": self.train, "query": self.query, "gallery": self.gallery}
        found = [f"{name}: no usable picture" for name, split in splits.items() if not split]
        tested = {picture.person for picture in self.query + self.gallery}
        found += [
            f"person {self.describe(person)} is in train and in the test"
            for person in sorted(tested.intersection(self.labels()))
        ]
        return found


def refuse(source: Path, problems: Sequence[str]) -> None:
    """Raise one `DataError` that lists all `problems` of `source`; without problems do nothing."""
    if not problems:
        return
    shown = [f"  {problem}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        shown.append(f"  … and {len(problems) - SHOWN} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise DataError("\n".join([f"{source} cannot be used, {count}:", *shown]))
