"""Several runs side by side: one table, what differs beyond chance, and the queries that changed.

The first run is the one to which the others are compared. A difference is paired: both runs answer
the same queries, so that how hard a query is cancels out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, storage
from ..errors import DamagedError, DataError, ReidError, UsageError
from ..evaluation import paired_bootstrap, uncertainty
from . import paper
from .evaluation import METRICS_FILE, QUERIES_FILE, rewrite_report
from .page import Cell, Changed, Comparison, write_comparison
from .paper import SCORES, Difference, Table
from .tables import METRICS

PAGE = "compare.html"
SHOWN_CHANGES = 12
COMPARED = {"mAP": "mAP to first", "rank1": "Rank-1 to first"}
COLUMNS = 1 + len(SCORES) + 1 + len(COMPARED)
"""Of the table on the page: the name, scores, valid queries and differences."""
NEEDED = ("mAP", "rank1", "valid_queries", "queries")
NUMBERS = (*(metric.key for metric in METRICS), "valid_queries", "queries", "gallery", "junk")
LEVEL = 0.05


@dataclass(frozen=True)
class Run:
    """What a run has measured; per query (Q,), NaN where it is invalid."""

    name: str
    folder: Path
    metrics: Mapping[str, Any]
    persons: NDArray[np.int64]
    names: Sequence[str]
    """Of the pictures; empty where they are not known."""
    cameras: Sequence[str]
    mAP: NDArray[np.float64]
    rank1: NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """A run beside the first: differences by metric, or one sentence why there are none."""

    run: Run
    differences: Mapping[str, Difference]
    why: str
    changed: Sequence[Changed]


def report(runs: Sequence[Path], output: Path | None) -> Path:
    """The page of one run, or of several compared, with the tables for papers; returns its path.

    Raises:
        UsageError: several runs without `output`, which none of their folders can be.
    """
    if len(runs) > 1:
        if output is None:
            raise UsageError("a comparison of runs belongs to none of them: name -o DIR")
        return compare(runs, output)
    folder = output or runs[0]
    metrics = _metrics(runs[0])
    try:
        table = paper.of_run(runs[0].resolve().name, metrics)
        page = rewrite_report(runs[0], folder)
    except ReidError:
        raise
    except Exception as error:  # altered values make a page raise nearly anything
        raise DamagedError(
            f"{runs[0] / METRICS_FILE} or {QUERIES_FILE} does not hold what an evaluation writes "
            f"({error!r}): run `reid-attn evaluate {runs[0]}` again"
        ) from error
    paper.write_tables(folder, table)
    return page


def compare(runs: Sequence[Path], output: Path) -> Path:
    """Compare `runs` with the first of them; writes the page, JSON and tables, returns the page.

    Raises:
        DataError: a run was not evaluated, or by another version that stored less.
    """
    found = [_load(run, name) for run, name in zip(runs, _names(runs), strict=True)]
    pairs = [Paired(found[0], {}, "", ()), *(_pair(found[0], run) for run in found[1:])]
    notes = _notes(pairs)
    table = _table(pairs, notes)
    facts = {
        "runs": ", ".join(str(run.folder) for run in found),
        "versions": f"reid_attn {__version__}",
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }
    comparison = Comparison(
        title=" and ".join(run.name for run in found) if len(found) < 3 else f"{len(found)} runs",
        notes=notes,
        head=table.head[:COLUMNS],
        rows=_cells(table, pairs),
        curves={run.name: run.metrics["cmc"] for run in found if run.metrics.get("cmc")},
        changed={pair.run.name: pair.changed for pair in pairs[1:] if not pair.why},
        provenance=facts,
    )
    storage.make_folder(output)
    write_comparison(output / PAGE, comparison)
    plain = {"runs": [_plain(pair) for pair in pairs], "notes": notes, "provenance": facts}
    storage.write_json(output / METRICS_FILE, plain)
    paper.write_tables(output, table)
    return output / PAGE


def _names(runs: Sequence[Path]) -> list[str]:
    """Of the folders; in full where two are called alike, and numbered where they are the same."""
    short = [run.resolve().name for run in runs]
    full = [
        str(run) if short.count(name) > 1 else name for run, name in zip(runs, short, strict=True)
    ]
    return [
        f"{name} ({full[: place + 1].count(name)})" if full.count(name) > 1 else name
        for place, name in enumerate(full)
    ]


def _read(run: Path, file: str) -> dict[str, Any]:
    if not (run / file).is_file():
        raise DataError(f"could not read {run / file}: run `reid-attn evaluate {run}` first")
    content = storage.read_json(run / file)
    if not isinstance(content, dict):
        raise DamagedError(f"{run / file} does not hold what an evaluation writes")
    return content


def _metrics(run: Path) -> Mapping[str, Any]:
    """The scores of a run; `DamagedError` when one of them, or a count, is none."""
    metrics = _read(run, METRICS_FILE)
    known = {key: metrics.get(key) for key in NUMBERS if key in metrics or key in NEEDED}
    wrong = [key for key, value in known.items() if not _is_score(value)]
    cmc = metrics.get("cmc") or []
    if not isinstance(cmc, list) or not all(map(_is_score, cmc)):
        wrong.append("cmc")
    if wrong:
        raise DamagedError(
            f"{run / METRICS_FILE} has no numbers from 0 on as {', '.join(wrong)}: run "
            f"`reid-attn evaluate {run}` again"
        )
    return metrics


def _is_score(value: object) -> bool:
    """Whether it is a fraction or a count, and neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 2**63


