"""The non-local block as published: three convolutions and the affinity of all pairs."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W), under the published keys."""

    def __init__(
        self, channels: int, size: tuple[int, int], inner: int | None = 1, mode: str = "dot"
    ) -> None:
        super().__init__()
        del size
        self.mode = mode
        self.inner = channels // 2 if inner is None else inner
        self.g = nn.Conv2d(channels, self.inner, 1)
        self.W = nn.Sequential(nn.Conv2d(self.inner, channels, 1), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.W[1].weight)
        self.theta = nn.Conv2d(channels, self.inner, 1)
        self.phi = nn.Conv2d(channels, self.inner, 1)

    def forward(self, x: Tensor) -> Tensor:
        """All pairs of positions, then the weighted sum, then the projection."""
        batch = x.shape[0]
        g = self.g(x).view(batch, self.inner, -1).permute(0, 2, 1)  # (N, H·W, d)
        theta = self.theta(x).view(batch, self.inner, -1).permute(0, 2, 1)
        phi = self.phi(x).view(batch, self.inner, -1)  # (N, d, H·W)
        affinity = torch.matmul(theta, phi)  # (N, H·W, H·W)
        if self.mode == "softmax":
            weights = torch.softmax(affinity, dim=-1)
        else:
            weights = affinity / affinity.shape[-1]
        y = torch.matmul(weights, g).permute(0, 2, 1).contiguous()
        return self.W(y.view(batch, self.inner, *x.shape[2:])) + x
