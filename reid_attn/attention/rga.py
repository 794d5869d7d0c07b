"""Relation-aware global attention, RGA (Zhang et al., CVPR 2020, arXiv 1904.02998).

Tokens t_i ∈ R^F, i = 1..n, each weighed by its relations to all others. With embeddings
E(a→b) = ReLU(BN(1×1 conv without bias)) and affinities G = Θᵀ Φ ∈ R^{n×n}:

    Θ = E_θ(t), Φ = E_φ(t)                      ∈ R^{d×n}
    g = mean over channels of E_g(t)            ∈ R^{1×n}
    Z = E_r([G(i,:); G(:,i)]) at position i     ∈ R^{m×n}
    a = BN(1×1(ReLU(BN(1×1([g; Z])))))          ∈ R^{1×n},   t_i ← σ(a_i) t_i

Spatial: tokens are the H·W positions (F = C, d = C/8, m = H·W/8). Channel: tokens are the channels
(F = H·W, d = H·W/8, m = C/8), on the spatially gated map.

**Exact without affinities.** The 1×1 convolution W = [W1 | W2] of E_r sits directly on G and Gᵀ,
before any normalisation, so the product re-associates:

    W [G; Gᵀ] = (W1 Φᵀ) Θ + (W2 Θᵀ) Φ = [W1 Φᵀ | W2 Θᵀ] [Θ; Φ]

No n×n tensor exists; 4·n·d·m multiply-adds instead of n²·d + 2·n²·m. Whole ResNet-50 at 256×128:
10.1 instead of 19.7 GFLOP, 93 instead of 172 MiB kept for backward per image.

Place: after each of the four stages, last stride 1. The weights belong to one H·W.
Differences from the published code: the three embeddings that read t are one convolution; hidden
widths are at least 1, so that small maps can be built (equal wherever the published form exists).
Doubts: at the start each of the two gates is about σ(0) = 1/2, so a module multiplies its map by
about 1/4; `identity_start` gates by 2σ(a) with a = 0 instead. The paper's numbers have not been
reproduced publicly.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MismatchError
from ._published import Sources, convert


class RGA(nn.Module):
    """Relation-aware global attention over positions, channels, or first one and then the other.

    Args:
        channels: C of the map.
        size: (H, W) of the map; the weights depend on H·W.
        spatial: gate the positions.
        channel: gate the channels (after the positions).
        cha_ratio: C / width of what is derived from the channels.
        spa_ratio: H·W / width of what is derived from the positions.
        down_ratio: reduction inside the gate's head.
        identity_start: gate by 2σ with a zero-initialised last norm, so that the block starts as
            the identity. Not published.
    """

    kind = "map"
    slots = ("stage", "residual", "conv2", "bn2", "head")

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        spatial: bool = True,
        channel: bool = True,
        cha_ratio: int = 8,
        spa_ratio: int = 8,
        down_ratio: int = 8,
        identity_start: bool = False,
    ) -> None:
        super().__init__()
        positions = size[0] * size[1]
        by_channels = max(channels // cha_ratio, 1)
        by_positions = max(positions // spa_ratio, 1)
        shared = (down_ratio, identity_start)
        self.size = tuple(size)
        self.spatial = (
            _RelationGate(channels, positions, by_channels, by_positions, *shared)
            if spatial
            else None
        )
        self.channel = (
            _RelationGate(positions, channels, by_positions, by_channels, *shared)
            if channel
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W) at the size the block was built for, else MismatchError."""
        if tuple(x.shape[2:]) != self.size:
            raise MismatchError(
                f"this RGA block was built for maps of {self.size[0]}×{self.size[1]} and got "
                f"{x.shape[2]}×{x.shape[3]}: build it for that size, its weights depend on it"
            )
        if self.spatial is not None:
            gate = self.spatial(x.flatten(2))  # (N, 1, H·W)
            x = x * gate.unflatten(2, x.shape[2:])
        if self.channel is not None:
            gate = self.channel(x.flatten(2).mT)  # (N, 1, C)
            x = x * gate.mT[..., None]
        return x

    def convert_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published module's state dict (`gx_spatial.0.weight`, …) under our names."""
        sources: dict[str, Any] = {}
        if self.spatial is not None:
            sources |= self.spatial.sources("spatial")
        if self.channel is not None:
            sources |= self.channel.sources("channel")
        return convert(self.state_dict(), state, sources)


