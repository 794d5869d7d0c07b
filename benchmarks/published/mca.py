"""Multidimensional collaborative attention as published: one permuted and gated copy per axis."""

import math

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """MCA with keys `h_cw`, `w_hc`, `c_hw`, each `weight` and `conv`."""

    def __init__(self, channels: int, size: tuple[int, int], no_spatial: bool = False) -> None:
        super().__init__()
        del size
        self.h_cw, self.w_hc = _Gate(3), _Gate(3)
        self.c_hw = None
        if not no_spatial:
            kernel = round(abs((math.log2(channels) - 1) / 1.5))
            self.c_hw = _Gate(kernel if kernel % 2 else kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        by_height = self.h_cw(x.permute(0, 2, 1, 3).contiguous())
        by_height = by_height.permute(0, 2, 1, 3).contiguous()
        by_width = self.w_hc(x.permute(0, 3, 2, 1).contiguous())
        by_width = by_width.permute(0, 3, 2, 1).contiguous()
        if self.c_hw is None:
            return 1 / 2 * (by_height + by_width)
        return 1 / 3 * (self.c_hw(x) + by_height + by_width)


class _Gate(nn.Module):
    """Gates the first axis after the batch."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2))
        self.conv = nn.Conv2d(1, 1, (1, kernel), padding=(0, kernel // 2), bias=False)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.pool(x)
        deviation = x.flatten(2).std(dim=2, keepdim=True).unsqueeze(3)
        weight = torch.sigmoid(self.weight)
        mixed = 1 / 2 * (mean + deviation) + weight[0] * mean + weight[1] * deviation
        rows = mixed.permute(0, 3, 2, 1).contiguous()  # (N, 1, 1, length)
        gate = torch.sigmoid(self.conv(rows).permute(0, 3, 2, 1).contiguous())
        return x * gate.expand_as(x)
