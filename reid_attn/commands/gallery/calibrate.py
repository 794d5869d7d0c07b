"""`gallery calibrate`: from which score on a person counts as known."""

import argparse
from dataclasses import asdict

from .._arguments import Subparsers
from ._shared import add_action, show


def add_actions(actions: Subparsers) -> None:
    """Add the action to the parser."""
    parser = add_action(
        actions,
        "calibrate",
        _calibrate,
        "Measure from which score on a person counts as known, and keep it with the gallery.",
        "reid-attn gallery calibrate people --false-match-rate 0.01",
    )
    parser.add_argument(
        "--false-match-rate",
        type=float,
        default=0.01,
        metavar="R",
        help="share of unknown persons that may be accepted (0.01)",
    )


def _calibrate(arguments: argparse.Namespace) -> None:
    from ...gallery import Gallery

    with Gallery.open(arguments.folder) as gallery:
        found = gallery.calibrate(arguments.false_match_rate)
    sentence = (
        f"{arguments.folder}: known from {found.threshold:.4f} on. On other persons, "
        f"{found.measured_rate:.1%} of the unknown were accepted (wanted: "
        f"{found.wanted_rate:.1%}) and {found.detection_rate:.1%} of the known were accepted "
        f"and rightly named, among {found.gallery:,} pictures; measured with "
        f"{found.unknown_queries:,} queries"
    )
    show(arguments, asdict(found), sentence)
