"""Polarized self-attention, PSA (Liu et al. 2021, arXiv 2107.00782).

One gate for the channels and one for the positions of X ∈ R^{C×N}, N = H·W, i = C/2; W_q, W_v and
w are 1×1 convolutions without bias, other ones in each gate:

    channel:  c = W_v X softmax_N(w X)ᵀ                   ∈ R^i,   gate σ(up(c)) ∈ R^{C×1}
    spatial:  q = mean_N W_q X                            ∈ R^i,   gate          ∈ R^{1×N}
              official_p σ(softmax_N(qᵀ W_v X)); official_s σ(qᵀ softmax_N(W_v X));
              paper_p, paper_s σ(softmax_i(q)ᵀ W_v X)
    up:       official_p C←i; official_s C←C/8, ReLU, LayerNorm, C/8←i with biases;
              paper_p, paper_s LayerNorm over the C channels of C←i

Parallel (_p): x·g_channel + x·g_spatial. Sequential (_s): y = x·g_channel, then y·g_spatial(y).

**Exact without projected maps.** A sum over positions commutes with a projection, so
W_v X aᵀ = W_v (X aᵀ), mean W_q X = W_q mean X and qᵀ (W_v X) = (W_vᵀ q)ᵀ X: each projection meets
one vector instead of N. Multiply-adds 4CN + 2C² instead of 1.5 C²N; at C = 2048, N = 128 that is
0.018 instead of 1.616 GFLOP. Only official_s keeps one projected map, under its softmax.

Place: after the first conv, norm and ReLU of an HRNet basic block, so after bn2 of a bottleneck.
The paper and its published code differ as written above; the defaults are the published code.
Readings of the paper: its convolutions have no bias, as in the code; its LayerNorm is over the
channels of the pooled vector and affine; its two forms differ in the composition alone. Common
snippets of the paper's form give every convolution a bias.
Doubts: softmax over N and then σ leave the official spatial gates within 1e-4 of 0.5 at the start,
so that they hardly tell positions apart; the published numbers are of pose and segmentation.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ._block import Block, Place
from ._layout import in_layout_of
from ._precision import full_precision, widened

Variant = Literal["official_p", "official_s", "paper_p", "paper_s"]


class Polarized(Block):
    """Polarized self-attention, (N, C, H, W) -> the same.

    Args:
        channels: C, 2 at least.
        variant: the published code or the paper's formula, each parallel (`_p`) or sequential.
    """

    published = (Place("bn2"),)
    variants = ({"variant": "official_s"}, {"variant": "paper_p"}, {"variant": "paper_s"})

    def __init__(self, channels: int, variant: Variant = "official_p") -> None:
        super().__init__()
        if channels < 2:
            raise UsageError(f"polarized halves its channels and got {channels}: give it 2 or more")
        self.sequential = variant.endswith("_s")
        self.channel = _ChannelGate(channels, variant)
        self.spatial = _SpatialGate(channels, variant)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.sequential:
            return x * self.gate(x)
        y = x * self.channel(x)
        out: Tensor = y * self.spatial(y)
        return out

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W): the sum of the two gates, in (0, 2), or their product."""
        channel: Tensor = self.channel(x)
        if self.sequential:
            return in_layout_of(x, torch.mul, channel, self.spatial(x * channel))
        return in_layout_of(x, torch.add, channel, self.spatial(x))

    def official_modules(self) -> Mapping[str, str]:
        """`right` is the published name of the channel gate's convolutions, `left` the other's."""
        modules = {
            "channel.query": "conv_q_right",
            "channel.value": "conv_v_right",
            "channel.up": "conv_up",
            "spatial.query": "conv_q_left",
            "spatial.value": "conv_v_left",
        }
        return modules | {f"channel.up.{index}": f"conv_up.{index}" for index in range(4)}


class _ChannelGate(nn.Module):
    """(N, C, H, W) -> (N, C, 1, 1) from one attended vector."""

    def __init__(self, channels: int, variant: Variant) -> None:
        super().__init__()
        inner = channels // 2
        self.query = _projection(channels, 1)
        self.value = _projection(channels, inner)
        self.up = _up(channels, inner, variant)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)  # (N, C, H·W)
        query = self.query.weight.expand(len(x), -1, -1)  # unexpanded, @ would copy the map
        weights = torch.softmax(torch.bmm(query, tokens), dim=2)  # (N, 1, H·W)
        pooled = torch.bmm(tokens, weights.mT.to(tokens.dtype)).squeeze(2)  # (N, C)
        return torch.sigmoid(self.up(self.value(pooled)))[..., None, None]


class _SpatialGate(nn.Module):
    """(N, C, H, W) -> (N, 1, H, W) from the likeness of each position to the mean one."""

    def __init__(self, channels: int, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.query = _projection(channels, channels // 2)
        self.value = _projection(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)  # (N, C, H·W)
        query = self.query(tokens.mean(dim=2))  # (N, C/2)
        if self.variant == "official_s":
            values = F.conv2d(x, self.value.weight[..., None, None]).flatten(2)  # (N, C/2, H·W)
            weights = torch.softmax(values, dim=2)
            logits = query[:, None].to(weights.dtype) @ weights
        elif self.variant == "official_p":
            logits = torch.softmax(self._likeness(query, tokens), dim=2)
        else:
            logits = self._likeness(torch.softmax(query, dim=1), tokens)
        return torch.sigmoid(logits).view(len(x), 1, *x.shape[2:])

    def _likeness(self, query: Tensor, tokens: Tensor) -> Tensor:
        """qᵀ W_v X as (W_vᵀ q)ᵀ X; (N, 1, H·W). Quadratic in X, hence beyond float16."""
        with full_precision(tokens):
            row = widened(query) @ widened(self.value.weight)  # (N, C)
            return row[:, None] @ widened(tokens)


def _projection(inputs: int, outputs: int) -> nn.Linear:
    projection = nn.Linear(inputs, outputs, bias=False)  # a 1×1 convolution, also of pooled vectors
    nn.init.kaiming_normal_(projection.weight, nonlinearity="relu")
    return projection


def _up(channels: int, inner: int, variant: Variant) -> nn.Module:
    if variant == "official_p":
        return nn.Linear(inner, channels, bias=False)
    if variant == "official_s":
        hidden = _hidden(channels)
        return nn.Sequential(
            nn.Linear(inner, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
    return nn.Sequential(nn.Linear(inner, channels, bias=False), nn.LayerNorm(channels))


def _hidden(channels: int) -> int:
    return max(channels // 8, 1)


def parameter_count(channels: int, size: tuple[int, int], variant: Variant = "official_p") -> int:
    """Trainable parameters: C + 3Ci of the projections, and those of `up`; i = C/2, h = C/8."""
    del size  # fits every map
    inner, hidden = channels // 2, _hidden(channels)
    up = {
        "official_p": inner * channels,
        "official_s": inner * hidden + 3 * hidden + hidden * channels + channels,
    }.get(variant, inner * channels + 2 * channels)
    return channels + 3 * channels * inner + up
