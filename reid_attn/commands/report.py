"""`reid-attn report`: the page of a run from what it has measured, or of several runs compared."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_command, add_output


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "report",
        "Write a run's report.html again from its stored metrics, without evaluating it; "
        "or compare several runs with the first. Tables for papers come with both.",
        "reid-attn report runs/quickstart -o page\n"
        "  reid-attn report runs/baseline runs/rga -o compared",
    )
    parser.add_argument(
        "run_folders",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="an evaluated run; of several, the first is what the others are compared with",
    )
    add_output(parser, "the run's folder; needed for several runs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from ..reports.compare import report

    print(report(arguments.run_folders, arguments.output))
