"""Training: the loop, its schedule, its checkpoints, its log."""

from .log import read_log
from .loop import train

__all__ = ["read_log", "train"]
