"""One published recipe, from the pictures to one file that can be shared.

    scripts/reproduce market1501 bot --data data/market1501

DATASET and RECIPE name `configs/DATASET/RECIPE.yaml`. The numbers of files are compared with the
published ones, the pictures are hashed, the network is trained (a stopped training goes on when the
command is given again) and evaluated under both definitions of the average precision. What comes of
it is `reproduction.json` in the run's folder, with everything that it depends on. `--dry-run` goes
the same way in minutes, on drawn pictures and with a narrow network; its scores mean nothing.
"""

import argparse
import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from reid_attn import storage
from reid_attn.ablation.scores import percent, training_seconds
from reid_attn.commands import main as reid_attn
from reid_attn.data import Dataset, Picture, load
from reid_attn.data.synthetic import write_sample
from reid_attn.errors import DataError, ReidError, UsageError, nearest
from reid_attn.models.hardware import choose_device
from reid_attn.models.weights import load_trained
from reid_attn.settings import Settings
from reid_attn.settings import load as load_settings

from .recipes import EXPECTED, PUBLISHED, Expected, Published

CONFIGS = Path(__file__).parents[1] / "configs"
RESULT = "reproduction.json"
DRAWN_PERSONS = 64


SMALL = (  # what a dry run changes
    *("model.weights=none", "model.width=8", "data.height=64", "data.width=32"),
    *("training.epochs=2", "training.precision=auto", "training.evaluate_every=0"),
)


def main() -> int:
    """Run the command line; returns its exit code."""
    arguments = _parse()
    try:
        return _reproduce(arguments, Console())
    except ReidError as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, markup=False)
        return error.exit_code


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", metavar="DATASET", help=", ".join(EXPECTED))
    parser.add_argument("recipe", metavar="RECIPE", help="a file of configs/DATASET")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for the hardware")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the pictures lie")
    parser.add_argument("-o", dest="output", type=Path, metavar="RUN", help="default: runs/NAME")
    parser.add_argument("--dry-run", action="store_true", help="on drawn pictures, in minutes")
    return parser.parse_intermixed_args()


def _reproduce(arguments: argparse.Namespace, console: Console) -> int:
    config = _config(arguments.dataset, arguments.recipe)
    if arguments.data is None and not arguments.dry_run:
        raise UsageError("say where the pictures lie: --data DIR, or try --dry-run")
    run = arguments.output or Path("runs") / _name(config, arguments.dry_run)
    expected = EXPECTED[arguments.dataset]
    source = f"{expected.source}:{arguments.data}"
    overrides = list(arguments.overrides)
    if arguments.dry_run:
        source = f"market1501:{_drawn(run)}"
        overrides = [*SMALL, *overrides]
    dataset = load(source)
    console.print(f"[bold]{config.relative_to(CONFIGS.parent)}[/]  {source}")
    evidence = _evidence(dataset)
    if not arguments.dry_run:
        _refuse_other_data(evidence, expected, source)
    overrides = [f"data.source={source}", *overrides]
    command = ["train", str(config), "-o", str(run), *overrides]
    if (run / storage.POINTER).exists():
        _refuse_another_run(run, load_settings(config, overrides))
        command = ["train", "--resume", str(run)]
    code = reid_attn(command)
    code = code or reid_attn(["evaluate", str(run), "--feature", "both", "-o", str(run)])
    if code == 0:
        dry = arguments.dry_run  # such scores are compared with nothing
        published = None if dry else PUBLISHED.get((arguments.dataset, arguments.recipe))
        result = _result(run, published, evidence, dry)
        storage.write_json(run / RESULT, result)
        _tell(console, run, result)
    return code


def _config(dataset: str, recipe: str) -> Path:
    if dataset not in EXPECTED:
        raise UsageError(f"there are no recipes for '{dataset}'{nearest(dataset, list(EXPECTED))}")
    recipes = sorted(path.stem for path in (CONFIGS / dataset).glob("*.yaml"))
    if recipe not in recipes:
        hint = nearest(recipe, recipes) or f": use one of {', '.join(recipes)}"
        raise UsageError(f"there is no recipe '{recipe}' for {dataset}{hint}")
    return CONFIGS / dataset / f"{recipe}.yaml"


