"""`reid-attn import`: a network that was trained elsewhere becomes a run."""

import argparse
from collections import Counter
from pathlib import Path

from ._arguments import Subparsers, add_command


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "import",
        "Make a run of a whole re-ID network that torchreid, fast-reid, BoT, AGW or RGA trained, "
        "for evaluate, extract, retrieve and gallery. CONFIG describes the network; "
        "docs/models.md says what each code base needs.",
        "reid-attn import model.pth.tar-250 configs/import/torchreid_osnet.yaml -o runs/osnet",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a state dict or a checkpoint")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a YAML file")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings that replace the file's; reid_attn/settings/ explains each of them",
    )
    parser.add_argument("-o", dest="output", type=Path, metavar="RUN", help="default: runs/NAME")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the run folder and tell what became of the file's tensors."""
    from rich.console import Console

    from ..settings import load
    from ..training.importing import import_run

    settings = load(arguments.config, arguments.overrides)
    folder = arguments.output or Path("runs") / settings.name
    report = import_run(arguments.file, settings, folder)
    console = Console()
    console.print(report.summary(), soft_wrap=True)
    for reason, count in Counter(report.left_out.values()).items():
        console.print(f"  left out: {count}, {reason}", soft_wrap=True)
    console.print(folder, soft_wrap=True)
