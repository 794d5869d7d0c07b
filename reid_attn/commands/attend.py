"""`reid-attn attend`: where the attention blocks of a run look in one picture."""

import argparse
from pathlib import Path

from ._arguments import Subparsers, add_checkpoint, add_command, add_output


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "attend",
        "Draw what the attention blocks of a run make of one picture, on the CPU: the gate of "
        "each block, and how much one position takes from the others where a block relates them; "
        "an overlay each, and attention.html with all of them.",
        "reid-attn attend runs/quickstart data/sample/query/0041_c1s1_000001_00.jpg --at 40,32",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a trained run")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="a JPEG or PNG file")
    parser.add_argument(
        "--at",
        metavar="Y,X",
        help="the position whose relations are drawn: a pixel of the picture, counted from 0,0 at "
        "the top left; in each block the cell that holds it (default: the middle)",
    )
    add_checkpoint(parser)
    add_output(parser, "RUN/attend")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw and write."""
    from ..reports.attention_pages import attend

    page = attend(
        arguments.run_folder,
        arguments.checkpoint,
        arguments.picture,
        arguments.output or arguments.run_folder / "attend",
        None if arguments.at is None else _pixel(arguments.at),
    )
    print(page)


def _pixel(text: str) -> tuple[int, int]:
    from ..errors import UsageError

    numbers = text.split(",")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 9 for n in numbers):
        raise UsageError(
            f"--at is Y,X in pixels from the top left, for example 40,32, not '{text}'"
        )
    return int(numbers[0]), int(numbers[1])
