"""The results of an ablation as one page, `metrics.json`, `table.csv` and `table.md`."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import torch

from .. import __version__, storage
from ..evaluation import Interval
from ..models.hardware import choose_device, choose_precision
from ..reports.evaluation import METRICS_FILE
from ..reports.figures import Point
from ..reports.page import Ablation, AblationTable, Cell, write_ablation
from ..settings import dump
from .plan import Plan
from .results import Result, Score
from .scores import MEASURES, NOT_RUN, markdown, percent, points

PAGE = "ablation.html"
TITLES = {"published": "In its published place", "common": "In one common place"}
HEAD = (
    "block",
    "rank-1",
    "mAP (plain)",
    "rank-1 to baseline",
    "mAP to baseline",
    "parameters, M",
    "GFLOP",
    "minutes a run",
    "runs",
)

Results = Mapping[str, Sequence[Result]]


def write_results(plan: Plan, results: Results) -> None:
    """Replace the page and the three files beside it."""
    facts = _facts(plan)
    write_ablation(plan.output / PAGE, _page(plan, results, facts))
    storage.write_text(plan.output / "table.md", _markdown(plan, results, facts))
    storage.write_text(plan.output / "table.csv", _csv(results))
    tables = {place: [_plain(result) for result in table] for place, table in results.items()}
    storage.write_json(plan.output / METRICS_FILE, {"provenance": facts, "tables": tables})


def _page(plan: Plan, results: Results, facts: Mapping[str, str]) -> Ablation:
    tables = [
        AblationTable(
            _title(plan, place),
            [_cells(result) for result in table],
            [_point(result) for result in table if result.scores and result.cost],
        )
        for place, table in results.items()
    ]
    return Ablation(
        title=plan.recipe.name,
        lead={key: facts[key] for key in ("pictures", "epochs", "seeds", "folds", "weights")},
        notes=_notes(plan, results),
        head=HEAD,
        tables=tables,
        runs_head=("network", *_run_names(plan)),
        runs=_every_run(plan, results),
        provenance=facts,
        settings=dump(plan.recipe),
    )


def _title(plan: Plan, place: str) -> str:
    own = f" ({plan.common} 1–4)" if place == "common" else ""
    return TITLES[place] + own


def _cells(result: Result) -> list[Cell]:
    minutes = "–" if result.seconds is None else f"{result.seconds / 60:.1f}"
    return [
        Cell(result.row.block or "baseline", result.row.where()),
        *(_scored(result) if result.scores else [_nothing(result)]),
        *_cost(result),
        Cell(minutes),
        Cell(f"{len(result.runs)} of {result.planned}", result.failure if result.scores else ""),
    ]


def _scored(result: Result) -> list[Cell]:
    return [
        *(_score(result.scores[name]) for name in MEASURES),
        *(_difference(result.difference.get(name)) for name in MEASURES),
    ]


def _nothing(result: Result) -> Cell:
    if result.row.refused or not result.failure:
        return Cell(": ".join(filter(None, [NOT_RUN, result.failure])), span=4)
    return Cell(f"failed: {result.failure}", span=4)


def _score(score: Score) -> Cell:
    spreads = (("seeds", score.over_seeds), ("folds", score.over_folds))
    known = [f"± {percent(value)} {name}" for name, value in spreads if value is not None]
    return Cell(percent(score.mean), ", ".join(known))


def _difference(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell("–")
    return Cell(*points(interval), bold=not interval.low <= 0 <= interval.high)


def _cost(result: Result) -> list[Cell]:
    if result.cost is None:
        return [Cell("–"), Cell("–")]
    return [Cell(f"{result.cost.parameters / 1e6:.2f}"), Cell(f"{result.cost.gflop:.2f}")]


def _point(result: Result) -> Point:
    assert result.cost is not None  # noqa: S101 - for the type checker; the caller filters
    name = result.row.block or "baseline"
    return Point(name, result.cost.gflop, 100 * result.scores["mAP"].mean, not result.row.block)


def _notes(plan: Plan, results: Results) -> list[str]:
    """How far to trust the tables, before them."""
    everything = [result for table in results.values() for result in table]
    notes = [
        "Scores are those of the last epoch, of the queries of all folds together. A difference to "
        "the baseline is paired: the same queries, folds and seeds; in brackets its 95% interval "
        "over persons (identity bootstrap, 10,000 draws). Bold: the interval leaves out 0.",
        *_width(everything),
    ]
    if len(plan.seeds) == 1:
        notes.append(
            "One seed: how far another training of the same network would land was not measured."
        )
    if any(len(result.runs) < result.planned for result in everything):
        notes.append("Not finished: a row counts the runs that it has, and says how many.")
    return notes


def _width(everything: Sequence[Result]) -> list[str]:
    intervals = [result.difference["mAP"] for result in everything if result.difference]
    widths = [interval.high - interval.low for interval in intervals]
    if not widths:
        return []
    half = percent(sorted(widths)[len(widths) // 2] / 2)
    return [
        f"The interval of a difference in mAP is typically ± {half} points: smaller ones cannot be "
        "told from chance here. It covers other persons, not another seed, and with so many "
        "comparisons one in twenty leaves out 0 by chance alone."
    ]


def _run_names(plan: Plan) -> list[str]:
    return [f"{fold.name}, seed {seed}" for seed in plan.seeds for fold in plan.folds]


def _every_run(plan: Plan, results: Results) -> list[list[Cell]]:
    """Rank-1 / mAP of each run, one line for each network."""
    lines = {}
    for result in (result for table in results.values() for result in table if result.planned):
        name = result.row.block or "baseline"
        found = [result.runs.get((s, fold.name)) for s in plan.seeds for fold in plan.folds]
        cells = [Cell(NOT_RUN if run is None else " / ".join(map(percent, run))) for run in found]
        lines[result.row.key] = [Cell(name, result.row.where()), *cells]
    return list(lines.values())


def _facts(plan: Plan) -> dict[str, str]:
    recipe = plan.recipe
    device = choose_device(recipe.training.device)
    own = {block: dict(options) for block, options in plan.options.items() if options}
    return {
        "recipe": recipe.name,
        "data": recipe.data.source,
        "pictures": f"{recipe.data.height}×{recipe.data.width}",
        "epochs": str(recipe.training.epochs),
        "seeds": ", ".join(map(str, plan.seeds)),
        "folds": str(len(plan.folds)),
        "weights": recipe.model.weights,
        "options of blocks": str(own) if own else "none",
        "precision": choose_precision(recipe.training.precision, device),
        "device": f"{device.type}, {torch.get_num_threads()} threads",
        "versions": f"reid_attn {__version__}, torch {torch.__version__}",
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _markdown(plan: Plan, results: Results, facts: Mapping[str, str]) -> str:
    lines = [f"# Ablation: {plan.recipe.name}", ""]
    for note in _notes(plan, results):
        lines += [note, ""]
    for place, table in results.items():
        rows = [_line(_cells(result)) for result in table]
        lines += [f"## {_title(plan, place)}", "", *markdown(HEAD, rows), ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[Cell]) -> list[str]:
    """The same cells for Markdown: bold as such, the second line in brackets."""
    line = []
    for cell in cells:
        text = f"**{cell.text}**" if cell.bold else cell.text.replace(NOT_RUN, f"*{NOT_RUN}*")
        note = f" ({cell.note})" if cell.note else ""
        line += [f"{text}{note}".replace("|", "\\|"), *[""] * (cell.span - 1)]
    return line


def _csv(results: Results) -> str:
    rows = [
        {"table": place, **_flat(_plain(result))}
        for place, table in results.items()
        for result in table
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(plain: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{key}_{name}".rstrip("_"): number for name, number in inner.items()}
    return flat


def _plain(result: Result) -> dict[str, Any]:
    """Fractions and plain numbers; the same keys in every row, None where nothing is known."""
    cost = result.cost
    return {
        "block": result.row.block or "baseline",
        "place": result.row.where(),
        "runs": len(result.runs),
        "planned": result.planned,
        "compared_runs": result.compared,
        **{name: _plain_score(result, name) for name in MEASURES},
        "parameters": cost and cost.parameters,
        "gflop": cost and cost.gflop,
        "kept_mib": cost and cost.kept_mib,
        "seconds": result.seconds,
        "failure": result.failure,
    }


def _plain_score(result: Result, name: str) -> dict[str, float | None]:
    score, interval = result.scores.get(name), result.difference.get(name)
    return {
        "mean": score and score.mean,
        "over_seeds": score and score.over_seeds,
        "over_folds": score and score.over_folds,
        "difference": None if interval is None else interval.mean,
        "difference_low": None if interval is None else interval.low,
        "difference_high": None if interval is None else interval.high,
    }
