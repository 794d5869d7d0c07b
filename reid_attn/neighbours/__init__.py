"""Nearest neighbours among stored feature vectors."""

from .contract import Index
from .exact import ExactIndex, HalfIndex, RefinedIndex
from .files import load, read_facts, save
from .kinds import choose, kinds, make, recall
from .unit import unit_rows

__all__ = [
    "ExactIndex",
    "HalfIndex",
    "Index",
    "RefinedIndex",
    "choose",
    "kinds",
    "load",
    "make",
    "read_facts",
    "recall",
    "save",
    "unit_rows",
]
