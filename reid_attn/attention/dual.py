"""Dual attention, DANet (Fu et al., CVPR 2019, arXiv 1809.02983).

On X ∈ R^{C×N}, N = H·W, with γ learnt scalars that start at 0:

    position: Q, K ∈ R^{d×N}, d = C/8, V ∈ R^{C×N} from 1×1 convolutions with bias,
              A = softmax_j(Qᵀ K) ∈ R^{N×N}, not divided by √d,    out = γ V Aᵀ + X
    channel:  E = X Xᵀ ∈ R^{C×C}, A = softmax_j(−E_ij),            out = γ A X + X
    both:     the sum of the two outputs, γ_p V Aᵀ + γ_c A X + 2X

**The channels attend to the most unlike ones.** The published code takes the softmax of row
maximum minus E; its author tried +E and reports that it did worse. The paper's formula has +E:
`energy="plus"`. Subtracting a row's maximum changes no softmax, so −E is taken as it is.

**Exact without affinities of channels.** softmax(−X Xᵀ) X is one attention of C tokens with
queries −X. Where C > N, as in the head, it goes through the fused kernel, which keeps no C×C: at
C = 2048 and N = 128, 2 instead of 17 MiB for backward, and 1.6 times the speed on a CPU. The
affinities of positions stay: the fused kernel wants values as narrow as the queries, and C/d
slices of them took twice the time at N = 2048. Multiply-adds: 1.25 C² N + 1.125 C N², and 2 C² N.

Place: the head, after the last stage. There the paper puts a 3×3 to 512 channels with norm and ReLU
before each branch, another one behind it, and sums; here are the two branches and the sum.
Differences from the published code: Q, K and V are one convolution. Keys of both branches together
are those of the published modules behind `pam.` and `cam.`. `gamma=False` has factors of 1, as the
common formula.
Doubts: with both branches the map is counted twice, as in the head, so the block starts as 2X and
distances of features before the neck start doubled; one branch alone starts as the identity. With
γ = 0 the convolutions get no gradient in the first step.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ._block import Block, Place
from ._excite import hidden_width
from ._precision import full_precision, widened

Branches = Literal["both", "position", "channel"]
Energy = Literal["minus", "plus"]


class Dual(Block):
    """Attention of positions and of channels, (N, C, H, W) -> the same.

    Args:
        channels: C.
        branches: one of them, or the sum of both.
        reduction: C / width of the queries and keys of positions.
        energy: sign of the affinities of channels; "minus" is the published code.
        gamma: learn a factor from 0 for each branch; else the factors are 1.
    """

    published = (Place("head"),)
    variants = (
        {"branches": "position", "reduction": 4, "gamma": False},
        {"branches": "channel", "energy": "plus", "gamma": False},
        {"branches": "position"},
        {"branches": "channel"},
    )

    def __init__(
        self,
        channels: int,
        branches: Branches = "both",
        reduction: int = 8,
        energy: Energy = "minus",
        gamma: bool = True,
    ) -> None:
        super().__init__()
        self.position = (
            _PositionAttention(channels, reduction, gamma) if branches != "channel" else None
        )
        self.channel = _ChannelAttention(energy, gamma) if branches != "position" else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        outputs = [branch(x) for branch in (self.position, self.channel) if branch is not None]
        out: Tensor = sum(outputs[1:], start=outputs[0])
        return out

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        """What (row, column) takes from each position, (N, H, W), adding up to 1."""
        if self.position is None:
            raise UsageError(
                "dual with branches=channel compares no positions: "
                "build it with branches=position or both to draw affinities"
            )
        query, key, _ = self.position.embedded(x)
        index = row * x.shape[3] + column
        return _weights(query[:, :, index, None], key).view(len(x), *x.shape[2:])

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """One branch has the published module's own keys, both have `pam.` and `cam.` before."""
        both = self.position is not None and self.channel is not None
        embedding = ("query_conv", "key_conv", "value_conv")
        return {
            "position": "pam" if both else "",
            "position.embed": tuple(f"pam.{name}" for name in embedding) if both else embedding,
            "channel": "cam" if both else "",
        }


class _Residual(nn.Module):
    """x + γ · (what a branch finds)."""

    gamma: nn.Parameter | None

    def __init__(self, gamma: bool) -> None:
        super().__init__()
        self.register_parameter("gamma", nn.Parameter(torch.zeros(1)) if gamma else None)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attend(x).to(x.dtype).reshape(x.shape)
        return x + attended if self.gamma is None else torch.addcmul(x, self.gamma, attended)

    def attend(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H·W)."""
        raise NotImplementedError


class _PositionAttention(_Residual):
    def __init__(self, channels: int, reduction: int, gamma: bool) -> None:
        super().__init__(gamma)
        self.width = hidden_width(channels, reduction)
        self.embed = nn.Conv2d(channels, 2 * self.width + channels, kernel_size=1)  # Q, K, V

    def attend(self, x: Tensor) -> Tensor:
        query, key, value = self.embedded(x)
        return value @ _weights(query, key).to(value.dtype).mT

    def embedded(self, x: Tensor) -> tuple[Tensor, ...]:
        """Q (N, d, H·W), K (N, d, H·W), V (N, C, H·W)."""
        return torch.split(self.embed(x).flatten(2), [self.width, self.width, x.shape[1]], dim=1)


class _ChannelAttention(_Residual):
    def __init__(self, energy: Energy, gamma: bool) -> None:
        super().__init__(gamma)
        self.opposed = energy == "minus"

    def attend(self, x: Tensor) -> Tensor:
        tokens = widened(x.flatten(2))  # (N, C, H·W)
        with full_precision(x):
            if tokens.shape[1] <= tokens.shape[2]:  # negate the smaller of energies and map
                energy = tokens @ tokens.mT
                return torch.softmax(-energy if self.opposed else energy, dim=2) @ tokens
            # One head of C tokens; the kernel wants the positions of a channel beside each other.
            key = tokens.contiguous()[:, None]
            query = -key if self.opposed else key
            return F.scaled_dot_product_attention(query, key, key, scale=1.0).squeeze(1)


def _weights(query: Tensor, key: Tensor) -> Tensor:
    """(N, d, n) and (N, d, m) -> (N, n, m), rows adding up to 1, in float32 at least."""
    with full_precision(query):
        return torch.softmax(widened(query).mT @ widened(key), dim=2)


def parameter_count(
    channels: int,
    size: tuple[int, int],
    branches: Branches = "both",
    reduction: int = 8,
    gamma: bool = True,
) -> int:
    """Trainable parameters: (C + 1)(2d + C) + 1 of the positions, 1 of the channels."""
    del size  # fits every map
    embedding = (channels + 1) * (2 * hidden_width(channels, reduction) + channels)
    position, channel = branches != "channel", branches != "position"
    return position * (embedding + gamma) + channel * gamma