def _name(config: Path, dry_run: bool) -> str:
    return f"{load_settings(config).name}{'-dry-run' * dry_run}"


def _drawn(run: Path) -> Path:
    """The sample set beside the run's own files."""
    folder = run.parent / f"{run.name}-pictures"
    if not folder.exists():
        storage.make_folder(run.parent)
        write_sample(folder, persons=DRAWN_PERSONS, cameras=3, seed=0)
    return folder


def _evidence(dataset: Dataset) -> dict[str, Any]:
    """Which pictures these are: how many, what they are called, and what is in them."""
    splits = {name: getattr(dataset, name) for name in ("train", "query", "gallery")}
    pictures = [picture for split in splits.values() for picture in split]
    return {
        **{name: len(split) for name, split in splits.items()},
        "train_persons": len(dataset.labels()),
        "names_sha256": _names(pictures),
        "pictures_sha256": _digest(storage.read_bytes(picture.path) for picture in pictures),
    }


def _names(pictures: Iterable[Picture]) -> str:
    """SHA-256 over the sorted `folder/name` of all pictures that count, a line each."""
    names = sorted("/".join(picture.path.parts[-2:]) for picture in pictures)
    return _digest(f"{name}\n".encode() for name in names)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _refuse_other_data(evidence: dict[str, Any], expected: Expected, source: str) -> None:
    wrong = [
        f"{evidence[name]:,} pictures in {name} instead of {getattr(expected, name):,}"
        for name in ("train", "query", "gallery")
        if evidence[name] != getattr(expected, name)
    ]
    if not wrong and expected.names not in ("", evidence["names_sha256"]):
        wrong = ["the files are named otherwise"]
    if wrong:
        raise DataError(
            f"{source} is not the published set ({'; '.join(wrong)}): a score on it cannot be "
            "compared; take the whole set, or train with reid-attn train"
        )


def _refuse_another_run(run: Path, asked: Settings) -> None:
    """A run that goes on keeps its own settings and pictures: they must be those asked for."""
    begun = load_trained(run).settings
    other = [
        group
        for group in type(asked).model_fields
        if getattr(begun, group) != getattr(asked, group)
    ]
    if other:
        raise UsageError(
            f"{run} was begun with other settings of {', '.join(other)}: give the command as it "
            "was then to go on, or another folder with -o"
        )


def _result(
    run: Path, published: Published | None, evidence: dict[str, Any], dry_run: bool
) -> dict[str, Any]:
    trained = load_trained(run)
    metrics = storage.read_json(run / "metrics.json")
    names = ("rank1", "rank5", "rank10", "mAP", "mAP_trapezoid", "mINP")
    measured = {name: metrics[name] for name in names}
    return {
        "recipe": trained.settings.name,
        "dry_run": dry_run,
        "measured": measured,
        "before_the_neck": metrics["comparisons"]["before the neck"],
        "published": published._asdict() if published else None,
        "difference": _difference(measured, published),
        "intervals": metrics["intervals"],
        "data": evidence,
        "settings": trained.settings.model_dump(mode="json"),
        "settings_sha256": trained.settings.digest(),
        "initial_weights_sha256": _of_weights(trained.settings),
        "fingerprint": metrics["provenance"]["fingerprint"],
        "versions": trained.state["versions"],
        "hardware": _hardware(trained.settings),
        "training_seconds": training_seconds(run),
        "measured_at": metrics["provenance"]["measured"],
    }


def _difference(measured: dict[str, float], published: Published | None) -> dict[str, float]:
    """Measured minus published, in points."""
    if published is None:
        return {}
    return {
        "rank1": 100 * measured["rank1"] - published.rank1,
        published.metric: 100 * measured[published.metric] - published.mAP,
    }


def _of_weights(settings: Settings) -> str | None:
    path = Path(settings.model.weights)
    return storage.sha256(path.read_bytes()) if path.is_file() else None


def _hardware(settings: Settings) -> dict[str, Any]:
    device = choose_device(settings.training.device)
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _tell(console: Console, run: Path, result: dict[str, Any]) -> None:
    for name, change in result["difference"].items():
        reached = percent(result["measured"][name])
        console.print(f"{name}: {reached}, {change:+.1f} against the published one")
    console.print(str(run / RESULT), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
