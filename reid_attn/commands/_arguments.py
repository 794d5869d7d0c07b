"""What several commands' parsers share."""

import argparse
import textwrap
from pathlib import Path
from typing import Any

Subparsers = Any  # argparse keeps the type of add_subparsers() to itself


def add_command(commands: Subparsers, name: str, purpose: str, example: str) -> Any:
    """A parser for the command `name`, whose help ends with an example."""
    return commands.add_parser(
        name,
        help=purpose,
        description=textwrap.fill(purpose, 79),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def listed(text: str) -> list[str]:
    """The names in `rga, cbam`."""
    return [name.strip() for name in text.split(",")]


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """--checkpoint, for every command that reads a run."""
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="last|best|PATH",
        help="which weights: the last (default), those of the highest mAP during training, "
        "a gen-… folder, or a file of weights",
    )


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """-o DIR; made when missing, accepted when it exists."""
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="DIR", help=f"where to write (default: {default})"
    )
