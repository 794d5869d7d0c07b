"""The first norm of a bottleneck in IBN-Net-a (Pan et al., ECCV 2018, arXiv 1807.09441)."""

import torch
from torch import Tensor, nn


class InstanceBatchNorm(nn.Module):
    """Instance norm of the first half of the channels, batch norm of the rest.

    The instance norm takes away what distinguishes pictures as a whole, such as a camera's
    colours; the batch norm keeps it for the other half. Names are those of the published weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.IN = nn.InstanceNorm2d(half, affine=True)
        self.BN = nn.BatchNorm2d(channels - half)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        half = self.IN.num_features
        return torch.cat((self.IN(x[:, :half]), self.BN(x[:, half:])), dim=1)
