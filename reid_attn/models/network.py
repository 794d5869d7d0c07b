"""The whole network: backbone with its blocks, pooling, neck, classifier; and its fingerprint."""

import hashlib
import re

from torch import Tensor, nn

from .. import attention
from ..data.images import preprocessing
from ..errors import UsageError
from ..settings import LossSettings, ModelSettings, Settings
from . import parts, zoo
from .head import BNNeck, CosineClassifier, LinearClassifier, Output
from .parts import PartBranch
from .places import BlockPlacer
from .pooling import AveragePooling, GeMPooling
from .resnet import ResNet50

CLASSIFIERS = re.compile(r"(parts\.\d+\.)?classifier\.")
"""How the keys of what only training needs begin."""
_FOR_TRAINING = {"weights", "classifier", "classifier_deviation", "checkpoint_activations"}
_ADDED = ("backbone", "stem", "parts")  # options that older fingerprints do not know


class Network(nn.Module):
    """A network for re-identification; (N, 3, H, W) -> `Output`."""

    def __init__(self, settings: ModelSettings, size: tuple[int, int], identities: int) -> None:
        super().__init__()
        place = BlockPlacer(settings.attention)
        self.backbone, self.embedding, width = _backbone(settings, size, place)
        channels = self.backbone.channels
        self.pooling = _pooling(settings)
        self.neck = _neck(settings, width)
        self.classifier = place.classifier(channels, identities) or _classifier(
            settings, width, identities
        )
        parts.refuse_too_many(settings.parts, self.backbone.map_size[0])
        self.parts = nn.ModuleList(
            PartBranch(
                channels,
                _pooling(settings),
                _neck(settings, parts.WIDTH),
                _classifier(settings, parts.WIDTH, identities),
            )
            for _ in range(settings.parts)
        )
        self.dimension = width + settings.parts * parts.WIDTH

    def forward(self, images: Tensor) -> Output:
        """Pictures (N, 3, H, W), normalised, to `Output`."""
        x = self.backbone(images)
        before = self.embedding(self.pooling(x))
        after = self.neck(before)
        whole = Output(before, after, self.classifier(x, after) if self.training else None)
        if not self.parts:
            return whole
        stripes = parts.stripes(x, len(self.parts))
        branches = [branch(s) for branch, s in zip(self.parts, stripes, strict=True)]
        return parts.joined([whole, *branches])


def build_network(settings: Settings, identities: int) -> Network:
    """The network of `settings` with random weights, for `identities` training persons.

    Raises:
        MissingExtra: the library of `model.backbone` is not installed.
        UsageError: options that do not go together, or with the size of the pictures.
    """
    size = (settings.data.height, settings.data.width)
    network = Network(settings.model, size, identities)
    if isinstance(network.classifier, attention.Block):
        _fit_to_map_classifier(network, settings.loss)
    return network


def _fit_to_map_classifier(network: Network, loss: LossSettings) -> None:
    """Such a classifier reads the map: no loss but that between pictures may train the neck."""
    if loss.identity_kind != "softmax":
        raise UsageError(
            f"loss.identity_kind={loss.identity_kind} puts a margin on cosines, and the classifier "
            "that model.attention names gives none: use softmax, or leave that block out"
        )
    if loss.metric_feature == "before_neck":
        network.neck.requires_grad_(False)


def fingerprint(network: Network, settings: Settings) -> str:
    """SHA-256 over everything that decides a feature: weights, structure, size, preprocessing.

    Two features may be compared only when their networks have the same fingerprint. The classifier
    is left out, since no feature depends on it; library versions are stored beside the
    fingerprint and not in it, so that an upgrade does not lock anybody out of a gallery. Options
    that came later enter only where they are not at their defaults, for the same reason.
    """
    digest = hashlib.sha256(preprocessing(settings.data).encode())
    fields = type(settings.model).model_fields
    at_default = {n for n in _ADDED if getattr(settings.model, n) == fields[n].default}
    model = settings.model.model_dump_json(exclude=_FOR_TRAINING | at_default)
    evaluation = settings.evaluation.model_dump_json(include={"feature", "flip"})
    digest.update(f"{model}{evaluation}{settings.data.height}x{settings.data.width}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not CLASSIFIERS.match(name):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _backbone(
    settings: ModelSettings, size: tuple[int, int], place: BlockPlacer
) -> tuple[ResNet50 | zoo.ZooBackbone, nn.Module, int]:
    """The backbone, what follows the pooling, and the width of the feature."""
    if "/" in settings.backbone:
        return zoo.build(settings, size, place)
    backbone = ResNet50(
        size,
        settings.width,
        settings.last_stride,
        settings.stride_in_1x1,
        settings.stem,
        instance_norm=settings.backbone == "resnet50_ibn_a",
        recompute=settings.checkpoint_activations,
        place=place,
    )
    return backbone, nn.Identity(), backbone.channels


def _pooling(settings: ModelSettings) -> nn.Module:
    return GeMPooling() if settings.pooling == "gem" else AveragePooling()


def _neck(settings: ModelSettings, width: int) -> nn.Module:
    return BNNeck(width) if settings.neck == "batch_norm" else nn.Identity()


def _classifier(settings: ModelSettings, width: int, identities: int) -> nn.Module:
    kind = CosineClassifier if settings.classifier == "cosine" else LinearClassifier
    return kind(width, identities, settings.classifier_deviation)
