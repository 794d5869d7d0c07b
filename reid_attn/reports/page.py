"""Pages to show each other: one HTML file each, without a script and without any request.

Everything that comes from outside (names of files, persons, settings) is escaped by the templates,
and the pages' own policy forbids loading anything but the pictures that lie inside them.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .. import storage
from ..data import images
from ..data.images import Pixels
from ..errors import DataError
from . import figures, plots
from .paper import other_measurements
from .ranked_lists import Failure, RankedList, printable
from .tables import METRICS, counts

HARDEST_PERSONS, SHOWN_QUERIES = 20, 50
_THUMBNAIL = (128, 64)  # height and width of a person's crop


@dataclass(frozen=True)
class Panel:
    """What one attention block makes of one picture: an overlay, or a curve without positions."""

    caption: str
    what: str
    ends: tuple[str, str]
    """The numbers at the ends of the colour bar."""
    overlay: Pixels | None = None
    curve: str = ""
    """SVG, drawn from numbers alone."""


@dataclass(frozen=True)
class Attended:
    """A picture with what the blocks of a network make of it."""

    name: str
    picture: Pixels | None
    """None where it cannot be read any more."""
    panels: tuple[Panel, ...]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What the page of one run shows. A part that is empty is left out of the page.

    `metrics` is the content of `metrics.json` (fractions from 0 to 1; `cmc` a list); where it has
    `comparisons`, they are other measurements: name -> {"mAP": ..., "rank1": ...}; its `intervals`
    are 95 % intervals: "mAP" -> [low, high]; `verification`, `open_set`, `camera_pairs` and
    `all_queries` have parts of their own.
    `attended` are a few queries with the gates of the network's attention blocks.
    `curves` are the rows of `metrics.jsonl`, `baselines` the Rank-1 of plainer methods by name,
    `settings` the YAML text, and `provenance` from what and how the numbers were made.
    `failures` stand as they come, dearest first. `persons` are {"person", "queries", "mAP",
    "rank1"}, hardest first. `embedding` is a map of the features: lists of equal length `x`, `y`,
    `person`, `camera` and `query` (whether it is one), and `method`, a text.
    """

    title: str
    metrics: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]] = ()
    best: tuple[RankedList, ...] = ()
    worst: tuple[RankedList, ...] = ()
    baselines: Mapping[str, float] = field(default_factory=dict)
    settings: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    attended: tuple[Attended, ...] = ()
    random: tuple[RankedList, ...] = ()
    failures: tuple[Failure, ...] = ()
    persons: Sequence[Mapping[str, Any]] = ()
    embedding: Mapping[str, Any] | None = None


class Cell(NamedTuple):
    """What stands in a table, with a second line in small letters."""

    text: str
    note: str = ""
    bold: bool = False
    span: int = 1
    """Columns that it covers."""


@dataclass(frozen=True)
class AblationTable:
    """One table of an ablation, and the cost and mAP of the rows that have both."""

    title: str
    rows: Sequence[Sequence[Cell]]
    points: Sequence[figures.Point]


@dataclass(frozen=True)
class Ablation:
    """What the page of an ablation shows; `runs` has one line for each network."""

    title: str
    lead: Mapping[str, str]
    notes: Sequence[str]
    head: Sequence[str]
    tables: Sequence[AblationTable]
    runs_head: Sequence[str]
    runs: Sequence[Sequence[Cell]]
    provenance: Mapping[str, str]
    settings: str


@dataclass(frozen=True)
class Changed:
    """A query whose average precision is another one in another run."""

    picture: Path | None
    name: str
    person: str
    camera: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """What the page of several runs shows; `changed` has the queries by the other run's name."""

    title: str
    notes: Sequence[str]
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    curves: Mapping[str, Sequence[float]]
    """CMC of each run by its name, 0 to 1."""
    changed: Mapping[str, Sequence[Changed]]
    provenance: Mapping[str, str]


