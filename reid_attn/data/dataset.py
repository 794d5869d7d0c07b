"""What every data set is to the rest of the project: three lists of pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError

SPLITS = ("train", "query", "gallery")
SHOWN = 20
"""Problems that a report lists; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; `person` is 0 for a distractor, `camera` the number as written."""

    path: Path
    person: int
    camera: int


@dataclass(frozen=True, slots=True)
class BadPicture:
    """One that cannot be decoded, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures to train with, and the query and gallery of the test.

    `junk` counts the files left out by the rules of the set, `bad` lists those left out because
    they cannot be decoded. Where persons have names, `people` holds them by number.
    """

    name: str
    train: tuple[Picture, ...]
    query: tuple[Picture, ...]
    gallery: tuple[Picture, ...]
    junk: int = 0
    people: Mapping[int, str] = field(default_factory=dict)
    bad: tuple[BadPicture, ...] = ()

    def splits(self) -> dict[str, tuple[Picture, ...]]:
        """The three lists by name."""
        return {"train": self.train, "query": self.query, "gallery": self.gallery}

    def labels(self) -> dict[int, int]:
        """Each training person's class, 0 to K - 1, in the order of the person numbers."""
        persons = sorted({picture.person for picture in self.train})
        return {person: label for label, person in enumerate(persons)}

    def describe(self, person: int) -> str:
        """The person's name where there is one, else the number."""
        return self.people.get(person, str(person))

    def differences(
        self, published: Mapping[str, int], name: str, needed: Sequence[str] = SPLITS
    ) -> list[str]:
        """Where the counts of pictures differ from the `published` ones of the set `name`.

        A split that is neither needed nor there is no difference.
        """
        counts = {split: len(pictures) for split, pictures in self.splits().items()}
        compared = {split for split, count in counts.items() if count or split in needed}
        if "gallery" in compared:
            counts["junk"] = self.junk
            compared.add("junk")
        return [
            f"{part}: {counts[part]:,} pictures instead of the {expected:,} of {name}"
            " (for a part of the set, list it in a CSV file and use csv:FILE)"
            for part, expected in published.items()
            if part in compared and counts[part] != expected
        ]

    def problems(self, needed: Sequence[str] = SPLITS) -> list[str]:
        """What makes a set useless: an empty split of `needed`, or a person trained and tested."""
        splits = self.splits()
        found = [f"{name}: no usable picture" for name in needed if not splits[name]]
        tested = {picture.person for picture in self.query + self.gallery}
        found += [
            f"person {self.describe(person)} is in train and in the test"
            for person in sorted(tested.intersection(self.labels()))
        ]
        return found


def need_folder(path: Path) -> None:
    """`DataError` where there is no such folder, which says if something else is there."""
    if not path.is_dir():
        lack = f"{path} is not a folder" if path.exists() else f"there is no folder {path}"
        raise DataError(f"{lack}: check the path")


def locate(root: Path, places: Sequence[str], holds: Callable[[Path], bool], lack: str) -> Path:
    """The first of the `places` below `root` that `holds` the set; `DataError` names the `lack`."""
    for folder in (root / place for place in places):
        if holds(folder):
            return folder
    need_folder(root)
    refuse(root, [f"there is no {lack} in it"])
    return root


def refuse(source: Path | str, problems: Sequence[str]) -> None:
    """Raise one `DataError` that lists all `problems` of `source`; without problems do nothing."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError("\n".join([f"{source} cannot be used, {count}:", *first(problems)]))


def first(lines: Sequence[str]) -> list[str]:
    """The first of many lines, indented, and how many more there are."""
    more = [f"  … and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*(f"  {line}" for line in lines[:SHOWN]), *more]
