"""The two linear maps from pooled vectors to one number a channel, for SE, scSE and CBAM."""

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._precision import full_precision


def hidden_width(channels: int, reduction: int) -> int:
    """channels / reduction, at least 1, so that narrow maps can be built; else UsageError."""
    if reduction < 1:
        raise UsageError(f"a reduction of {reduction} is impossible: give a whole number from 1 up")
    return max(channels // reduction, 1)


class Excitation(nn.Module):
    """Linear C -> C/r, ReLU, Linear C/r -> C, both with bias: (…, C) -> (…, C).

    The vectors are small and their sums long, so it stays out of mixed precision.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = hidden_width(channels, reduction)
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, pooled: Tensor) -> Tensor:
        """(…, C) in any precision -> (…, C) in that of the weights."""
        with full_precision(pooled):
            hidden = torch.relu(self.reduce(pooled.to(self.reduce.weight.dtype)))
            out: Tensor = self.expand(hidden)
        return out


def excitation_count(channels: int, reduction: int) -> int:
    """Trainable parameters of an `Excitation`: 2Ch + h + C with h = C/r."""
    hidden = hidden_width(channels, reduction)
    return 2 * channels * hidden + hidden + channels
