"""Figures of verification, several runs and the feature space."""

import re
from typing import Any

import numpy as np
import pytest

from reid_attn.reports.figures import line_style
from reid_attn.reports.plots import Shade, cmc_overlay, embedding_plot, roc_plot, shades, swatch


def embedding(count: int) -> dict[str, Any]:
    """One picture of each of so many persons, and a query of the first."""
    x = np.arange(count + 1, dtype=float).tolist()
    persons = [f"<b>{i}" for i in range(count)]
    return {"x": x, "y": x, "person": [*persons, persons[0]], "query": [False] * count + [True]}


def test_figures_fit_into_a_page_and_repeat() -> None:
    for draw in (
        lambda: roc_plot([0.0, 0.01, 1.0], [0.1, 0.5, 1.0]),
        lambda: cmc_overlay([[0.5, 0.7], [0.6, 0.8]]),
        lambda: embedding_plot(embedding(60)),
    ):
        svg = draw()
        assert svg.startswith("<svg") and svg == draw()
        assert set(re.findall(r"https?://[^/]*", svg)) == {"http://www.w3.org"}
        fixed = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg)
        assert not re.search(r"(fill|stroke): #", fixed)
        assert "<b>" not in svg


def test_the_axis_of_mistakes_is_logarithmic() -> None:
    svg = roc_plot([0.0, 0.0001, 0.001, 0.01, 0.1, 1.0], [0.1, 0.2, 0.5, 0.7, 0.9, 1.0])
    ticks = [float(text) for text in re.findall(r">([\d.]+)</text>", svg)]
    assert ticks[:5] == [0.01, 0.1, 1, 10, 100]


@pytest.mark.parametrize("fpr", [[0.0, 1.0], [0.0, 0.0], [1e-12, 1.0]])
def test_few_pairs_are_drawn(fpr: list[float]) -> None:
    assert ">100</text>" in roc_plot(fpr, [0.5, 1.0])


def test_curves_of_unequal_length_and_of_one_rank() -> None:
    svg = cmc_overlay([[0.5], [0.6] * 50])
    assert ">20<" in svg and ">30<" not in svg
    assert "figure-line-2" in svg


def test_lines_differ_in_colour_or_style() -> None:
    assert len({line_style(number) for number in range(24)}) == 24
    assert len({swatch(number) for number in range(24)}) == 24
    assert swatch(1) == "border-top: 3px dashed var(--figure-line-2, #d9730d)"


def test_persons_of_a_map_differ_in_colour_or_marker() -> None:
    svg = embedding_plot(embedding(48))
    used = set(re.findall(r'xlink:href="#(\w+)"', svg))
    assert len(used) == 48 + 1 + 2  # persons, the query, and the two of the legend


def test_the_shades_span_what_there_is() -> None:
    assert shades([[0.2, None], [0.6, 0.4]]) == [
        [Shade(0.2, 0.0), Shade(None, 0.0)],
        [Shade(0.6, 1.0), Shade(0.4, pytest.approx(0.5))],
    ]
    assert shades([[None]]) == [[Shade(None, 0.0)]]
    assert shades([[0.5, 0.5]])[0][0].strength == 0
