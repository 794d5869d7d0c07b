"""Where the labels of a scatter plot go, so that they hide neither points nor each other."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Spot = tuple[float, float]

SIZE = 8.5
"""Of the letters, in points."""
GAP = 6.0
"""Between a point and the label beside it, in points."""
_LETTER = 0.58
"""Mean width of a letter as a share of its size, on the safe side."""
_RADIUS = 4.0
"""Of what is kept free around a point."""
_RINGS = (14, 22, 32, 44, 58, 74, 92)
_DIRECTIONS = 16


class Box(NamedTuple):
    """A rectangle in points, the origin at the lower left."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """The common area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0) * max(height, 0)


def place_labels(points: Sequence[Spot], labels: Sequence[str], inside: Box) -> list[Spot]:
    """The offset of each label's left middle from its point; all in points (1/72 inch).

    Greedy, from the top: beside the point where that is free, else on rings around it, else where
    least is hidden. Labels stay `inside`.
    """
    taken = [Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
    offsets: list[Spot] = [(0, 0)] * len(points)
    for index in sorted(range(len(points)), key=lambda i: (-points[i][1], points[i][0])):
        width = width_of(labels[index])
        found = [
            (_hidden(_box(points[index], offset, width), taken, inside), order, offset)
            for order, offset in enumerate(_candidates(width))
        ]
        _, _, offsets[index] = min(found)
        taken.append(_box(points[index], offsets[index], width))
    return offsets


def width_of(label: str) -> float:
    """About how wide the label is, in points."""
    return len(label) * SIZE * _LETTER


def _candidates(width: float) -> Iterator[Spot]:
    """Offsets of a label's left middle: right, left, then rings of growing radius."""
    yield GAP, 0
    yield -GAP - width, 0
    for radius in _RINGS:
        for step in range(_DIRECTIONS):
            angle = 2 * math.pi * step / _DIRECTIONS
            x, y = radius * math.cos(angle), radius * math.sin(angle)
            yield x - width * (1 - math.cos(angle)) / 2, y


def _box(point: Spot, offset: Spot, width: float) -> Box:
    left, middle = point[0] + offset[0], point[1] + offset[1]
    return Box(left, middle - 0.6 * SIZE, left + width, middle + 0.6 * SIZE)


def _hidden(box: Box, taken: Sequence[Box], inside: Box) -> float:
    area = (box.right - box.left) * (box.top - box.bottom)
    return sum(box.overlap(other) for other in taken) + area - box.overlap(inside)
