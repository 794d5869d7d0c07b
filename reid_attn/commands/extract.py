"""`reid-attn extract`: features of pictures as one `.npz`."""

import argparse
import signal
from pathlib import Path

from ._arguments import Subparsers, add_checkpoint, add_command
from .terminal import complain


def add_parser(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "extract",
        "Write the unit-length features of pictures, with persons and cameras where the names "
        "follow Market-1501. Of more than 256 pictures, finished parts are kept beside the file, "
        "and after an interruption the same command goes on with them.",
        "reid-attn extract runs/quickstart data/sample/bounding_box_test -o gallery.npz",
    )
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="a trained run, or a network FILE.onnx"
    )
    parser.add_argument("images", type=Path, metavar="IMAGES", help="a picture or a folder")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE.npz", required=True, help="what to write"
    )
    add_checkpoint(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Extract and write."""
    from rich.console import Console

    from .. import storage
    from ..errors import Interrupted, UsageError
    from ..features import Embedder
    from ..features.file import SUFFIX, save
    from ..features.parts import discard
    from ..reports.pictures import embed_and_keep, list_pictures

    if arguments.output.suffix.lower() != SUFFIX or arguments.output.is_dir():
        raise UsageError(f"-o {arguments.output} is no file to write: name one that ends in .npz")
    embedder = Embedder(arguments.run_folder, arguments.checkpoint)
    images = arguments.images.absolute()  # names that lead to the pictures from every folder
    listed = list_pictures(images)
    parts = arguments.output.with_name(f"{arguments.output.name}.parts")
    try:
        with storage.target_folder(arguments.output.parent):
            features = embed_and_keep(embedder, listed, parts, Console(stderr=True))
            save(arguments.output, features)
    except KeyboardInterrupt:
        if not parts.exists():
            raise
        raise Interrupted(
            f"stopped; what is finished lies in {parts}: the same command again goes on",
            signal.SIGINT,
        ) from None
    discard(parts)
    if lack := listed.lack("pictures"):
        complain(f"persons and cameras are unknown in {arguments.output} (-1): {lack}")
    print(f"{arguments.output}: {len(features)} features of {embedder.dimension} numbers")
