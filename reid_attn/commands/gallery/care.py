"""`gallery verify`, `backup` and `copy`: whether all is as it was written, and copies."""

import argparse
from pathlib import Path

from .._arguments import Subparsers
from ._shared import add_action, show


def add_actions(actions: Subparsers) -> None:
    """Add the actions to the parser."""
    parser = add_action(
        actions,
        "verify",
        _verify,
        "Read everything and check every checksum; names each row that is damaged.",
        "reid-attn gallery verify people",
    )
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="record first that lines which the audit log lacks are lost, as after a power cut",
    )
    parser = add_action(
        actions,
        "backup",
        _backup,
        "Write a copy that is verified, also while others use the gallery.",
        "reid-attn gallery backup people people-2026-05-01",
    )
    parser.add_argument("target", type=Path, metavar="TARGET", help="a folder, made anew")
    parser = add_action(
        actions,
        "copy",
        _copy,
        "Copy a gallery to another place, Milvus or a folder, and compare both row by row.",
        "reid-attn gallery copy people milvus:http://127.0.0.1:19530/people",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a folder, made anew, or an address where there is no gallery",
    )


def _verify(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        if arguments.acknowledge:
            gallery.acknowledge()
        rows, head, gaps = gallery.verify(), gallery.audit_head(), gallery.gaps()
    sentence = (
        f"{arguments.folder}: {rows} rows are as they were written; the audit log ends in {head} "
        "(keep it elsewhere: it shows whether the log was rewritten)"
    )
    show(arguments, {"rows": rows, "audit": head, "gaps": gaps}, "\n  ".join([sentence, *gaps]))


def _backup(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        gallery.backup(arguments.target)
    result = {"backup": str(arguments.target)}
    show(arguments, result, f"{arguments.target}: a copy of {arguments.folder}, verified")


def _copy(arguments: argparse.Namespace) -> None:
    from ...gallery.places import transfer

    rows = transfer(arguments.folder, arguments.target)
    result = {"rows": rows, "target": arguments.target}
    sentence = f"{arguments.target}: {rows} rows, the same as in {arguments.folder}"
    show(arguments, result, sentence)
