"""Convolutional block attention module, CBAM (Woo et al., ECCV 2018, arXiv 1807.06521).

Channels first, then positions, on x ∈ R^{C×H×W}; MLP = Linear C→C/16, ReLU, Linear C/16→C:

    s = σ(MLP(mean over positions) + MLP(maximum over positions))    ∈ (0, 1)^C
    x' = s · x
    m = σ(BN(conv7([maximum over channels of x'; mean of them])))    ∈ (0, 1)^{H×W}
    y = m · x'

`pools` adds to the sum what the published code also has: `lp`, the square root of Σ x², and `lse`,
log Σ exp x, over the positions.
Cost: 2Ch + h + C + 2·7² + 2 parameters with h = C/16, one gated map kept for backward. Place: in
every bottleneck after bn3, before the sum.
Differences: as the published code, which has a norm in the spatial branch (momentum 0.01) where the
paper's formula has none; all pools pass the MLP at once. Common snippets stack the mean first, drop
the MLP's biases or the norm, add the input again, or widen the kernel to 49.
While gradients are needed the maximum is taken with its index, so that one of several equal values
gets the gradient, as published; `amax`, which is faster, would share it among them.
Doubts: the spatial norm's weight starts at 0, so that the spatial gate starts at 1/2 everywhere and
its convolution learns only from the second step on. Results of others with CBAM are mixed.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from ..errors import UsageError
from ._block import Block, Place
from ._excite import Excitation, excitation_count
from ._norms import refuse_lone_value
from ._precision import full_precision, widened

Pool = Literal["avg", "max", "lp", "lse"]


class CBAM(Block):
    """A gate for each channel, then a gate for each position.

    Args:
        channels: C of the map.
        reduction: C / hidden width of the MLP.
        kernel: side of the spatial convolution, odd.
        no_spatial: gate the channels only.
        pools: what the channel gate reads, one or more of avg, max, lp, lse.

    Raises:
        UsageError: an even kernel, no pool, or an unknown one.
    """

    published = (Place("residual"),)
    variants = (
        {"reduction": 4},
        {"kernel": 3},
        {"no_spatial": True},
        {"pools": ("avg", "max", "lp", "lse")},
    )

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        kernel: int = 7,
        no_spatial: bool = False,
        pools: Sequence[Pool] = ("avg", "max"),
    ) -> None:
        super().__init__()
        if not pools or not set(pools) <= {"avg", "max", "lp", "lse"}:
            raise UsageError(
                f"cbam cannot pool by '{', '.join(pools)}': name one or more of avg, max, lp, lse"
            )
        self.pools = tuple(pools)
        self.channel = Excitation(channels, reduction)
        for layer in (self.channel.reduce, self.channel.expand):
            nn.init.zeros_(layer.bias)
        self.spatial = None if no_spatial else _SpatialGate(kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); MismatchError in training on a single position."""
        self._refuse_lone_position(x)
        gated = x * self._channel_gate(x)
        return gated if self.spatial is None else gated * self.spatial(gated)

    def gate(self, x: Tensor) -> Tensor:
        """Both gates in one: (N, C, H, W), or (N, C, 1, 1) without the spatial one."""
        self._refuse_lone_position(x)
        gate = self._channel_gate(x)
        return gate if self.spatial is None else gate * self.spatial(x * gate)

    def _channel_gate(self, x: Tensor) -> Tensor:
        pooled = torch.stack([_pooled(x, pool) for pool in self.pools])  # (pools, N, C)
        gate = torch.sigmoid(self.channel(pooled).sum(dim=0))
        return gate.to(x.dtype)[..., None, None]

    def _refuse_lone_position(self, x: Tensor) -> None:
        if self.spatial is not None:
            refuse_lone_value("cbam", self.spatial.norm, x.shape[0] * x.shape[2] * x.shape[3])

    def official_modules(self) -> Mapping[str, str]:
        """Our module -> the published one."""
        return {
            "channel.reduce": "ChannelGate.mlp.1",
            "channel.expand": "ChannelGate.mlp.3",
            "spatial.conv": "SpatialGate.spatial.conv",
            "spatial.norm": "SpatialGate.spatial.bn",
        }


class _SpatialGate(nn.Module):
    """One gate in (0, 1) for each position, exactly 1/2 at the start."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise UsageError(
                f"cbam cannot centre a kernel of {kernel}: give an odd number from 1 up"
            )
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 1, H, W)."""
        largest = x.max(dim=1).values if x.requires_grad else x.amax(dim=1)
        seen = torch.stack([largest, x.mean(dim=1)], dim=1)  # (N, 2, H, W)
        with full_precision(x):
            gate = torch.sigmoid(self.norm(self.conv(seen.to(self.conv.weight.dtype))))
        return gate.to(x.dtype)


def _pooled(x: Tensor, pool: Pool) -> Tensor:
    """(N, C, H, W) -> (N, C); what can leave the range of float16 in float32 at least."""
    if pool == "avg":
        return x.mean(dim=(2, 3))
    if pool == "max":
        return _maximum(x)
    if pool == "lp":
        norm: Tensor = torch.linalg.vector_norm(widened(x), dim=(2, 3))
        return norm
    return torch.logsumexp(widened(x), dim=(2, 3))


def _maximum(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C); the first of equal maxima gets the gradient."""
    if not x.requires_grad:
        return x.amax(dim=(2, 3))
    if x.device.type == "cpu":
        return adaptive_max_pool2d(x, 1).flatten(1)  # native in both layouts
    return x.max(dim=3).values.max(dim=2).values  # the pool would give a GPU one thread a map


def parameter_count(
    channels: int,
    size: tuple[int, int],
    reduction: int = 16,
    kernel: int = 7,
    no_spatial: bool = False,
) -> int:
    """Trainable parameters: 2Ch + h + C, and 2k² + 2 of the spatial gate."""
    del size
    return excitation_count(channels, reduction) + (0 if no_spatial else 2 * kernel**2 + 2)
