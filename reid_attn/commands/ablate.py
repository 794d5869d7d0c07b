"""`reid-attn ablate`: every block under one recipe, with seeds and folds, and one page."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_command, listed


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "ablate",
        "Train every attention block under the recipe of CONFIG, in the place where its paper puts "
        "it and in one common place, beside the network without attention; write ablation.html, "
        "metrics.json, table.csv and table.md. Repeat the command to go on after an interruption.",
        "reid-attn ablate configs/small/baseline.yaml --blocks all --seeds 3 --folds 4 "
        "-o runs/ablation\n"
        "  reid-attn ablate configs/small/baseline.yaml --blocks rga,cbam --place common --dry-run",
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="a YAML file, without attention"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings that replace the file's; reid_attn/settings/ explains each of them",
    )
    parser.add_argument(
        "--blocks", default="all", metavar="all|A,B,…", help="which blocks (default: all)"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="trainings of each network (default: 1)"
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=4,
        metavar="K",
        help="test sets (default: 4): fold0, fold1, … in the folder of the data, or else parts of "
        "its training persons; its own test is not touched",
    )
    parser.add_argument(
        "--place",
        choices=("both", "published", "common"),
        default="both",
        help="which tables (default: both)",
    )
    parser.add_argument(
        "--common",
        default="stage",
        metavar="SLOT",
        help="the slot of the common place, in all four stages (default: stage)",
    )
    parser.add_argument(
        "--options",
        type=Path,
        metavar="FILE.yaml",
        help="options of blocks, a line for each, such as rga: {identity_start: true}",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained, and end")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="DIR", help="default: runs/NAME-ablation"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Plan, say so, and train what is missing."""
    from rich.console import Console

    from ..ablation import Request, ablate, announce, make_plan, read_options
    from ..settings import load

    recipe = load(arguments.config, arguments.overrides)
    names = listed(arguments.blocks)
    plan = make_plan(
        Request(
            recipe=recipe,
            blocks=() if names == ["all"] else tuple(dict.fromkeys(names)),
            seeds=arguments.seeds,
            folds=arguments.folds,
            output=arguments.output or Path("runs") / f"{recipe.name}-ablation",
            place=arguments.place,
            common=arguments.common,
            options=read_options(arguments.options) if arguments.options else {},
        )
    )
    console = Console()
    announce(plan, console)
    if not arguments.dry_run:
        ablate(plan, console)
        console.print(str(plan.output / "ablation.html"), soft_wrap=True)
