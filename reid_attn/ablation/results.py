"""What came of each row: scores with their spread, the difference to the baseline, and the cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console

from .. import storage
from ..errors import ReidError
from ..evaluation import Interval
from ..models import build_network
from ..models.cost import IDENTITIES, Cost, measure
from ..reports.progress import counted
from .folds import Fold
from .plan import BASELINE, Plan, Row
from .scores import (
    MEASURES,
    Scores,
    average,
    difference,
    finished,
    join,
    read_scores,
    training_seconds,
)

FAILED = "failed.json"
COSTS = "costs.json"

Table = Mapping[tuple[int, str], Scores]
"""(seed, fold) -> scores of a finished run."""


class Score(NamedTuple):
    """Rank-1 or mAP, a fraction, over the queries of all finished folds; seeds averaged."""

    mean: float
    over_seeds: float | None
    """Standard deviation between the seeds that have finished every fold; None below two."""
    over_folds: float | None
    """Standard deviation between the folds; None below two."""


@dataclass(frozen=True)
class Result:
    """A row of a table."""

    row: Row
    runs: Mapping[tuple[int, str], tuple[float, float]]
    """(seed, fold) -> rank-1 and mAP of the finished runs."""
    planned: int
    scores: Mapping[str, Score]
    """`rank1` and `mAP`; empty while no run is finished."""
    difference: Mapping[str, Interval]
    """To the baseline, over the runs that both have finished; empty for the baseline itself."""
    compared: int
    """How many runs that are."""
    cost: Cost | None
    """Of the whole network for one picture; None where it cannot be built."""
    seconds: float | None
    """Mean training time of a run."""
    failure: str
    """What the first failing run said, or why the row is not trained."""


def summarise(plan: Plan, costs: Mapping[str, Cost]) -> dict[str, list[Result]]:
    """The tables as far as runs are finished."""
    scores = {row.key: _finished(plan, row) for row in plan.rows()}
    base = scores[BASELINE]
    return {
        place: [_result(plan, row, scores.get(row.key, {}), base, costs) for row in rows]
        for place, rows in plan.tables.items()
    }


def measure_costs(plan: Plan, console: Console) -> dict[str, Cost]:
    """The cost of each row's network, by its key; measured once and kept in the folder.

    A network that cannot be built has none: its runs will say why.
    """
    path = plan.output / COSTS
    stored = storage.read_json(path) if path.exists() else {}
    known = {key: Cost(**cost) for key, cost in stored.items()}
    missing = [row for row in plan.rows() if row.key not in known]
    with counted(console, "costs", len(missing)) as progress:
        for row in missing:
            cost = _cost(plan, row)
            known |= {row.key: cost} if cost else {}
            progress(1)
    storage.write_json(path, {key: cost._asdict() for key, cost in known.items()})
    return known


def _cost(plan: Plan, row: Row) -> Cost | None:
    settings = plan.run(row, plan.seeds[0], plan.folds[0]).settings
    try:
        with torch.device("meta"):
            network = build_network(settings, IDENTITIES)
        return measure(network, (3, settings.data.height, settings.data.width))
    except (ReidError, RuntimeError):
        return None


def _finished(plan: Plan, row: Row) -> dict[tuple[int, str], Scores]:
    runs = [plan.run(row, seed, fold) for seed in plan.seeds for fold in plan.folds]
    return {
        (run.seed, run.fold.name): read_scores(run.folder) for run in runs if finished(run.folder)
    }


def _result(plan: Plan, row: Row, table: Table, base: Table, costs: Mapping[str, Cost]) -> Result:
    shared = [] if row.key == BASELINE else [run for run in base if run in table]
    return Result(
        row=row,
        runs={run: _headline(scores) for run, scores in table.items()},
        planned=0 if row.refused else len(plan.seeds) * len(plan.folds),
        scores=_scores(plan, table) if table else {},
        difference=_difference(plan, base, table, shared) if shared else {},
        compared=len(shared),
        cost=costs.get(row.key),
        seconds=_seconds(plan, row, table) if table else None,
        failure=row.refused or _failure(plan, row),
    )


def _scores(plan: Plan, table: Table) -> dict[str, Score]:
    whole = _pooled(plan.folds, table, table)
    folds = [_pooled((fold,), table, table) for fold in plan.folds if _seeds(fold, table)]
    complete = [
        join(table[seed, fold.name] for fold in plan.folds)
        for seed in plan.seeds
        if all((seed, fold.name) in table for fold in plan.folds)
    ]
    return {
        name: Score(_mean(whole, name), _spread(complete, name), _spread(folds, name))
        for name in MEASURES
    }


def _difference(
    plan: Plan, base: Table, table: Table, shared: Iterable[tuple[int, str]]
) -> dict[str, Interval]:
    shared = list(shared)
    return difference(_pooled(plan.folds, base, shared), _pooled(plan.folds, table, shared))


def _pooled(folds: Iterable[Fold], table: Table, runs: Iterable[tuple[int, str]]) -> Scores:
    """The queries of all folds, each averaged over the seeds of its fold among `runs`."""
    runs = list(runs)
    seeds = {fold: [table[run] for run in runs if run[1] == fold.name] for fold in folds}
    return join(average(scores) for scores in seeds.values() if scores)


def _seeds(fold: Fold, table: Table) -> list[int]:
    return [seed for seed, name in table if name == fold.name]


def _headline(scores: Scores) -> tuple[float, float]:
    return _mean(scores, "rank1"), _mean(scores, "mAP")


def _mean(scores: Scores, name: str) -> float:
    return float(np.nanmean(getattr(scores, name)))


def _spread(parts: Iterable[Scores], name: str) -> float | None:
    means = [_mean(part, name) for part in parts]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def _seconds(plan: Plan, row: Row, table: Table) -> float:
    folds = {fold.name: fold for fold in plan.folds}
    runs = [plan.run(row, seed, folds[name]) for seed, name in table]
    return float(np.mean([training_seconds(run.folder) for run in runs]))


def _failure(plan: Plan, row: Row) -> str:
    for seed in plan.seeds:
        for fold in plan.folds:
            path = plan.run(row, seed, fold).folder / FAILED
            if path.exists():
                return str(storage.read_json(path)["error"])
    return ""
