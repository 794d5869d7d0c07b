"""How good a ranking is, and how sure one can be of it."""

from .junk import JUNK, JunkRule
from .lists import RankedList, top
from .ranking import Invalid, Ranking, Ties, evaluate, evaluate_distances
from .scores import Metric
from .single_shot import SingleShot, single_shot
from .uncertainty import Interval, bootstrap, paired_bootstrap

__all__ = [
    "JUNK",
    "Interval",
    "Invalid",
    "JunkRule",
    "Metric",
    "RankedList",
    "Ranking",
    "SingleShot",
    "Ties",
    "bootstrap",
    "evaluate",
    "evaluate_distances",
    "paired_bootstrap",
    "single_shot",
    "top",
]