def _load(folder: Path, name: str) -> Run:
    metrics, queries = _metrics(folder), _read(folder, QUERIES_FILE)
    try:
        persons = np.array(queries["persons"], np.int64)
        precision = np.array(queries["average_precision"], np.float64)
        first = np.array(queries["first_hit"], np.float64)
        names = list(map(str, queries.get("names") or []))
        cameras = list(map(str, queries.get("cameras") or []))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{folder} was evaluated by another version ({error} is missing or no number): run "
            f"`reid-attn evaluate {folder}` again"
        ) from error
    known = [np.shape(texts) for texts in (names, cameras) if texts]
    shapes = {persons.shape, precision.shape, first.shape, *known}
    if shapes != {(persons.size,)} or np.isinf([precision, first]).any():
        raise DamagedError(
            f"{folder / QUERIES_FILE} holds lists of queries of unequal length, or infinite "
            f"scores: run `reid-attn evaluate {folder}` again"
        )
    hits = np.where(np.isnan(first), np.nan, first == 0)
    return Run(name, folder, metrics, persons, names, cameras, precision, hits)


def _pair(first: Run, run: Run) -> Paired:
    if not _same_queries(first, run):
        return Paired(run, {}, "other queries than the first run: no paired difference", ())
    try:
        differences = {key: _difference(first, run, key) for key in COMPARED}
    except DataError as error:
        return Paired(run, {}, f"no paired difference: {error}", ())
    return Paired(run, differences, "", _changed(first, run))


def _same_queries(a: Run, b: Run) -> bool:
    if not np.array_equal(a.persons, b.persons):
        return False
    if not a.names or not b.names:
        return True
    return [Path(name).name for name in a.names] == [Path(name).name for name in b.names]


def _difference(a: Run, b: Run, key: str) -> Difference:
    values = getattr(a, key), getattr(b, key)
    interval = paired_bootstrap(*values, a.persons)
    p = uncertainty.paired_test(*values, a.persons)
    return Difference(interval.mean, interval.low, interval.high, p)


def _changed(a: Run, b: Run) -> list[Changed]:
    """The queries whose average precision changed most, in either direction."""
    change = np.nan_to_num(np.abs(b.mAP - a.mAP))
    rows = [row for row in np.argsort(-change, kind="stable")[:SHOWN_CHANGES] if change[row] > 0]
    names, cameras = a.names or b.names, a.cameras or b.cameras
    return [
        Changed(
            picture=Path(names[row]) if names else None,
            name=Path(names[row]).name if names else "",
            person=str(a.persons[row]),
            camera=cameras[row] if cameras else "",
            before=float(a.mAP[row]),
            after=float(b.mAP[row]),
        )
        for row in rows
    ]


def _table(pairs: Sequence[Paired], notes: Sequence[str]) -> Table:
    rows = [
        [
            pair.run.name,
            *paper.scores(pair.run.metrics),
            pair.run.metrics["valid_queries"],
            *(pair.differences.get(key) for key in COMPARED),
            *([pair.why or None] if any(pair.why for pair in pairs) else []),
        ]
        for pair in pairs
    ]
    head = ["run", *SCORES.values(), "valid queries", *COMPARED.values()]
    if any(pair.why for pair in pairs):
        head.append("remark")
    return Table(head, rows, " ".join(notes), not any(pair.why for pair in pairs))


def _cells(table: Table, pairs: Sequence[Paired]) -> list[list[Cell]]:
    """The table for the page; the reason stands where the differences would."""
    places = COLUMNS - len(COMPARED)
    rows = []
    for i, pair in enumerate(pairs):
        values = table.rows[i][:places]
        row = [Cell(paper.shown(v), bold=table.best(i, j)) for j, v in enumerate(values)]
        if pair.why:
            row.append(Cell(pair.why, span=len(COMPARED)))
        else:
            row += [_compared(value) for value in table.rows[i][places:COLUMNS]]
        rows.append(row)
    return rows


def _compared(value: paper.Value) -> Cell:
    if not isinstance(value, Difference):
        return Cell(paper.NOTHING)
    clear = not value.low <= 0 <= value.high
    return Cell(value.points, f"{value.interval}, {value.probability}", bold=clear)


def _notes(pairs: Sequence[Paired]) -> list[str]:
    notes = ["Scores are in percent, over valid queries."]
    count = sum(not pair.why for pair in pairs[1:])
    if count:
        notes.append(
            "A difference is the run's score less the first run's, in points, over the queries "
            "that are valid in both, with its 95% interval over persons (paired identity "
            "bootstrap) and the two-sided p of a paired test; it does not cover another training."
        )
    if count > 1:
        notes.append(
            f"Comparisons with the first run: {count}, and p is not corrected for that; "
            f"to keep the chance of one false finding at 5%, ask for p below "
            f"{LEVEL / count:.3g} in each metric (Bonferroni)."
        )
    return notes


def _plain(pair: Paired) -> dict[str, Any]:
    keys = (*SCORES, "valid_queries", "queries", "cmc")
    return {
        "run": pair.run.name,
        "folder": str(pair.run.folder),
        **{key: pair.run.metrics.get(key) for key in keys},
        "differences": {key: value._asdict() for key, value in pair.differences.items()},
        "not_paired": pair.why,
        "changed": [
            {**asdict(query), "picture": query.picture and str(query.picture)}
            for query in pair.changed
        ],
    }
