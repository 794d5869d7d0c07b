"""Labels of a scatter plot hide neither each other nor points, and stay inside."""

import numpy as np
import pytest

from reid_attn.reports.figures import Point, scatter_plot
from reid_attn.reports.labels import Box, _box, place_labels, width_of

INSIDE = Box(0, 0, 600, 300)


@pytest.mark.parametrize("seed", range(5))
def test_thirty_labels_of_which_most_are_crowded(seed: int) -> None:
    generator = np.random.default_rng(seed)
    crowded = generator.uniform((60, 40), (110, 260), size=(22, 2))
    apart = generator.uniform((60, 40), (560, 260), size=(8, 2))
    points = [tuple(p) for p in np.concatenate([crowded, apart]).tolist()]
    labels = [f"{'long_name' if i % 3 else 'se'}{i}" for i in range(30)]
    offsets = place_labels(points, labels, INSIDE)
    boxes = [
        _box(point, offset, width_of(label))
        for point, offset, label in zip(points, offsets, labels, strict=True)
    ]
    assert all(box.overlap(INSIDE) == pytest.approx(_area(box)) for box in boxes)
    hidden = sum(a.overlap(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert hidden < 0.02 * sum(map(_area, boxes))


def test_a_point_alone_has_its_label_on_the_right() -> None:
    ((x, y),) = place_labels([(100, 100)], ["rga"], INSIDE)
    assert x > 0
    assert y == 0


def test_the_plot_names_every_point_and_repeats() -> None:
    points = [Point("baseline", 8.1, 70.0, True), Point("rga & co", 10.1, 71.5, False)]
    svg = scatter_plot(points)
    assert svg == scatter_plot(points)
    assert ">baseline<" in svg
    assert ">rga &amp; co<" in svg


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.top - box.bottom)
