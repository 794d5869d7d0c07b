"""Every option of the project, typed: YAML in, `key=value` on top, a resolved copy out.

This file is the only list of options and their documentation. A key that does not exist is refused
with the nearest spelling, a key written twice is refused, and nothing is converted silently
(`no`, `1e-3`, `010` and other YAML traps become errors that name the key).
"""

import hashlib
import json
import re
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

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", re.ASCII)
_CONVERTED = re.compile(r"[-+]?0[\dbx_]|[-+]?\d+:|\d{4}-", re.ASCII)


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSettings(_Group):
    """Which pictures, and the size they are brought to."""

    source: str = "market1501:data/market1501"
    """`FORMAT:PATH`; formats: market1501, folder, csv."""
    height: Annotated[int, Field(ge=32)] = 256
    """Pixels."""
    width: Annotated[int, Field(ge=32)] = 128
    """Pixels."""
    camera_pattern: str = r"(?<![A-Za-z])c(?:am)?(\d+)"
    """For `folder`: where a file's name holds its camera (first group, decimal)."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Decoding processes; the results do not depend on it."""


class BatchSettings(_Group):
    """P×K batches."""

    persons: Annotated[int, Field(ge=2)] = 16
    """P, the identities in a batch."""
    images: Annotated[int, Field(ge=2)] = 4
    """K, the pictures of each."""
    epoch: Literal["images", "persons"] = "images"
    """An epoch visits every picture about once, or every person once."""


class AugmentSettings(_Group):
    """The standard recipe; each probability 0 switches its part off."""

    flip: Fraction = 0.5
    """Probability that a picture is mirrored."""
    crop: Literal["none", "pad", "enlarge"] = "pad"
    """`pad`: zero padding and a random crop; `enlarge`: half the time, crop from 9/8 (RGA)."""
    padding: Annotated[int, Field(ge=0)] = 10
    """Pixels that `pad` adds on each side."""
    erase: Fraction = 0.5
    """Probability that a rectangle is erased."""
    erase_area: tuple[Fraction, Fraction] = (0.02, 0.4)
    """Its smallest and largest share of the picture."""
    erase_fill: Literal["mean", "zero"] = "zero"
    """Value of the erased patch after normalisation: `zero` is the ImageNet mean colour;
    `mean` the mean's own numbers, as the bag-of-tricks code has it."""


class AttentionSettings(_Group):
    """One attention block; with nothing but its name it stands where its paper puts it."""

    name: str
    """The block's file in `attention/`."""
    slot: Slot | None = None
    """Where it stands (see `models/resnet.py`); none: where its paper puts it."""
    stages: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (1, 2, 3, 4)
    """The layers of the ResNet that may get one."""
    blocks: Literal["all", "last"] = "all"
    """In a slot of a bottleneck: in all of a stage or in its last one."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The block's own options."""


class ModelSettings(_Group):
    """ResNet-50 with attention, pooling, and the batch-normalised neck."""

    weights: str = "none"
    """`none`, a torchvision name such as `IMAGENET1K_V2`, or the path of a state dict."""
    width: Annotated[int, Field(ge=8)] = 64
    """Planes of the first stage; 64 is ResNet-50, fewer make a small network for quick tries."""
    last_stride: Annotated[int, Field(ge=1, le=2)] = 1
    """Stride of the last stage; 1 keeps a map of twice the height and width."""
    stride_in_1x1: bool = False
    """Stride 2 in the first 1×1 of a stage (the older ResNet) instead of its 3×3."""
    attention: tuple[AttentionSettings, ...] = ()
    """Any number of blocks."""
    pooling: Literal["average", "gem"] = "average"
    """`gem`: the generalised mean with a learnt exponent."""
    neck: Literal["batch_norm", "none"] = "batch_norm"
    """Between the feature of the triplet loss and that of the classifier."""


class LossSettings(_Group):
    """Identity loss on the neck's output, batch-hard triplet on the feature before it."""

    identity: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the cross-entropy over identities."""
    label_smoothing: Fraction = 0.1
    """Share of the target that is spread over all identities."""
    triplet: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the triplet loss."""
    margin: Annotated[float, Field(ge=0)] = 0.3
    """By which the farthest positive should be nearer than the nearest negative."""


