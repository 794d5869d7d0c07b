"""Training: the loop, its schedule, its checkpoints, its log, its processes."""

from .log import read_log
from .loop import train
from .processes import join_processes
from .step_times import profile

__all__ = ["join_processes", "profile", "read_log", "train"]
