"""`gallery add`: pictures, folders of them, or a tracker's table."""

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Interrupted, UsageError
from .._arguments import Subparsers
from ._shared import add_action, add_model, opened, progress, show
from ._sources import by_name, pictures_below

if TYPE_CHECKING:
    from ...gallery import Sighting


def add_actions(actions: Subparsers) -> None:
    """Add the action to the parser."""
    parser = add_action(
        actions,
        "add",
        _add,
        "Add pictures. Those that are there already are skipped, so an add that was interrupted "
        "can be repeated.",
        "reid-attn gallery add people data/sample/bounding_box_test\n"
        "  reid-attn gallery add people anna.jpg --person anna --camera 1\n"
        "  reid-attn gallery add people --tracks tracks.csv",
    )
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="SOURCE", help="a picture, or a folder of them"
    )
    parser.add_argument(
        "--person",
        metavar="NAME",
        help="who it is (default: by names like 0002_c1s1_000451_03.jpg)",
    )
    parser.add_argument("--camera", type=int, metavar="N", help="its camera; goes with --person")
    parser.add_argument("--time", metavar="TIME", help="when it was taken (ISO 8601, or seconds)")
    parser.add_argument(
        "--tracks",
        type=Path,
        metavar="FILE",
        help="a CSV table with path and camera, and if wanted track, time, x, y, width, height, "
        "person, name; other columns become attributes",
    )
    add_model(parser)


def _add(arguments: argparse.Namespace) -> None:
    from ...gallery.adding import PART

    sightings = _sightings(arguments)
    with opened(arguments) as gallery, progress(len(sightings)) as advance:
        try:
            added = gallery.add_sightings(sightings, advance)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped; what was added is kept ({PART:,} pictures at a time), and the same "
                "command again goes on",
                signal.SIGINT,
            ) from None
        total = len(gallery)
    there = len(sightings) - added
    sentence = (
        f"{arguments.folder}: {added} pictures added, {there} were there already, {total} in all"
    )
    show(arguments, {"added": added, "there": there, "rows": total}, sentence)


def _sightings(arguments: argparse.Namespace) -> "list[Sighting]":
    from ...gallery import Sighting
    from ...gallery.sightings import read_tracks

    if bool(arguments.tracks) == bool(arguments.sources):
        raise UsageError("name pictures or folders, or a table with --tracks FILE: one of the two")
    if (arguments.person is None) != (arguments.camera is None):
        raise UsageError("--person and --camera go together: give both, or neither")
    if arguments.tracks:
        if arguments.person or arguments.time:
            raise UsageError("--tracks has its persons, cameras and times in the table")
        return read_tracks(arguments.tracks)
    pictures = pictures_below(arguments.sources)
    if arguments.person is None:
        labelled = by_name(pictures, "who they show with --person and --camera")
    else:
        labelled = [(picture, arguments.person, arguments.camera) for picture in pictures]
    return [
        Sighting(picture=picture, person=person, camera=camera, time=arguments.time)
        for picture, person, camera in labelled
    ]
