"""`gallery search`: who it may be."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, UsageError
from .._arguments import Subparsers
from ._answers import print_answer, told
from ._shared import add_action, add_model, opened
from ._sources import pictures_below

if TYPE_CHECKING:
    from ...gallery import Where


def add_actions(actions: Subparsers) -> None:
    """Add the action to the parser."""
    parser = add_action(
        actions,
        "search",
        _search,
        "Rank the pictures of a gallery for a picture, each picture of a folder, or a stored row.",
        "reid-attn gallery search people query.jpg -k 5 --not-camera 2\n"
        "  reid-attn gallery search people a.jpg b.jpg --one-person --group person\n"
        "  reid-attn gallery search people queries/ --other-cameras-only --json\n"
        "  reid-attn gallery search people --row 17 --since 2026-05-01 --where colour=red",
    )
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="PICTURE", help="who to look for, or a folder"
    )
    parser.add_argument(
        "--row",
        type=int,
        nargs="+",
        action="extend",
        default=[],
        metavar="N",
        help="look for row N of the gallery",
    )
    parser.add_argument(
        "--one-person", action="store_true", help="all pictures show one person: search once"
    )
    parser.add_argument("-k", type=int, default=10, metavar="N", help="answers (10)")
    parser.add_argument(
        "--group",
        choices=("picture", "person", "track"),
        default="picture",
        help="show the best picture of each (picture)",
    )
    parser.add_argument(
        "--camera",
        type=int,
        nargs="+",
        action="extend",
        metavar="N",
        help="only what these cameras have seen",
    )
    parser.add_argument(
        "--not-camera",
        type=int,
        nargs="+",
        action="extend",
        default=[],
        metavar="N",
        help="leave out what these cameras have seen",
    )
    parser.add_argument(
        "--other-cameras-only",
        action="store_true",
        help="leave out what the query's own camera has seen (by names like 0002_c1s1_…)",
    )
    parser.add_argument("--since", metavar="TIME", help="taken at this moment or later (ISO 8601)")
    parser.add_argument("--until", metavar="TIME", help="taken before this moment")
    parser.add_argument(
        "--where",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="with this attribute",
    )
    parser.add_argument(
        "--rerank", action="store_true", help="order the best 100 by k-reciprocal re-ranking"
    )
    add_model(parser)


def _search(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    where = _where(arguments)
    if bool(arguments.sources) == bool(arguments.row):
        raise UsageError("name a picture or a folder, or a row with --row N: one of the two")
    if arguments.row and arguments.one_person:
        raise UsageError("--one-person joins pictures, and no rows: search for the rows one by one")
    pictures = pictures_below(arguments.sources) if arguments.sources else []
    cameras = _cameras(pictures) if arguments.other_cameras_only and pictures else None
    queries: Any = [pictures] if arguments.one_person else list(pictures)
    names = [str(path) for path in pictures[: len(queries)]]
    with opened(arguments) if pictures else Gallery.open(arguments.folder) as gallery:
        if arguments.row:
            queries, names = arguments.row, [f"row {number}" for number in arguments.row]
            own = [row.camera for row in gallery.store.get(queries)]
            cameras = own if arguments.other_cameras_only else None
        if arguments.one_person and cameras:
            cameras = _one_camera(cameras)
        answers = gallery.search_all(
            queries,
            arguments.k,
            cameras,
            where=where,
            group=arguments.group,
            rerank=arguments.rerank,
        )
    if arguments.json:
        found = [told(name, answer) for name, answer in zip(names, answers, strict=True)]
        print(json.dumps({"queries": found}, allow_nan=False))
    else:
        for name, answer in zip(names, answers, strict=True):
            print_answer(name, answer)


def _where(arguments: argparse.Namespace) -> "Where":
    from ...gallery import where
    from ...gallery.record import attribute_value

    pairs = [text.partition("=") for text in arguments.where]
    wrong = [key for key, sign, _ in pairs if not key or not sign]
    if wrong:
        raise UsageError(f"--where {wrong[0]} has no value: write KEY=VALUE, such as colour=red")
    return where(
        cameras=arguments.camera,
        other_cameras_than=arguments.not_camera,
        since=arguments.since,
        until=arguments.until,
        attributes={key: attribute_value(value) for key, _, value in pairs},
    )


def _cameras(pictures: Sequence[Path]) -> list[int]:
    """The cameras in the names of the pictures."""
    from ...data.market1501 import parse_name

    parsed = [parse_name(picture.name) for picture in pictures]
    cameras = [name[1] for name in parsed if name is not None]
    if len(cameras) < len(pictures):
        raise DataError(
            "--other-cameras-only needs names like 0002_c1s1_000451_03.jpg to know the query's "
            "camera: use --not-camera N"
        )
    return cameras


def _one_camera(cameras: Sequence[int]) -> list[int]:
    if len(set(cameras)) > 1:
        raise UsageError(
            "the pictures of one person are of several cameras: use --not-camera instead of "
            "--other-cameras-only"
        )
    return [cameras[0]]
