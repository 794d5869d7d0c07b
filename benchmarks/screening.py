"""What each of seven ingredients does to a recipe, seen on training persons alone.

    .venv/bin/python -m benchmarks.screening configs/small/rga_sc.yaml \
        --data ../shared/data/campus -o runs/screening --table docs/results/ingredients.md \
        --factor "GeM: model.pooling=gem" --factor "…" \
        data.height=128 data.width=64 model.weights=resnet50.pth

The training persons of a fold are divided in two halves: one trains, the other is tested. Each fold
has eight trainings, in which every ingredient is in four and left out of four, and each pair of
ingredients is in two of each kind: a fractional factorial design, 2^(7-4) (Box and Hunter, "The
2^(k-p) fractional factorial designs", Technometrics 1961). So all trainings say something about
each ingredient. Its effect is the mean of a query over the four with it less that over the four
without; half of the folds have the mirrored design, so that pairs which only help together are not
taken for a third one. `--only fold0` trains one of the folds, for several programs at once.

What a training scored is kept query by query in a folder named after the table, as by
`benchmarks.folds`.
"""

import argparse
import shlex
import sys
from itertools import chain, compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from benchmarks.folds import Row, divided, given_folds, keep, scores_of, train
from reid_attn import storage
from reid_attn.ablation.folds import Fold
from reid_attn.ablation.scores import (
    NOT_RUN,
    Scores,
    average,
    difference,
    join,
    markdown,
    points,
)

Factors = dict[str, tuple[str, ...]]
"""The settings of each ingredient."""

TRAININGS = 8  # of a fold


def main() -> int:
    """Train what is missing, then write the table."""
    arguments = parse(make_parser(__doc__))
    kept = arguments.table.with_suffix("")
    storage.make_folder(kept)
    folds = [divided(fold, 2, arguments.output)[0] for fold in given_folds(arguments.data)]
    for index, fold in enumerate(folds):
        if arguments.only is not None and _outer(fold) not in arguments.only:
            continue
        for row in rows(arguments.config, arguments.factors, index):
            run = arguments.output / f"{row.name}-{fold.name}"
            file = kept / f"{run.name}.json"
            if code := train(row, fold, run, file, arguments.overrides):
                return code
            keep(run, file)
    storage.write_text(arguments.table, _page(table(arguments.factors, folds, kept), kept))
    return 0


def make_parser(text: str | None) -> argparse.ArgumentParser:
    """Takes a configuration, its ingredients, and where things are."""
    parser = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    parser.add_argument("words", nargs="+", metavar="CONFIG|key=value")
    parser.add_argument("--factor", action="append", required=True, metavar="NAME: key=value …")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--only", action="append", metavar="FOLD", help="train this one; repeat")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The words divided into `config` and `overrides`, and `factors`."""
    arguments = parser.parse_intermixed_args()
    arguments.overrides = [word for word in arguments.words if "=" in word]
    (arguments.config,) = (Path(word) for word in arguments.words if "=" not in word)
    split = (text.partition(":") for text in arguments.factor)
    arguments.factors = {name.strip(): tuple(shlex.split(words)) for name, _, words in split}
    if len(arguments.factors) != TRAININGS - 1:
        parser.error(f"the design is for {TRAININGS - 1} ingredients")
    return arguments


def _page(effects: str, kept: Path) -> str:
    ways = sorted({storage.read_json(file)["made"] for file in kept.glob("training*.json")})
    return (
        "# Ingredients of a recipe, on training persons alone\n\n"
        f"Half of a fold's training persons train {TRAININGS} networks, each with another choice "
        "of ingredients, and the other half is tested; nobody of the fold's own test is in it. "
        "What an ingredient adds to rank-1 and mAP (plain), in points, is the mean over "
        f"{TRAININGS // 2} trainings with it less that over {TRAININGS // 2} without, on the same "
        f"queries; in brackets 95 % over persons, drawn 10,000 times.\n\n{effects}\n"
        + "".join(f"{way}.\n\n" for way in ways)
        + f"Made by `python -m benchmarks.screening {shlex.join(sys.argv[1:])}`.\n"
    )


def _outer(fold: Fold) -> str:
    """The name of the fold whose training persons were divided."""
    return fold.name.partition("-")[0]


def design(index: int) -> NDArray[np.bool_]:
    """(trainings, ingredients): which are in a training of the fold of this number."""
    signs: NDArray[np.bool_] = hadamard(TRAININGS)[:, 1:] > 0
    return ~signs if index % 2 else signs


def rows(config: Path, factors: Factors, index: int) -> list[Row]:
    """The trainings of the fold of this number."""
    return [
        Row(f"training{number}", config, tuple(chain(*compress(factors.values(), chosen))))
        for number, chosen in enumerate(design(index))
    ]


def table(factors: Factors, folds: list[Fold], kept: Path) -> str:
    """One line for each ingredient: its effect in all folds, and in each."""
    found = {index: _scores(fold, kept) for index, fold in enumerate(folds)}
    done = {index: scores for index, scores in found.items() if scores}
    lines = []
    for column, (name, words) in enumerate(factors.items()):
        effects = {i: _sides(scores, design(i)[:, column]) for i, scores in done.items()}
        lines.append([name, f"`{shlex.join(words)}`", *_effects(list(effects.values()))])
        lines[-1] += [
            points(difference(*effects[index])["mAP"])[0] if index in done else f"*{NOT_RUN}*"
            for index in found
        ]
    head = ["ingredient", "settings", "rank-1", "mAP", *(f"mAP, {_outer(fold)}" for fold in folds)]
    return "\n".join(markdown(head, lines)) + "\n"


def helpful(factors: Factors, fold: Fold, index: int, kept: Path) -> list[str] | None:
    """The ingredients with which the mean mAP of this fold was higher; None until it is all run."""
    if not (scores := _scores(fold, kept)):
        return None
    effects = (difference(*_sides(scores, column))["mAP"].mean for column in design(index).T)
    return [name for name, effect in zip(factors, effects, strict=True) if effect > 0]


def _scores(fold: Fold, kept: Path) -> list[Scores]:
    """Of a fold's trainings; none unless all are there."""
    files = [kept / f"training{number}-{fold.name}.json" for number in range(TRAININGS)]
    done = [scores for scores in (scores_of([file]) for file in files) if scores]
    return done if len(done) == TRAININGS else []


def _sides(scores: list[Scores], chosen: NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """Without and with an ingredient, each query the mean of four trainings."""
    return average([*compress(scores, ~chosen)]), average([*compress(scores, chosen)])


def _effects(folds: list[tuple[Scores, Scores]]) -> list[str]:
    """On rank-1 and mAP, all folds together, with their intervals over persons."""
    if not folds:
        return [f"*{NOT_RUN}*"] * 2
    found = difference(*(join(side) for side in zip(*folds, strict=True)))
    return ["{} ({})".format(*points(found[name])) for name in ("rank1", "mAP")]


if __name__ == "__main__":
    sys.exit(main())