class OptimizerSettings(_Group):
    """Adam; the weight decay is the classic L2 term that the published recipes use."""

    learning_rate: Annotated[float, Field(gt=0)] = 3.5e-4
    """At its peak, after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Factor of the L2 term."""


class ScheduleSettings(_Group):
    """Learning rate by epoch: a linear warm-up, then steps or a cosine."""

    name: Literal["step", "cosine"] = "step"
    """What follows the warm-up."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 10
    """Epochs until the rate is at its peak."""
    warmup_factor: Fraction = 0.01
    """Where the warm-up begins, as a share of the learning rate."""
    milestones: tuple[Positive, ...] = (40, 70)
    """Epochs after which `step` lowers the rate."""
    gamma: Fraction = 0.1
    """The factor it is lowered by."""
    final_factor: Fraction = 0.002
    """Where the cosine ends, as a share of the learning rate."""


class TrainingSettings(_Group):
    """The loop itself."""

    epochs: Positive = 120
    """How many in all."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """`auto`: bf16 where the hardware multiplies it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: the first GPU where there is one."""
    channels_last: bool = True
    """Memory layout (N, H, W, C), which convolutions are faster in."""
    evaluate_every: Annotated[int, Field(ge=0)] = 10
    """Epochs between evaluations; 0: at the end only."""
    save_every: Positive = 1
    """Epochs between checkpoints."""
    tensorboard: bool = False
    """Show the log in TensorBoard as well (needs the extra `tensorboard`)."""


class EvaluationSettings(_Group):
    """How features are taken and compared."""

    feature: Literal["before_neck", "after_neck"] = "after_neck"
    """Which side of the neck the feature is taken from."""
    flip: bool = False
    """Average the feature with that of the mirrored picture."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """What features are compared by."""
    batch: Positive = 64
    """Pictures that pass through the network at a time."""


class Settings(_Group):
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


def load(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a YAML file with `key.sub=value` overrides; `UsageError` names a wrong key."""
    values = read(path)
    for override in overrides:
        _override(values, override)
    return resolve(values, str(path))


def read(path: Path) -> dict[str, Any]:
    """The plain values of a YAML file, before any key is looked at."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"could not read the settings {path} ({error}): check the path") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings as 'key: value' lines")
    return values


def resolve(values: Mapping[str, Any], origin: str) -> Settings:
    """`Settings` of nested plain values; `origin` is named in the `UsageError`."""
    try:
        return Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise UsageError(f"{origin}: {_explain(error)}") from error
    except (TypeError, ValueError) as error:  # a set, bytes, an alias inside its own anchor
        raise UsageError(f"{origin}: a value cannot be read ({error})") from error


def dump(settings: Settings) -> str:
    """The resolved settings as YAML, every option written out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


class _PlainLoader(yaml.SafeLoader):
    """`SafeLoader` that takes nothing for something else without a word."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Dates, and octal, hexadecimal or base-60 numbers, stay text; strict types refuse it."""
        if kind is yaml.ScalarNode and _CONVERTED.match(value):
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key written twice (PyYAML keeps the last one)."""
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
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - derives from SafeLoader
    except Exception as error:  # PyYAML lets the ValueError, KeyError, … of a bad scalar through
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
            raise UsageError(f"'{key}': there are no options below '{group}'")
    target[last] = _number(_parse(text, f"'{override}'"))


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; on the command line the intention is plain."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _explain(error: ValidationError) -> str:
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]  # a misspelt key is why another one is missing
    where = ".".join(str(part) for part in problem["loc"])
    if unknown:
        *groups, key = problem["loc"]
        return f"unknown setting '{where}'{nearest(str(key), _options_at(groups))}"
    if problem["type"] == "missing":
        return f"'{where}' must be given"
    text = problem["input"]
    hint = " (YAML wants 1.0e-3)" if isinstance(text, str) and _EXPONENT.fullmatch(text) else ""
    return f"'{where}' = {text!r} is refused: {problem['msg']}{hint}"


def _options_at(groups: Sequence[int | str]) -> list[str]:
    model: Any = Settings
    for group in groups:
        if isinstance(group, int):
            continue  # an index into a list of blocks
        annotation = model.model_fields[group].annotation
        model = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
    return list(model.model_fields)
