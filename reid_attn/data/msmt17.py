"""MSMT17 (Wei et al., Person Transfer GAN, CVPR 2018), version 1 and version 2 (blurred faces).

Four lists hold lines such as `0000/0000_000_01_0303morning_0015_0.jpg 0`: a path, whose third field
is the camera, and the person. Persons count from 0 in the training lists and from 0 again in those
of the test, and are not the same people: here the training persons follow those of the test, and
both have names as they are written, `train/0000` and `test/0000`.

The release divides its 32,621 training pictures into `list_train.txt` (30,248) and `list_val.txt`
(2,373). The codes of bag of tricks, AGW, torchreid and fast-reid train on the first alone, which
`msmt17` is; that of CLIP-ReID on both, which `msmt17-trainval` is. What torchreid and fast-reid
call combine-all adds query and gallery as well: `all:msmt17-trainval`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import DataError
from ..storage import read_bytes
from .dataset import SPLITS, Dataset, Picture, locate, refuse
from .reading import WHOLE, Reading

PLACES = ("", "MSMT17_V1", "MSMT17_V2", "msmt17/MSMT17_V1", "msmt17/MSMT17_V2", "msmt17", "MSMT17")
"""Where the lists lie below the path that people give."""
FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
LISTS = {"train": "list_train.txt", "query": "list_query.txt", "gallery": "list_gallery.txt"}
VALIDATION = "list_val.txt"
RELEASE = "MSMT17_V1"
COUNTS = {"train": 30_248, "query": 11_659, "gallery": 82_161}
VALIDATION_COUNT = 2_373

_LINE = re.compile(
    r"([0-9]{1,9}/[0-9]{1,9}_[0-9]{1,9}_([0-9]{1,9})_[\w.-]*\.[a-z]+)\s+([0-9]{1,9})", re.A | re.I
)
_EXAMPLE = "0000/0000_000_01_0303morning_0015_0.jpg 0"


def read(root: Path, reading: Reading = WHOLE, *, validation: bool = False) -> Dataset:
    """The set below `root`, trained on `list_val.txt` too if `validation`.

    One `DataError` lists everything that is wrong with it.
    """
    lists = _Lists(locate(root, PLACES, _has_a_list, ", ".join(LISTS.values())), reading)
    names = {split: [name] for split, name in LISTS.items()}
    names["train"] += [VALIDATION] * validation
    dataset = _numbered(
        {split: lists.pictures(split, of_split) for split, of_split in names.items()}
    )
    problems = lists.problems + dataset.problems(reading.needed)
    if lists.folder.name == RELEASE:
        expected = COUNTS | {"train": COUNTS["train"] + VALIDATION_COUNT * validation}
        problems += dataset.differences(expected, "MSMT17", reading.needed)
    refuse(lists.folder, problems)
    return dataset


def _has_a_list(folder: Path) -> bool:
    return any((folder / name).is_file() for name in LISTS.values())


def parse_line(line: str) -> tuple[str, int, int] | None:
    """(path, person, camera) of a line, or `None` when it does not follow the rule."""
    match = _LINE.fullmatch(line.rstrip())
    return (match[1], int(match[3]), int(match[2])) if match else None


@dataclass
class _Lists:
    """The lists of one folder, what was found in them, and all that is wrong."""

    folder: Path
    reading: Reading
    problems: list[str] = field(default_factory=list)
    homes: dict[Path, str] = field(default_factory=dict)
    """The line that names a picture."""

    def pictures(self, split: str, names: Sequence[str]) -> list[Picture]:
        """Those of a split, with the persons as they are written."""
        inside = self._inside("train" if split == "train" else "test")
        if split not in self.reading.needed and not (self.folder / names[0]).exists():
            return []
        lines = [
            (f"{name}, line {number}", line)
            for name in names
            for number, line in enumerate(self._lines(name), 1)
            if line.strip()
        ]
        pictures = (self._picture(inside, place, line) for place, line in lines)
        return [picture for picture in pictures if picture]

    def _picture(self, inside: Path, place: str, line: str) -> Picture | None:
        parsed = parse_line(line)
        if parsed is None:
            self.problems.append(f"{place}: '{line}' is not like '{_EXAMPLE}'")
            return None
        path, person, camera = inside / parsed[0], parsed[1], parsed[2]
        home = self.homes.setdefault(path, place)
        reason = self.reading.fault(path) if home == place else f"is on {home} too"
        if reason:
            self.problems.append(f"{place}: {inside.name}/{parsed[0]} {reason}")
            return None
        return Picture(path, person, camera)

    def _inside(self, part: str) -> Path:
        """The folder of the pictures of the training or of the test, in either version."""
        found = (self.folder / name for name in FOLDERS[part])
        return next((path for path in found if path.is_dir()), self.folder / part)

    def _lines(self, name: str) -> list[str]:
        try:
            return read_bytes(self.folder / name).decode("ascii").splitlines()
        except DataError as error:
            self.problems.append(str(error))
        except UnicodeDecodeError as error:
            self.problems.append(f"{name} is not plain text ({error})")
        return []


def _numbered(splits: Mapping[str, Sequence[Picture]]) -> Dataset:
    """The set with persons counted from 1: those of the test first, then those who train."""
    tested = [picture.person for picture in [*splits["query"], *splits["gallery"]]]
    offsets = {"train": max(tested, default=-1) + 2, "query": 1, "gallery": 1}
    train, query, gallery = (
        tuple(replace(picture, person=picture.person + offsets[split]) for picture in splits[split])
        for split in SPLITS
    )
    people = {person + 1: f"test/{person:04d}" for person in tested} | {
        picture.person + offsets["train"]: f"train/{picture.person:04d}"
        for picture in splits["train"]
    }
    return Dataset("msmt17", train, query, gallery, people=people)
