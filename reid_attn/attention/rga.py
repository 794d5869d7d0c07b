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
10.1 instead of 19.7 GFLOP, 91 instead of 172 MiB kept for backward per image.

Place: after each of the four stages, last stride 1. The weights belong to one H·W; `trained_size`
takes those of another, an approximation.
Differences from the published code: the three embeddings that read t are one convolution; hidden
widths are at least 1, so that small maps can be built (equal wherever the published form exists).
Doubts: at the start each of the two gates is about σ(0) = 1/2, so a module multiplies its map by
about 1/4; `identity_start` gates by 2σ(a) with a = 0 instead. The paper's numbers have not been
reproduced publicly. It names the parallel order without its formula: here both gates see the same
map, which is multiplied by both.
"""

import math
from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import MismatchError, UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value
from ._published import Sources, convert
from ._relation import RelationGate, Sizes

Order = Literal["sc", "cs", "parallel"]


class RGA(Block):
    """Relation-aware global attention over positions, channels, or both.

    Args:
        channels: C of the map.
        size: (H, W) of the map; the weights depend on H·W.
        spatial: gate the positions.
        channel: gate the channels.
        cha_ratio: C / width of what is derived from the channels.
        spa_ratio: H·W / width of what is derived from the positions.
        down_ratio: reduction inside the gate's head.
        order: positions first, channels first, or both from the same map.
        relation: use the relations Z (off: an ablation of the paper).
        original: use the token's own feature g (off: an ablation of the paper).
        identity_start: gate by 2σ with a zero-initialised last norm, so that the block starts as
            the identity. Not published.
        trained_size: (H, W) that published weights come from: hidden widths are those of that size,
            and `convert_official` resamples what is indexed by position, bilinearly and with sums
            over positions kept. Not published.

    Raises:
        UsageError: nothing is left to gate, or nothing to gate it by.
    """

    published = (Place("stage"),)
    variants = (
        {"spatial": False},
        {"channel": False},
        {"cha_ratio": 4},
        {"spa_ratio": 4},
        {"down_ratio": 2},
        {"order": "cs"},
        {"order": "parallel"},
        {"relation": False},
        {"original": False},
        {"identity_start": True},
        {"trained_size": (16, 8)},
    )

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        spatial: bool = True,
        channel: bool = True,
        cha_ratio: int = 8,
        spa_ratio: int = 8,
        down_ratio: int = 8,
        order: Order = "sc",
        relation: bool = True,
        original: bool = True,
        identity_start: bool = False,
        trained_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if not (spatial or channel) or not (relation or original):
            raise UsageError(
                "rga needs spatial or channel to be true, and relation or original as well"
            )
        self.size = (size[0], size[1])
        self.trained_size = tuple(trained_size or size)
        self.order = order
        by_size = _sizes(channels, size, cha_ratio, spa_ratio, down_ratio, self.trained_size)
        self.spatial, self.channel = (
            RelationGate(sizes, relation, original, identity_start) if wanted else None
            for sizes, wanted in zip(by_size, (spatial, channel), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W) at the size the block was built for, else MismatchError."""
        return self._gated(x)[0]

    def gate(self, x: Tensor) -> Tensor:
        """What x (N, C, H, W) is multiplied by: (N, 1 or C, H or 1, W or 1)."""
        gates = self._gated(x)[1]
        return math.prod(gates[1:], start=gates[0])

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        """G(i, :) of the position (row, column), which the exact form never makes: (N, H, W).

        Raises:
            UsageError: the block has no spatial relations.
        """
        self._refuse_other_size(x)
        if self.spatial is None or self.spatial.relate is None:
            raise UsageError("this rga block has no relations between positions to show")
        if self.order == "cs" and self.channel is not None:
            x = x * self.channel(x.flatten(2).mT).mT[..., None]
        affinity = self.spatial.affinity(x.flatten(2), row * self.size[1] + column)
        return affinity.reshape(-1, *self.size)

    def _gated(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The map and what it was multiplied by; in parallel every gate sees the map as it came."""
        self._refuse_other_size(x)
        refuse_lone_value("rga", self, len(x) * min(x.shape[1], x.shape[2] * x.shape[3]))
        gated = x
        gates: list[Tensor] = []
        for branch in "sc" if self.order == "parallel" else self.order:
            if branch == "s" and self.spatial is not None:
                gates.append(self.spatial(gated.flatten(2)).unflatten(2, self.size))
            elif branch == "c" and self.channel is not None:
                gates.append(self.channel(gated.flatten(2).mT).mT[..., None])
            else:
                continue
            if self.order != "parallel":
                gated = gated * gates[-1]
        return (math.prod(gates, start=x) if self.order == "parallel" else gated), gates

    def _refuse_other_size(self, x: Tensor) -> None:
        if tuple(x.shape[2:]) != self.size:
            raise MismatchError(
                f"this RGA block was built for maps of {self.size[0]}×{self.size[1]} and got "
                f"{x.shape[2]}×{x.shape[3]}: build it for that size, its weights depend on it"
            )

    def sources(self) -> Sources:
        """Our key -> the published keys (`gx_spatial.0.weight`, …)."""
        branches = {"spatial": self.spatial, "channel": self.channel}
        return {
            f"{name}.{key}": keys
            for name, gate in branches.items()
            if gate is not None
            for key, keys in gate.sources(name).items()
        }

    def convert_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published module's state dict under our names; resampled from `trained_size`.

        Raises:
            MismatchError: a tensor is missing, unknown, or of another shape.
        """
        if self.trained_size == self.size:
            return super().convert_official(state)
        by_position = {"gg_spatial.0.weight": 2} | {
            f"{name}_channel.0.weight": 1 for name in ("gx", "theta", "phi")
        }
        resampled = {
            key: self._resample(key, tensor, by_position[key]) if key in by_position else tensor
            for key, tensor in state.items()
        }
        return convert(self.state_dict(), resampled, self.sources())

    def _resample(self, key: str, weight: Tensor, maps: int) -> Tensor:
        """(m, maps·n₀, 1, 1) over the positions of `trained_size` -> (m, maps·n, 1, 1)."""
        height, width = self.trained_size
        if weight.shape[1] != maps * height * width:
            raise MismatchError(
                f"'{key}' has {weight.shape[1]} inputs, not the {maps * height * width} of "
                f"trained_size {height}×{width}: give the map size the weights were trained at"
            )
        grid = weight.reshape(len(weight), maps, height, width)
        grid = interpolate(grid, self.size, mode="bilinear", align_corners=False)
        share = height * width / (self.size[0] * self.size[1])
        return grid.reshape(len(weight), -1, 1, 1) * share


def _sizes(
    channels: int,
    size: tuple[int, int],
    cha_ratio: int,
    spa_ratio: int,
    down_ratio: int,
    trained_size: tuple[int, ...],
) -> tuple[Sizes, Sizes]:
    """Of the spatial and of the channel gate."""
    positions = size[0] * size[1]
    by_channels = max(channels // cha_ratio, 1)
    by_positions = max(trained_size[0] * trained_size[1] // spa_ratio, 1)
    return (
        Sizes(channels, positions, by_channels, by_positions, down_ratio),
        Sizes(positions, channels, by_positions, by_channels, down_ratio),
    )


def parameter_count(
    channels: int,
    size: tuple[int, int],
    spatial: bool = True,
    channel: bool = True,
    cha_ratio: int = 8,
    spa_ratio: int = 8,
    down_ratio: int = 8,
    relation: bool = True,
    original: bool = True,
    trained_size: tuple[int, int] | None = None,
) -> int:
    """Trainable parameters in closed form: 3(Fd + 2d) + 2nm + 2m + (1+m)k + 3k + 2 per gate."""
    gates = _sizes(channels, size, cha_ratio, spa_ratio, down_ratio, trained_size or size)

    def count(gate: Sizes) -> int:
        embeddings = original + 2 * relation
        inputs = original + relation * gate.related
        k = gate.hidden(inputs)
        embedding = embeddings * (gate.features * gate.embedded + 2 * gate.embedded)
        relations = relation * (2 * gate.tokens * gate.related + 2 * gate.related)
        return embedding + relations + inputs * k + 3 * k + 2

    return spatial * count(gates[0]) + channel * count(gates[1])
