"""All options of a run."""

import hashlib
import json
from typing import Annotated

from pydantic import Field

from .data import AugmentSettings, BatchSettings, DataSettings, EvaluationSettings
from .group import Group
from .model import ModelSettings
from .training import LossSettings, OptimizerSettings, ScheduleSettings, TrainingSettings


class Settings(Group):
    """Everything that decides a run."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = "run"
    """The run's folder below `runs/`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Decides the first weights, the batches, and the augmentation."""
    data: DataSettings = DataSettings()
    batch: BatchSettings = BatchSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()
