"""Train configurations on folds of one data set and compare them, paired by query.

    .venv/bin/python -m benchmarks.folds configs/small/baseline.yaml configs/small/rga_sc.yaml \
        --data ../shared/data/campus -o runs/campus --table docs/results/campus.md \
        model.weights=../shared/weights/resnet50_imagenet_stride_in_1x1.pth

`--data` holds one Market-1501 tree a fold. `--row "gem: model.pooling=gem"` adds a row, the last
configuration with these settings in place of its own; `--inner 2` divides the training persons of
each fold in two instead, so that settings can be chosen without the test persons; `--beside NAME`
shows scores that another program has put into the table's folder.

What a run scored, query by query, is kept as numbers in a folder named after the table, so that the
work can go on elsewhere: a run whose scores are there is not trained again, and a stopped one goes
on. Whatever is missing stands in the table as *not run*. The scores are those of the last epoch.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from reid_attn import storage
from reid_attn.ablation.folds import Fold, make_folds
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


class Row(NamedTuple):
    """A configuration, or one with some settings in place of its own."""

    name: str
    config: Path
    overrides: tuple[str, ...] = ()
    trained_here: bool = True

    def varies(self, other: "Row") -> bool:
        """Whether this is the configuration `other` with some settings in place of its own."""
        return bool(self.overrides) and other == Row(self.config.stem, self.config)

    def shown(self) -> str:
        """For the table."""
        return f"`{self.config}`" if self.trained_here and not self.overrides else self.name


def main() -> int:
    """Train what is missing, then write the table."""
    arguments = _parse()
    folds = _folds(arguments.data, arguments.inner, arguments.output)
    kept = arguments.table.with_suffix("")
    storage.make_folder(kept)
    files = {r: [kept / f"{r.name}-{f.name}.json" for f in folds] for r in arguments.rows}
    for index, fold in enumerate(folds):  # fold by fold, so that what is finished is paired
        for row, its in files.items():
            run, file = arguments.output / its[index].stem, its[index]
            wanted = row.trained_here and not arguments.only_table
            if wanted and (code := train(row, fold, run, file, arguments.overrides)):
                return code
            keep(run, file)
            storage.write_text(arguments.table, _table(files, arguments.data.name, folds))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="+", metavar="CONFIG|key=value")
    parser.add_argument("--row", action="append", default=[], metavar="NAME: key=value …")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--inner", type=int, default=0, metavar="N")
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--only-table", action="store_true", help="train nothing")
    arguments = parser.parse_intermixed_args()
    arguments.overrides = [word for word in arguments.words if "=" in word]
    configs = [Path(word) for word in arguments.words if "=" not in word]
    arguments.rows = [Row(config.stem, config) for config in configs]
    for text in arguments.row:
        name, _, words = text.partition(":")
        arguments.rows.append(Row(name.strip(), configs[-1], tuple(shlex.split(words))))
    beside = [Row(name, configs[-1], trained_here=False) for name in arguments.beside]
    arguments.rows += beside
    return arguments


def _folds(data: Path, inner: int, output: Path) -> list[Fold]:
    outer = given_folds(data)
    return [part for fold in outer for part in divided(fold, inner, output)] if inner else outer


def given_folds(data: Path) -> list[Fold]:
    """One for each folder in `data`."""
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    return [Fold(path.name, f"market1501:{path}") for path in folders]


def divided(fold: Fold, count: int, output: Path) -> list[Fold]:
    """Inner folds of a fold's training persons, as tables that `csv:FILE` reads."""
    folder = output / "inner" / fold.name
    parts = make_folds(fold.source, "", count, 0, folder)
    storage.make_folder(folder)
    for part in parts:
        storage.write_text(folder / f"{part.name}.csv", part.table)
    return [Fold(f"{fold.name}-inner{part.name}", part.source) for part in parts]


def train(row: Row, fold: Fold, run: Path, kept: Path, overrides: list[str]) -> int:
    """Train, or go on, unless the scores are in `kept` or the run is finished; the exit code."""
    if kept.exists() or finished(run):
        return 0
    if (run / storage.POINTER).exists():
        return reid_attn(["train", "--resume", str(run)])
    words = [f"data.source={fold.source}", *overrides, *row.overrides]
    return reid_attn(["train", str(row.config), "-o", str(run), *words])


def keep(run: Path, kept: Path, recipe: str = "") -> None:
    """Put the scores of a finished run into `kept`; `recipe` is told with how it was made."""
    if finished(run):
        storage.write_json(kept, _numbers(run, recipe))


