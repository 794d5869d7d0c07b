"""Multidimensional collaborative attention, MCA (Yu et al., EAAI 2023).

One gate along each axis A ∈ {C, H, W}, from mean μ and standard deviation s (divisor n − 1) over
the other two:

    z_A = (1/2 + σ(α_A)) μ_A + (1/2 + σ(β_A)) s_A,   g_A = σ(conv_k(z_A)),   y = x · mean_A g_A

with learned scalars α, β ~ U(0, 1) and convolutions of one channel along the axis, zero padded,
without bias: k = 3 for H and W, and for C k = round(|log₂ C − 1| / 1.5), less one when even, at
least 1. `no_spatial` (the published name) leaves out the gate along C, not those along H and W.
2 + k parameters per gate, 15 to 19 in all; almost no FLOPs.

Place: like other blocks of its kind, in every bottleneck after bn3, before the sum (our choice).
Differences from the published code: it permutes the map for each gate and gates three copies; ours
pools it as it lies and multiplies once by the mean of the gates. The deviation of a single value,
the C gate's on a 1×1 map, is 0 instead of undefined. 2.0 instead of 4.0 MiB are kept for backward
per image at 256×64×32.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ._block import Block, Place
from ._layout import in_layout_of


class MCA(Block):
    """The map times the mean of three gates, each along one of its axes.

    Args:
        channels: C of the map.
        no_spatial: leave out the gate along the channels.
    """

    published = (Place("residual"),)
    variants = ({"no_spatial": True},)

    def __init__(self, channels: int, no_spatial: bool = False) -> None:
        super().__init__()
        self.along_height = _Gate(3)
        self.along_width = _Gate(3)
        self.along_channels = None if no_spatial else _Gate(_kernel(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """The mean of the gates (N, C or 1, H, W)."""
        share = 1 / 2 if self.along_channels is None else 1 / 3
        rows = self.along_height(x, (1, 3))[:, None, :, None]
        columns = self.along_width(x, (1, 2))[:, None, None, :]
        mean: Tensor = (rows + columns) * share  # (N, 1, H, W)
        if self.along_channels is not None:
            channels = self.along_channels(x, (2, 3))[:, :, None, None] * share
            return in_layout_of(x, torch.add, mean, channels)
        return mean

    def official_modules(self) -> Mapping[str, str]:
        """Published: h_cw, w_hc and c_hw, each with `weight` (α, β) and `conv`."""
        names = {"along_height": "h_cw", "along_width": "w_hc", "along_channels": "c_hw"}
        convolutions = {f"{ours}.conv": f"{theirs}.conv" for ours, theirs in names.items()}
        return names | convolutions


class _Gate(nn.Module):
    """A gate in (0, 1) along the one axis that is not pooled: (N, C, H, W) -> (N, its length)."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2))  # α, β
        self.conv = nn.Conv2d(1, 1, (1, kernel), padding=(0, kernel // 2), bias=False)

    def forward(self, x: Tensor, pooled: tuple[int, int]) -> Tensor:
        mean, deviation = _moments(x, pooled)
        of_mean, of_deviation = 0.5 + torch.sigmoid(self.weight)
        mixed = of_mean * mean + of_deviation * deviation
        gate: Tensor = torch.sigmoid(self.conv(mixed[:, None, None]))
        return gate.flatten(1)


def _moments(x: Tensor, dims: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over `dims`, with divisor n − 1; 0 for a single value."""
    if x.shape[dims[0]] * x.shape[dims[1]] == 1:
        mean = x.mean(dims)
        return mean, torch.zeros_like(mean)
    deviation, mean = torch.std_mean(x, dims)
    return mean, deviation


def _kernel(channels: int) -> int:
    width = round(abs(math.log2(channels) - 1) / 1.5)
    return max(width if width % 2 else width - 1, 1)


def parameter_count(channels: int, size: tuple[int, int], no_spatial: bool = False) -> int:
    """2 + 3 each for H and W, 2 + k for C."""
    del size
    return 10 if no_spatial else 12 + _kernel(channels)
