"""Train and evaluate what a plan still lacks, and write the page after each run."""

import json
from typing import Any

from rich.console import Console

from .. import storage
from ..data import Dataset, load_settings
from ..errors import DiskError, Interrupted, LockedError, ReidError, UsageError
from ..reports.evaluation import METRICS_FILE, Options, evaluate_run
from ..training import train
from .page import write_results
from .plan import BASELINE, PLAN, Plan, Run
from .results import FAILED, measure_costs, summarise
from .scores import finished


def announce(plan: Plan, console: Console) -> None:
    """Print what will be trained, what is done already, and what fits nowhere."""
    runs = list(plan.runs())
    done = sum(finished(run.folder) for run in runs)
    for place, rows in plan.tables.items():
        console.print(f"{place} place:", highlight=False)
        for row in rows:
            note = row.refused or row.where() or "no attention"
            console.print(f"  {row.block or 'baseline'}: {note}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(plan.rows())} networks × {len(plan.seeds)} seeds × {len(plan.folds)} folds = "
        f"{len(runs)} runs, {done} of them done, in {plan.output}",
        highlight=False,
        soft_wrap=True,
    )


def ablate(plan: Plan, console: Console) -> None:
    """Do every run that is not finished yet. A run that fails is noted, and the others go on.

    Raises:
        UsageError: the folder holds an ablation of other settings, or something else.
        Interrupted: a signal came; the work so far is saved.
        ReidError: the baseline failed, the disk is full, or somebody else trains a run.
    """
    refuse_other(plan)
    with storage.locked(plan.output):
        _store(plan)
        costs = measure_costs(plan, console)
        datasets: dict[str, Dataset] = {}
        write_results(plan, summarise(plan, costs))
        runs = list(plan.runs())
        for number, run in enumerate(runs, start=1):
            if finished(run.folder):
                continue
            console.print(f"{number} of {len(runs)}: {run.settings.name}", highlight=False)
            if run.fold.name not in datasets:
                datasets[run.fold.name] = load_settings(run.settings.data)
            _attempt(run, datasets[run.fold.name], console)
            write_results(plan, summarise(plan, costs))


def refuse_other(plan: Plan) -> None:
    """`UsageError` when the output folder holds something that this plan does not go on with."""
    stored = _stored(plan)
    if stored is None:
        if (plan.output / METRICS_FILE).exists():
            raise UsageError(
                f"{plan.output} holds something else already: choose another folder with -o"
            )
        return
    differences = _differences(stored, plan.identity())
    if differences:
        raise UsageError(
            f"{plan.output} holds an ablation of other settings ({'; '.join(differences)}): "
            "repeat its own command, or choose another folder with -o"
        )


def _stored(plan: Plan) -> dict[str, Any] | None:
    path = plan.output / PLAN
    return storage.read_json(path)["identity"] if path.exists() else None


def _store(plan: Plan) -> None:
    """The tables of the folds, and what later calls are compared with."""
    for fold in plan.folds:
        if fold.table:
            storage.write_text(plan.output / "folds" / f"{fold.name}.csv", fold.table)
    identity = plan.identity()
    earlier = _stored(plan) or identity
    identity["options"] = {**earlier["options"], **identity["options"]}
    digest = storage.sha256(json.dumps(identity, sort_keys=True).encode())
    storage.write_json(plan.output / PLAN, {"sha256": digest, "identity": identity})


def _differences(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """`training.epochs: 15, now 20`; a block that is only on one side differs in nothing."""
    blocks = stored["options"].keys() & asked["options"].keys()
    old, new = (
        _flat(identity | {"options": {block: identity["options"][block] for block in blocks}})
        for identity in (stored, asked)
    )
    return [
        f"{key.removeprefix('recipe.')}: {old.get(key, 'not set')}, now {new.get(key, 'not set')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: json.dumps(value)}
    flat: dict[str, str] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat


def _attempt(run: Run, dataset: Dataset, console: Console) -> None:
    try:
        train(run.settings, dataset, run.folder, console)
        evaluate_run(run.folder, run.folder, console, Options(data=run.fold.source))
    except Interrupted as error:
        raise Interrupted(
            f"stopped in {run.settings.name} and saved; repeat the command to go on",
            error.exit_code - 128,
        ) from error
    except (DiskError, LockedError):
        raise
    except (ReidError, RuntimeError) as error:  # RuntimeError: torch's, such as out of memory
        if run.row.key == BASELINE:
            raise
        sentence = str(error).strip().partition("\n")[0]
        storage.write_json(run.folder / FAILED, {"error": sentence})
        console.print(f"failed: {sentence}", style="red", markup=False, highlight=False)
    else:
        storage.remove(run.folder / FAILED)
