"""Every option of the project, typed: YAML in, `key=value` on top, a resolved copy out.

This file is the only list of options and their documentation. A key that does not exist is refused
with the nearest spelling, a key written twice is refused, and nothing is converted silently
(`no`, `1e-3` and other YAML traps become errors that name the key).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UsageError, nearest

Precision = Literal["fp32", "bf16", "fp16"]
Slot = Literal["stage", "residual", "conv2", "bn2", "replace", "head", "classifier"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataSettings(_Group):
    """Which pictures, and the size they are brought to."""

    source: str = "market1501:data/market1501"
    """`FORMAT:PATH`; formats: market1501, folder, csv."""
    height: Annotated[int, Field(ge=32)] = 256
    width: Annotated[int, Field(ge=32)] = 128
    camera_pattern: str = r"(?<![A-Za-z])c(?:am)?(\d+)"
    """For `folder`: where a file's name holds its camera (first group, decimal)."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Decoding processes; the results do not depend on it."""


class BatchSettings(_Group):
    """P×K batches: `persons` identities with `images` pictures each."""

    persons: Annotated[int, Field(ge=2)] = 16
    images: Annotated[int, Field(ge=2)] = 4
    epoch: Literal["images", "persons"] = "images"
    """An epoch visits every picture about once, or every person once."""


class AugmentSettings(_Group):
    """The standard recipe; each probability 0 switches its part off."""

    flip: Fraction = 0.5
    crop: Literal["none", "pad", "enlarge"] = "pad"
    """`pad`: zero padding and a random crop; `enlarge`: half the time, crop from 9/8 (RGA)."""
    padding: Annotated[int, Field(ge=0)] = 10
    erase: Fraction = 0.5
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.4)
    erase_fill: Literal["mean", "zero"] = "zero"
    """Value of the erased patch after normalisation: `zero` is the ImageNet mean colour;
    `mean` the mean's own numbers, as the bag-of-tricks code has it."""


class AttentionSettings(_Group):
    """One attention block, in one slot of some stages."""

    name: str
    slot: Slot = "stage"
    stages: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (1, 2, 3, 4)
    options: dict[str, Any] = Field(default_factory=dict)


class ModelSettings(_Group):
    """ResNet-50 with attention, pooling, and the batch-normalised neck."""

    weights: str = "none"
    """`none`, a torchvision name such as `IMAGENET1K_V2`, or the path of a state dict."""
    last_stride: Literal[1, 2] = 1
    stride_in_1x1: bool = False
    """Stride 2 in the first 1×1 of a stage (the older ResNet) instead of its 3×3."""
    attention: tuple[AttentionSettings, ...] = ()
    pooling: Literal["average", "gem"] = "average"
    neck: Literal["batch_norm", "none"] = "batch_norm"


class LossSettings(_Group):
    """Identity loss on the neck's output, batch-hard triplet on the feature before it."""

    identity: Annotated[float, Field(ge=0)] = 1.0
    label_smoothing: Fraction = 0.1
    triplet: Annotated[float, Field(ge=0)] = 1.0
    margin: Annotated[float, Field(ge=0)] = 0.3


class OptimizerSettings(_Group):
    """Adam; the weight decay is the classic L2 term that the published recipes use."""

    learning_rate: Annotated[float, Field(gt=0)] = 3.5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4


class ScheduleSettings(_Group):
    """Learning rate by epoch: a linear warm-up, then steps or a cosine."""

    name: Literal["step", "cosine"] = "step"
    warmup_epochs: Annotated[int, Field(ge=0)] = 10
    warmup_factor: Fraction = 0.01
    milestones: tuple[Positive, ...] = (40, 70)
    gamma: Fraction = 0.1
    final_factor: Fraction = 0.002
    """Where the cosine ends, as a share of the learning rate."""


class TrainingSettings(_Group):
    """The loop itself."""

    epochs: Positive = 120
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """`auto`: bf16 where the hardware multiplies it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    channels_last: bool = True
    evaluate_every: Annotated[int, Field(ge=0)] = 10
    """Epochs between evaluations; 0: at the end only."""
    save_every: Positive = 1
    """Epochs between checkpoints."""
    tensorboard: bool = False


class EvaluationSettings(_Group):
    """How features are taken and compared."""

    feature: Literal["before_neck", "after_neck"] = "after_neck"
    flip: bool = False
    """Average the feature with that of the mirrored picture."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    batch: Positive = 64


class Settings(_Group):
    """Everything that decides a run."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "run"
    seed: Annotated[int, Field(ge=0)] = 0
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


def load(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a YAML file with `key.sub=value` overrides; `UsageError` names a wrong key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"could not read the settings {path} ({error}): check the path") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings as 'key: value' lines")
    for override in overrides:
        _override(values, override)
    return resolve(values, str(path))


def resolve(values: Mapping[str, Any], origin: str) -> Settings:
    """`Settings` of nested plain values; `origin` is named in the `UsageError`."""
    try:
        return Settings.model_validate_json(json.dumps(values))
    except (ValidationError, TypeError) as error:
        raise UsageError(f"{origin}: {_explain(error)}") from error


def dump(settings: Settings) -> str:
    """The resolved settings as YAML, every option written out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


class _UniqueKeyLoader(yaml.SafeLoader):
    """`SafeLoader` that refuses a key written twice (PyYAML keeps the last one silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"the key '{key}' is written twice, again on line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - derives from SafeLoader
    except (yaml.YAMLError, TypeError) as error:
        raise UsageError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from error


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UsageError(
            f"'{override}' is not of the form key=value, for example training.epochs=5"
        )
    *groups, last = key.split(".")
    target = values
    for group in groups:
        target = target.setdefault(group, {})
        if not isinstance(target, dict):
            raise UsageError(f"'{key}': '{group}' is a single value and has no options below it")
    target[last] = _number(_parse(text, f"'{override}'"))


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; on the command line the intention is plain."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return f"a value cannot be read ({error})"
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *groups, unknown = problem["loc"]
        choices = _options_at(groups)
        return f"unknown setting '{where}'{nearest(str(unknown), choices)}"
    return f"'{where}' = {problem['input']!r} is refused: {problem['msg']}"


def _options_at(groups: Sequence[int | str]) -> list[str]:
    model: Any = Settings
    for group in groups:
        if isinstance(group, int):
            continue  # an index into a list of blocks
        annotation = model.model_fields[group].annotation
        model = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
    return list(model.model_fields)
