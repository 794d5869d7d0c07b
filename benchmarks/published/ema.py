"""Efficient multi-scale attention as published: groups folded into the batch, both maps made."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """EMA with keys `gn`, `conv1x1`, `conv3x3`."""

    def __init__(self, channels: int, size: tuple[int, int], groups: int = 32) -> None:
        super().__init__()
        del size
        width = channels // groups
        self.groups = groups
        self.gn = nn.GroupNorm(width, width)
        self.conv1x1 = nn.Conv2d(width, width, 1)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1)
        self.pool_h = nn.AdaptiveAvgPool2d((None, 1))
        self.pool_w = nn.AdaptiveAvgPool2d((1, None))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        height, width = x.shape[2:]
        folded = x.reshape(len(x) * self.groups, -1, height, width)
        columns = self.pool_w(folded).permute(0, 1, 3, 2)
        strips = self.conv1x1(torch.cat([self.pool_h(folded), columns], dim=2))
        by_row, by_column = strips.split([height, width], dim=2)
        gated = folded * by_row.sigmoid() * by_column.permute(0, 1, 3, 2).sigmoid()
        p, q = self.gn(gated), self.conv3x3(folded)
        crossed = self._weights(p) @ q.flatten(2) + self._weights(q) @ p.flatten(2)
        gate = crossed.reshape(-1, 1, height, width).sigmoid()
        return (folded * gate).reshape(x.shape)

    def _weights(self, maps: Tensor) -> Tensor:
        return torch.softmax(self.pool(maps).flatten(1), dim=1).unsqueeze(1)
