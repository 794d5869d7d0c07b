"""Efficient multi-scale attention, EMA (Ouyang et al., ICASSP 2023, arXiv 2305.13563).

The C channels are `groups` groups of k; all groups share the weights. For a group u ∈ R^{k×H×W}:

    [z_h | z_w] = 1×1([mean_W u | mean_H u])                   ∈ R^{k×(H+W)}
    p = IN(u · σ(z_h) · σ(z_w)),   q = conv_{3×3}(u)           ∈ R^{k×H×W}, IN with affine γ, β
    m = softmax_k(mean p)·q + softmax_k(mean q)·p              ∈ R^{H×W}
    y = u · σ(m)

**Exact without q.** The mean of p over the map is β, whatever the input, so the first term is a
fixed mixture of q's channels: one 3×3 from k channels to one, with the kernels Σ softmax(β)_i W_i.
The mean of q is linear in u: each tap of W meets the mean of u without the rows and columns that
it shifts out of the map. A k-th of the multiply-adds, and no map of q.

10k² + 4k parameters; 2·9·C·H·W FLOP instead of 2·9·k·C·H·W for the 3×3. At 256×64×32: 0.011
instead of 0.078 GFLOP, 6.4 instead of 8.4 MiB kept for backward per image.

Place: like other blocks of its kind, in every bottleneck after bn3, before the sum (our choice).
Differences from the published code: the rewrite above.
Doubts: the first softmax does not see the input. Evidence of CIFAR size.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ._block import Block, Place
from ._precision import full_precision, widened


class EMA(Block):
    """The map times one spatial gate per group of channels.

    Args:
        channels: C of the map.
        groups: number of groups, a divisor of C.

    Raises:
        UsageError: groups that do not divide the channels.
    """

    published = (Place("residual"),)
    variants = ({"groups": 8},)

    def __init__(self, channels: int, groups: int = 32) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise UsageError(
                f"ema cannot make {groups} groups of {channels} channels: take a divisor of them"
            )
        self.groups, self.width = groups, channels // groups
        self.norm = nn.GroupNorm(self.width, self.width)
        self.strips = nn.Conv1d(self.width, self.width, kernel_size=1)
        self.local = nn.Conv2d(self.width, self.width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        grouped = x.reshape(len(x), self.groups, self.width, *x.shape[2:])
        return (grouped * self._gates(x)).flatten(1, 2)

    def gate(self, x: Tensor) -> Tensor:
        """The gate of each channel's group (N, C, H, W)."""
        return self._gates(x).expand(-1, -1, self.width, -1, -1).flatten(1, 2)

    def _gates(self, x: Tensor) -> Tensor:
        """σ(m) of every group (N, groups, 1, H, W)."""
        height, width = x.shape[2:]
        groups = x.reshape(-1, self.width, height, width)  # (n, k, H, W), n = N·groups
        rows = _means_under_taps(groups, 2)  # (n, k, 3, W)
        strips = torch.cat([groups.mean(dim=3), rows[:, :, 1]], dim=2)
        strips = torch.sigmoid(self.strips(strips))  # (n, k, H + W)
        gated = groups * strips[:, :, :height, None] * strips[:, :, None, height:]
        # not functional.group_norm: it refuses a single value, whose norm is β
        normed = torch.group_norm(
            gated, self.width, self.norm.weight, self.norm.bias, self.norm.eps
        )
        crossed = self._weights_of_local(rows).unsqueeze(1) @ normed.flatten(2)  # (n, 1, H·W)
        mixed = self._mixture_of_local(groups) + crossed.reshape(-1, 1, height, width)
        gates = torch.sigmoid(mixed).to(x.dtype)
        return gates.reshape(len(x), self.groups, 1, height, width)

    def _mixture_of_local(self, groups: Tensor) -> Tensor:
        """softmax(β) · q of groups (n, k, H, W), as one convolution: (n, 1, H, W)."""
        weights = self.norm.bias.softmax(dim=0)
        kernel = (weights @ self.local.weight.flatten(1)).reshape(1, self.width, 3, 3)
        bias = (weights * cast(Tensor, self.local.bias)).sum(dim=0, keepdim=True)
        return functional.conv2d(groups, kernel, bias, padding=1)

    def _weights_of_local(self, rows: Tensor) -> Tensor:
        """softmax(mean q) (n, k), from the means under its rows of taps (n, k, 3, W)."""
        with full_precision(rows):
            taps = _means_under_taps(widened(rows), 3).flatten(1)  # (n, 9k)
            weight, bias = self.local.weight.flatten(1), cast(Tensor, self.local.bias)
            return functional.linear(taps, widened(weight), widened(bias)).softmax(dim=1)

    def official_modules(self) -> Mapping[str, str]:
        """Published: gn, conv1x1, conv3x3."""
        return {"norm": "gn", "strips": "conv1x1", "local": "conv3x3"}


def _means_under_taps(x: Tensor, dim: int) -> Tensor:
    """What each tap of a kernel of 3 meets on average along `dim`, zero padded: 3 long there.

    The first tap never meets the last value, nor the last tap the first one.
    """
    length = x.shape[dim]
    mean = x.mean(dim)
    ends = (x.select(dim, end) / length for end in (-1, 0))
    first, last = (mean - end for end in ends)
    return torch.stack([first, mean, last], dim)


def parameter_count(channels: int, size: tuple[int, int], groups: int = 32) -> int:
    """10k² + 4k."""
    del size
    width = channels // groups
    return 10 * width**2 + 4 * width
