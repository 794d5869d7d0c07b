"""`gallery create` and `gallery stats`: what a gallery is for, and what it holds."""

import argparse

from ...errors import UsageError
from .._arguments import Subparsers
from ._shared import add_action, kept_run, show


def add_actions(actions: Subparsers) -> None:
    """Add the actions to the parser."""
    parser = add_action(
        actions,
        "create",
        _create,
        "Make an empty gallery; only vectors of the run's model will fit into it.",
        "reid-attn gallery create people --run runs/quickstart --keep-days 7 \\\n"
        '      --purpose "lost children" --controller "Fairground Ltd"',
    )
    parser.add_argument(
        "--run",
        dest="model",
        metavar="RUN",
        required=True,
        help="a trained run, or a network FILE.onnx",
    )
    parser.add_argument(
        "--purpose",
        default="not stated",
        metavar="TEXT",
        help="why these people are kept (default: not stated)",
    )
    parser.add_argument(
        "--controller",
        default="not stated",
        metavar="TEXT",
        help="who answers for it (default: not stated)",
    )
    parser.add_argument(
        "--keep-days",
        default="30",
        metavar="N|forever",
        help="find a picture for N days only (default: 30)",
    )
    parser.add_argument("--until", metavar="TIME", help="find nothing after this moment (ISO 8601)")
    parser.add_argument(
        "--no-pictures",
        dest="pictures",
        action="store_false",
        help="keep vectors only (default: a small JPEG of each picture as well)",
    )
    add_action(
        actions,
        "stats",
        _stats,
        "Show a gallery in figures.",
        "reid-attn gallery stats people",
    )


def _create(arguments: argparse.Namespace) -> None:
    from ...features import Embedder
    from ...gallery import Gallery

    keep_days = _days(arguments.keep_days)
    embedder = Embedder(arguments.model)
    Gallery.create(
        arguments.folder,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        purpose=arguments.purpose,
        controller=arguments.controller,
        run=kept_run(arguments.model),
        keep_days=keep_days,
        until=arguments.until,
        pictures=arguments.pictures,
    )
    kept = "for ever" if keep_days is None else f"for {keep_days} days"
    result = {"gallery": str(arguments.folder), "dimension": embedder.dimension}
    sentence = (
        f"{arguments.folder}: a gallery for vectors of {embedder.dimension} numbers, kept {kept}"
    )
    show(arguments, {**result, "keep_days": keep_days}, sentence)


def _days(text: str) -> int | None:
    if text == "forever":
        return None
    if not text.isdecimal():
        raise UsageError(f"--keep-days is {text!r}: use a number of days, or forever")
    return int(text)


def _stats(arguments: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ...gallery import Gallery
    from ...reports.ranked_lists import printable

    with Gallery.open(arguments.folder) as gallery:
        stats = gallery.stats()
    if arguments.json:
        print(json.dumps(asdict(stats), allow_nan=False))
        return
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in asdict(stats).items():
        table.add_row(name.replace("_", " "), Text(printable(_shown(value))))
    Console().print(table)


def _shown(value: object) -> object:
    """A figure for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(own)}" for key, own in value.items()) or "–"
    return "–" if value in (None, "") else value
