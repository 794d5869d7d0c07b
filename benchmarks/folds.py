"""Train configurations on folds of one data set and compare them, paired by query.

    .venv/bin/python -m benchmarks.folds configs/small/baseline.yaml configs/small/rga_sc.yaml \
        --data ../shared/data/campus -o runs/campus --table docs/results/campus.md \
        model.weights=../shared/weights/resnet50_imagenet_stride_in_1x1.pth

`--data` holds one Market-1501 tree a fold. Finished runs are kept and stopped ones go on, so the
command can be repeated; whatever has not finished stands in the table as *not run*. The scores are
those of the last epoch.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np
import torch

from reid_attn import storage
from reid_attn.ablation.scores import (
    NOT_RUN,
    Scores,
    difference,
    finished,
    join,
    markdown,
    percent,
    points,
    read_scores,
    training_seconds,
)
from reid_attn.commands import main as reid_attn
from reid_attn.evaluation import bootstrap
from reid_attn.models.hardware import choose_device, choose_precision
from reid_attn.models.weights import load_settings


def main() -> int:
    """Train what is missing, then write the table."""
    arguments = _parse()
    folds = sorted(path for path in arguments.data.iterdir() if path.is_dir())
    runs = {c: [arguments.output / f"{c.stem}-{f.name}" for f in folds] for c in arguments.configs}
    for index, fold in enumerate(folds):  # fold by fold, so that what is finished is paired
        for config in arguments.configs:
            if not arguments.only_table and not finished(runs[config][index]):
                code = _train(config, fold, runs[config][index], arguments.overrides)
                if code:
                    return code
            storage.write_text(arguments.table, _table(runs, folds))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", metavar="CONFIG|key=value")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--only-table", action="store_true", help="train nothing")
    arguments, rest = parser.parse_known_args()
    words = [*arguments.configs, *rest]
    arguments.overrides = [word for word in words if "=" in word]
    arguments.configs = [Path(word) for word in words if "=" not in word]
    return arguments


def _train(config: Path, fold: Path, run: Path, overrides: list[str]) -> int:
    if (run / storage.POINTER).exists():
        return reid_attn(["train", "--resume", str(run)])
    source = f"data.source=market1501:{fold}"
    return reid_attn(["train", str(config), "-o", str(run), source, *overrides])


def _scores(runs: list[Path]) -> Scores | None:
    done = [read_scores(run) for run in runs if finished(run)]
    return join(done) if done else None


def _table(runs: dict[Path, list[Path]], folds: list[Path]) -> str:
    names = [fold.name for fold in folds]
    head = ["configuration", *names, "mean", "95 % over persons", "minutes a run"]
    rows = [_row(config, its) for config, its in runs.items()]
    title = f"# {folds[0].parent.name}\n\nRank-1 / mAP (plain) in percent, last epoch.\n\n"
    lines = [*markdown(head, rows), "", *_comparisons(runs), *_made(runs)]
    return title + "\n".join(lines) + "\n"


def _row(config: Path, runs: list[Path]) -> list[str]:
    metrics = [storage.read_json(run / "metrics.json") if finished(run) else None for run in runs]
    values = [(found["rank1"], found["mAP"]) for found in metrics if found]
    cells = [_both(found["rank1"], found["mAP"]) if found else f"*{NOT_RUN}*" for found in metrics]
    scores = _scores(runs)
    if scores is None:
        return [f"`{config}`", *cells, "–", "–", "–"]
    mean = _both(*np.mean(values, axis=0)) + ("" if len(values) == len(runs) else " (unfinished)")
    intervals = [bootstrap(scores.rank1, scores.persons), bootstrap(scores.mAP, scores.persons)]
    spread = ", ".join(f"{percent(i.low)} to {percent(i.high)}" for i in intervals)
    minutes = np.mean([training_seconds(run) / 60 for run in runs if finished(run)])
    return [f"`{config}`", *cells, mean, spread, f"{minutes:.0f}"]


def _both(rank1: float, mean_ap: float) -> str:
    return f"{percent(rank1)} / {percent(mean_ap)}"


def _comparisons(runs: dict[Path, list[Path]]) -> list[str]:
    """Each configuration against the first, over the folds that both have finished."""
    (first, base), *others = runs.items()
    lines = []
    for config, its in others:
        both = [(a, b) for a, b in zip(base, its, strict=True) if finished(a) and finished(b)]
        old, new = (_scores([pair[side] for pair in both]) for side in (0, 1))
        if old is None or new is None:
            continue
        differences = []
        for name, change in difference(old, new).items():
            mean, interval = points(change)
            differences.append(f"{name} {mean} points (95 % {interval})")
        lines.append(
            f"`{config}` against `{first}`, the same queries of {len(both)} folds, persons drawn "
            f"10,000 times: {'; '.join(differences)}.\n"
        )
    return lines


def _made(runs: dict[Path, list[Path]]) -> list[str]:
    words = shlex.join(word for word in sys.argv[1:] if word != "--only-table")
    command = f"Made by `python -m benchmarks.folds {words}`."
    done = [run for its in runs.values() for run in its if finished(run)]
    if not done:
        return [command]
    settings = load_settings(done[0])
    device = choose_device(settings.training.device)
    precision = choose_precision(settings.training.precision, device)
    size = f"{settings.data.height}×{settings.data.width}"
    return [
        f"Pictures {size}, {settings.training.epochs} epochs, seed {settings.seed}, {precision}, "
        f"{device.type} with {torch.get_num_threads()} threads, torch {torch.__version__}.",
        "",
        command,
    ]


if __name__ == "__main__":
    sys.exit(main())
