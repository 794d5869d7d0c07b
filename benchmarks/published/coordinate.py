"""Coordinate attention as published: adaptive pools, transposed strips, h-swish by hand."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Published(nn.Module):
    """Coordinate attention with keys `conv1`, `bn1`, `conv_h`, `conv_w`."""

    def __init__(self, channels: int, size: tuple[int, int], reduction: int = 32) -> None:
        super().__init__()
        del size
        hidden = max(8, channels // reduction)
        self.pool_h = nn.AdaptiveAvgPool2d((None, 1))
        self.pool_w = nn.AdaptiveAvgPool2d((1, None))
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_h = nn.Conv2d(hidden, channels, 1)
        self.conv_w = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        height, width = x.shape[2:]
        columns = self.pool_w(x).permute(0, 1, 3, 2)
        hidden = self.bn1(self.conv1(torch.cat([self.pool_h(x), columns], dim=2)))
        hidden = hidden * (functional.relu6(hidden + 3) / 6)
        rows, columns = hidden.split([height, width], dim=2)
        by_row = self.conv_h(rows).sigmoid()
        by_column = self.conv_w(columns.permute(0, 1, 3, 2)).sigmoid()
        return x * by_column * by_row