class _RelationGate(nn.Module):
    """One gate in (0, 1) for each token, from its relations to all tokens.

    `features` F and `tokens` n of the input; `embedded` d; `related` m, in the symbols above.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        embedded: int,
        related: int,
        down_ratio: int,
        identity_start: bool,
    ) -> None:
        super().__init__()
        hidden = max((1 + related) // down_ratio, 1)
        self.embedded = embedded
        self.scale = 2.0 if identity_start else 1.0
        self.embed = _convolution(features, 3 * embedded)  # g, Θ, Φ
        self.embed_norm = nn.BatchNorm1d(3 * embedded)
        self.relate = nn.Linear(2 * tokens, related, bias=False)  # [W1 | W2]
        self.relate_norm = nn.BatchNorm1d(related)
        last_norm = nn.BatchNorm1d(1)
        if identity_start:
            nn.init.zeros_(last_norm.weight)
        self.head = nn.Sequential(
            _convolution(1 + related, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            _convolution(hidden, 1),
            last_norm,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, F, n) -> (N, 1, n)."""
        d = self.embedded
        embedded = torch.relu_(self.embed_norm(self.embed(tokens)))  # (N, 3d, n)
        unary = embedded[:, :d].mean(dim=1, keepdim=True)  # (N, 1, n)
        pair = embedded[:, d:]  # (N, 2d, n): [Θ; Φ]
        relation = torch.relu_(self.relate_norm(self._relate(pair)))  # (N, m, n)
        gate = torch.sigmoid(self.head(torch.cat([unary, relation], dim=1)))
        return gate * self.scale if self.scale != 1 else gate

    def _relate(self, pair: Tensor) -> Tensor:
        """[Θ; Φ] (N, 2d, n) -> W [G; Gᵀ] (N, m, n) = [W1 Φᵀ | W2 Θᵀ] [Θ; Φ]."""
        theta, phi = pair.chunk(2, dim=1)
        w1, w2 = self.relate.weight.chunk(2, dim=1)  # (m, n) each
        return torch.cat([w1 @ phi.mT, w2 @ theta.mT], dim=2) @ pair

    def sources(self, branch: str) -> Sources:
        """Our key -> the published keys of the branch `spatial` or `channel`."""
        table = {
            "embed": [f"{name}_{branch}.0" for name in ("gx", "theta", "phi")],
            "embed_norm": [f"{name}_{branch}.1" for name in ("gx", "theta", "phi")],
            "relate": [f"gg_{branch}.0"],
            "relate_norm": [f"gg_{branch}.1"],
        } | {f"head.{index}": [f"W_{branch}.{index}"] for index in (0, 1, 3, 4)}
        sources = {}
        for key in self.state_dict():
            module, _, tensor = key.rpartition(".")
            sources[f"{branch}.{key}"] = [f"{official}.{tensor}" for official in table[module]]
        return sources


def _convolution(inputs: int, outputs: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, kernel_size=1, bias=False)


def parameter_count(
    channels: int,
    size: tuple[int, int],
    spatial: bool = True,
    channel: bool = True,
    cha_ratio: int = 8,
    spa_ratio: int = 8,
    down_ratio: int = 8,
) -> int:
    """Trainable parameters in closed form: 3(Fd + 2d) + 2nm + 2m + (1+m)k + 3k + 2 per gate."""
    positions = size[0] * size[1]
    d, s = max(channels // cha_ratio, 1), max(positions // spa_ratio, 1)

    def gate(features: int, tokens: int, embedded: int, related: int) -> int:
        k = max((1 + related) // down_ratio, 1)
        embedding = 3 * (features * embedded + 2 * embedded)
        return embedding + 2 * tokens * related + 2 * related + (1 + related) * k + 3 * k + 2

    return spatial * gate(channels, positions, d, s) + channel * gate(positions, channels, s, d)
