"""`reid-attn blocks`: what each attention block costs, alone and in the whole network."""

import argparse
from typing import TYPE_CHECKING

from ._arguments import Subparsers, add_command, listed

if TYPE_CHECKING:
    from ..models.cost import Entry

FORMATS = ("table", "csv", "markdown")
SMALLEST, LARGEST = 32, 2048
"""Pixels of a side: what the network takes, and what nobody's pictures exceed."""
COLUMNS = ("block", "place", "map", "parameters", "GFLOP", "kept MiB")


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "blocks",
        "List the attention blocks with what they cost for one picture: trainable parameters, "
        "GFLOP of a forward pass (a multiplication with its addition counts as 2), and the memory "
        "that training keeps for the backward pass in float32. Each block stands alone on the map "
        "of each stage of a ResNet-50, then in the whole network (751 persons) where its paper "
        "puts it.",
        "reid-attn blocks --size 256x128 --names rga --format markdown",
    )
    parser.add_argument(
        "--size", default="256x128", metavar="HxW", help="of the pictures (default: 256x128)"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("--names", metavar="A,B", help="these blocks only (default: all)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    from rich.console import Console

    from .. import attention
    from ..models.cost import table
    from ..reports.progress import counted

    size = _size(arguments.size)
    names = listed(arguments.names) if arguments.names else attention.names()
    for name in names:
        attention.block_class(name)  # a misspelt name is told before anything is measured
    with counted(Console(stderr=True), "blocks", len(names) + 1) as progress:
        groups = []
        for group in table(names, size):
            groups.append(group)
            progress(1)
    {"table": _print_table, "csv": _print_csv, "markdown": _print_markdown}[arguments.format](
        groups
    )


def _size(text: str) -> tuple[int, int]:
    from ..errors import UsageError

    numbers = text.lower().split("x")
    if len(numbers) == 2 and all(n.isascii() and n.isdigit() and len(n) < 6 for n in numbers):
        height, width = map(int, numbers)
        if min(height, width) >= SMALLEST and max(height, width) <= LARGEST:
            return height, width
    raise UsageError(
        f"--size is HEIGHTxWIDTH in pixels, each from {SMALLEST} to {LARGEST}, for example "
        f"256x128, not '{text}'"
    )


def _cells(entry: "Entry") -> list[str]:
    """The line of a table for people."""
    shape = "×".join(map(str, entry.shape))
    cells = [entry.block or "none", entry.place, shape]
    if entry.cost is None:
        return [*cells, "–", "–", "–"]
    sign = "+" if entry.place.startswith("beyond") else ""
    count, gflop, kept = entry.cost
    return [*cells, f"{count:{sign},}", f"{gflop:{sign}.3f}", f"{kept:{sign}.2f}"]


def _notes(groups: "list[list[Entry]]") -> list[str]:
    noted = [entry for group in groups for entry in group if entry.note]
    return [f"– {entry.block}, {entry.place}: {entry.note}" for entry in noted]


def _print_table(groups: "list[list[Entry]]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        numeric = column in COLUMNS[3:]
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for group in groups:
        for line, entry in enumerate(group):
            block, *rest = _cells(entry)
            whole = "" if entry.place.startswith("stage") else "bold"
            table.add_row("" if line else block, *rest, style=whole)
        table.add_section()
    console = Console()
    console.print(table)
    for note in _notes(groups):
        console.print(Text(note), style="dim")


def _print_markdown(groups: "list[list[Entry]]") -> None:
    lines = [list(COLUMNS), ["---"] * 3 + ["---:"] * 3]
    lines += [_cells(entry) for group in groups for entry in group]
    for line in lines:
        print(f"| {' | '.join(line)} |")
    for note in _notes(groups):
        print(f"\n{note}")


def _print_csv(groups: "list[list[Entry]]") -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = "block,place,channels,height,width,parameters,gflop,kept_mib,note"
    writer.writerow(header.split(","))
    for entry in (entry for group in groups for entry in group):
        numbers = ["", "", ""]
        if entry.cost is not None:
            count, gflop, kept = entry.cost
            numbers = [str(count), f"{gflop:.6f}", f"{kept:.4f}"]
        writer.writerow([entry.block, entry.place, *entry.shape, *numbers, entry.note])
