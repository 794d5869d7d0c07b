"""scSE as published: each gated map made, then the two fused."""

from typing import Literal

import torch
from torch import Tensor, nn

TIMED = ({"fusion": "add"},)  # the code of the others would be the same


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W); the keys of a single gate have no prefix."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        mode: Literal["both", "channel", "spatial"] = "both",
        fusion: Literal["max", "add", "mul"] = "max",
        reduction: int = 2,
    ) -> None:
        super().__init__()
        del size
        self.mode, self.fusion = mode, fusion
        if mode == "both":
            self.cSE, self.sSE = nn.Module(), nn.Module()
        hidden = channels // reduction
        if mode != "spatial":
            home = self.cSE if mode == "both" else self
            home.fc1, home.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        if mode != "channel":
            home = self.sSE if mode == "both" else self
            home.conv = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """One gated map, or two and their fusion."""
        if self.mode == "channel":
            return by_channel(self, x)
        if self.mode == "spatial":
            return by_position(self, x)
        first, second = by_channel(self.cSE, x), by_position(self.sSE, x)
        if self.fusion == "max":
            return torch.max(first, second)
        return first + second if self.fusion == "add" else first * second


def by_channel(gate: nn.Module, x: Tensor) -> Tensor:
    """The map gated by `fc1` and `fc2` of `gate`."""
    pooled = x.flatten(2).mean(dim=2)
    return x * torch.sigmoid(gate.fc2(torch.relu(gate.fc1(pooled))))[:, :, None, None]


def by_position(gate: nn.Module, x: Tensor) -> Tensor:
    """The map gated by `conv` of `gate`."""
    return x * torch.sigmoid(gate.conv(x))
