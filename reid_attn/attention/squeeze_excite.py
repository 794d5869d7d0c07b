"""Squeeze-and-excitation, SE (Hu et al., CVPR 2018, arXiv 1709.01507).

    z = mean over positions of x                    ∈ R^C
    s = σ(W2 ReLU(W1 z + b1) + b2),  h = C/16       ∈ (0, 1)^C,  W1 ∈ R^{h×C}, W2 ∈ R^{C×h}
    y = s · x

Cost: 2Ch + h + C parameters, O(Ch) multiply-adds and one pass over the map; nothing but vectors is
kept for backward beside x. Place: in every bottleneck after bn3, before the sum.
Differences: the published network is Caffe and has both biases; common PyTorch copies drop them,
and their weights do not load here. h is at least 1, for narrow maps. Published weights are read
under the names `fc1`, `fc2` of the channel SE by the authors of scSE, the same mathematics.
Doubts: at the start the gate is about 1/2, so each of the 16 branches is halved.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ._block import Block, Place
from ._excite import Excitation, excitation_count


class SqueezeExcite(Block):
    """One gate a channel, from the means of all channels.

    Args:
        channels: C of the map.
        reduction: C / hidden width.
    """

    published = (Place("residual"),)
    variants = ({"reduction": 4},)

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.excite = Excitation(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 1, 1) in (0, 1)."""
        gate = torch.sigmoid(self.excite(x.mean(dim=(2, 3))))
        return gate.to(x.dtype)[..., None, None]

    def official_modules(self) -> Mapping[str, str]:
        """Our module -> the published one."""
        return {"excite.reduce": "fc1", "excite.expand": "fc2"}


def parameter_count(channels: int, size: tuple[int, int], reduction: int = 16) -> int:
    """Trainable parameters: 2Ch + h + C with h = C/r."""
    del size
    return excitation_count(channels, reduction)
