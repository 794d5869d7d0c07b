"""Pictures on their way into a gallery, one at a time or from a tracker's table."""

import csv
import io
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import storage
from ..errors import DataError
from .filters import Moment, seconds
from .record import (
    Attributes,
    attribute_value,
    attributes_text,
    person_name,
    stored_camera,
    track_number,
)

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the upright picture."""

NEEDED = ("path", "camera")
KNOWN = ("path", "camera", "track", "time", "person", "name", "x", "y", "width", "height")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A picture of somebody, and what is known of it."""

    picture: Path
    camera: int
    person: str | None = None
    """The key of the person; `None` as long as nobody knows."""
    name: str = ""
    time: Moment | None = None
    track: str = ""
    box: Box | None = None
    """The part of `picture` that shows the person; `None` for all of it."""
    attributes: Attributes = field(default_factory=dict)

    def checked(self) -> "Sighting":
        """As it is stored; `DataError` for what cannot be."""
        if self.name and self.person is None:
            raise DataError(f"the name {self.name!r} is of no person: give the person's key too")
        return Sighting(
            picture=Path(self.picture),
            camera=stored_camera(self.camera),
            person=None if self.person is None else person_name(self.person),
            name=person_name(self.name) if self.name else "",
            time=seconds(self.time),
            track=track_number(self.track),
            box=_plain_box(self.box),
            attributes=json.loads(attributes_text(self.attributes)),
        )


def read_tracks(file: Path) -> list[Sighting]:
    """The rows of a tracker's table, a CSV file with a head.

    Columns `path` (of a frame or a cut-out, relative to the table) and `camera`; if wanted `track`,
    `time` (seconds since 1970 or ISO 8601), `x`, `y`, `width`, `height` (pixels), `person`, `name`.
    Any other column is kept as an attribute. One `DataError` lists everything that is wrong.
    """
    sightings, problems = [], []
    for line, cells in _rows(file):
        try:
            sightings.append(_sighting(cells, file.parent))
        except DataError as error:
            problems.append(f"\n  line {line}: {error}")
    if problems:
        raise DataError(f"{len(problems)} rows of {file} cannot be used:{''.join(problems)}")
    if not sightings:
        raise DataError(f"{file} has no rows below its head: write one for each picture")
    return sightings


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, cell by column), cells stripped."""
    try:
        text = storage.read_bytes(file).decode("utf-8-sig")
        table = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = [column.strip() for column in next(table, [])]
        rows = [(table.line_num, [cell.strip() for cell in row]) for row in table if row]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: save the table as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file} is not a CSV table ({error}): check its quotes") from error
    if not head:
        raise DataError(f"{file} has no head: its first line must name the columns")
    for column in NEEDED:
        if column not in head:
            raise DataError(f"{file} has no column '{column}': its head is {', '.join(head)}")
    if "" in head:
        raise DataError(
            f"column {head.index('') + 1} of {file} has no name: give it one, or leave it out"
        )
    if twice := [column for column in head if head.count(column) > 1]:
        raise DataError(f"{file} has more than one column '{twice[0]}': leave all but one out")
    for line, row in rows:
        if len(row) != len(head):
            raise DataError(f"line {line} of {file} has {len(row)} cells for {len(head)} columns")
    return [(line, dict(zip(head, row, strict=True))) for line, row in rows]


def _sighting(cells: Mapping[str, str], folder: Path) -> Sighting:
    others = {
        key: attribute_value(cell) for key, cell in cells.items() if key not in KNOWN and cell
    }
    if not cells["path"]:
        raise DataError("the path is missing")
    return Sighting(
        picture=folder / cells["path"],
        camera=_whole(cells["camera"], "camera"),
        person=cells.get("person") or None,
        name=cells.get("name", ""),
        time=cells.get("time") or None,
        track=cells.get("track", ""),
        box=_box(cells),
        attributes=others,
    ).checked()


def _plain_box(box: Box | None) -> Box | None:
    """The box with plain integers, since its text is hashed."""
    if box is None:
        return None
    try:
        x, y, width, height = (int(operator.index(side)) for side in box)
    except (TypeError, ValueError) as error:
        raise DataError(f"the box {box!r} is no x, y, width, height in whole pixels") from error
    return x, y, width, height


def _box(cells: Mapping[str, str]) -> Box | None:
    sides = [cells.get(side, "") for side in ("x", "y", "width", "height")]
    if not any(sides):
        return None
    try:
        x, y, width, height = (round(float(side)) for side in sides)
    except (ValueError, OverflowError) as error:
        raise DataError(f"the box {', '.join(sides)} is no x, y, width, height") from error
    if width < 1 or height < 1:
        raise DataError(f"the box {', '.join(sides)} has no area")
    return x, y, width, height


def _whole(cell: str, column: str) -> int:
    try:
        return int(cell)
    except ValueError as error:
        raise DataError(f"the {column} {cell!r} is not a whole number") from error
