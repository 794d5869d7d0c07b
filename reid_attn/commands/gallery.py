"""`reid-attn gallery`: a store of people seen before, searched by picture."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UsageError
from ._arguments import Subparsers, add_command

if TYPE_CHECKING:
    from ..gallery import Gallery


def add_parser(commands: Subparsers) -> None:
    """Add the command and its actions to the parser."""
    parser = add_command(
        commands,
        "gallery",
        "Keep people seen before in a folder, and search them by picture.",
        "reid-attn gallery create people --run runs/quickstart\n"
        "  reid-attn gallery add people data/sample/bounding_box_test\n"
        "  reid-attn gallery search people query.jpg -k 5",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_create(actions)
    _add_add(actions)
    _add_search(actions)
    stats = add_command(
        actions, "stats", "Show a gallery in figures.", "reid-attn gallery stats people"
    )
    _add_folder(stats)


def run(arguments: argparse.Namespace) -> None:
    """Do the action that was asked for."""
    actions = {"create": _create, "add": _add, "search": _search, "stats": _stats}
    actions[arguments.action](arguments)


def _add_create(actions: Subparsers) -> None:
    parser = add_command(
        actions,
        "create",
        "Make an empty gallery; only vectors of the run's model will fit into it.",
        'reid-attn gallery create people --run runs/quickstart --purpose "lost children"',
    )
    _add_folder(parser)
    parser.add_argument("--run", dest="model", metavar="RUN", required=True, help="a trained run")
    parser.add_argument("--purpose", default="", metavar="TEXT", help="why these people are kept")
    parser.add_argument(
        "--keep-days",
        type=int,
        metavar="N",
        help="find a picture for N days only (default: always)",
    )


def _add_add(actions: Subparsers) -> None:
    parser = add_command(
        actions,
        "add",
        "Add pictures, all or none. Those that are there already are skipped, so an add that was "
        "interrupted can be repeated.",
        "reid-attn gallery add people data/sample/bounding_box_test\n"
        "  reid-attn gallery add people anna.jpg --person anna --camera 1",
    )
    _add_folder(parser)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="a picture, or a folder of them"
    )
    parser.add_argument(
        "--person",
        metavar="NAME",
        help="who it is (default: by names like 0002_c1s1_000451_03.jpg)",
    )
    parser.add_argument("--camera", type=int, metavar="N", help="its camera; goes with --person")
    _add_model(parser)


def _add_search(actions: Subparsers) -> None:
    parser = add_command(
        actions,
        "search",
        "Rank the pictures of a gallery for one picture.",
        "reid-attn gallery search people query.jpg -k 5 --not-camera 2",
    )
    _add_folder(parser)
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="who to look for")
    parser.add_argument("-k", type=int, default=10, metavar="N", help="answers (10)")
    parser.add_argument(
        "--not-camera", type=int, metavar="N", help="leave out what camera N has seen"
    )
    _add_model(parser)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the gallery")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        dest="model",
        metavar="RUN",
        help="where that run is now (default: where it was when the gallery was created)",
    )


def _create(arguments: argparse.Namespace) -> None:
    from ..features import Embedder
    from ..gallery import Gallery

    embedder = Embedder(arguments.model)
    Gallery.create(
        arguments.folder,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        purpose=arguments.purpose,
        run=arguments.model,
        keep_days=arguments.keep_days,
    )
    print(f"{arguments.folder}: a gallery for vectors of {embedder.dimension} numbers")


def _add(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import Progress

    pictures, persons, cameras = _named(arguments)
    with _open(arguments) as gallery, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("embedding", total=len(pictures))
        added = gallery.add(pictures, persons, cameras, lambda n: progress.advance(task, n))
        total = len(gallery)
    print(
        f"{arguments.folder}: {added} pictures added, {len(pictures) - added} were there already, "
        f"{total} in all"
    )


def _search(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from ..reports.ranked_lists import Hit, RankedList
    from ..reports.tables import print_ranked

    with _open(arguments) as gallery:
        found = gallery.search(arguments.picture, arguments.k, arguments.not_camera)
    hits = (Hit(Path(h.source), h.score, None, h.person, str(h.camera)) for h in found)
    print_ranked(Console(), RankedList(arguments.picture, "", "", tuple(hits), None))


def _stats(arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..gallery import Gallery
    from ..reports.ranked_lists import printable

    with Gallery.open(arguments.folder) as gallery:
        stats = gallery.stats()
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in asdict(stats).items():
        shown = f"{value:,}" if isinstance(value, int) else value
        table.add_row(
            name.replace("_", " "), Text("–" if value in (None, "") else printable(shown))
        )
    Console().print(table)


def _open(arguments: argparse.Namespace) -> "Gallery":
    """The gallery, with the model of `--run` or of the run that it remembers."""
    from ..features import Embedder
    from ..gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        model = arguments.model or gallery.stats().run
    if not model:
        raise UsageError(f"{arguments.folder} does not remember a run: name one with --run RUN")
    return Gallery.open(arguments.folder, Embedder(model))


def _named(arguments: argparse.Namespace) -> tuple[list[Path], list[str], list[int]]:
    """The pictures below the sources with their persons and cameras, junk left out."""
    from ..data.images import find

    pictures = [
        picture
        for source in arguments.sources
        for picture in (find(source) if source.is_dir() else [source])
    ]
    if not pictures:
        raise DataError(f"there is no picture in {arguments.sources[0]}: check the path")
    if (arguments.person is None) != (arguments.camera is None):
        raise UsageError("--person and --camera go together: give both, or neither")
    if arguments.person is None:
        return _by_name(pictures)
    return pictures, [arguments.person] * len(pictures), [arguments.camera] * len(pictures)


def _by_name(pictures: Sequence[Path]) -> tuple[list[Path], list[str], list[int]]:
    """What names like `0002_c1s1_000451_03.jpg` tell."""
    from ..data.market1501 import JUNK, parse_name

    parsed = [(picture, parse_name(picture.name)) for picture in pictures]
    unnamed = [str(picture) for picture, name in parsed if name is None]
    if unnamed:
        raise DataError(
            f"{len(unnamed)} of {len(pictures)} pictures have no name like "
            f"0002_c1s1_000451_03.jpg, such as {unnamed[0]}: say who they show with --person and "
            "--camera"
        )
    known = [(p, name) for p, name in parsed if name is not None and name[0] != JUNK]
    persons = [f"{person:04d}" for _, (person, _) in known]
    return [p for p, _ in known], persons, [camera for _, (_, camera) in known]
