"""`gallery reembed`: the same gallery for another model."""

import argparse

from .._arguments import Subparsers
from ._shared import add_action, kept_run, progress, show


def add_actions(actions: Subparsers) -> None:
    """Add the action to the parser."""
    parser = add_action(
        actions,
        "reembed",
        _reembed,
        "Make every vector anew with another model, from the pictures that were added or else from "
        "the thumbnails. Until all are made the old ones stay in use; an interrupted call is "
        "simply repeated.",
        "reid-attn gallery backup people people-before\n"
        "  reid-attn gallery reembed people --run runs/better",
    )
    parser.add_argument(
        "--run",
        dest="model",
        metavar="RUN",
        required=True,
        help="the new model: a trained run, or a network FILE.onnx",
    )
    parser.add_argument(
        "--drop-lost",
        action="store_true",
        help="delete rows without source and thumbnail (default: refuse, and name them)",
    )


def _reembed(arguments: argparse.Namespace) -> None:
    from ...features import Embedder
    from ...gallery import Gallery

    embedder = Embedder(arguments.model)
    with Gallery.open(arguments.folder) as gallery, progress(len(gallery)) as advance:
        found = gallery.reembed(
            embedder,
            kept_run(arguments.model),
            drop_lost=arguments.drop_lost,
            progress=advance,
        )
    sentence = (
        f"{arguments.folder}: {found['sources']} vectors made anew from their sources and "
        f"{found['thumbnails']} from thumbnails, {len(found['lost'])} rows lost; a threshold must "
        "be calibrated again"
    )
    show(arguments, found, sentence)
