"""From the last map to one vector: average and generalised-mean pooling."""

import torch
from torch import Tensor, nn


class AveragePooling(nn.Module):
    """Mean over the positions, (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return x.mean(dim=(2, 3))


class GeMPooling(nn.Module):
    """Generalised mean (Radenović et al., TPAMI 2019, arXiv 1711.02512, eq. 3): (mean x^p)^(1/p).

    One learned exponent, 3 at the start. Values below `epsilon` are raised to it, so that the
    power has a gradient; computed in float32 at least.
    """

    def __init__(self, exponent: float = 3.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            powers = wide.clamp(min=self.epsilon).pow(self.exponent)
            return powers.mean(dim=(2, 3)).pow(1 / self.exponent)
