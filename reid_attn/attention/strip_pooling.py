"""Strip pooling module, SPM (Hou et al., CVPR 2020, arXiv 2003.13328).

    a    = BN(3×1 convolution of the mean over W)                ∈ R^{C×H×1}
    b    = BN(1×3 convolution of the mean over H)                ∈ R^{C×1×W}
    gate = σ(1×1 with bias (ReLU(a + b)))                        ∈ (0, 1)^{C×H×W}
    out  = x ⊙ gate

a + b broadcasts; the other convolutions are without bias.

Cost: 7C² + 5C parameters and C²(3H + 3W + HW) multiply-adds. Place: inside the bottleneck, after
bn2 and ReLU and before conv3, where C is a quarter of the stage's width: in the last bottleneck of
stages 1 to 3 and in each of stage 4. There it costs 29k to 1.84M parameters and 0.02 to 0.1 GFLOP;
after conv3 it would be 460k to 29.4M.
What published code does differently: it expands a and b to whole maps before adding them.
Doubts: the gate is near σ(0) = 1/2 at the start, so the block halves its map. The paper reports
scene parsing only, where strips cross many objects; a re-ID crop holds one upright person.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ._block import Block, Place
from ._norms import refuse_lone_value


class StripPooling(Block):
    """A gate for each position and channel, from the means of its row and of its column.

    Args:
        channels: C of the map.
    """

    kind = "map"
    published = (
        Place("bn2", stages=(1, 2, 3), blocks="last"),
        Place("bn2", stages=(4,)),
    )

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rows = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=(3, 1), padding=(1, 0), bias=False),
            nn.BatchNorm2d(channels),
        )
        self.columns = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=(1, 3), padding=(0, 1), bias=False),
            nn.BatchNorm2d(channels),
        )
        self.mix = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same; MismatchError when there is nothing to normalise over."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the gate in (0, 1), of the same shape."""
        refuse_lone_value("strip_pooling", self.rows[1], x.shape[0] * min(x.shape[2:]))
        rows = self.rows(x.mean(dim=3, keepdim=True))  # (N, C, H, 1)
        columns = self.columns(x.mean(dim=2, keepdim=True))  # (N, C, 1, W)
        return torch.sigmoid_(self.mix(torch.relu_(rows + columns)))

    def official_modules(self) -> Mapping[str, str]:
        """Our modules -> those of the published SPBlock."""
        return {
            "rows.0": "conv1",
            "rows.1": "bn1",
            "columns.0": "conv2",
            "columns.1": "bn2",
            "mix": "conv3",
        }


def parameter_count(channels: int, size: tuple[int, int]) -> int:
    """7C² + 5C, for maps of any size."""
    del size
    return 7 * channels**2 + 5 * channels
