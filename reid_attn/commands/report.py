"""`reid-attn report`: the page of a run, written again from what the run has measured."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_command, add_output


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "report",
        "Write a run's report.html again from its stored metrics, without evaluating it.",
        "reid-attn report runs/quickstart -o page",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a trained run")
    add_output(parser, "the run's folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from ..reports.evaluation import rewrite_report

    page = rewrite_report(arguments.run_folder, arguments.output or arguments.run_folder)
    print(page)
