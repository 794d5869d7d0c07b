"""`gallery identify` and `gallery link`: who tracks show, and which show one person."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .._arguments import Subparsers
from ._shared import add_action, add_model, opened, progress, show
from ._sources import by_name, pictures_below

if TYPE_CHECKING:
    from ...gallery import Sighting
    from ...gallery.identifying import Identity
    from ...gallery.linking import Group
    from ...gallery.tracks import Track

_NOBODY = (
    "no track of nobody known was found. Such tracks come with 'gallery add --tracks FILE.csv', "
    "from lines without a person, or as new pictures given to 'gallery identify'"
)


def add_actions(actions: Subparsers) -> None:
    """Add the actions to the parser."""
    parser = add_action(
        actions,
        "identify",
        _identify,
        "Name the tracks of nobody known, each as somebody known or as a new person: those of new "
        "pictures, which are added, or all in the gallery. 'undo' takes the names back.",
        "reid-attn gallery identify people --tracks tracks.csv --dry-run\n"
        "  reid-attn gallery identify people --tracks tracks.csv\n"
        "  reid-attn gallery identify people",
    )
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="SOURCE", help="a picture, or a folder of them"
    )
    parser.add_argument("--tracks", type=Path, metavar="FILE", help="a CSV table, as for 'add'")
    parser.add_argument(
        "--camera",
        type=int,
        metavar="N",
        help="that of SOURCE (default: by names like 0002_c1s1_…)",
    )
    parser.add_argument("--time", metavar="TIME", help="when SOURCE was taken (ISO 8601)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    _add_decision(parser)
    add_model(parser)
    parser = add_action(
        actions,
        "link",
        _link,
        "Show which tracks of nobody known seem to show one person, across cameras.",
        "reid-attn gallery link people --since 2026-05-01 --threshold 0.7\n"
        "  reid-attn gallery link people --since 2026-05-01 --threshold 0.7 --apply",
    )
    parser.add_argument(
        "--camera", type=int, nargs="+", action="extend", metavar="N", help="of these cameras only"
    )
    parser.add_argument("--since", metavar="TIME", help="taken at this moment or later (ISO 8601)")
    parser.add_argument("--until", metavar="TIME", help="taken before this moment")
    parser.add_argument("--apply", action="store_true", help="make each group a new person")
    _add_decision(parser)


def _add_decision(parser: argparse.ArgumentParser) -> None:
    """From when on two are one."""
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="COSINE",
        help="from which likeness on two are one (default: what 'calibrate' measured)",
    )
    parser.add_argument(
        "--once-per-camera",
        action="store_true",
        help="each person passes each camera once (default: is at one place at a time)",
    )


def _identify(arguments: argparse.Namespace) -> None:
    sightings = _sightings(arguments)
    if sightings is None:
        from ...gallery import Gallery

        gallery = Gallery.open(arguments.folder)
    else:
        gallery = opened(arguments)
    with gallery, progress(len(sightings or ())) as advance:
        found = gallery.identify(
            sightings,
            threshold=arguments.threshold,
            once_per_camera=arguments.once_per_camera,
            dry_run=arguments.dry_run,
            progress=advance,
        )
    if not arguments.json:
        rows = ((*_track(i.track), _who(i), _score(i.score)) for i in found)
        _print_table(("camera", "track", "pictures", "person", "score"), rows)
    sentence = _named(found, arguments.dry_run) if found else _NOBODY
    result = {"identities": [_told(i) for i in found]}
    show(arguments, result, f"{arguments.folder}: {sentence}")


def _named(found: "Sequence[Identity]", dry_run: bool) -> str:
    new = len({identity.person for identity in found if identity.new})
    known = sum(not identity.new for identity in found)
    return (
        f"{len(found)} tracks {_done(not dry_run)} named, {known} of them as somebody known and "
        f"{len(found) - known} as {new} new persons. A likeness, not an identification: a person "
        "decides."
    )


def _sightings(arguments: argparse.Namespace) -> "list[Sighting] | None":
    from ...gallery import Sighting
    from ...gallery.sightings import read_tracks

    if arguments.tracks:
        if arguments.sources or arguments.camera is not None or arguments.time:
            raise UsageError("--tracks has its pictures, cameras and times in the table")
        return read_tracks(arguments.tracks)
    if not arguments.sources:
        return None
    pictures = pictures_below(arguments.sources)
    if arguments.camera is None:
        seen = [(path, n) for path, _, n in by_name(pictures, "which camera it was with --camera")]
    else:
        seen = [(path, arguments.camera) for path in pictures]
    return [Sighting(picture=path, camera=n, time=arguments.time) for path, n in seen]


def _link(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery, where

    meant = where(cameras=arguments.camera, since=arguments.since, until=arguments.until)
    with Gallery.open(arguments.folder) as gallery:
        groups = gallery.link(
            threshold=arguments.threshold,
            where=meant,
            once_per_camera=arguments.once_per_camera,
            apply=arguments.apply,
        )
        unknown = groups or gallery.rows(replace(meant, persons=frozenset([""])))
    if not arguments.json:
        rows = (
            (group.person, *_track(track), _score(group.likeness), _score(group.weakest))
            for group in groups
            for track in group.tracks
        )
        columns = ("person", "camera", "track", "pictures", "likeness", "weakest")
        _print_table(columns, rows)
    sentence = _linked(groups, arguments.apply) if unknown else _NOBODY
    result = {"applied": arguments.apply, "groups": [_group(g) for g in groups]}
    show(arguments, result, f"{arguments.folder}: {sentence}")


def _linked(groups: "Sequence[Group]", applied: bool) -> str:
    tracks = sum(len(group.tracks) for group in groups)
    sentence = f"{tracks} tracks {_done(applied)} linked to {len(groups)} persons"
    return sentence if applied or not groups else f"{sentence}; --apply does it"


def _done(done: bool) -> str:
    return "were" if done else "would be"


def _told(identity: "Identity") -> dict[str, Any]:
    """As plain values."""
    known = {"person": identity.person, "name": identity.name, "new": identity.new}
    return {**known, "score": identity.score, **_plain(identity.track)}


def _group(group: "Group") -> dict[str, Any]:
    known = {"person": group.person, "likeness": group.likeness, "weakest": group.weakest}
    return {**known, "tracks": [_plain(track) for track in group.tracks]}


def _plain(track: "Track") -> dict[str, Any]:
    sources = [picture.source.decode(errors="replace") for picture in track.pictures]
    return {"camera": track.camera, "track": track.track, "rows": track.rows, "sources": sources}


def _track(track: "Track") -> tuple[str, str, str]:
    """Camera, number or file, and how many pictures."""
    alone = Path(track.pictures[0].source.decode(errors="replace")).name
    return str(track.camera), track.track or alone, str(len(track.pictures))


def _who(identity: "Identity") -> str:
    if identity.new:
        return f"{identity.person} (new)"
    return f"{identity.person} ({identity.name})" if identity.name else identity.person


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.4f}"


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ...reports.ranked_lists import printable

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if table.rows:
        Console().print(table)
