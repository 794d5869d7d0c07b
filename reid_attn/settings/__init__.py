"""Every option of the project, typed; the groups below are the only list of options."""

from .data import AugmentSettings, BatchSettings, DataSettings, EvaluationSettings
from .group import Precision, Slot
from .model import AttentionSettings, ModelSettings
from .reading import dump, load, read, resolve
from .run import Settings
from .training import LossSettings, OptimizerSettings, ScheduleSettings, TrainingSettings

__all__ = [
    "AttentionSettings",
    "AugmentSettings",
    "BatchSettings",
    "DataSettings",
    "EvaluationSettings",
    "LossSettings",
    "ModelSettings",
    "OptimizerSettings",
    "Precision",
    "ScheduleSettings",
    "Settings",
    "Slot",
    "TrainingSettings",
    "dump",
    "load",
    "read",
    "resolve",
]
