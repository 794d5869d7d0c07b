"""`reid-attn retrieve`: one-shot search of a gallery folder or features file."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_checkpoint, add_command, add_output


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "retrieve",
        "Search a gallery for the people in query pictures: a table, a page of ranked lists, and "
        "a CSV. Where all names are as in Market-1501, pictures of the same person at the same "
        "camera are left out and answers are marked right or wrong; of folders for each person "
        "(--data folder:PATH), evaluate does so.",
        "reid-attn retrieve runs/quickstart --query data/sample/query "
        "--gallery data/sample/bounding_box_test -k 10",
    )
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="a trained run, or a network FILE.onnx"
    )
    parser.add_argument(
        "--query", type=Path, required=True, metavar="FILE|DIR", help="a picture or a folder"
    )
    parser.add_argument(
        "--gallery", type=Path, required=True, metavar="DIR|FILE.npz", help="pictures or features"
    )
    parser.add_argument("-k", type=int, default=10, help="answers per query (10)")
    add_checkpoint(parser)
    add_output(parser, "RUN/retrieve")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Search and write ranked.html and ranked.csv."""
    from rich.console import Console

    from ..reports.retrieval import retrieve

    run = arguments.run_folder
    beside = run.with_suffix("") if run.suffix == ".onnx" else run
    retrieve(
        run,
        arguments.checkpoint,
        arguments.query,
        arguments.gallery,
        arguments.k,
        arguments.output or beside / "retrieve",
        Console(),
    )
