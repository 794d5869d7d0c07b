"""How good a ranking is, and how sure one can be of it."""

from .ranking import JUNK, Metric, RankedList, Ranking, evaluate, top
from .uncertainty import Interval, bootstrap, paired_bootstrap

__all__ = [
    "JUNK",
    "Interval",
    "Metric",
    "RankedList",
    "Ranking",
    "bootstrap",
    "evaluate",
    "paired_bootstrap",
    "top",
]
