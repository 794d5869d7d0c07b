"""Options of the network."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .group import Count, Group, Slot, fits


class AttentionSettings(Group):
    """One attention block; with nothing but its name it stands where its paper puts it."""

    name: str
    """The block's file in `attention/`."""
    slot: Slot | None = None
    """Where it stands (see `models/resnet.py`); none: where its paper puts it."""
    stages: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (1, 2, 3, 4)
    """The layers of the ResNet that may get one."""
    blocks: Literal["all", "last"] | Annotated[int, Field(ge=1)] = "all"
    """In a slot of a bottleneck: in all of a stage, in its last one, or in its last n."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The block's own options."""


class ModelSettings(Group):
    """A backbone with attention, pooling, the neck, and the classifier."""

    backbone: Annotated[
        str,
        fits(
            r"resnet50|resnet50_ibn_a|(timm|torchreid)/\w[\w.-]*",
            "use resnet50, resnet50_ibn_a, timm/NAME or torchreid/NAME",
        ),
    ] = "resnet50"
    """`resnet50` and `resnet50_ibn_a` have all slots; `timm/NAME` and `torchreid/NAME` are built
    by these libraries (extras `zoo` and `torchreid`) and have slot `head` alone."""
    weights: str = "none"
    """`none`, a torchvision name such as `IMAGENET1K_V2`, or the path of a state dict."""
    width: Annotated[int, Field(ge=8)] = 64
    """Planes of the first stage; 64 is ResNet-50, fewer make a small network for quick tries."""
    last_stride: Annotated[int, Field(ge=1, le=2)] = 1
    """Stride of the last stage; 1 keeps a map of twice the height and width."""
    stride_in_1x1: bool = False
    """Stride 2 in the first 1×1 of a stage (the older ResNet) instead of its 3×3."""
    stem: Literal["resnet", "no_relu", "unpadded"] = "resnet"
    """Before the first stage: `no_relu` leaves out the ReLU, as the code of BoT and AGW does;
    `unpadded` pools without padding, as fast-reid does. Weights trained so need it."""
    attention: tuple[AttentionSettings, ...] = ()
    """Any number of blocks."""
    pooling: Literal["average", "gem"] = "average"
    """`gem`: the generalised mean with a learnt exponent."""
    neck: Literal["batch_norm", "none"] = "batch_norm"
    """Between the feature of the triplet loss and that of the classifier."""
    parts: Count = 0
    """Horizontal stripes that get a feature, a neck and a classifier of their own beside the
    global ones (PCB, MGN); 0: the global feature alone."""
    classifier: Literal["linear", "cosine"] = "linear"
    """`cosine` compares unit vectors, as the margin losses need it."""
    classifier_deviation: Annotated[float, Field(gt=0)] = 0.001
    """Standard deviation of the classifier's first weights."""
    checkpoint_activations: bool = False
    """Compute each stage again in the backward pass: less memory, about a third more time."""
