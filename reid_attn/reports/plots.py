"""Figures of verification, of several runs and of the feature space, as SVG text.

They look like those of `figures.py` and are drawn from numbers alone: no text from outside is in
them, so that a page can place them as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from .figures import CYCLE, INK, RANK_TICKS, line_style, new_figure, svg_text

CMC_RANKS = 20
_MARKERS = ("o", "s", "^", "D", "v", "P")
_QUERY = "*"
_LOWEST_RATE = 1e-6
_REPEAT = 24
"""After so many persons the pairs of colour and marker would come again: markers move on by one."""
_FEW_POINTS = 400
"""Up to so many, the points of a map are drawn larger."""


class Shade(NamedTuple):
    """A cell of a heat map: its value, and how strong its colour is, 0 to 1."""

    value: float | None
    strength: float


def roc_plot(fpr: Sequence[float], tpr: Sequence[float]) -> str:
    """SVG of genuine pairs accepted (`tpr`) over impostors accepted (`fpr`), fractions (N,).

    The axis of the latter is logarithmic and begins at the smallest rate above 0.
    """
    rates, shares = np.array([fpr, tpr], dtype=np.float64)
    shown = rates > 0  # a logarithm has no place for 0
    lowest = min(max(float(rates[shown].min(initial=1.0)), _LOWEST_RATE), 0.1)
    figure, axes = new_figure(width=4.7, height=2.9)
    axes.plot(100 * rates[shown], 100 * shares[shown], color=CYCLE[0], linewidth=2)
    axes.set_xscale("log")
    axes.set_xlim(100 * lowest, 100)
    axes.set_ylim(0, 102)
    ticks = [10.0**power for power in range(-4, 3) if 10.0**power >= 99.9 * lowest]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    axes.set_xlabel("pairs of two persons taken for one (%)", color=INK)
    axes.set_ylabel("pairs of one person accepted (%)", color=INK)
    return svg_text(figure)


def cmc_overlay(curves: Sequence[Sequence[float]]) -> str:
    """SVG of several CMC curves (K,), 0 to 1, each in the line style of its number."""
    figure, axes = new_figure(width=5.8, height=3.0)
    longest = min(max(map(len, curves)), CMC_RANKS)
    lowest = min(curve[0] for curve in curves)
    for number, curve in enumerate(curves):
        shown = [100 * float(share) for share in curve[:CMC_RANKS]]
        colour, style = line_style(number)
        marker = "o" if len(shown) == 1 else ""
        axes.plot(range(1, len(shown) + 1), shown, style, color=colour, linewidth=2, marker=marker)
    axes.set_ylim(max(np.floor(10 * lowest - 0.5) * 10, 0), 102)
    axes.set_xlabel("rank", color=INK)
    axes.set_ylabel("queries answered (%)", color=INK)
    axes.set_xticks([rank for rank in RANK_TICKS if rank <= longest])
    return svg_text(figure)


def embedding_plot(embedding: Mapping[str, Any]) -> str:
    """SVG of a map of the features, from lists of equal length `x`, `y`, `person`, `query`.

    A person has one colour and one marker, which others share where there are more than 48; a star
    is a query. Persons are told apart by their numbers, and not named.
    """
    places = np.stack([np.asarray(embedding[axis], dtype=np.float64) for axis in ("x", "y")])
    queries = np.asarray(embedding["query"], dtype=bool)
    looks = _looks(embedding["person"])
    figure, axes = new_figure(width=8.4, height=5.6)
    size = 5.0 if places.shape[1] <= _FEW_POINTS else 3.2
    for look in np.unique(looks).tolist():
        marker = _MARKERS[(look + look // _REPEAT) % len(_MARKERS)]
        colour = CYCLE[look % len(CYCLE)]
        gallery, query = places[:, ~queries & (looks == look)], places[:, queries & (looks == look)]
        axes.plot(*gallery, marker, color=colour, markersize=size, alpha=0.75)
        axes.plot(
            *query, _QUERY, color=colour, markersize=2.2 * size,
            markeredgecolor=INK, markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    shapes = {"gallery picture": "o", "query": _QUERY}
    handles = [
        Line2D([], [], marker=shape, color=INK, linestyle="none", label=label)
        for label, shape in shapes.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, labelcolor=INK)
    return svg_text(figure)


def shades(values: Sequence[Sequence[float | None]]) -> list[list[Shade]]:
    """The cells of a heat map; the strongest colour is the largest value, the weakest the least."""
    known = [value for row in values for value in row if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    span = high - low or 1.0
    return [
        [Shade(value, 0.0 if value is None else (value - low) / span) for value in row]
        for row in values
    ]


def swatch(number: int) -> str:
    """The CSS of a border that looks like line `number` of a figure, for a legend in the page."""
    colour, style = line_style(number)
    border = {"-": "solid", "--": "dashed", ":": "dotted"}[style]
    return f"border-top: 3px {border} var(--figure-line-{CYCLE.index(colour) + 1}, {colour})"


def _looks(persons: Sequence[object]) -> NDArray[np.int64]:
    """Which of the colours and markers each point has, (N,): persons in their order."""
    numbers = {person: number for number, person in enumerate(dict.fromkeys(persons))}
    looks = len(CYCLE) * len(_MARKERS)
    return np.array([numbers[person] % looks for person in persons], dtype=np.int64)
