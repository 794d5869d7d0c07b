"""The strip pooling module as published: strips expanded to whole maps before they are added."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """`gate` is what the published module returns; its bottleneck multiplies, here `forward`."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        del size
        self.over_width = nn.AdaptiveAvgPool2d((None, 1))
        self.over_height = nn.AdaptiveAvgPool2d((1, None))
        self.conv1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1), bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (0, 1) of the same shape."""
        height, width = x.shape[2:]
        rows = self.bn1(self.conv1(self.over_width(x))).expand(-1, -1, height, width)
        columns = self.bn2(self.conv2(self.over_height(x))).expand(-1, -1, height, width)
        return torch.sigmoid(self.conv3(torch.relu(rows + columns)))
