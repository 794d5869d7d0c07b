"""Figures as SVG text: the CMC curve, the training curves, cost and accuracy; more in `plots.py`.

The same numbers give the same bytes. A colour is a CSS variable with a value to fall back on: a
page recolours its figures for a dark screen, and a figure alone is still readable.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .labels import SIZE, Box, place_labels

INK, GRID = "#6b7280", "#dfe2e7"
CYCLE = (
    *("#2f6fde", "#d9730d", "#1a936f", "#c2378f"),
    *("#8a6d00", "#0e8ba8", "#7a52cc", "#b3413a"),
)
"""Colours that follow each other; always with another style or marker, never told by hue alone."""
_STYLES = ("-", "--", ":")
_VARIABLES = {
    INK: "figure-ink",
    GRID: "figure-grid",
    **{colour: f"figure-line-{number}" for number, colour in enumerate(CYCLE, start=1)},
}
_LABELLED_RANKS = (1, 5, 10, 20)
RANK_TICKS = (1, 5, 10, 20, 30, 40, 50, 100)
_LABEL_HEIGHT = 0.12
"""Of the plot: a point nearer to the bottom has its label above it, off the numbers of the axis."""
_FEW = 30  # up to so many points, each is marked

COLOURS = tuple(to_hex(matplotlib.colormaps["viridis"](step / 8)) for step in range(9))
"""From low to high: steps of the colour map of attention, for a bar beside it."""


class Point(NamedTuple):
    """A network in the plot of cost and accuracy."""

    label: str
    gflop: float
    mAP: float
    """In percent."""
    baseline: bool


class _Curve(NamedTuple):
    label: str
    epochs: list[int]
    values: list[float]


def cmc_plot(cmc: Sequence[float]) -> str:
    """SVG of the share of queries (from `cmc` (K,), 0 to 1) answered rightly within each rank."""
    percent = [100 * float(share) for share in cmc]
    figure, axes = new_figure(width=4.7, height=2.9)
    ranks = range(1, len(percent) + 1)
    axes.plot(ranks, percent, color=CYCLE[0], linewidth=2)
    bottom, top = max(math.floor(percent[0] / 10 - 1) * 10, 0), 102
    labelled = ""
    for rank in (rank for rank in _LABELLED_RANKS if rank <= len(percent)):
        axes.plot([rank], [percent[rank - 1]], "o", color=CYCLE[0], markersize=5)
        text = f"{percent[rank - 1]:.1f}"
        if text != labelled:  # the labels of a plateau would run into each other
            low = percent[rank - 1] - bottom < _LABEL_HEIGHT * (top - bottom)
            _label_point(axes, rank, percent[rank - 1], text, above=low)
        labelled = text
    axes.set_ylim(bottom, top)
    axes.set_xlabel("rank", color=INK)
    axes.set_ylabel("queries answered (%)", color=INK)
    axes.set_xticks([rank for rank in RANK_TICKS if rank <= len(percent)])
    return svg_text(figure)


def training_curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """One SVG for each panel, by its title, from the rows of `metrics.jsonl`.

    Panels are apart so that a page can place them side by side or below each other. A panel without
    numbers is left out; of an epoch that was run again after an interruption the last row counts.
    """
    rows = list(rows)
    train, evaluation = _by_epoch(rows, "train"), _by_epoch(rows, "evaluation")
    scores = [_curve(train, "accuracy", "accuracy", 100)]
    scores += [_curve(evaluation, key, label, 100) for key, label in _SCORES.items()]
    exponent = _exponent([row["learning_rate"] for row in train if "learning_rate" in row])
    rate = _curve(train, "learning_rate", "learning rate", 10.0**-exponent)
    panels = {
        "Loss": [_curve(train, key, key.replace("_", " ")) for key in _TERMS],
        "Training accuracy and validation (%)": scores,
        f"Learning rate (×10{str(exponent).translate(_SUPERSCRIPT)})": [rate],
    }
    shown = {title: [c for c in curves if c.values] for title, curves in panels.items()}
    return {title: _panel(curves) for title, curves in shown.items() if curves}


def scatter_plot(points: Sequence[Point]) -> str:
    """SVG of mAP over cost; each point is labelled, and a label far from its point has a line."""
    figure, axes = new_figure(width=8.4, height=4.4)
    for point in points:
        marker, colour = ("D", CYCLE[1]) if point.baseline else ("o", CYCLE[0])
        axes.plot([point.gflop], [point.mAP], marker, color=colour, markersize=5.5)
    axes.margins(x=0.12, y=0.12)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_xlabel("GFLOP for one picture", color=INK)
    axes.set_ylabel("mAP (%)", color=INK)
    figure.draw_without_rendering()  # settles the layout, and with it where points lie
    scale = 72 / figure.dpi
    places = scale * axes.transData.transform([(point.gflop, point.mAP) for point in points])
    inside = Box(*(scale * side for side in axes.get_window_extent().extents))
    offsets = place_labels(places.tolist(), [point.label for point in points], inside)
    for point, offset in zip(points, offsets, strict=True):
        beside = offset[1] == 0
        axes.annotate(
            point.label, (point.gflop, point.mAP), xytext=offset, textcoords="offset points",
            color=INK, fontsize=SIZE, va="center", annotation_clip=False,
            arrowprops=None if beside else {"arrowstyle": "-", "color": INK, "linewidth": 0.5,
            "shrinkB": 3, "relpos": (0.5, 0.5)},
        )  # fmt: skip
    return svg_text(figure)


def sorted_curve(values: Sequence[float]) -> str:
    """SVG of `values` in falling order: how a gate treats channels, whichever they are."""
    figure, axes = new_figure(width=3.9, height=2.7)
    axes.plot(range(1, len(values) + 1), sorted(values, reverse=True), color=CYCLE[0])
    axes.set_xlabel("channels, by their gate", color=INK)
    return svg_text(figure)


_TERMS = (
    *("total", "identity", "triplet", "center", "circle"),
    *("multi_similarity", "supervised_contrastive"),
)
_SCORES = {"rank1": "Rank-1", "mAP": "mAP"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _by_epoch(rows: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    latest = {row["epoch"]: row for row in rows if row.get("kind") == kind}
    return [latest[epoch] for epoch in sorted(latest)]


def _curve(rows: Iterable[Mapping[str, Any]], key: str, label: str, scale: float = 1) -> _Curve:
    known = [row for row in rows if row.get(key) is not None]
    return _Curve(label, [row["epoch"] for row in known], [scale * row[key] for row in known])


def _exponent(rates: Sequence[float]) -> int:
    largest = max(rates, default=0)
    return math.floor(math.log10(largest)) if largest > 0 else 0


def _panel(curves: Sequence[_Curve]) -> str:
    figure, axes = new_figure(width=3.9, height=2.7)
    for curve, colour, style in zip(curves, CYCLE, _STYLES, strict=False):
        marker = "o" if len(curve.epochs) <= _FEW else ""
        axes.plot(
            curve.epochs, curve.values, style, color=colour, label=curve.label,
            linewidth=1.8, marker=marker, markersize=3.5,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if len(curves) > 1:
        figure.legend(loc="outside upper left", ncols=len(curves), frameon=False, labelcolor=INK)
    return svg_text(figure)


def line_style(number: int) -> tuple[str, str]:
    """Colour and style of line `number`, from 0; no two of the first 24 agree in both."""
    return CYCLE[number % len(CYCLE)], _STYLES[number % len(_STYLES)]


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches in the look of all others, with its axes."""
    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=INK, length=0, pad=6)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return figure, axes


def _label_point(axes: Axes, rank: int, percent: float, text: str, above: bool) -> None:
    """Beside a point of a rising curve: below it at its right, or above it at its left."""
    offset, side = ((0, 5), "right") if above else ((5, -13), "left")
    axes.annotate(
        text, (rank, percent), xytext=offset, textcoords="offset points", color=INK, ha=side
    )


def svg_text(figure: Figure) -> str:
    """The figure as an `<svg>` element that fits into a page and takes the page's colours."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reid_attn"}):
        figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]  # the XML head has no place inside a page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # numbered alike in every figure of a page
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    return svg
