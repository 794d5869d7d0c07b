"""Efficient channel attention, ECA (Wang et al., CVPR 2020, arXiv 1910.03151).

    z = mean over positions of x                                     ∈ R^C
    s = σ(w ∗ z), zero padding, no bias, w ∈ R^k along the channels  ∈ (0, 1)^C
    y = s · x

k is |log2(C)/2 + 1/2| cut to a whole number and raised to the next odd one: 5 for C = 256, 512 and
1024, 7 for 2048.
Cost: k parameters, kC multiply-adds and one pass over the map. Place: in every bottleneck after
bn3, before the sum. The published code sets k by hand for each stage; its block is the same.
Doubts: neighbouring channels have no order before training; the kernel gives them one.
"""

import math

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._block import Block, Place


class ECA(Block):
    """One gate a channel, from the means of its k neighbours.

    Args:
        channels: C of the map.
        kernel: k, odd; None derives it from C.

    Raises:
        UsageError: the kernel is not an odd number from 1 up.
    """

    published = (Place("residual"),)
    variants = ({"kernel": 7},)

    def __init__(self, channels: int, kernel: int | None = None) -> None:
        super().__init__()
        width = _kernel(channels) if kernel is None else kernel
        if width < 1 or width % 2 == 0:
            raise UsageError(f"eca cannot centre a kernel of {width}: give an odd number from 1 up")
        self.conv = nn.Conv1d(1, 1, width, padding=width // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 1, 1) in (0, 1)."""
        pooled = x.mean(dim=(2, 3))[:, None]  # (N, 1, C)
        gate = torch.sigmoid(self.conv(pooled)).to(x.dtype)
        return gate.mT[..., None]


def _kernel(channels: int) -> int:
    width = int(abs(math.log2(channels) / 2 + 1 / 2))
    return width if width % 2 else width + 1


def parameter_count(channels: int, size: tuple[int, int], kernel: int | None = None) -> int:
    """Trainable parameters: the k weights of the kernel."""
    del size
    return _kernel(channels) if kernel is None else kernel
