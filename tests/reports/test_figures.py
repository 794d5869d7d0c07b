"""Figures: the right lines, the same bytes again, colours that a page can change."""

import math
import re
from typing import Any

import pytest

from reid_attn.reports.figures import cmc_plot, training_curves

Rows = list[dict[str, Any]]
CMC = [0.5, 0.6, 0.7, 0.75, 0.8123]


def test_the_cmc_names_its_ranks() -> None:
    svg = cmc_plot(CMC)
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    for text in (">50.0<", ">81.2<", ">rank<"):
        assert text in svg


@pytest.mark.parametrize("cmc", [[0.0] * 4 + [0.9] * 46, [0.05, 0.1, 0.4, 0.5, 0.6], [0.3, 0.9]])
def test_no_label_lies_below_the_axis(cmc: list[float]) -> None:
    svg = cmc_plot(cmc)
    bottom = max(float(y) for y in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>1</text>', svg))
    label = re.search(rf'<text [^>]*y="([\d.]+)"[^>]*>{100 * cmc[0]:.1f}</text>', svg)
    assert label and float(label[1]) < bottom - 14  # the height of the axis' numbers
    assert float(label[1]) > 0


def test_a_cmc_shorter_than_the_ranks_is_drawn() -> None:
    assert ">100.0<" in cmc_plot([1.0])


def test_the_training_panels(curves: Rows) -> None:
    panels = training_curves(curves)
    assert list(panels) == [
        "Loss",
        "Training accuracy and validation (%)",
        "Learning rate (×10⁻⁴)",
    ]
    loss, scores, rate = panels.values()
    for name in ("total", "identity", "triplet"):
        assert f">{name}<" in loss
    for name in ("accuracy", "Rank-1", "mAP"):
        assert f">{name}<" in scores
    assert "figure-line-3" in loss and "figure-line-2" not in rate


def test_panels_without_numbers_are_left_out(curves: Rows) -> None:
    assert training_curves([]) == {}
    assert list(training_curves(curves[2:])) == ["Training accuracy and validation (%)"]


def test_unknown_rows_and_missing_terms_are_no_obstacle() -> None:
    plain: Rows = [{"kind": "train", "epoch": 1, "total": 2.0, "triplet": None}, {"kind": "other"}]
    panels = training_curves(plain)
    assert set(panels) == {"Loss"} and ">triplet<" not in panels["Loss"]


def test_an_epoch_run_again_counts_once(curves: Rows) -> None:
    stale = {**curves[1], "total": 999.0}
    assert training_curves([curves[0], stale, *curves[1:]]) == training_curves(curves)


def test_a_learning_rate_of_zero_is_drawn() -> None:
    rows = [{"kind": "train", "epoch": e, "learning_rate": 0.0} for e in (1, 2)]
    assert list(training_curves(rows)) == ["Learning rate (×10⁰)"]


def test_the_same_numbers_give_the_same_bytes(curves: Rows) -> None:
    assert cmc_plot(CMC) == cmc_plot(CMC)
    assert training_curves(curves) == training_curves(curves[::-1])  # whatever their order


def test_figures_fit_into_a_page() -> None:
    svg = cmc_plot(CMC)
    assert "metadata" not in svg and "DOCTYPE" not in svg
    assert set(re.findall(r"https?://[^/]*", svg)) == {"http://www.w3.org"}
    assert "<g id=" not in svg  # matplotlib numbers the groups of every figure alike
    assert "<text" in svg


def test_every_colour_can_be_changed_by_the_page() -> None:
    svg = cmc_plot(CMC)
    fixed = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg)
    assert not re.search(r"(fill|stroke): #", fixed)


def test_a_diverged_training_is_drawn() -> None:
    rows: Rows = [
        {"kind": "train", "epoch": e, "total": math.nan, "triplet": math.inf} for e in (1, 2)
    ]
    assert set(training_curves(rows)) == {"Loss"}