def _numbers(run: Path, recipe: str) -> dict[str, Any]:
    """What stays of a run: its scores, query by query, and how it was made."""
    scores, settings = read_scores(run), load_settings(run)
    device = choose_device(settings.training.device)
    precision = choose_precision(settings.training.precision, device)
    return {
        "rank1": float(np.nanmean(scores.rank1)),
        "mAP": float(np.nanmean(scores.mAP)),
        "minutes": training_seconds(run) / 60,
        "made": f"{recipe}{settings.data.height}×{settings.data.width}, "
        f"{settings.training.epochs} epochs, seed {settings.seed}, {precision}, "
        f"{device.type} with {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
        "persons": scores.persons.tolist(),
        "rank1_of_queries": scores.rank1.tolist(),
        "AP_of_queries": scores.mAP.tolist(),
    }


def scores_of(files: list[Path]) -> Scores | None:
    """What was kept in those of the files that are there."""
    found = [storage.read_json(file) for file in files if file.exists()]
    keys = ("persons", "rank1_of_queries", "AP_of_queries")
    done = [Scores(*(np.array(numbers[key]) for key in keys)) for numbers in found]
    return join(done) if done else None


def _table(files: dict[Row, list[Path]], title: str, folds: list[Fold]) -> str:
    names = [fold.name for fold in folds]
    head = ["configuration", *names, "mean", "95 % over persons", "minutes a run"]
    rows = [_cells(row, its) for row, its in files.items()]
    title = f"# {title}\n\nRank-1 / mAP (plain) in percent, last epoch.\n\n"
    lines = [*markdown(head, rows), "", *_comparisons(files), *_made(files, names)]
    return title + "\n".join(lines) + "\n"


def _cells(row: Row, files: list[Path]) -> list[str]:
    found = [storage.read_json(file) if file.exists() else None for file in files]
    done = [numbers for numbers in found if numbers]
    cells = [_both(one["rank1"], one["mAP"]) if one else f"*{NOT_RUN}*" for one in found]
    scores = scores_of(files)
    if scores is None:
        return [row.shown(), *cells, "–", "–", "–"]
    mean = _both(*(float(np.mean([one[name] for one in done])) for name in ("rank1", "mAP")))
    mean += "" if len(done) == len(files) else " (unfinished)"
    intervals = [bootstrap(scores.rank1, scores.persons), bootstrap(scores.mAP, scores.persons)]
    spread = ", ".join(f"{percent(i.low)} to {percent(i.high)}" for i in intervals)
    return [row.shown(), *cells, mean, spread, f"{np.mean([one['minutes'] for one in done]):.0f}"]


def _both(rank1: float, mean_ap: float) -> str:
    return f"{percent(rank1)} / {percent(mean_ap)}"


def _comparisons(files: dict[Row, list[Path]]) -> list[str]:
    """Each row against the first, and one with settings of its own against its configuration."""
    first, *others = files
    pairs = [(row, first) for row in others]
    pairs += [(row, other) for row in others for other in others if row.varies(other)]
    return [line for pair in pairs if (line := _comparison(files, *pair))]


def _comparison(files: dict[Row, list[Path]], row: Row, other: Row) -> str:
    """Over the folds that both have finished, if there are any."""
    both = [
        (a, b) for a, b in zip(files[other], files[row], strict=True) if a.exists() and b.exists()
    ]
    old, new = (scores_of([pair[side] for pair in both]) for side in (0, 1))
    if old is None or new is None:
        return ""
    differences = []
    for name, change in difference(old, new).items():
        mean, interval = points(change)
        differences.append(f"{name} {mean} points (95 % {interval})")
    folds = f"{len(both)} fold{'s' * (len(both) > 1)}"
    return (
        f"{row.shown()} against {other.shown()}, the same queries of {folds}, persons drawn "
        f"10,000 times: {'; '.join(differences)}.\n"
    )


def _made(files: dict[Row, list[Path]], names: list[str]) -> list[str]:
    """What was trained in each way, and the command."""
    ways: dict[str, dict[str, list[str]]] = {}
    for row, its in files.items():
        for name, file in zip(names, its, strict=True):
            if file.exists():
                way = ways.setdefault(storage.read_json(file)["made"], {})
                way.setdefault(row.shown(), []).append(name)
    words = shlex.join(word for word in sys.argv[1:] if word != "--only-table")
    lines = []
    for made, rows in ways.items():
        told = "; ".join(f"{row} on {', '.join(folds)}" for row, folds in rows.items())
        lines.append(f"{made[0].upper()}{made[1:]}: {told}.\n")
    return [*lines, f"Made by `python -m benchmarks.folds {words}`."]


if __name__ == "__main__":
    sys.exit(main())
