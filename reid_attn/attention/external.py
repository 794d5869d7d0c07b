"""External attention, EA (Guo et al., TPAMI 2022, arXiv 2105.02358).

Positions x_i ∈ R^C, i = 1..N, N = H·W, are compared with S learnt memories of the whole data set
instead of with each other:

    A = M_k X                           ∈ R^{S×N}
    A ← softmax over the positions, then each position divided by its sum over the S memories
    out = M_v A                         ∈ R^{C×N}

M_k and M_v have no bias and start from N(0, 0.001²). Cost 2·S·C·N multiply-adds, linear in N, and
2·S·C parameters.

Place: none in a ResNet; its networks stand a 1×1 convolution on either side of it and add the
input. Here it stands in the head, with `residual=True`, without the convolutions.
Differences: the names of the published weights are not known here, so `convert_official` takes
`mk.weight` and `mv.weight`. The double normalisation follows the formula, not a multi-head form.
Doubts: the formula does not add the input, and its output starts near 0: without `residual` the
block hides the map until it is trained.
"""

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._block import Block, Place
from ._precision import widened


class External(Block):
    """External attention, (N, C, H, W) -> the same.

    Args:
        channels: C.
        memories: S.
        residual: add the input, as the paper's networks do around the block.
    """

    published = (Place("head", options={"residual": True}),)
    variants = ({"memories": 16}, {"residual": True})

    def __init__(self, channels: int, memories: int = 64, residual: bool = False) -> None:
        super().__init__()
        if memories < 1:
            raise UsageError(f"external got memories={memories}: give it 1 or more")
        self.residual = residual
        self.mk = nn.Conv2d(channels, memories, kernel_size=1, bias=False)
        self.mv = nn.Conv2d(memories, channels, kernel_size=1, bias=False)
        nn.init.normal_(self.mk.weight, std=0.001)
        nn.init.normal_(self.mv.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        energy = self.mk(x)  # (N, S, H, W)
        # Dividing by the sum over memories is a softmax of logarithms, which never divides by 0.
        shares = torch.log_softmax(widened(energy).flatten(2), dim=2).softmax(dim=1)
        out: Tensor = self.mv(shares.to(energy.dtype).view(energy.shape))
        return x + out if self.residual else out


def parameter_count(channels: int, size: tuple[int, int], memories: int = 64) -> int:
    """Trainable parameters: 2·S·C."""
    del size  # fits every map
    return 2 * memories * channels
