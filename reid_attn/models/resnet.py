"""ResNet-50 (He et al., CVPR 2016, arXiv 1512.03385) with named slots for attention.

State-dict keys are torchvision's, and with instance norms those of IBN-Net, so their weights load
unchanged. A slot that holds no block is
`nn.Identity` and has no keys of its own.

    stage     after layer k                          (N, 256·2^(k-1), H, W)
    residual  in a bottleneck after bn3, before the sum
    conv2     after the 3×3, before bn2              (N, planes, H, W)
    bn2       after bn2 and ReLU, before conv3
    replace   instead of the 3×3 and its bn2
    block     after a bottleneck's sum and ReLU      as after its layer
    head      on the last map, before pooling
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .ibn import InstanceBatchNorm
from .recompute import recomputed

DEPTHS = (3, 4, 6, 3)
EXPANSION = 4

_FOREIGN = re.compile(r"_attention\.|\.conv2\.\d")  # a block's modules; a slot holds a Sequential

Stem = Literal["resnet", "no_relu", "unpadded"]
Place = Callable[..., nn.Module | None]
"""place(slot, stage, channels, size, from_end=…, **options of the slot) -> a module, or None.

`from_end` counts the bottlenecks of a stage from its last one, which is 1."""


def nothing(*_: Any, **__: Any) -> None:
    """The `Place` that leaves every slot empty."""


class ResNet50(nn.Module):
    """The backbone: (N, 3, H, W) -> (N, 2048, H/16, W/16) with last stride 1, or /32 with 2.

    Args:
        size: (H, W) of the input pictures; tells each slot the size of its map.
        width: planes of the first stage; 64 makes the ResNet-50 with its 2048 channels.
        last_stride: stride of layer4; 1 keeps the finer map that re-ID uses (BoT).
        stride_in_1x1: stride in a stage's first 1×1 (the original ResNet) instead of its 3×3.
            Weights trained one way load silently into the other and are then much worse.
        stem: `no_relu` and `unpadded` are how two code bases differ from the paper before layer1;
            their weights load silently as well.
        instance_norm: IBN-a, half of bn1 as instance norm in layer1 to layer3.
        recompute: compute each layer, with the block after it, again in the backward pass.
        place: fills the slots.
    """

    prefix = ""

    def __init__(
        self,
        size: tuple[int, int] = (256, 128),
        width: int = 64,
        last_stride: int = 1,
        stride_in_1x1: bool = False,
        stem: Stem = "resnet",
        instance_norm: bool = False,
        recompute: bool = False,
        place: Place = nothing,
    ) -> None:
        super().__init__()
        self.stem, self.recompute = stem, recompute
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.Identity() if stem == "no_relu" else nn.ReLU(inplace=True)
        unpadded = stem == "unpadded"
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=int(not unpadded), ceil_mode=unpadded)

        map_size = _pooled(_strided(size, 2), unpadded)
        channels = width
        after_stages: list[nn.Module] = []
        for stage, (depth, stride) in enumerate(
            zip(DEPTHS, (1, 2, 2, last_stride), strict=True), start=1
        ):
            planes = width * 2 ** (stage - 1)
            map_size = _strided(map_size, stride)
            norm = InstanceBatchNorm if instance_norm and stage < 4 else nn.BatchNorm2d
            layer = _stage(
                stage, depth, channels, planes, stride, stride_in_1x1, norm, map_size, place
            )
            setattr(self, f"layer{stage}", layer)
            channels = planes * EXPANSION
            after_stages.append(_slot(place("stage", stage, channels, map_size)))
        self.stage_attention = nn.ModuleList(after_stages)
        self.head_attention = _slot(place("head", len(DEPTHS), channels, map_size))
        self.channels, self.map_size = channels, map_size
        _initialise(self)

    def own_keys(self) -> set[str]:
        """Keys of the state dict that are the ResNet's, not a block's."""
        return {key for key in self.state_dict() if not _FOREIGN.search(key)}

    def replaced(self) -> tuple[str, ...]:
        """How the keys begin of each 3×3, and of its norm, for which a block stands here."""
        return tuple(
            f"{name}.{part}."
            for name, module in self.named_modules()
            if isinstance(module, _Bottleneck) and isinstance(module.conv2, nn.Sequential)
            for part in ("conv2", "bn2")
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, h, w) with C = `channels` and (h, w) = `map_size`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage, attention in enumerate(self.stage_attention, start=1):
            layer = self.get_submodule(f"layer{stage}")
            if self.recompute and torch.is_grad_enabled():
                x = recomputed((layer, attention), x)
            else:
                x = attention(layer(x))
        out: Tensor = self.head_attention(x)
        return out


class _Bottleneck(nn.Module):
    def __init__(
        self,
        channels: int,
        planes: int,
        stride: int,
        stride_in_1x1: bool,
        norm: type[nn.Module],
        slot: Callable[..., nn.Module | None],
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out = planes * EXPANSION
        self.conv1 = nn.Conv2d(channels, planes, kernel_size=1, stride=first, bias=False)
        self.bn1 = norm(planes)
        replacement = slot("replace", planes, stride=second)
        self.conv2 = replacement or nn.Conv2d(planes, planes, 3, second, padding=1, bias=False)
        self.conv2_attention = _slot(None if replacement else slot("conv2", planes))
        self.bn2 = nn.Identity() if replacement else nn.BatchNorm2d(planes)
        self.bn2_attention = _slot(slot("bn2", planes))
        self.conv3 = nn.Conv2d(planes, out, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.residual_attention = _slot(slot("residual", out))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels, out, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(out),
            )
            if stride != 1 or channels != out
            else nn.Identity()
        )
        self.block_attention = _slot(slot("block", out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2_attention(self.conv2(y))))
        y = self.bn3(self.conv3(self.bn2_attention(y)))
        y = self.relu(self.residual_attention(y) + self.downsample(x))
        out: Tensor = self.block_attention(y)
        return out


def _stage(
    stage: int,
    depth: int,
    channels: int,
    planes: int,
    stride: int,
    stride_in_1x1: bool,
    norm: type[nn.Module],
    map_size: tuple[int, int],
    place: Place,
) -> nn.Sequential:
    blocks = []
    for index in range(depth):

        def slot(
            name: str, width: int, from_end: int = depth - index, **options: Any
        ) -> nn.Module | None:
            return place(name, stage, width, map_size, from_end=from_end, **options)

        blocks.append(_Bottleneck(channels, planes, stride, stride_in_1x1, norm, slot))
        channels, stride = planes * EXPANSION, 1
    return nn.Sequential(*blocks)


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The size that every strided layer of this network leaves: rounded up."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _pooled(size: tuple[int, int], unpadded: bool) -> tuple[int, int]:
    """The size that the pool of the stem leaves."""
    return _strided((size[0] - 1, size[1] - 1), 2) if unpadded else _strided(size, 2)


def _slot(block: nn.Module | None) -> nn.Module:
    return nn.Identity() if block is None else block


def _initialise(network: ResNet50) -> None:
    """He initialisation of the backbone's own convolutions; blocks keep their own start.

    The last norm of each bottleneck starts at 0, so that every block starts as the identity and a
    network without pretrained weights learns sooner (Goyal et al. 2017, arXiv 1706.02677, 5.1).
    """
    for name, module in network.named_modules():
        own = name == "conv1" or (name.startswith("layer") and not _FOREIGN.search(name))
        if own and isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, _Bottleneck):
            nn.init.zeros_(module.bn3.weight)
