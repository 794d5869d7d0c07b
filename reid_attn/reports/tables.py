"""Tables for the terminal, and the one list of metric names with their definitions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .ranked_lists import Hit, RankedList, printable


class Metric(NamedTuple):
    """A share between 0 and 1: its key in `metrics.json`, its name, and what it means."""

    key: str
    label: str
    definition: str


RANKS = (1, 5, 10, 20)

METRICS = (
    Metric(
        "mAP", "mAP (plain)", "Precision at each right answer, averaged over answers, then queries."
    ),
    Metric("rank1", "Rank-1", "Queries whose first answer is right."),
    Metric(
        "mAP_trapezoid",
        "mAP (Market/trapezoid)",
        "The stricter form of the official Market-1501 code.",
    ),
    Metric("mINP", "mINP", "How early the last right answer comes (1: nothing wrong before it)."),
    Metric("rank5", "Rank-5", "Queries with a right answer among the first 5."),
    Metric("rank10", "Rank-10", "Queries with a right answer among the first 10."),
    Metric("rank20", "Rank-20", "Queries with a right answer among the first 20."),
)
"""In the order in which people read them: the plain mAP first."""


class Count(NamedTuple):
    """A number behind the metrics: its name, the number with its digits grouped, what it counts."""

    label: str
    value: str
    definition: str


def counts(metrics: Mapping[str, Any]) -> list[Count]:
    """The counts behind `metrics`, as far as they are known."""
    valid = f"{metrics.get('valid_queries', 0):,} of {metrics.get('queries', 0):,}"
    found = {
        "valid_queries": Count(
            "Valid queries", valid, "Queries with a right answer from another camera."
        ),
        "gallery": Count(
            "Gallery", f"{metrics.get('gallery') or 0:,}", "Pictures that were searched."
        ),
        "junk": Count(
            "Junk pairs",
            f"{metrics.get('junk') or 0:,}",
            "Left out: the same person at the same camera, or person −1.",
        ),
    }
    return [count for key, count in found.items() if metrics.get(key) is not None]


def print_metrics(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print `metrics` (fractions, as in `metrics.json`) in percent, the plain mAP first.

    What else was measured, `comparisons` and `baselines`, has a line each, last. The lines
    `mAP: 85.9%` and `CMC curve, Rank-1  :94.5%` are what this field's scripts look for.
    """
    lines = [f"mAP: {metrics['mAP']:.1%}"]
    lines += [f"CMC curve, Rank-{k:<3}:{metrics[f'rank{k}']:.1%}" for k in RANKS]
    console.print(Text("\n".join(lines)), soft_wrap=True)
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for metric in METRICS:
        if metric.key in ("mAP_trapezoid", "mINP"):
            table.add_row(metric.label, f"{metrics[metric.key]:.1%}", metric.definition)
    for count in counts(metrics):
        table.add_row(*count)
    console.print(table)
    others = {**(metrics.get("comparisons") or {}), **(metrics.get("baselines") or {})}
    for name, scores in others.items():
        line = f"{name}: mAP {scores['mAP']:.1%}, Rank-1 {scores['rank1']:.1%}"
        console.print(Text(line), soft_wrap=True)


def print_ranked(console: Console, ranked: RankedList) -> None:
    """Print one ranked list: rank, score, person, camera, right or wrong, and the file."""
    table = Table(box=box.SIMPLE_HEAD, title=Text(_title(ranked)), title_justify="left")
    for name in ("rank", "score"):
        table.add_column(name, justify="right")
    for name in ("person", "camera", ""):
        table.add_column(name)
    table.add_column("file", overflow="fold")
    for rank, hit in enumerate(ranked.hits, start=1):
        table.add_row(str(rank), f"{hit.score:.4f}", *_described(hit))
    console.print(table)


def _title(ranked: RankedList) -> str:
    name = "query" if ranked.query is None else printable(ranked.query)
    precision = ranked.average_precision
    return name if precision is None else f"{name}  (average precision {precision:.1%})"


def _described(hit: Hit) -> list[Text]:
    marks = {True: Text("✓", "green"), False: Text("✗", "red"), None: Text("")}
    file = "" if hit.picture is None else printable(hit.picture)
    return [
        Text(printable(hit.person)),
        Text(printable(hit.camera)),
        marks[hit.correct],
        Text(file),
    ]
