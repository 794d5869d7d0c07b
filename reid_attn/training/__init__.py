"""Training: the loop, its schedule, its checkpoints, its log, its processes."""

from .log import read_log
from .loop import train
from .processes import join_processes

__all__ = ["join_processes", "read_log", "train"]
