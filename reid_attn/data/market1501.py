"""Market-1501 (Zheng et al., Scalable Person Re-identification, ICCV 2015) and sets named like it.

A name such as `0002_c1s1_000451_03.jpg` gives the person (0002) and the camera (1; cameras keep the
numbers written). `-1` marks junk detections, which are counted and left out; `0000` marks
distractors, which stay in the gallery as person 0. Leaving junk out gives the same ranking as
ignoring it in every query.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .dataset import Dataset, Picture, locate, refuse
from .images import is_picture
from .reading import WHOLE, Reading

SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
RELEASE = "Market-1501-v15.09.15"
PLACES = ("", "market1501", RELEASE, f"market1501/{RELEASE}")
"""Where the split folders lie below the path that people give."""
COUNTS = {"train": 12_936, "query": 3_368, "gallery": 15_913, "junk": 3_819}
TRAIN_PERSONS = 751
DISTRACTOR, JUNK = 0, -1
EXAMPLE = "0002_c1s1_000451_03.jpg"

_NAME = re.compile(r"(-1|[0-9]{1,9})_c([0-9]{1,9})(?:s[0-9]+)?(?:_.*)?\.[a-z]+", re.I | re.S)


def read(root: Path, reading: Reading = WHOLE) -> Dataset:
    """The set below `root`; one `DataError` lists everything that is wrong with it."""
    folder = locate(root, PLACES, _has_a_split, ", ".join(SPLITS.values()))
    problems: list[str] = []
    names = {
        split: _names(folder / place, reading, problems)
        for split, place in SPLITS.items()
        if split in reading.needed or (folder / place).is_dir()
    }
    return build(folder, names, problems, reading.needed)


def _has_a_split(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in SPLITS.values())


def parse_name(name: str) -> tuple[int, int] | None:
    """(person, camera) of a file name, or `None` when it does not follow the rule."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def written_person(name: str) -> str:
    """The person as a file name writes it, such as 0047; empty when it does not follow the rule."""
    match = _NAME.fullmatch(name)
    return match[1] if match else ""


def build(
    folder: Path,
    names: Mapping[str, Iterable[str]],
    problems: Iterable[str] = (),
    needed: Sequence[str] = tuple(SPLITS),
) -> Dataset:
    """The set whose splits hold the file `names`; nothing is read from the disk.

    `problems` are those found before; a `DataError` reports them with the ones found here.
    """
    found = list(problems)
    pictures: dict[str, list[Picture]] = {split: [] for split in SPLITS}
    home: dict[str, str] = {}
    junk = 0
    for split, place in SPLITS.items():
        inside = folder / place
        for name in sorted(names.get(split, ())):
            parsed = parse_name(name)
            problem = _problem(split, parsed, home.setdefault(name, place))
            if problem or parsed is None:
                found.append(f"{place}/{name}: {problem}")
            elif parsed[0] == JUNK:
                junk += 1
            else:
                pictures[split].append(Picture(inside / name, *parsed))
    train, query, gallery = (tuple(pictures[split]) for split in SPLITS)
    dataset = Dataset("market1501", train, query, gallery, junk)
    found += dataset.problems(needed)
    if folder.name == RELEASE or len(dataset.labels()) == TRAIN_PERSONS:
        found += dataset.differences(COUNTS, "Market-1501", needed)
    refuse(folder, found)
    return dataset


def _names(folder: Path, reading: Reading, problems: list[str]) -> list[str]:
    """Names of the pictures in `folder`; what cannot be read goes to `problems`."""
    try:
        names = [path.name for path in folder.iterdir() if is_picture(path.name)]
    except OSError as error:
        problems.append(f"{folder.name}: the folder cannot be read ({error.strerror})")
        return []
    reasons = {name: reading.fault(folder / name) for name in sorted(names)}
    problems += [f"{folder.name}/{name} {reason}" for name, reason in reasons.items() if reason]
    return names


def _problem(split: str, parsed: tuple[int, int] | None, home: str) -> str:
    """What is wrong with a name in `split`, first seen in folder `home`; or an empty text."""
    if parsed is None:
        return f"the name is not like {EXAMPLE}"
    if parsed[0] <= DISTRACTOR and split != "gallery":
        return "only the gallery may hold distractors (0000) and junk (-1)"
    return "" if home == SPLITS[split] else f"a picture of this name is also in {home}"
