"""All options of a run."""

import hashlib
import json
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from .data import AugmentSettings, BatchSettings, DataSettings, EvaluationSettings
from .group import Group, fits
from .model import ModelSettings
from .training import LossSettings, OptimizerSettings, ScheduleSettings, TrainingSettings


class Settings(Group):
    """Everything that decides a run."""

    name: Annotated[
        str,
        fits(r"\w[\w.-]*", "a name is made of letters, digits, _, . and -, the first no . or -"),
    ] = "run"
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

    @model_validator(mode="after")
    def _margins_are_put_on_cosines(self) -> "Settings":
        """And cosines alone, at most 1, are too small for a softmax."""
        kind, classifier = self.loss.identity_kind, self.model.classifier
        if kind != "softmax" and classifier != "cosine":
            raise PydanticCustomError(
                "combination", f"loss.identity_kind={kind} needs model.classifier=cosine"
            )
        if kind == "softmax" and classifier == "cosine":
            raise PydanticCustomError(
                "combination",
                "model.classifier=cosine needs loss.identity_kind=circle, cosface or arcface "
                "(cosface with loss.identity_margin=0 only scales the cosines)",
            )
        return self

    @model_validator(mode="after")
    def _what_is_compiled_keeps_its_activations(self) -> "Settings":
        """torch's compiler does not take the contexts in which we compute a stage again."""
        if self.training.compile and self.model.checkpoint_activations:
            raise PydanticCustomError(
                "combination",
                "training.compile does not go with model.checkpoint_activations: drop one of them",
            )
        return self

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()
