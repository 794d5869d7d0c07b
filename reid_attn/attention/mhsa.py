"""Multi-head self-attention of Bottleneck Transformers, MHSA (Srinivas et al., CVPR 2021,
arXiv 2101.11605).

Positions i = (y, x) of X ∈ R^{C×N}, N = H·W. Of each of h = 4 heads, d = C/h:

    q, k, v = W_q X, W_k X, W_v X                         ∈ R^{d×N}, 1×1 without bias
    r_ij = r_h[y_j − y_i] + r_w[x_j − x_i]                ∈ R^d
    A = softmax_j((q_i·k_j + q_i·r_ij) / √d)              ∈ R^{N×N}
    out_i = Σ_j A_ij v_j                                  heads side by side: R^{C×N}

without a projection behind the heads. At stride 2 means of 2×2 windows follow. r_h and r_w are
learnt tables of 2H − 1 and 2W − 1 vectors, which the heads share.

How the paper is read: its figure writes the logits as q·kᵀ + q·rᵀ and draws one vector a row and
one a column; its caption and its comparison of encodings say that r is of distances, and its
published code says so too, divides both terms by √d and shares r among the heads. Vectors of the
rows and columns themselves, r_ij = r_h[y_j] + r_w[x_j], are `relative=False`, which the paper
compares and finds weaker.

Cost: 3C² + 2d(H + W − 1) parameters, 3C²N + 2CN² + CN(H + W) multiply-adds, h·N² values kept. At
C = 512, 16×8: 0.79M parameters and 0.24 GFLOP, where the 3×3 has 2.36M and 0.60.
Place: BoTNet-50 replaces the 3×3 of all three bottlenecks of stage 4; pool, BN and ReLU follow.
`norm` is that BN, and the ReLU is the ResNet's. Elsewhere `residual` adds the input, as the paper's
bottleneck does around the block.

Differences from the published code: q, k and v are one convolution; the logits of rows and columns
are one product each with the vectors of one row's or column's distances, not shifted out of a
product with all distances. The fused kernel, with the logits of positions as further dimensions of
q and k, took some 1.4 times as long at N = 128 on a CPU and 0.6 times at 2048; it is not used.
A common snippet has biases, no 1/√d, vectors of rows and columns for each head, and multiplies r by
the key's query, r_i·q_j; a common library divides q·k alone by √d.
Maps of another size than built for: r_h and r_w are interpolated linearly, and so r bilinearly. Not
published.
Doubts: the published code is of TensorFlow and has no weights, so this is held to the formula only;
`convert_official` takes its names, with q, k and v as 1×1 convolutions. An ImageNet ResNet-50 has
no weights for it.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value
from ._precision import full_precision, widened


class MHSA(Block):
    """Self-attention with position terms, (N, C, H, W) -> (N, C, H/stride, W/stride).

    Args:
        channels: C, a multiple of `heads`.
        size: (H, W) of the map that comes out: at stride 2 half of the one that comes in.
        heads: h.
        position: add q·r; else content only.
        relative: r of the distance in rows and columns; else of the row and column themselves.
        norm: BN at the end, for the slot `replace`, where the ResNet has none of its own.
        residual: add the input, for the slots outside a bottleneck.
        stride: 1, or 2 to halve the map.

    Raises:
        UsageError: an option, or C, that does not fit this.
    """

    slots = ("stage", "replace", "head")
    published = (Place("replace", stages=(4,), options={"norm": True}),)
    variants = (
        {"heads": 2},
        {"position": False},
        {"relative": False},
        {"norm": True},
        {"residual": True},
        {"stride": 2},
    )

    r_height: nn.Parameter | None
    r_width: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        heads: int = 4,
        position: bool = True,
        relative: bool = True,
        norm: bool = False,
        residual: bool = False,
        stride: Literal[1, 2] = 1,
    ) -> None:
        super().__init__()
        _refuse_misfit(channels, heads, residual, stride)
        self.heads, self.relative = heads, relative
        self.residual, self.stride = residual, stride
        self.embed = nn.Conv2d(channels, 3 * channels, kernel_size=1, bias=False)  # q, k, v
        nn.init.normal_(self.embed.weight, std=0.01)
        width = channels // heads
        self.scale = width**-0.5
        for name, side in zip(("r_height", "r_width"), size, strict=True):
            table = torch.randn(_length(side * stride, relative), width) * self.scale
            self.register_parameter(name, nn.Parameter(table) if position else None)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/stride, W/stride), rounded up, of every size."""
        self._refuse_lone_value(x)
        query, key, value = self._embedded(x)
        weights = self._weights(query, key, x.shape[2:])
        out: Tensor = (value @ weights.to(value.dtype).mT).reshape(x.shape)
        if self.stride == 2:
            out = F.avg_pool2d(out, 2, ceil_mode=True)
        out = self.norm(out)
        return x + out if self.residual else out

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        """A of (row, column), the mean over the heads: (N, H, W), adding up to 1."""
        query, key, _ = self._embedded(x)
        weights = self._weights(query, key, x.shape[2:]).mean(dim=1)
        return weights[:, row * x.shape[3] + column].view(len(x), *x.shape[2:])

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """Our modules -> the published names."""
        return {"": "", "embed": ("q_proj", "k_proj", "v_proj"), "norm": "norm"}

    def _refuse_lone_value(self, x: Tensor) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            batch, _, height, width = x.shape
            strided = -(-height // self.stride) * -(-width // self.stride)
            refuse_lone_value("mhsa", self.norm, batch * strided)

    def _embedded(self, x: Tensor) -> tuple[Tensor, ...]:
        """q, k, v, each (N, h, d, H·W)."""
        width = x.shape[1] // self.heads
        embedded: Tensor = self.embed(x).flatten(2)
        return embedded.reshape(len(x), 3, self.heads, width, embedded.shape[2]).unbind(dim=1)

    def _weights(self, query: Tensor, key: Tensor, size: torch.Size) -> Tensor:
        """A (N, h, H·W, H·W), rows adding up to 1, in float32 at least."""
        with full_precision(query):
            scaled = widened(query).mT * self.scale  # (N, h, H·W, d)
            energy = scaled @ widened(key)
            if self.r_height is not None and self.r_width is not None:
                grid = scaled.unflatten(2, size)  # (N, h, H, W, d)
                by_row = self._vectors(self.r_height, size[0])
                by_column = self._vectors(self.r_width, size[1])
                rows = torch.einsum("nhyxd,ykd->nhyxk", grid, by_row).flatten(2, 3)
                columns = torch.einsum("nhyxd,xkd->nhyxk", grid, by_column).flatten(2, 3)
                energy = energy.unflatten(3, size)  # (N, h, H·W, H, W)
                energy = energy.add_(rows[..., None]).add_(columns[..., None, :]).flatten(3)
            return torch.softmax(energy, dim=3)

    def _vectors(self, table: Tensor, side: int) -> Tensor:
        """(side, side, d): r between every two indices of an axis, the query's first."""
        table = widened(table)
        wanted = _length(side, self.relative)
        if len(table) != wanted:
            table = F.interpolate(table.mT[None], wanted, mode="linear")[0].mT
        places = torch.arange(side, device=table.device)
        index = places - places[:, None] + side - 1 if self.relative else places.expand(side, side)
        return table[index]


def _length(side: int, relative: bool) -> int:
    """How many vectors the table of an axis of `side` positions holds."""
    return 2 * side - 1 if relative else side


def _refuse_misfit(channels: int, heads: int, residual: bool, stride: int) -> None:
    if heads < 1 or channels % heads:
        raise UsageError(
            f"mhsa got heads={heads} for {channels} channels: give it a number of heads that "
            "divides the channels"
        )
    if residual and stride == 2:
        raise UsageError("mhsa cannot add its input to half of the map: use residual or stride=2")


def parameter_count(
    channels: int,
    size: tuple[int, int],
    heads: int = 4,
    position: bool = True,
    relative: bool = True,
    norm: bool = False,
    stride: int = 1,
) -> int:
    """Trainable parameters: 3C², d for each vector of r, 2C of the norm."""
    vectors = sum(_length(side * stride, relative) for side in size)
    return 3 * channels**2 + position * vectors * (channels // heads) + 2 * channels * norm
