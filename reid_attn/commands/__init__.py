"""The command line: one file per command; each parses, calls, and returns an exit code."""

import argparse
import importlib
from collections.abc import Sequence

from ..errors import ReidError
from . import terminal

__all__ = ["terminal"]

COMMANDS = (
    "sample",
    "train",
    "import",
    "ablate",
    "evaluate",
    "extract",
    "retrieve",
    "gallery",
    "report",
    "attend",
    "blocks",
)
_FILES = {"import": "import_weights"}  # a file cannot be called like a word of Python


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0 done, 2 wrong use, 3 bad input, …)."""
    terminal.write_any_character()
    try:
        try:
            return _run(arguments)
        finally:
            terminal.flush()
    except OSError as error:
        return terminal.fail(error)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        parsed = _parse(arguments)
        parsed.run(parsed)
    except ReidError as error:
        terminal.complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        terminal.complain("stopped")
        return 130
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich's way to tell of it
            raise end.__context__ from None
        raise
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """argparse ends a list of positionals at the first option; key=value may stand after one."""
    parser = _parser()
    parsed, rest = parser.parse_known_args(arguments)
    takes_settings = hasattr(parsed, "overrides")
    unknown = [word for word in rest if not takes_settings or word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if takes_settings:
        parsed.overrides += rest
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reid-attn",
        description="Find a person again across cameras: train, evaluate, search, report.",
        epilog="Each command has its own --help with an example.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"{__name__}.{_FILES.get(name, name)}").add_parser(commands)
    return parser
