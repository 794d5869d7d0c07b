"""Bottleneck attention module, BAM (Park et al., BMVC 2018, arXiv 1807.06514).

With d = C/16, on x ∈ R^{C×H×W}; every layer has a bias:

    c = Linear d→C (ReLU(BN(Linear C→d (mean over positions of x))))             ∈ R^C
    p = 1×1 d→1 (2 × [3×3 d→d, dilation 4, BN, ReLU] (ReLU(BN(1×1 C→d (x)))))    ∈ R^{H×W}
    y = x · (1 + σ(c + p)),  by broadcasting

Cost: 3Cd + 18d² + 13d + C + 1 parameters, (Cd + 18d² + d)·H·W multiply-adds, two full maps kept for
backward. Place: after layer1, layer2 and layer3, not layer4: at 16×8 the dilated field of 17
positions is mostly padding.
Differences: the published file cannot run (an undefined name), multiplies the two branches where
the paper adds them, and pools with an H×H window, which fits square maps only. Here the sum is the
default and `fusion: mul` fits weights trained with the published code; the pool is over the whole
map. The paper has one more norm after the last layer of each branch; as in the published code,
there is none here.
Doubts: the norm of c sees one value a picture, so its statistics are those of a few numbers.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._block import Block, Place
from ._excite import hidden_width
from ._layout import in_layout_of
from ._norms import refuse_lone_value


class BAM(Block):
    """One gate from 1 to 2 for each value, from its channel and its position.

    Args:
        channels: C of the map.
        reduction: C / d.
        dilation: of the two 3×3 convolutions.
        fusion: the paper's sum of the two branches or the published code's product (mul).

    Raises:
        UsageError: a dilation under 1.
    """

    published = (Place("stage", stages=(1, 2, 3)),)
    variants = ({"reduction": 4}, {"dilation": 2}, {"fusion": "mul"})
    # biases before a norm
    without_gradient = ("channel.0.bias", "spatial.0.bias", "spatial.3.bias", "spatial.6.bias")

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        dilation: int = 4,
        fusion: Literal["sum", "mul"] = "sum",
    ) -> None:
        super().__init__()
        if dilation < 1:
            raise UsageError(f"bam cannot dilate by {dilation}: give a whole number from 1 up")
        width = hidden_width(channels, reduction)
        self.fusion = fusion
        self.channel = nn.Sequential(
            nn.Linear(channels, width),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, channels),
        )
        self.spatial = nn.Sequential(
            *_normed(nn.Conv2d(channels, width, 1)),
            *_normed(nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)),
            *_normed(nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); MismatchError in training with one picture."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, from 1 to 2."""
        refuse_lone_value("bam", self.channel[1], x.shape[0])
        channel = self.channel(x.mean(dim=(2, 3)))[..., None, None]  # (N, C, 1, 1)
        spatial = self.spatial(x)  # (N, 1, H, W)
        fuse = torch.add if self.fusion == "sum" else torch.mul
        return 1 + torch.sigmoid(in_layout_of(x, fuse, channel, spatial)).to(x.dtype)

    def official_modules(self) -> Mapping[str, str]:
        """Our module -> the published one."""
        channel = {"0": "fc_0", "1": "bn_1", "3": "fc_final"}
        spatial = {
            "0": "conv_reduce0",
            "1": "bn_reduce0",
            "3": "conv_di_0",
            "4": "bn_di_0",
            "6": "conv_di_1",
            "7": "bn_di_1",
            "9": "conv_final",
        }
        return {
            **{f"channel.{k}": f"channel_att.gate_c.gate_c_{v}" for k, v in channel.items()},
            **{f"spatial.{k}": f"spatial_att.gate_s.gate_s_{v}" for k, v in spatial.items()},
        }


def _normed(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)


def parameter_count(channels: int, size: tuple[int, int], reduction: int = 16) -> int:
    """Trainable parameters: 2Cd + 3d + C, and Cd + 3d + 2(9d² + 3d) + d + 1 of the positions."""
    del size
    d = hidden_width(channels, reduction)
    return (2 * channels * d + 3 * d + channels) + (channels * d + 18 * d**2 + 10 * d + 1)
