"""Dual attention as published: affinities of all pairs, of the channels from the row maximum."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W); one branch has the published keys, both `pam.` and `cam.`."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        branches: str = "both",
        reduction: int = 8,
        energy: str = "minus",
        gamma: bool = True,
    ) -> None:
        super().__init__()
        self.branches, self.energy = branches, energy
        if branches == "both":
            rest = (reduction, energy, gamma)
            self.pam = Published(channels, size, "position", *rest)
            self.cam = Published(channels, size, "channel", *rest)
            return
        self.gamma = nn.Parameter(torch.zeros(1)) if gamma else 1.0
        if branches == "position":
            self.query_conv = nn.Conv2d(channels, max(channels // reduction, 1), 1)
            self.key_conv = nn.Conv2d(channels, max(channels // reduction, 1), 1)
            self.value_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both branches, or one."""
        if self.branches == "both":
            return self.pam(x) + self.cam(x)
        out = self._positions(x) if self.branches == "position" else self._channels(x)
        return self.gamma * out.view_as(x) + x

    def _positions(self, x: Tensor) -> Tensor:
        query = self.query_conv(x).flatten(2).permute(0, 2, 1)  # (N, H·W, d)
        affinity = torch.softmax(torch.bmm(query, self.key_conv(x).flatten(2)), dim=-1)
        return torch.bmm(self.value_conv(x).flatten(2), affinity.permute(0, 2, 1))

    def _channels(self, x: Tensor) -> Tensor:
        tokens = x.reshape(*x.shape[:2], -1)  # (N, C, H·W)
        energy = torch.bmm(tokens, tokens.permute(0, 2, 1))  # (N, C, C)
        if self.energy == "minus":
            energy = torch.max(energy, dim=-1, keepdim=True)[0].expand_as(energy) - energy
        return torch.bmm(torch.softmax(energy, dim=-1), tokens)
