"""`reid-attn gallery`: people seen before, added, searched, corrected and forgotten."""

import argparse

from .._arguments import Subparsers, add_command
from . import add, calibrate, care, correct, create, identify, people, reembed, search

__all__ = [
    "add",
    "calibrate",
    "care",
    "correct",
    "create",
    "identify",
    "people",
    "reembed",
    "search",
]


def add_parser(commands: Subparsers) -> None:
    """Add the command and its actions to the parser."""
    parser = add_command(
        commands,
        "gallery",
        "Keep people seen before in a folder, search them by picture, and forget them.",
        "reid-attn gallery create people --run runs/quickstart\n"
        "  reid-attn gallery add people data/sample/bounding_box_test\n"
        "  reid-attn gallery search people query.jpg -k 5",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for family in (create, add, search, calibrate, identify, correct, people, reembed, care):
        family.add_actions(actions)


def run(arguments: argparse.Namespace) -> None:
    """Do the action that was asked for."""
    arguments.act(arguments)
