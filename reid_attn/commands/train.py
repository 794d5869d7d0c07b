"""`reid-attn train`: train a network, or go on where one was stopped; ends with its report."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ._arguments import Subparsers, add_command

if TYPE_CHECKING:
    from ..data import Dataset
    from ..settings import Settings
    from ..training.processes import Processes


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "train",
        "Train a network as CONFIG says, evaluate it, and write its report.",
        "reid-attn train configs/market1501/rga_sc.yaml data.source=market1501:data/market1501\n"
        "  reid-attn train --resume runs/market1501-rga_sc",
    )
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="a YAML file")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings that replace the file's; reid_attn/settings/ explains each of them",
    )
    parser.add_argument("-o", dest="output", type=Path, metavar="RUN", help="default: runs/NAME")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="start an existing run afresh: first its whole folder is removed, whatever else "
        "lies there; one with a gallery inside is refused",
    )
    parser.add_argument(
        "--profile", action="store_true", help="print where a step's time goes, and train nothing"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train or resume, then evaluate the last checkpoint; or measure a step."""
    from rich.console import Console

    from ..data import load_settings
    from ..reports.evaluation import evaluate_run
    from ..training import join_processes, profile, train

    console, chosen = Console(), _resumed if arguments.resume else _fresh
    with join_processes() as processes:
        settings, folder = processes.from_first(lambda: chosen(arguments))
        dataset = processes.from_first(lambda: load_settings(settings.data))
        if arguments.profile:
            profile(settings, dataset, console, processes)
            return
        if not arguments.resume and settings.data.bad_pictures == "refuse":
            _check_pictures(dataset, settings.data.source, processes)
        if arguments.overwrite:
            processes.on_first(lambda: _remove_run(folder))
        features = train(settings, dataset, folder, console, processes)
    if not (processes.first and dataset.query and dataset.gallery):
        return
    if features is None and _is_measured(folder, settings.training.epochs):
        console.print(
            f"{folder} is finished and measured; to measure again: reid-attn evaluate {folder}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return
    evaluate_run(folder, folder, console, features=features)


def _check_pictures(dataset: "Dataset", source: str, processes: "Processes") -> None:
    """Decode each picture, every process its share, so that none ends a training hours later."""
    from rich.console import Console

    from ..data.screening import refuse_bad, undecodable
    from ..reports.progress import counted

    paths = sorted({picture.path for split in dataset.splits().values() for picture in split})
    own = processes.share(paths)
    with counted(Console(quiet=not processes.first), "checking pictures", len(own)) as progress:
        parts = processes.to_first(processes.together(lambda: undecodable(own, progress)))
    bad = [picture for part in parts for picture in part]
    otherwise = "leave them all out with data.bad_pictures=skip"
    processes.on_first(lambda: refuse_bad(bad, source, otherwise))


def _is_measured(run: Path, epoch: int) -> bool:
    """Whether scores and a report of this epoch are there; they may say more than ours would."""
    from .. import storage
    from ..reports.evaluation import METRICS_FILE, PAGE

    if not all((run / name).exists() for name in (METRICS_FILE, PAGE)):
        return False
    return bool(storage.read_json(run / METRICS_FILE)["provenance"].get("epoch") == str(epoch))


def _remove_run(folder: Path) -> None:
    """Remove the whole folder of a run; `UsageError` for any other, or one that keeps people."""
    from .. import storage
    from ..errors import UsageError

    if not folder.exists():
        return
    if {path.name for path in folder.iterdir()} - {storage.LOCK}:  # which a killed start leaves
        _check_settings(folder)
    if galleries := _galleries(folder):
        raise UsageError(
            f"{galleries[0]} is a gallery, and --overwrite would remove all of {folder}: move the "
            "gallery elsewhere, or choose another folder with -o"
        )
    with storage.locked(folder):
        storage.remove(folder)


def _check_settings(folder: Path) -> None:
    from ..errors import UsageError
    from ..settings import load
    from ..training.loop import SETTINGS

    try:
        load(folder / SETTINGS)
    except UsageError as error:
        raise UsageError(
            f"{folder} is not a folder that training wrote, so --overwrite leaves it alone: choose "
            f"another with -o, or remove it yourself ({error})"
        ) from error


def _galleries(folder: Path) -> list[Path]:
    """Those inside, at any depth: folders of a database, or of Milvus Lite."""
    from ..gallery.local.connection import NAME

    lite = [path for path in folder.rglob("*.db") if path.is_dir()]
    return sorted([path.parent for path in folder.rglob(NAME)] + lite)


def _fresh(arguments: argparse.Namespace) -> "tuple[Settings, Path]":
    from .. import storage
    from ..errors import UsageError
    from ..settings import load

    if arguments.config is None:
        raise UsageError("name a CONFIG to train, or a run to go on with: --resume RUN")
    settings = load(arguments.config, arguments.overrides)
    folder = arguments.output or Path("runs") / settings.name
    if arguments.profile and (arguments.output or arguments.overwrite):
        raise UsageError("--profile writes no run: leave out -o and --overwrite")
    if not arguments.profile and (folder / storage.POINTER).exists() and not arguments.overwrite:
        raise UsageError(
            f"{folder} holds a trained run already: go on with --resume {folder}, start afresh "
            "with --overwrite, or choose another folder with -o"
        )
    return settings, folder


def _resumed(arguments: argparse.Namespace) -> "tuple[Settings, Path]":
    from ..errors import UsageError
    from ..models.weights import load_settings

    if arguments.config or arguments.overwrite or arguments.output or arguments.profile:
        raise UsageError("--resume goes on with the run's own settings and takes nothing else")
    return load_settings(arguments.resume), arguments.resume
