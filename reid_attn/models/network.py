"""The whole network: backbone with its blocks, pooling, neck, classifier; and its fingerprint."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from .. import attention
from ..data.images import PREPROCESSING
from ..errors import UsageError
from ..settings import AttentionSettings, ModelSettings, Settings
from .fit import refuse_misfit
from .head import BNNeck, LinearClassifier
from .pooling import AveragePooling, GeMPooling
from .resnet import ResNet50


class Output(NamedTuple):
    """What the network says about N pictures."""

    before_neck: Tensor
    """(N, D), D = 2048 for ResNet-50: for the triplet loss."""
    after_neck: Tensor
    """(N, D): for the classifier and, usually, for retrieval."""
    logits: Tensor | None
    """(N, identities) in training, None in evaluation."""


class Network(nn.Module):
    """ResNet-50 with attention for re-identification; (N, 3, H, W) -> `Output`."""

    def __init__(self, settings: ModelSettings, size: tuple[int, int], identities: int) -> None:
        super().__init__()
        self.backbone = ResNet50(
            size,
            settings.width,
            settings.last_stride,
            settings.stride_in_1x1,
            _BlockPlacer(settings.attention),
        )
        self.pooling = GeMPooling() if settings.pooling == "gem" else AveragePooling()
        self.dimension = self.backbone.channels
        self.neck = BNNeck(self.dimension) if settings.neck == "batch_norm" else nn.Identity()
        self.classifier = _classifier(settings.attention, self.dimension, identities)
        if isinstance(self.classifier, attention.Block):
            self.neck.requires_grad_(False)  # such a classifier reads the map: nothing trains it

    def forward(self, images: Tensor) -> Output:
        """Pictures (N, 3, H, W), normalised, to `Output`."""
        x = self.backbone(images)
        before = self.pooling(x)
        after = self.neck(before)
        return Output(before, after, self.classifier(x, after) if self.training else None)

    def convert_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict of the published RGA network (`backbone.rga_att1.…`, `feat_bn`, `cls`).

        Raises:
            MismatchError: a tensor is missing, unknown, or of another shape.
        """
        rest = dict(state)
        converted: dict[str, Tensor] = {}
        for index, stage in enumerate(self.backbone.stage_attention):
            prefix = f"backbone.rga_att{index + 1}."
            official = {k.removeprefix(prefix): rest.pop(k) for k in state if k.startswith(prefix)}
            for position, block in enumerate(stage.children()):
                own = cast(Any, block).convert_official(official)
                target = f"backbone.stage_attention.{index}.{position}."
                converted |= {target + key: tensor for key, tensor in own.items()}
        for key, tensor in rest.items():
            converted[_own_name(key)] = tensor
        refuse_misfit(self.state_dict(), converted, "the published state dict")
        return converted


def build_network(settings: Settings, identities: int) -> Network:
    """The network of `settings` with random weights, for `identities` training persons."""
    size = (settings.data.height, settings.data.width)
    return Network(settings.model, size, identities)


def fingerprint(network: Network, settings: Settings) -> str:
    """SHA-256 over everything that decides a feature: weights, structure, size, preprocessing.

    Two features may be compared only when their networks have the same fingerprint. The classifier
    is left out, since no feature depends on it; library versions are stored beside the
    fingerprint and not in it, so that an upgrade does not lock anybody out of a gallery.
    """
    digest = hashlib.sha256(PREPROCESSING.encode())
    model = settings.model.model_dump_json(exclude={"weights"})
    evaluation = settings.evaluation.model_dump_json(include={"feature", "flip"})
    digest.update(f"{model}{evaluation}{settings.data.height}x{settings.data.width}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.startswith("classifier."):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class _BlockPlacer:
    """Builds the blocks that the settings ask for in one slot of one stage."""

    def __init__(self, blocks: tuple[AttentionSettings, ...]) -> None:
        self.places = [(block.name, place) for block in blocks for place in _places(block)]

    def __call__(
        self,
        slot: str,
        stage: int,
        channels: int,
        size: tuple[int, int],
        from_end: int = 1,
        **options: Any,
    ) -> nn.Module | None:
        """The blocks for this slot in the order of the settings, or None."""
        built = [
            attention.build(name, channels, size, **place.options, **options)
            for name, place in self.places
            if place.slot == slot
            and (stage in place.stages or slot == "head")
            and place.reaches(from_end)
        ]
        return nn.Sequential(*built) if built else None


def _places(block: AttentionSettings) -> list[attention.Place]:
    """The slot of the settings, or those of the paper as far as the settings' stages go."""
    declared = attention.block_class(block.name)
    if block.slot is None:
        return [
            replace(
                place,
                stages=tuple(stage for stage in place.stages if stage in block.stages),
                options={**place.options, **block.options},
            )
            for place in declared.published
        ]
    if block.slot not in declared.slots:
        raise UsageError(
            f"the block '{block.name}' does not fit slot '{block.slot}'; "
            f"its slots: {', '.join(declared.slots)}"
        )
    needed = next((p.options for p in declared.published if p.slot == block.slot), {})
    return [attention.Place(block.slot, block.stages, block.blocks, {**needed, **block.options})]


def _classifier(blocks: tuple[AttentionSettings, ...], channels: int, identities: int) -> nn.Module:
    for block in blocks:
        for place in _places(block):
            if place.slot == "classifier":
                return attention.build(
                    block.name, channels, (1, 1), identities=identities, **place.options
                )
    return LinearClassifier(channels, identities)


def _own_name(official: str) -> str:
    for theirs, ours in (("feat_bn.", "neck."), ("cls.", "classifier.")):
        if official.startswith(theirs):
            return ours + official.removeprefix(theirs)
    return official
