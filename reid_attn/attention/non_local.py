"""Non-local block of AGW (Wang et al., CVPR 2018, arXiv 1711.07971; Ye et al., arXiv 2001.04193).

With Θ, Φ, G ∈ R^{d×N} from 1×1 convolutions with bias, N = H·W, position i takes from all j

    y_i = 1/N Σ_j (θ_i · φ_j) g_j           mode "dot", AGW
    y_i = Σ_j softmax_j(θ_i · φ_j) g_j      mode "softmax", the embedded Gaussian of the first paper
    out = x + BN(W y),  W: 1×1 d → C with bias

The BN starts with weight and bias 0, so the block starts as the identity.

**Exact without affinities.** Nothing stands between the two products of "dot", so
(Θᵀ Φ) Gᵀ = Θᵀ (Φ Gᵀ): N d² multiply-adds and a d×d matrix instead of N² d and N×N; at 64×32 and
d = 1, 2 instead of 18 MiB are kept for backward. "softmax" goes through the fused
kernel, which keeps no N×N either. Where d > N the affinities are the smaller matrix, and both
modes take them.

Place: AGW puts it after the last two bottlenecks of layer2 and the last three of layer3, here
`{slot: block, stages: [2], blocks: 2}` and `{slot: block, stages: [3], blocks: 3}`; with nothing
but its name it stands once after each of these layers.
Differences from the published code: d = 1 there by a slip (`reduc_ratio // reduc_ratio`, called
unintentional by its maintainers and copied into fast-reid). It is the default here because the
published numbers have it; they are no evidence for `inner=None`, d = C/2. Θ, Φ and G are one
convolution. Doubt: AGW's gain over its baseline also holds GeM and another triplet loss.
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

Mode = Literal["dot", "softmax"]


class NonLocal(Block):
    """Non-local block, (N, C, H, W) -> the same.

    Args:
        channels: C.
        inner: d, the width of the embeddings; None is C/2.
        mode: weigh by the product of embeddings or by its softmax.
    """

    published = (Place("stage", stages=(2, 3)),)
    variants = ({"inner": None}, {"mode": "softmax", "inner": 4})
    starts_as_identity = True
    without_gradient = ("project.bias",)  # the norm subtracts the mean and with it the bias

    def __init__(self, channels: int, inner: int | None = 1, mode: Mode = "dot") -> None:
        super().__init__()
        if inner is not None and inner < 1:
            raise UsageError(f"non_local got inner={inner}: give it 1 or more, or none for C/2")
        self.mode = mode
        width = _width(channels, inner)
        self.embed = nn.Conv2d(channels, 3 * width, kernel_size=1)  # Θ, Φ, G
        self.project = nn.Conv2d(width, channels, kernel_size=1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); training needs two positions in the batch at least."""
        refuse_lone_value("non_local", self.norm, x.shape[0] * x.shape[2] * x.shape[3])
        theta, phi, g = self._embedded(x)
        with full_precision(x):
            y = self._attend(theta, phi, g)  # (N, d, H·W)
        y = y.to(x.dtype).reshape(len(x), -1, *x.shape[2:])
        out: Tensor = x + self.norm(self.project(y))
        return out

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        """What (row, column) takes from each position, (N, H, W); signed in mode "dot"."""
        theta, phi, _ = self._embedded(x)
        position = row * x.shape[3] + column
        with full_precision(x):
            weights = self._weights(theta[:, :, position, None], phi)
        return weights.view(len(x), *x.shape[2:])

    def _embedded(self, x: Tensor) -> tuple[Tensor, ...]:
        """Θ, Φ, G, each (N, d, H·W), in float32 at least."""
        return widened(self.embed(x).flatten(2)).chunk(3, dim=1)

    def _attend(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        width, positions = theta.shape[1:]
        if width > positions:  # the affinities are smaller than the embeddings
            return g @ self._weights(theta, phi).mT
        if self.mode == "dot":
            return (g @ phi.mT / positions) @ theta
        # One head; the kernel wants the features of a token beside each other.
        query, key, value = (t.mT.contiguous()[:, None] for t in (theta, phi, g))
        return F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0].mT

    def _weights(self, theta: Tensor, phi: Tensor) -> Tensor:
        """(N, d, n) and (N, d, H·W) -> (N, n, H·W)."""
        energy = theta.mT @ phi
        return energy / phi.shape[2] if self.mode == "dot" else torch.softmax(energy, dim=2)

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """Our module -> the published one."""
        return {"embed": ("theta", "phi", "g"), "project": "W.0", "norm": "W.1"}


def _width(channels: int, inner: int | None) -> int:
    return max(channels // 2, 1) if inner is None else inner


def parameter_count(channels: int, size: tuple[int, int], inner: int | None = 1) -> int:
    """Trainable parameters: 3(Cd + d) + (dC + C) + 2C."""
    del size  # fits every map
    width = _width(channels, inner)
    return 3 * (channels + 1) * width + (width + 3) * channels
