"""How good a ranking is, and how sure one can be of it."""

from .breakdown import CameraPairs, PersonScore, camera_pairs, costs, persons
from .expansion import expand
from .junk import JUNK, JunkRule
from .lists import RankedList, top
from .openset import OpenSet, open_set
from .ranking import Invalid, Ranking, Ties, evaluate, evaluate_distances
from .rerank import Reciprocal, rerank
from .scores import Metric
from .single_shot import SingleShot, single_shot
from .uncertainty import Interval, bootstrap, paired_bootstrap, paired_test
from .verification import Verification, verification

__all__ = [
    "JUNK",
    "CameraPairs",
    "Interval",
    "Invalid",
    "JunkRule",
    "Metric",
    "OpenSet",
    "PersonScore",
    "RankedList",
    "Ranking",
    "Reciprocal",
    "SingleShot",
    "Ties",
    "Verification",
    "bootstrap",
    "camera_pairs",
    "costs",
    "evaluate",
    "evaluate_distances",
    "expand",
    "open_set",
    "paired_bootstrap",
    "paired_test",
    "persons",
    "rerank",
    "single_shot",
    "top",
    "verification",
]
