"""Global context block of GCNet (Cao et al., ICCVW 2019, arXiv 1904.11492), and its simplified
non-local block, SNL.

Every position gets the same context, a weighted mean over all positions j of x ∈ R^{C×N}:

    a = softmax_N(w·x + b)                            ∈ R^N    ("avg": a = 1/N)
    c = Σ_j a_j x_j                                   ∈ R^C
    t(c) = 1×1 C'→C (ReLU(LN(1×1 C→C' (c))))          ∈ R^C,   C' = int(C · ratio)
    add: y = x + t(c)      mul: y = x · σ(t(c))       both: mul first, each with its own t

C' is at least 1; LN is over the C' channels and degenerates for C' ≤ 2. form "snl" takes
t(c) = W_v c, one 1×1 without bias or norm, as the paper's equation 3. The last convolution starts
at 0, so that "add" starts as the identity. 2·C·C' + 3C' + 2C + 1 parameters, almost no FLOPs.

Place: in every bottleneck of stages 2 to 4, after bn3, before the sum.
Differences from the published code: none in the mathematics; energies are in float32 at least. SNL
has no published code: its zero start, and that it takes `pooling` and `fusions` too, are our
reading. Other libraries default to the factor ("mul") and a ratio of 1/8.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ._block import Block, Place
from ._precision import full_precision, widened

Pooling = Literal["att", "avg"]
Fusion = Literal["add", "mul"]
Form = Literal["gc", "snl"]


class GlobalContext(Block):
    """The map plus, or times a gate of, one context vector of all its positions.

    Args:
        channels: C of the map.
        ratio: C'/C, a factor.
        pooling: context by attention, or the plain mean.
        fusions: "add", "mul" or both.
        form: transform of the context: the bottleneck of GC or the one convolution of SNL.

    Raises:
        UsageError: a ratio that is not above 0, or fusions that there are not.
    """

    published = (Place("residual", stages=(2, 3, 4)),)
    variants = (
        {"ratio": 1 / 4},
        {"pooling": "avg"},
        {"fusions": ("mul",)},
        {"fusions": ("add", "mul")},
        {"form": "snl"},
        {"form": "snl", "fusions": ("add", "mul")},
    )
    starts_as_identity = True
    without_gradient = ("energy.bias",)  # the same for all positions: the softmax cancels it

    def __init__(
        self,
        channels: int,
        ratio: float = 1 / 16,
        pooling: Pooling = "att",
        fusions: Sequence[Fusion] = ("add",),
        form: Form = "gc",
    ) -> None:
        super().__init__()
        _refuse(ratio, fusions)
        hidden = _hidden(channels, ratio)
        self.energy = nn.Conv2d(channels, 1, kernel_size=1) if pooling == "att" else None
        if self.energy is not None:
            nn.init.kaiming_normal_(self.energy.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, self.energy.bias))
        self.add = _transform(channels, hidden, form) if "add" in fusions else None
        self.multiply = _transform(channels, hidden, form) if "mul" in fusions else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        context = self._context(x)
        gated = x if self.multiply is None else x * torch.sigmoid(self.multiply(context))
        return gated if self.add is None else gated + self.add(context)

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        """How much the context takes from each position (N, H, W): the same for every one."""
        del row, column
        if self.energy is None:
            return torch.full_like(x[:, 0], 1 / x[0, 0].numel())
        return self._weights(x, self.energy).reshape(len(x), *x.shape[2:])

    def _context(self, x: Tensor) -> Tensor:
        """c (N, C, 1, 1)."""
        if self.energy is None:
            return x.mean(dim=(2, 3), keepdim=True)
        weights = self._weights(x, self.energy).to(x.dtype)  # (N, H·W)
        return (x.flatten(2) @ weights.unsqueeze(2)).unsqueeze(3)

    def _weights(self, x: Tensor, energy: nn.Conv2d) -> Tensor:
        """a (N, H·W), in float32 at least: the sum over channels can leave float16."""
        with full_precision(x):
            weight, bias = widened(energy.weight), widened(cast(Tensor, energy.bias))
            return functional.conv2d(widened(x), weight, bias).flatten(1).softmax(dim=1)

    def official_modules(self) -> Mapping[str, str]:
        """Published: conv_mask, channel_add_conv, channel_mul_conv."""
        transforms = {"add": "channel_add_conv", "multiply": "channel_mul_conv"}
        return {"energy": "conv_mask"} | {
            f"{ours}.{index}" if index else ours: f"{theirs}.{index}" if index else theirs
            for ours, theirs in transforms.items()
            for index in ("", "0", "1", "3")
        }


def _transform(channels: int, hidden: int, form: Form) -> nn.Module:
    """(N, C, 1, 1) -> (N, C, 1, 1), 0 at the start."""
    last = nn.Conv2d(hidden if form == "gc" else channels, channels, 1, bias=form == "gc")
    nn.init.zeros_(last.weight)
    if last.bias is None:
        return last
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(channels, hidden, kernel_size=1),
        nn.LayerNorm([hidden, 1, 1]),
        nn.ReLU(inplace=True),
        last,
    )


def _hidden(channels: int, ratio: float) -> int:
    return max(int(channels * ratio), 1)


def _refuse(ratio: float, fusions: Sequence[str]) -> None:
    if not ratio > 0:
        raise UsageError(f"ratio of global_context is {ratio}: take a factor above 0, as 0.0625")
    if not fusions or not {*fusions} <= {"add", "mul"} or len({*fusions}) < len(fusions):
        raise UsageError(
            f"global_context has no fusions {list(fusions)}: give a list of add, mul or both"
        )


def parameter_count(
    channels: int,
    size: tuple[int, int],
    ratio: float = 1 / 16,
    pooling: Pooling = "att",
    fusions: Sequence[Fusion] = ("add",),
    form: Form = "gc",
) -> int:
    """C + 1 for the energies, and per fusion 2CC' + 3C' + C, or C² for SNL."""
    del size
    hidden = _hidden(channels, ratio)
    bottleneck = 2 * channels * hidden + 3 * hidden + channels
    transform = bottleneck if form == "gc" else channels**2
    return (pooling == "att") * (channels + 1) + len(fusions) * transform
