"""Your own pictures: folders of persons, or a CSV table.

`folder:PATH` is either `PATH/{train,query,gallery}/PERSON/…` or `PATH/PERSON/…`; the camera is
read from the file name, or else from the folders between it and the person's, the inner first: that
of a camera, or of a track, which one camera saw. `csv:FILE` has the columns path, person, camera
and, if wanted, split; its paths are relative to the table. Persons are named freely (in Unicode's
NFC form, so that macOS and Linux agree) and numbered from 1 in the order of their names.

Without splits, every second person trains, from the first name on, and the others are tested: the
first picture of each camera is a query, the rest is the gallery, such that each query has a picture
of another camera to find.
"""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DataError
from ..storage import read_bytes
from .dataset import SPLITS, Dataset, Picture, need_folder, refuse
from .images import find
from .reading import WHOLE, Reading

COLUMNS = ("path", "person", "camera")
SHOWN_HEAD = 200
"""Characters of a table's first line that an error shows."""

_CAMERA = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A picture before persons have numbers; `split` is empty until it is decided."""

    path: Path
    person: str
    camera: int
    split: str


def read_folder(root: Path, reading: Reading = WHOLE) -> Dataset:
    """The set of `root`; one `DataError` lists everything that is wrong with it."""
    reading.pattern()  # a wrong one is refused before anything is read
    need_folder(root)
    problems: list[str] = []
    entries: list[_Entry] = []
    split = any((root / name).is_dir() for name in SPLITS)
    for name in SPLITS if split else ("",):
        if not (root / name).is_dir():
            problems += [f"{name}: the folder is missing"] if name in reading.needed else []
            continue
        for path in find(root / name):
            entry = _from_path(path, root / name, name, reading, problems)
            entries += [entry] if entry else []
    return _build(root, entries, problems, reading)


def read_csv(file: Path, reading: Reading = WHOLE) -> Dataset:
    """The set of a table; one `DataError` lists everything that is wrong with it."""
    problems: list[str] = []
    entries: list[_Entry] = []
    lines: dict[Path, str] = {}
    for line, cells in _rows(file):
        entry = _from_row(cells, file.parent, line, reading, problems)
        if entry is None:
            continue
        first = lines.setdefault(entry.path.resolve(), line)
        if first == line:
            entries.append(entry)
        else:
            problems.append(f"{line}: {entry.path} is already on {first}")
    return _build(file, entries, problems, reading)


def _rows(file: Path) -> list[tuple[str, dict[str, str]]]:
    """The table as (line, cell by column); a missing column and a broken table are `DataError`."""
    try:
        text = read_bytes(file).decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True, restval="", restkey="")
        table.fieldnames = [column.strip() for column in table.fieldnames or ()]
        rows = [(f"line {table.line_num}", row) for row in table]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}): save the table as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file} is not a CSV table ({error}): check its quotes") from error
    _check_head(file, table.fieldnames)
    return [(line, {name: row[name].strip() for name in row if name}) for line, row in rows]


def _check_head(file: Path, head: Sequence[str]) -> None:
    """`DataError` for a missing column, with the head that was found and what may be wrong."""
    missing = [name for name in COLUMNS if name not in head]
    if not missing:
        return
    found = ", ".join(head)
    if set(";\t") & set(found):
        advice = "separate the columns by commas"
    elif set(missing) <= {name.lower() for name in head}:
        advice = "write the names in small letters"
    else:
        advice = "let its first line name the columns"
    columns = "column" if len(missing) == 1 else "columns"
    shown = found if len(found) <= SHOWN_HEAD else f"{found[:SHOWN_HEAD]}…"
    raise DataError(
        f"{file} has no {columns} {', '.join(missing)}; its head is {shown!r}: {advice}"
    )


def _from_path(
    path: Path, root: Path, split: str, reading: Reading, problems: list[str]
) -> _Entry | None:
    """The picture `root/PERSON/…/name`, or `None` and one more problem."""
    person, *inner = path.relative_to(root).parts
    pattern, reason = reading.pattern(), reading.fault(path)
    match = next(filter(None, map(pattern.search, reversed(inner))), None)
    if not inner:
        problems.append(f"{path}: the picture is not in a person's folder")
    elif reason:
        problems.append(f"{path} {reason}")
    elif match is None or not _CAMERA.fullmatch(match[1] or ""):
        problems.append(
            f"{path}: no camera number by the pattern {pattern.pattern} (set data.camera_pattern)"
        )
    else:
        return _Entry(path, unicodedata.normalize("NFC", person), int(match[1]), split)
    return None


def _from_row(
    cells: dict[str, str], folder: Path, line: str, reading: Reading, problems: list[str]
) -> _Entry | None:
    """The picture of one row, or `None` and more problems."""
    path, split = folder / cells["path"], cells.get("split")
    reason = reading.fault(path)
    found = [f"{line}: {path} {reason}"] if reason else []
    if not cells["person"]:
        found.append(f"{line}: the person is missing")
    if not _CAMERA.fullmatch(cells["camera"]):
        found.append(f"{line}: the camera '{cells['camera']}' is not a number")
    if split is not None and split not in SPLITS:
        found.append(f"{line}: the split '{split}' is not one of {', '.join(SPLITS)}")
    problems += found
    if found:
        return None
    person = unicodedata.normalize("NFC", cells["person"])
    return _Entry(path, person, int(cells["camera"]), split or "")


def _build(source: Path, entries: list[_Entry], problems: list[str], reading: Reading) -> Dataset:
    """Number the persons, divide the pictures where no split is given, and check the whole."""
    people = dict(enumerate(sorted({entry.person for entry in entries}), 1))
    numbers = {person: number for number, person in people.items()}
    if entries and not entries[0].split:
        entries = _divide(entries)
    train, query, gallery = (
        tuple(Picture(e.path, numbers[e.person], e.camera) for e in entries if e.split == name)
        for name in SPLITS
    )
    dataset = Dataset(source.resolve().name, train, query, gallery, people=people)
    refuse(source, problems + dataset.problems(reading.needed))
    return dataset


def _divide(entries: Iterable[_Entry]) -> list[_Entry]:
    """Give each picture its split by the rule in the head of this file."""
    persons: dict[str, dict[int, list[_Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in sorted(entries, key=lambda entry: (entry.person, entry.camera, entry.path)):
        persons[entry.person][entry.camera].append(entry)
    divided = []
    for position, cameras in enumerate(persons.values()):
        rest = "gallery" if position % 2 else "train"
        asking = _queries(cameras) if rest == "gallery" else set()
        for camera, (first, *others) in cameras.items():
            divided.append(replace(first, split="query" if camera in asking else rest))
            divided += [replace(entry, split=rest) for entry in others]
    return divided


def _queries(cameras: dict[int, list[_Entry]]) -> set[int]:
    """The cameras whose first picture is a query: a match in another camera must be left for each.

    Cameras with one picture keep it for the gallery; where all have only one, the first asks.
    """
    if len(cameras) < 2:
        return set()
    several = {camera for camera, pictures in cameras.items() if len(pictures) > 1}
    return several or {min(cameras)}
