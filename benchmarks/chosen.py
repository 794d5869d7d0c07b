"""A recipe that each fold chooses for itself, tested once on the fold's own test persons.

    .venv/bin/python -m benchmarks.chosen configs/small/rga_sc.yaml \
        --data ../shared/data/campus -o runs/campus --screened docs/results/ingredients \
        --table docs/results/campus.md --factor "GeM: model.pooling=gem" --factor "…" \
        evaluation.flip=true model.weights=resnet50.pth

The configuration with those of the ingredients that raised the mAP of the fold's training persons
in `benchmarks.screening`, whose `--factor` words are given again. The test persons of one fold are
training persons of the others, so that a recipe chosen over all folds has seen them; this one has
not, and its score is that of the way of choosing. `benchmarks.folds … --beside chosen` shows it.
"""

import sys
from itertools import chain
from pathlib import Path

from benchmarks.folds import Row, divided, given_folds, keep, train
from benchmarks.screening import helpful, make_parser, parse
from reid_attn import storage


def main() -> int:
    """Train what is missing of the folds that are screened."""
    parser = make_parser(__doc__)
    parser.add_argument("--screened", type=Path, required=True, metavar="FOLDER")
    arguments = parse(parser)
    kept = arguments.table.with_suffix("")
    storage.make_folder(kept)
    for index, fold in enumerate(given_folds(arguments.data)):
        inner = divided(fold, 2, arguments.output)[0]
        names = helpful(arguments.factors, inner, index, arguments.screened)
        if names is None or (arguments.only is not None and fold.name not in arguments.only):
            continue
        words = tuple(chain(*(arguments.factors[name] for name in names)))
        run = arguments.output / f"chosen-{fold.name}"
        file = kept / f"{run.name}.json"
        row = Row("chosen", arguments.config, words)
        if code := train(row, fold, run, file, arguments.overrides):
            return code
        keep(run, file, f"chosen with {', '.join(names) or 'nothing'}: ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
