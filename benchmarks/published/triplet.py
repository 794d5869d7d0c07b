"""Triplet attention as published: three permuted copies of the map, each gated, then averaged."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """Triplet attention with keys `cw`, `hc`, `hw`, each `conv.conv` and `conv.bn`."""

    def __init__(
        self, channels: int, size: tuple[int, int], kernel: int = 7, no_spatial: bool = False
    ) -> None:
        super().__init__()
        del channels, size
        self.cw, self.hc = _Gate(kernel), _Gate(kernel)
        self.hw = None if no_spatial else _Gate(kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        by_width = self.cw(x.permute(0, 2, 1, 3).contiguous()).permute(0, 2, 1, 3).contiguous()
        by_height = self.hc(x.permute(0, 3, 2, 1).contiguous()).permute(0, 3, 2, 1).contiguous()
        if self.hw is None:
            return 1 / 2 * (by_width + by_height)
        return 1 / 3 * (self.hw(x) + by_width + by_height)


class _Gate(nn.Module):
    """Gates every slice along the first axis after the batch."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv", nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False))
        self.conv.add_module("bn", nn.BatchNorm2d(1, momentum=0.01))

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.max(1, keepdim=True)[0], x.mean(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))
