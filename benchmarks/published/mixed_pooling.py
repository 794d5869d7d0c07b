"""The mixed pooling module as published: every branch, strips too, resized with aligned corners."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Published(nn.Module):
    """`conv1_1` feeds the pyramid (`conv2_0` to `conv2_2`), `conv1_2` the strips."""

    def __init__(
        self, channels: int, size: tuple[int, int], pool: tuple[int, int] = (20, 12)
    ) -> None:
        super().__init__()
        del size
        inner = channels // 4
        self.pool1 = nn.AdaptiveAvgPool2d(pool[0])
        self.pool2 = nn.AdaptiveAvgPool2d(pool[1])
        self.pool3 = nn.AdaptiveAvgPool2d((1, None))
        self.pool4 = nn.AdaptiveAvgPool2d((None, 1))
        self.conv1_1 = _normalised(channels, inner, (1, 1), relu=True)
        self.conv1_2 = _normalised(channels, inner, (1, 1), relu=True)
        self.conv2_0 = _normalised(inner, inner, (3, 3))
        self.conv2_1 = _normalised(inner, inner, (3, 3))
        self.conv2_2 = _normalised(inner, inner, (3, 3))
        self.conv2_3 = _normalised(inner, inner, (1, 3))
        self.conv2_4 = _normalised(inner, inner, (3, 1))
        self.conv2_5 = _normalised(inner, inner, (3, 3), relu=True)
        self.conv2_6 = _normalised(inner, inner, (3, 3), relu=True)
        self.conv3 = _normalised(2 * inner, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        p, s = self.conv1_1(x), self.conv1_2(x)
        whole = self.conv2_0(p)
        first = _resized(self.conv2_1(self.pool1(p)), x)
        second = _resized(self.conv2_2(self.pool2(p)), x)
        columns = _resized(self.conv2_3(self.pool3(s)), x)
        rows = _resized(self.conv2_4(self.pool4(s)), x)
        pyramid = self.conv2_5(torch.relu(whole + first + second))
        strips = self.conv2_6(torch.relu(rows + columns))
        return torch.relu(x + self.conv3(torch.cat([pyramid, strips], dim=1)))


def _resized(y: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=True)


def _normalised(
    inputs: int, outputs: int, kernel: tuple[int, int], relu: bool = False
) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    layers = [
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)
