"""What the actions on a gallery share."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, UsageError
from .._arguments import Subparsers, add_command
from ..terminal import harmless

if TYPE_CHECKING:
    from ...gallery import Gallery

Action = Callable[[argparse.Namespace], None]


def add_action(
    actions: Subparsers, name: str, act: Action, purpose: str, example: str
) -> argparse.ArgumentParser:
    """A parser for one action, with the gallery it acts on and --json."""
    parser: argparse.ArgumentParser = add_command(actions, name, purpose, example)
    parser.set_defaults(act=act)
    parser.add_argument(  # no Path: it would make one slash of the two in an address
        "folder", metavar="GALLERY", help="a folder, or milvus:http://HOST:PORT/NAME"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """--run, where the model of a gallery is now."""
    parser.add_argument(
        "--run",
        dest="model",
        metavar="RUN",
        help="where that run is now (default: where it was when the gallery was created)",
    )


def kept_run(model: str) -> str:
    """What a gallery remembers of a run: where it is, whatever folder the next call comes from."""
    return str(Path(model).resolve())


def show(arguments: argparse.Namespace, result: Mapping[str, Any], sentence: str) -> None:
    """Print the result, for programs or for people."""
    print(json.dumps(result, allow_nan=False) if arguments.json else harmless(sentence))


def opened(arguments: argparse.Namespace) -> "Gallery":
    """The gallery, with the model of `--run` or of the run that it remembers.

    Raises:
        DataError: there is no such run. UsageError: no gallery, or it remembers no run.
    """
    from ...features import Embedder
    from ...gallery import Gallery

    if arguments.model:
        return Gallery.open(arguments.folder, Embedder(arguments.model))
    with Gallery.open(arguments.folder) as gallery:
        run = gallery.store.meta().run
    if not run:
        raise UsageError(f"{arguments.folder} does not remember a run: name one with --run RUN")
    try:
        embedder = Embedder(run)
    except DataError as error:
        raise DataError(
            f"the run that the gallery {arguments.folder} remembers cannot be used, so say with "
            f"--run RUN where it is now: {error}"
        ) from error
    return Gallery.open(arguments.folder, embedder)


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, moved on by the number of pictures that were just finished."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=total)
        yield lambda count: bar.advance(task, count)
