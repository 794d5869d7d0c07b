"""`gallery remove`, `forget`, `expire` and `export`: what people may ask for."""

import argparse
from pathlib import Path
from typing import Any

from .._arguments import Subparsers
from ._shared import add_action, show


def add_actions(actions: Subparsers) -> None:
    """Add the actions to the parser."""
    parser = add_action(
        actions,
        "remove",
        _remove,
        "Delete rows by number. 'forget' also proves that nothing of a person is left.",
        "reid-attn gallery remove people 17 18",
    )
    parser.add_argument("rows", type=int, nargs="+", metavar="ROW", help="numbers of rows")
    parser = add_action(
        actions,
        "forget",
        _forget,
        "Delete a person beyond recovery, prove it, and refuse the pictures from then on.",
        "reid-attn gallery forget people anna --receipt anna.json",
    )
    parser.add_argument("person", metavar="PERSON", help="the key of the person")
    _add_receipt(parser)
    parser = add_action(
        actions,
        "expire",
        _expire,
        "Delete what has expired, as 'forget' does.",
        "reid-attn gallery expire people",
    )
    _add_receipt(parser)
    parser = add_action(
        actions,
        "export",
        _export,
        "Write all that is kept of a person: rows, vectors, pictures, and searches that found him.",
        "reid-attn gallery export people anna -o anna/",
    )
    parser.add_argument("person", metavar="PERSON", help="the key of the person")
    parser.add_argument(
        "-o", dest="output", type=Path, required=True, metavar="DIR", help="a folder, made anew"
    )


def _add_receipt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--receipt",
        type=Path,
        metavar="FILE",
        help="where to write the receipt (default: in the gallery's folder receipts/)",
    )


def _remove(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        removed, left = gallery.remove(arguments.rows), len(gallery)
    result = {"removed": removed, "rows": left}
    show(arguments, result, f"{arguments.folder}: {removed} rows removed, {left} are left")


def _forget(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        _tell(arguments, gallery.forget(arguments.person, arguments.receipt))


def _expire(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        _tell(arguments, gallery.expire(arguments.receipt))


def _tell(arguments: argparse.Namespace, receipt: dict[str, Any]) -> None:
    if not receipt["rows"]:  # the files were cleaned all the same: an erasure may be unfinished
        show(arguments, receipt, f"{arguments.folder}: nothing had expired; {_cleaned(receipt)}")
        return
    things = "".join(f"\n  {thing}" for thing in receipt["not_reached"])
    sentence = (
        f"{arguments.folder}: {len(receipt['rows'])} rows {_proof(receipt)}. Not reached:{things}"
    )
    show(arguments, receipt, sentence)


def _proof(receipt: dict[str, Any]) -> str:
    """What was made sure; of a gallery in Milvus, what the server says."""
    if "compaction" in receipt:
        return (
            f"deleted, of which {receipt['rows_found_after']} are found now; compaction: "
            f"{receipt['compaction']}, which proves nothing"
        )
    return (
        f"erased; none of their {receipt['pieces']:,} pieces is in the "
        f"{receipt['bytes_scanned']:,} bytes of the gallery"
    )


def _cleaned(receipt: dict[str, Any]) -> str:
    """What was done to what others have deleted before."""
    if "compaction" in receipt:
        return f"compaction: {receipt['compaction']}, which proves nothing"
    return "its file was written anew, without what was deleted before"


def _export(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        found = gallery.export(arguments.person, arguments.output)
    sentence = (
        f"{arguments.output}: {found['rows']} rows, {found['pictures']} pictures, "
        f"{found['searches']} searches"
    )
    show(arguments, found, sentence)
