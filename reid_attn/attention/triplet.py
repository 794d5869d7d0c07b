"""Triplet attention (Misra et al., WACV 2021, arXiv 2010.03045).

One gate per axis D of the map, over the other two axes P and Q:

    G_D = σ(BN(conv_{k×k}([max_D x; mean_D x])))     (P, Q) one value each,   y = x · mean_D G_D

    D = H: over C × W      D = W: over H × C, in that order      D = C: over H × W

with convolutions from 2 channels to 1 without bias, k = 7, and BN of momentum 0.01. `no_spatial`
leaves out D = C. 300 parameters whatever the map's size; almost no FLOPs.

Place: in every bottleneck after bn3, before the sum.
Differences from the published code: it permutes the map, gates it and permutes it back, three
times, and averages three gated maps. Ours broadcasts the three gates into one factor and multiplies
once: the same numbers, and 2.6 instead of 4.6 MiB kept for backward per image at 256×64×32. The
description speaks of rotations; the code transposes, nothing is flipped. The published
ResNet passes a channel count where the block of its root file reads `no_spatial`, so that file's
spatial gate is off in it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value


class Triplet(Block):
    """The map times the mean of three gates, each over two of its axes.

    Args:
        channels: C of the map; the weights do not depend on it.
        kernel: side of the convolutions, odd.
        no_spatial: leave out the gate over H × W.

    Raises:
        UsageError: an even kernel.
    """

    published = (Place("residual"),)
    variants = ({"kernel": 3}, {"no_spatial": True})

    def __init__(self, channels: int, kernel: int = 7, no_spatial: bool = False) -> None:
        super().__init__()
        del channels
        if kernel < 1 or kernel % 2 == 0:
            raise UsageError(f"kernel of triplet is {kernel}: take an odd one, as 3 or 7")
        self.by_width = _Gate(kernel)  # over C × W
        self.by_height = _Gate(kernel)  # over H × C
        self.by_position = None if no_spatial else _Gate(kernel)  # over H × W

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """The mean of the gates (N, C, H, W); MismatchError for a lone value in training."""
        self._refuse_single_value(x)
        share = 1 / 2 if self.by_position is None else 1 / 3
        by_width = self.by_width(_extremes(x, 2)) * share  # (N, 1, C, W)
        by_height = self.by_height(_extremes(x, 3).mT) * share  # (N, 1, H, C)
        mean: Tensor = by_width.squeeze(1).unsqueeze(2) + by_height.squeeze(1).mT.unsqueeze(3)
        if self.by_position is not None:
            mean += self.by_position(_extremes(x, 1)) * share
        return mean

    def _refuse_single_value(self, x: Tensor) -> None:
        pictures, channels, height, width = x.shape
        refuse_lone_value("triplet", self.by_width.norm, pictures * channels * width)
        refuse_lone_value("triplet", self.by_height.norm, pictures * height * channels)
        if self.by_position is not None:
            refuse_lone_value("triplet", self.by_position.norm, pictures * height * width)

    def official_modules(self) -> Mapping[str, str]:
        """Published: cw, hc and hw, each with conv.conv and conv.bn."""
        names = {"by_width": "cw", "by_height": "hc", "by_position": "hw"}
        return {
            f"{ours}.{part}": f"{theirs}.conv.{published}"
            for ours, theirs in names.items()
            for part, published in (("convolution", "conv"), ("norm", "bn"))
        }


class _Gate(nn.Module):
    """(N, 2, P, Q) -> (N, 1, P, Q), in (0, 1)."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, extremes: Tensor) -> Tensor:
        return torch.sigmoid(self.norm(self.convolution(extremes)))


def _extremes(x: Tensor, dim: int) -> Tensor:
    """Maximum and mean over `dim` of x (N, C, H, W), stacked: (N, 2, the two others).

    The maximum with an index gives the gradient to one of several equal values, as published;
    `amax` would share it, but is faster where there is no gradient.
    """
    learning = torch.is_grad_enabled() and x.requires_grad
    peak = x.max(dim).values if learning else x.amax(dim)
    return torch.stack([peak, x.mean(dim)], dim=1)


def parameter_count(
    channels: int, size: tuple[int, int], kernel: int = 7, no_spatial: bool = False
) -> int:
    """2k² + 2 per gate."""
    del channels, size
    return (2 if no_spatial else 3) * (2 * kernel**2 + 2)
