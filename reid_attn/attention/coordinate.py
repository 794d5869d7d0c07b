"""Coordinate attention (Hou et al., CVPR 2021, arXiv 2103.02907).

    z = [mean_W x | mean_H x]                          ∈ R^{C×(H+W)}
    f = h-swish(BN(1×1 C→m (z))) = [f_h | f_w]         ∈ R^{m×(H+W)},   m = max(8, C // reduction)
    y = x · σ(1×1 m→C (f_h)) · σ(1×1 m→C (f_w))        C×H and C×W, broadcast

Every convolution has a bias. 3Cm + 2C + 3m parameters whatever the map's size; almost no FLOPs.

Place: the paper's network is MobileNetV2, after the depth-wise convolution. In a ResNet-50 we put
it, as other blocks of its kind, in every bottleneck after bn3, before the sum; slot `bn2` is
nearer to the paper and cheaper.
Differences from the published code: means instead of adaptive pools, no transposed copies of the
map, one product of the two gates. The usual formula writes one letter for h-swish and sigmoid.
Doubts: in training the norm mixes rows and columns of all pictures into one statistic.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ._block import Block, Place
from ._layout import in_layout_of


class Coordinate(Block):
    """The map times a gate for each channel and row and one for each channel and column.

    Args:
        channels: C of the map.
        reduction: C / m, as far as m is at least 8.

    Raises:
        UsageError: a reduction below 1.
    """

    published = (Place("residual"),)
    variants = ({"reduction": 2},)
    without_gradient = ("reduce.bias",)  # the norm subtracts it

    def __init__(self, channels: int, reduction: int = 32) -> None:
        super().__init__()
        if reduction < 1:
            raise UsageError(f"reduction of coordinate is {reduction}: take a number from 1 up")
        hidden = _hidden(channels, reduction)
        self.reduce = nn.Conv1d(channels, hidden, kernel_size=1)
        self.norm = nn.BatchNorm1d(hidden)
        self.by_row = nn.Conv1d(hidden, channels, kernel_size=1)
        self.by_column = nn.Conv1d(hidden, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """The product of the two gates (N, C, H, W)."""
        strips = torch.cat([x.mean(dim=3), x.mean(dim=2)], dim=2)  # (N, C, H + W)
        hidden = functional.hardswish(self.norm(self.reduce(strips)))
        height = x.shape[2]
        by_row = torch.sigmoid(self.by_row(hidden[..., :height])).unsqueeze(3)  # (N, C, H, 1)
        by_column = torch.sigmoid(self.by_column(hidden[..., height:])).unsqueeze(2)
        return in_layout_of(x, torch.mul, by_row, by_column)

    def official_modules(self) -> Mapping[str, str]:
        """Published: conv1, bn1, conv_h, conv_w."""
        return {"reduce": "conv1", "norm": "bn1", "by_row": "conv_h", "by_column": "conv_w"}


def _hidden(channels: int, reduction: int) -> int:
    return max(8, channels // reduction)


def parameter_count(channels: int, size: tuple[int, int], reduction: int = 32) -> int:
    """3Cm + 2C + 3m."""
    del size
    hidden = _hidden(channels, reduction)
    return 3 * channels * hidden + 2 * channels + 3 * hidden
