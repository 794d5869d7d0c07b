"""Self-calibrated convolution, SCConv and SCNet (Liu et al., CVPR 2020).

All convolutions 3×3 without bias, each with its BN; ↓ averages r×r windows (r = 4), ↑ is nearest:

    SCConv(x) = BN(K4(BN(K3(x)) ⊙ σ(x + ↑BN(K2(↓x)))))       (N, C, H, W) -> (N, C, H/s, W/s)

without any activation of its own; the stride s is K4's. Around it, with w = planes / 2:

    a = ReLU(BN(1×1_{C→w}(x))),   b = ReLU(BN(1×1_{C→w}(x)))
    SCBottleneck(x) = ReLU(BN(1×1_{2w→4·planes}([ReLU(BN(K1 a)); ReLU(SCConv(b))])) + shortcut(x))

with the stride on K1 and on K4.

Cost: SCConv 3(9C² + 2C) parameters, at C = 32 27.8k, and 0.08 GFLOP at 64×32; the bottleneck has
about the ResNet's own number (70.5k for 70.4k at C = 256) and less GFLOP (0.25 for 0.29).
Place: SCNet replaces every 3×3 convolution. Part `replace` takes the ResNet's first 1×1 as the two
of SCBottleneck in one, so a ResNet-50 with it in every bottleneck is SCNet-50.

What published code does differently: the two 1×1 are separate there and one convolution here,
whose outputs are halved. ReLU stands behind each branch and again in the ResNet, which changes
nothing. ↑ takes the source floor(i·h/H), as published; bilinear differs by 0.2 on a 16×8 map. The
pool drops what does not fill a window (of 7×5 only the upper left 4×4 counts), and a map with a
side below r has none: that is refused. Stride, cardinality and dilation other than the ResNet-50's
are left out, as are the changes of SCNet v1d.
Doubts: its ImageNet weights do not fit a ResNet-50's 3×3, so these start from scratch.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MismatchError, UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value


class SelfCalibrated(Block):
    """SCConv by itself, in the two branches of SCNet, or in its whole bottleneck.

    Args:
        channels: C of the map.
        part: `conv`: SCConv, C -> C. `replace`: C halved between a plain and a self-calibrated
            branch, C -> C, C even. `bottleneck`: SCBottleneck with planes C/4, C -> C, or, at
            stride 2, planes C/2, C -> 2C with a strided 1×1 as shortcut; C a multiple of 8, or 4.
        pooling_r: side of the windows of the average pool.
        stride: 1, or 2 to halve the map.

    Raises:
        UsageError: an option or C that does not fit this.
    """

    kind = "map"
    slots = ("stage", "residual", "conv2", "bn2", "replace", "block", "head")
    published = (Place("replace", options={"part": "replace"}),)
    variants = (
        {"part": "bottleneck"},
        {"part": "replace"},
        {"pooling_r": 2},
        {"stride": 2},
        {"part": "bottleneck", "stride": 2},
        {"part": "replace", "stride": 2},
    )

    def __init__(
        self,
        channels: int,
        part: Literal["conv", "bottleneck", "replace"] = "conv",
        pooling_r: int = 4,
        stride: Literal[1, 2] = 1,
    ) -> None:
        super().__init__()
        _refuse_misfit(channels, part, pooling_r, stride)
        self.part, self.pooling_r, self.stride = part, pooling_r, stride
        kinds = {"conv": _Calibrated, "bottleneck": _Bottleneck, "replace": _Branches}
        self.body = kinds[part](channels, pooling_r, stride)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same at stride 1; MismatchError for a side below `pooling_r`."""
        self._refuse_small(x)
        out: Tensor = self.body(x)
        return out

    def _refuse_small(self, x: Tensor) -> None:
        batch, _, height, width = x.shape
        if min(height, width) < self.pooling_r:
            raise MismatchError(
                f"a self-calibrated convolution pools {self.pooling_r}×{self.pooling_r} windows "
                f"and got a map of {height}×{width}: use larger maps or a smaller pooling_r"
            )
        pooled = (height // self.pooling_r) * (width // self.pooling_r)
        strided = -(-height // self.stride) * -(-width // self.stride)
        refuse_lone_value("self_calibrated", self, batch * min(pooled, strided))

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """Our modules -> those of SCConv, or of SCBottleneck (`replace`: without its 1×1)."""
        calibrated = {"low": ("k2.1", "k2.2"), "full": ("k3.0", "k3.1"), "last": ("k4.0", "k4.1")}
        if self.part == "conv":
            return _numbered("body.", "", calibrated)
        own = "body." if self.part == "replace" else "body.branches."
        modules = _numbered(own, "", {"plain": ("k1.0", "k1.1")})
        modules |= _numbered(f"{own}calibrated.", "scconv.", calibrated)
        if self.part == "bottleneck":
            modules |= {
                "body.reduce.0": ("conv1_a", "conv1_b"),
                "body.reduce.1": ("bn1_a", "bn1_b"),
                "body.expand.0": "conv3",
                "body.expand.1": "bn3",
                "body.shortcut.0": "downsample.0",
                "body.shortcut.1": "downsample.1",
            }
        return modules


def _numbered(
    own: str, official: str, pairs: Mapping[str, tuple[str, str]]
) -> dict[str, str | tuple[str, ...]]:
    """Convolution and norm of each of our pairs -> the published names of the two."""
    return {
        f"{own}{name}.{index}": official + module
        for name, pair in pairs.items()
        for index, module in enumerate(pair)
    }


class _Calibrated(nn.Module):
    """SCConv, (N, C, H, W) -> (N, C, H/s, W/s)."""

    def __init__(self, channels: int, pooling_r: int, stride: int) -> None:
        super().__init__()
        self.pooling_r = pooling_r
        self.low = _normalised(channels, channels, 3)
        self.full = _normalised(channels, channels, 3)
        self.last = _normalised(channels, channels, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(F.avg_pool2d(x, self.pooling_r))  # (N, C, H // r, W // r)
        gate = torch.sigmoid_(x + F.interpolate(low, size=x.shape[2:], mode="nearest"))
        out: Tensor = self.last(self.full(x) * gate)
        return out


class _Branches(nn.Module):
    """The middle of SCBottleneck: half of the channels plain, half self-calibrated."""

    def __init__(self, channels: int, pooling_r: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        self.plain = _normalised(half, half, 3, stride)
        self.calibrated = _Calibrated(half, pooling_r, stride)

    def forward(self, x: Tensor) -> Tensor:
        plain, calibrated = x.chunk(2, dim=1)
        # The ResNet's in-place ReLU follows: it may change what torch.cat made, since nothing keeps
        # that for backward, but not what a ReLU made.
        return torch.cat(
            [torch.relu_(self.plain(plain)), torch.relu_(self.calibrated(calibrated))], dim=1
        )


class _Bottleneck(nn.Module):
    """SCBottleneck, (N, C, H, W) -> the same, or (N, 2C, H/2, W/2) at stride 2."""

    def __init__(self, channels: int, pooling_r: int, stride: int) -> None:
        super().__init__()
        planes = channels // 4 if stride == 1 else channels // 2
        self.reduce = _normalised(channels, planes, 1)
        self.branches = _Branches(planes, pooling_r, stride)
        self.expand = _normalised(planes, 4 * planes, 1)
        self.shortcut = (
            nn.Identity() if stride == 1 else _normalised(channels, 4 * planes, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.branches(torch.relu_(self.reduce(x)))
        return torch.relu_(self.expand(y) + self.shortcut(x))


def _normalised(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _refuse_misfit(channels: int, part: str, pooling_r: int, stride: int) -> None:
    if not isinstance(pooling_r, int) or pooling_r < 1:
        raise UsageError(
            f"pooling_r is the side of a pooling window, a whole number from 1, not {pooling_r!r}"
        )
    divisor = {"conv": 1, "bottleneck": 8 // stride, "replace": 2}[part]  # a branch is C/8 or C/4
    if channels % divisor:
        raise UsageError(
            f"the part '{part}' of a self-calibrated convolution needs channels in multiples of "
            f"{divisor} and got {channels}"
        )


def parameter_count(
    channels: int, size: tuple[int, int], part: str = "conv", stride: int = 1
) -> int:
    """3(9C² + 2C) for SCConv; 4(9w² + 2w) for the branches, and the 1×1 of a bottleneck."""
    del size

    def convolutions(width: int) -> int:
        return 9 * width**2 + 2 * width

    if part == "conv":
        return 3 * convolutions(channels)
    if part == "replace":
        return 4 * convolutions(channels // 2)
    planes = channels // 4 if stride == 1 else channels // 2
    outer = channels * planes + 2 * planes + 4 * planes**2 + 8 * planes
    shortcut = 0 if stride == 1 else 4 * channels * planes + 8 * planes
    return outer + shortcut + 4 * convolutions(planes // 2)
