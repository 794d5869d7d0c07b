"""The layout of a drawing: boxes in a grid, and arrows that find their way between them.

The first line of a flow is its title. A box is `KEY COLUMN,ROW KIND TEXT`, with | where a line
ends; an arrow is `KEY -> KEY SHAPE`, or `=>` on the path of a gate. Kinds: `map` what comes and
goes, `op` an operation, `weight` one with weights, `join` a sum or product, `slot` room for a
block.

Columns and gaps are as wide as their texts. An arrow runs along the row of its first box or along
that of its second one; into a join it may come from above or below; one that goes back leaves at
the bottom. An arrow without a shape carries that of the arrows before it.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

TEXT, SMALL = 13, 12
"""Sizes of the two fonts, pixels."""
LETTER = 0.61
"""Width of a letter of the usual sans-serif fonts, of its size; rather too wide."""
PITCH, MARGIN, LEGEND = 70, 20, 30
"""Height of a row, and room around and under all rows."""
EARLY, LATE = 10, 16
"""Where verticals run in a gap, from its left and its right end."""

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Box:
    """One box of a flow, in its grid."""

    column: int
    row: int
    kind: str
    lines: list[str]

    @property
    def size(self) -> Point:
        """Width and height."""
        if self.kind == "join":
            return 30, 30
        longest = max(len(line) for line in self.lines)
        return max(longest * LETTER * TEXT + 18, 34), 16 * len(self.lines) + 16


@dataclass(frozen=True)
class Arrow:
    """From box to box; `gate` when it carries what will be multiplied in."""

    start: str
    end: str
    label: str
    gate: bool


@dataclass
class Flow:
    """A parsed flow and where everything of it lies."""

    title: str
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)

    @cached_property
    def columns(self) -> list[tuple[float, float]]:
        """Left and right end of each column."""
        ends, left = [], float(MARGIN)
        for column in range(1 + max(box.column for box in self.boxes.values())):
            inside = [box for box in self.boxes.values() if box.column == column]
            right = left + max((box.size[0] for box in inside), default=0)
            leaving = [a.label for a in self.arrows if self.boxes[a.start].column == column]
            widest = max((width_of(label) for label in leaving), default=0)
            ends.append((left, right))
            left = right + max(widest + EARLY + LATE + 12, 34)
        return ends

    @property
    def size(self) -> Point:
        """Width and height of the drawing."""
        rows = 1 + max(box.row for box in self.boxes.values())
        wanted = max(self.columns[-1][1] + MARGIN, 560)
        return wanted, rows * PITCH + MARGIN + LEGEND + 14

    def centre(self, box: Box) -> Point:
        """The middle of a box."""
        left, right = self.columns[box.column]
        return (left + right) / 2, MARGIN + 18 + PITCH * (box.row + 0.5)

    def rectangle(self, box: Box) -> Rectangle:
        """The outline of a box."""
        (x, y), (width, height) = self.centre(box), box.size
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def path(self, arrow: Arrow) -> list[Point]:
        """The corners of an arrow."""
        start, end = self.boxes[arrow.start], self.boxes[arrow.end]
        (x0, y0), (x1, y1) = self.centre(start), self.centre(end)
        _, _, right, bottom = self.rectangle(start)
        left, top, _, lower = self.rectangle(end)
        if end.column <= start.column:
            middle = (y0 + y1) / 2 if end.row - start.row == 1 else y1 - PITCH / 2
            bends = [] if x0 == x1 else [(x0, middle), (x1, middle)]
            return [(x0, bottom), *bends, (x1, top)]
        if start.row == end.row:
            return [(right, y0), (left, y1)]
        ways = {
            "late": self._free(start, end, start.row, 0),
            "down": end.kind == "join" and self._free(start, end, start.row, 1),
            "early": self._free(start, end, end.row, 0),
        }
        leaving = sum(other.start == arrow.start for other in self.arrows)
        coming = sum(other.end == arrow.end for other in self.arrows)
        order = ("down", "late", "early") if leaving <= coming else ("early", "down", "late")
        way = next(way for way in order if ways[way])
        if way == "down":
            return [(right, y0), (x1, y0), (x1, top if y0 < y1 else lower)]
        early, late = self.columns[start.column][1] + EARLY, self.columns[end.column][0] - LATE
        bend = early if way == "early" else late
        return [(right, y0), (bend, y0), (bend, y1), (left, y1)]

    def label(self, arrow: Arrow) -> tuple[Point, Rectangle]:
        """Where the shape on an arrow is written: the middle of its line, and all of it."""
        start, end, path = self.boxes[arrow.start], self.boxes[arrow.end], self.path(arrow)
        half = width_of(arrow.label) / 2
        if end.column <= start.column:
            (xa, ya), (xb, yb) = path[len(path) // 2 - 1], path[len(path) // 2]
            x, y = ((xa + xb) / 2, ya - 5) if ya == yb else (xa + half + 6, (ya + yb) / 2 + 4)
        else:
            gap = self.columns[start.column][1], self.columns[start.column + 1][0]
            x = (gap[0] + EARLY + gap[1] - LATE) / 2
            early = len(path) == 4 and path[1][0] < x
            y = path[-1 if early else 0][1] - 5
        return (x, y), (x - half, y - SMALL + 2, x + half, y + 2)

    def _free(self, start: Box, end: Box, row: int, beyond: int) -> bool:
        """Whether nothing stands in `row` between the two columns, nor in the `beyond` last one."""
        taken = {(box.column, box.row) for box in self.boxes.values()}
        between = range(start.column + 1, end.column + beyond)
        low, high = sorted((row, end.row))
        crossing = [(end.column, other) for other in range(low + 1, high)]
        return not taken & {*((column, row) for column in between), *crossing}


def parse(text: str) -> Flow:
    """The flow that a file describes; ValueError for a line that is neither box nor arrow."""
    title, *rest = [line for line in text.splitlines() if line.strip()]
    flow = Flow(title)
    for line in rest:
        if arrow := re.fullmatch(r"(\w+) (->|=>) (\w+) *(.*)", line):
            start, sort, end, label = arrow.groups()
            flow.arrows.append(Arrow(start, end, label, sort == "=>"))
        elif box := re.fullmatch(r"(\w+) +(\d+),(\d+) +(map|op|weight|join|slot) +(.+)", line):
            key, column, row, kind, words = box.groups()
            flow.boxes[key] = Box(int(column), int(row), kind, words.split("|"))
        else:
            raise ValueError(f"neither a box nor an arrow: {line!r}")
    return flow


def width_of(text: str) -> float:
    """Of a small text."""
    return len(text) * LETTER * SMALL
