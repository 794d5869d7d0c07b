"""SCConv and SCBottleneck as published: two separate first 1×1 convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TIMED = ({"part": "bottleneck"},)  # the code of the convolution would be the same


class _SCConv(nn.Module):
    def __init__(self, channels: int, stride: int, pooling_r: int) -> None:
        super().__init__()
        self.k2 = nn.Sequential(
            nn.AvgPool2d(pooling_r, stride=pooling_r), *_normalised(channels, channels, 3)
        )
        self.k3 = _normalised(channels, channels, 3)
        self.k4 = _normalised(channels, channels, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/s, W/s)."""
        gate = torch.sigmoid(x + F.interpolate(self.k2(x), x.shape[2:]))
        return self.k4(self.k3(x) * gate)


class _SCBottleneck(nn.Module):
    def __init__(self, channels: int, stride: int, pooling_r: int) -> None:
        super().__init__()
        planes = channels // 4 if stride == 1 else channels // 2
        half = planes // 2
        self.conv1_a = nn.Conv2d(channels, half, 1, bias=False)
        self.bn1_a = nn.BatchNorm2d(half)
        self.conv1_b = nn.Conv2d(channels, half, 1, bias=False)
        self.bn1_b = nn.BatchNorm2d(half)
        self.k1 = _normalised(half, half, 3, stride)
        self.scconv = _SCConv(half, stride, pooling_r)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = (
            nn.Identity() if stride == 1 else _normalised(channels, 4 * planes, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, or (N, 2C, H/2, W/2) at stride 2."""
        a = torch.relu(self.bn1_a(self.conv1_a(x)))
        b = torch.relu(self.bn1_b(self.conv1_b(x)))
        a, b = torch.relu(self.k1(a)), torch.relu(self.scconv(b))
        y = self.bn3(self.conv3(torch.cat([a, b], dim=1)))
        return torch.relu(y + self.downsample(x))


class Published(nn.Module):
    """Part `conv` or `bottleneck`; the state dict has the published keys without a prefix."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        part: str = "conv",
        stride: int = 1,
        pooling_r: int = 4,
    ) -> None:
        super().__init__()
        del size
        kind = _SCConv if part == "conv" else _SCBottleneck
        for name, module in kind(channels, stride, pooling_r).named_children():
            self.add_module(name, module)
        self.compute = kind.forward

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> what the part gives."""
        return self.compute(self, x)


def _normalised(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )
