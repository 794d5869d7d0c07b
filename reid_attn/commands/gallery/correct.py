"""`gallery merge`, `split`, `rename` and `undo`: what an operator corrects."""

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .._arguments import Subparsers
from ._shared import add_action, show

if TYPE_CHECKING:
    from ...gallery.contract import Correction

_SHOWN = 3  # changes of labels in a line


def add_actions(actions: Subparsers) -> None:
    """Add the actions to the parser."""
    parser = add_action(
        actions,
        "merge",
        _merge,
        "Let all pictures of other persons show one, who keeps key and name.",
        "reid-attn gallery merge people anna p-000123-45 p-000130-45",
    )
    parser.add_argument("person", metavar="PERSON", help="the key of who they all are")
    parser.add_argument("others", nargs="+", metavar="OTHER", help="keys of who they seemed to be")
    parser = add_action(
        actions,
        "split",
        _split,
        "Let some pictures of a person show somebody else, who is new unless --to names him.",
        "reid-attn gallery split people anna --rows 17 18\n"
        "  reid-attn gallery split people anna --tracks 2:17 --to bert",
    )
    parser.add_argument("person", metavar="PERSON", help="the key of the person")
    parser.add_argument(
        "--rows", type=int, nargs="+", action="extend", default=[], metavar="ROW", help="numbers"
    )
    parser.add_argument(
        "--tracks", nargs="+", action="extend", default=[], metavar="CAMERA:TRACK", help="tracks"
    )
    parser.add_argument("--to", metavar="KEY", help="who they show (default: a new person)")
    parser = add_action(
        actions,
        "rename",
        _rename,
        "Change what people call a person; the key stays.",
        'reid-attn gallery rename people p-000123-45 "Anna, red coat"',
    )
    parser.add_argument("person", metavar="PERSON", help="the key of the person")
    parser.add_argument("name", metavar="NAME", help="the name; '' for none")
    parser = add_action(
        actions,
        "undo",
        _undo,
        "Take back the last identify, link, merge, split or rename, or the one of a number.",
        "reid-attn gallery undo people --list\n  reid-attn gallery undo people",
    )
    parser.add_argument("number", type=int, nargs="?", metavar="NUMBER", help="of a correction")
    parser.add_argument("--list", action="store_true", help="show what can be undone")


def _merge(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        changed = gallery.merge(arguments.person, *arguments.others)
    sentence = f"{arguments.folder}: {changed} rows show {arguments.person} now"
    show(arguments, {"person": arguments.person, "changed": changed}, sentence)


def _split(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    tracks = [_track(text) for text in arguments.tracks]
    with Gallery.open(arguments.folder) as gallery:
        person = gallery.split(
            arguments.person, rows=arguments.rows, tracks=tracks, to=arguments.to
        )
    sentence = f"{arguments.folder}: they show {person} now, and no longer {arguments.person}"
    show(arguments, {"person": person}, sentence)


def _track(text: str) -> tuple[int, str]:
    camera, colon, track = text.partition(":")
    try:
        number = int(camera)
    except ValueError as error:
        raise UsageError(f"{text!r} is no track: write CAMERA:TRACK, such as 2:17") from error
    if not colon or not track:
        raise UsageError(f"{text!r} is no track: write CAMERA:TRACK, such as 2:17")
    return number, track


def _rename(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        changed = gallery.rename(arguments.person, arguments.name)
    called = f"is called {arguments.name!r}" if arguments.name else "has no name"
    sentence = f"{arguments.folder}: {arguments.person} {called} now ({changed} rows changed)"
    show(arguments, {"person": arguments.person, "changed": changed}, sentence)


def _undo(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    if arguments.list and arguments.number is not None:
        raise UsageError("--list shows all that can be undone: leave the number out")
    with Gallery.open(arguments.folder) as gallery:
        found = gallery.undoable() if arguments.list else [gallery.undo(arguments.number)]
    if arguments.list:
        lines = [_line(correction) for correction in found]
        sentence = "\n".join(lines) or f"there is nothing to undo in {arguments.folder}"
        show(arguments, {"undoable": [_told(correction) for correction in found]}, sentence)
    else:
        show(arguments, {"undone": _told(found[0])}, f"undone: {_line(found[0])}")


def _told(correction: "Correction") -> dict[str, Any]:
    known = {"number": correction.number, "at": correction.at, "action": correction.action}
    rows = [
        {"row": row, "before": list(before), "after": list(after)}
        for row, (before, after) in correction.rows.items()
    ]
    return {**known, "rows": rows}


def _line(correction: "Correction") -> str:
    """`7  2026-05-01 12:30 UTC  merge, 3 rows: p-000123-45 → anna`."""
    from ...reports.ranked_lists import printable

    moment = datetime.fromtimestamp(correction.at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    changes = [f"{_label(before)} → {_label(after)}" for before, after in correction.rows.values()]
    different = list(dict.fromkeys(changes))
    more = f", and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    shown = printable(", ".join(different[:_SHOWN])) + more
    count = len(correction.rows)
    return f"{correction.number:>6}  {moment}  {correction.action}, {count} rows: {shown}"


def _label(label: Sequence[str]) -> str:
    person, name = label
    return f"{person or 'nobody'} ({name})" if name else person or "nobody"
