"""CBAM as published: pools by windows as large as the map, each through the MLP, gates expanded."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W)."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        reduction: int = 16,
        kernel: int = 7,
        no_spatial: bool = False,
        pools: Sequence[str] = ("avg", "max"),
    ) -> None:
        super().__init__()
        del size
        self.ChannelGate = ChannelGate(channels, channels // reduction, pools)
        self.SpatialGate = nn.Identity() if no_spatial else SpatialGate(kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Channels, then positions."""
        out: Tensor = self.SpatialGate(self.ChannelGate(x))
        return out


class ChannelGate(nn.Module):
    """A gate for each channel, applied."""

    def __init__(self, channels: int, hidden: int, pools: Sequence[str]) -> None:
        super().__init__()
        self.pools = pools
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        attention: Tensor = sum(self.mlp(pooled(x, pool)) for pool in self.pools)
        return x * torch.sigmoid(attention)[:, :, None, None].expand_as(x)


def pooled(x: Tensor, pool: str) -> Tensor:
    """(N, C, H, W) -> (N, C, 1, 1)."""
    window = (x.shape[2], x.shape[3])
    if pool == "avg":
        return functional.avg_pool2d(x, window, stride=window)
    if pool == "max":
        return functional.max_pool2d(x, window, stride=window)
    if pool == "lp":
        return functional.lp_pool2d(x, 2, window, stride=window)
    flat = x.flatten(2)
    peak = flat.max(dim=2, keepdim=True).values
    return (peak + (flat - peak).exp().sum(dim=2, keepdim=True).log())[..., None]


class SpatialGate(nn.Module):
    """A gate for each position, applied."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        norm = nn.BatchNorm2d(1, momentum=0.01)
        self.spatial = nn.Sequential(OrderedDict(conv=conv, bn=norm))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        maximum, mean = x.max(dim=1).values.unsqueeze(1), x.mean(dim=1).unsqueeze(1)
        return x * torch.sigmoid(self.spatial(torch.cat([maximum, mean], dim=1)))