def write_report(path: Path, report: Report) -> None:
    """Write the page of one run to `path`; `DiskError` when that fails.

    A picture that is gone or broken leaves a grey tile that says so.
    """
    found = report.metrics
    comparisons = other_measurements(found)
    curves = figures.training_curves(report.curves)
    roc, pairs = found.get("verification"), found.get("camera_pairs")
    _write(
        path,
        "report.html",
        report=report,
        sections=_sections(report, comparisons, curves),
        metrics=[m for m in METRICS if found.get(m.key) is not None],
        counts=counts(found),
        intervals=found.get("intervals") or {},
        comparisons=comparisons,
        compared=[m for m in METRICS if any(m.key in row for row in comparisons.values())],
        cmc=figures.cmc_plot(found["cmc"]) if found.get("cmc") else "",
        roc=plots.roc_plot(roc["fpr"], roc["tpr"]) if roc else "",
        shades=plots.shades(pairs["mAP"]) if pairs else [],
        persons=report.persons[:HARDEST_PERSONS],
        embedding=plots.embedding_plot(report.embedding) if report.embedding else "",
        curves=curves,
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page of several runs to `path`; `DiskError` when that fails."""
    curves = comparison.curves
    parts = (
        ("table", "Scores", True),
        ("matching", "Matching", curves),
        ("changed", "Queries that changed", comparison.changed),
        ("provenance", "How it was made", comparison.provenance),
    )
    _write(
        path,
        "compare.html",
        comparison=comparison,
        sections={name: heading for name, heading, content in parts if content},
        cmc=plots.cmc_overlay(list(curves.values())) if curves else "",
        styles={name: plots.swatch(number) for number, name in enumerate(curves)},
    )


def write_ranked_page(
    path: Path, title: str, lists: Sequence[RankedList], notes: Mapping[str, str]
) -> None:
    """Write what the gallery answered to the first queries, with `notes` on how it was searched."""
    shown = lists[:SHOWN_QUERIES]
    judged = any(hit.correct is not None for ranked in shown for hit in ranked.hits)
    parts = {"lists": shown, "queries": len(lists), "notes": notes, "judged": judged}
    _write(path, "ranked.html", title=title, **parts)


def write_ablation(path: Path, ablation: Ablation) -> None:
    """Write the page of an ablation to `path`; `DiskError` when that fails."""
    plots = [
        Markup(figures.scatter_plot(table.points)) if table.points else ""  # noqa: S704 - escaped
        for table in ablation.tables
    ]
    _write(path, "ablation.html", ablation=ablation, plots=plots)


def write_attention_page(
    path: Path, title: str, attended: Attended, notes: Mapping[str, str]
) -> None:
    """Write what the attention blocks of a network make of one picture."""
    _write(path, "attention.html", title=title, attended=attended, notes=notes)


def _sections(
    report: Report, comparisons: Mapping[str, Any], curves: Mapping[str, str]
) -> dict[str, str]:
    """The headings of the parts that have content, by the ids of their sections."""
    found = report.metrics
    parts = (
        ("matching", "Matching", found.get("cmc") or report.baselines or found.get("verification")),
        ("comparisons", "Comparisons", comparisons),
        ("unknown", "Not in the gallery?", found.get("open_set")),
        ("cameras", "From camera to camera", found.get("camera_pairs")),
        ("training", "Training", curves),
        ("failures", "Most costly failures", report.failures),
        ("hardest", "Hardest queries", report.worst),
        ("easiest", "Easiest queries", report.best),
        ("random", "Random queries", report.random),
        ("persons", "Hardest persons", report.persons),
        ("looks", "Where the network looks", report.attended),
        ("map", "Map of the features", report.embedding),
        ("definitions", "Definitions", True),
        ("provenance", "How it was measured", report.provenance),
        ("settings", "Settings", report.settings),
    )
    return {name: heading for name, heading, content in parts if content}


def _write(path: Path, template: str, **values: Any) -> None:
    environment = Environment(
        loader=PackageLoader("reid_attn", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent="{:.1%}".format,
        printable=printable,
        thumbnail=_thumbnail,
        picture=_address,
        drawn=Markup,  # of figures, which are drawn from numbers alone
    )
    environment.globals["colours"] = ", ".join(figures.COLOURS)
    html = environment.get_template(template).render(values)
    # A path may hold bytes that are not UTF-8; the page always is.
    storage.write_text(path, html.encode("utf-8", "backslashreplace").decode("utf-8"))


def _thumbnail(picture: Path | None) -> str:
    """The picture as a small `data:` address, or an empty text when it cannot be read."""
    if picture is None:
        return ""
    try:
        return _address(images.decode(picture, _THUMBNAIL))
    except DataError:
        return ""


def _address(pixels: Pixels) -> str:
    jpeg = images.encode_jpeg(pixels, quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
