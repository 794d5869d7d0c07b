"""What the networks of other code bases call their tensors, and what those are called here.

Names alone are looked at, so this is all there is to know about a code base. The first style whose
sign is found wins; files of IBN-Net, LUPerson and timm are named like torchvision's or torchreid's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

CLASSIFIER = "classifier.weight"


@dataclass(frozen=True)
class Style:
    """How one code base names the tensors of a whole network or of a backbone."""

    name: str
    sign: str
    """How at least one name begins, and none of the styles further down."""
    ours: tuple[tuple[str, str], ...]
    """How names begin: theirs, ours."""
    left_out: tuple[tuple[str, str], ...] = ()
    """How names begin of what has no place here, and why."""
    stem: Literal["resnet", "no_relu", "unpadded"] = "resnet"
    """The `model.stem` that its ResNet-50 has."""

    def translate(self, name: str) -> str:
        """Our name for `name`, without the wrapper that a backbone may stand in."""
        for theirs, ours in self.ours:
            if name.startswith(theirs):
                return ours + name.removeprefix(theirs)
        return name

    def why_not(self, name: str) -> str:
        """Why `name` has no place here; empty for all that has one."""
        return next((why for start, why in self.left_out if name.startswith(start)), "")


_MOCO = (
    ("encoder_k.", "the momentum encoder"),
    ("momentum_encoder.", "the momentum encoder"),
    ("predictor.", "the predictor of the pretraining"),
    ("queue", "the queue of the pretraining"),
)

STYLES = (
    Style(
        "fast-reid",
        "heads.",
        (
            ("heads.bottleneck.0.", "neck."),
            ("heads.bnneck.", "neck."),
            ("heads.weight", CLASSIFIER),
            ("heads.classifier.", "classifier."),
            ("heads.pool_layer.p", "pooling.exponent"),
        ),
        (("pixel_", "its normalisation; here data.normalisation"),),
        stem="unpadded",
    ),
    Style("RGA", "feat_bn.", (("feat_bn.", "neck."), ("cls.", "classifier."))),
    Style(
        "BoT or AGW",
        "base.",
        (("base.", "backbone."), ("bottleneck.", "neck."), ("global_pool.p", "pooling.exponent")),
        stem="no_relu",
    ),
    Style("MoCo", "encoder_q.", (("encoder_q.", "backbone."),), _MOCO),
    Style("MoCo v3", "base_encoder.", (("base_encoder.", "backbone."),), _MOCO),
    Style("reid_attn", "backbone.", ()),
    Style("torchreid", "classifier.", (("classifier.", "classifier."), ("", "backbone."))),
    Style("torchvision", "", (("", "backbone."),)),
)


def style_of(names: Iterable[str]) -> Style:
    """The style that a file's names are written in."""
    listed = list(names)
    return next(s for s in STYLES if any(name.startswith(s.sign) for name in listed))
