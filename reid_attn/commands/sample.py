"""`reid-attn sample`: write the built-in sample set."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_command


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "sample",
        "Draw a set of simple pedestrians in Market-1501 layout, the same for the same arguments.",
        "reid-attn sample data/sample --persons 80 --cameras 4 --seed 0",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write it")
    parser.add_argument("--persons", type=int, default=80, help="half train, half test (80)")
    parser.add_argument("--cameras", type=int, default=4, help="from 2 to 9 (4)")
    parser.add_argument("--pictures", type=int, default=4, help="per person and camera (4)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people (0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the set and say what it holds."""
    from ..data import load
    from ..data.synthetic import write_sample

    write_sample(
        arguments.folder,
        arguments.persons,
        arguments.cameras,
        arguments.seed,
        arguments.pictures,
    )
    dataset = load(f"market1501:{arguments.folder}")
    print(
        f"{arguments.folder}: {len(dataset.train)} pictures to train on, "
        f"{len(dataset.query)} queries, {len(dataset.gallery)} in the gallery"
    )
