"""RGA with its n×n affinities made and stacked, as published."""

import torch
from torch import Tensor, nn

TIMED = ({}, {"channel": False}, {"spatial": False})


class Published(nn.Module):
    """The spatial gate, the channel gate on the map it leaves, or one of them."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        spatial: bool = True,
        channel: bool = True,
        cha_ratio: int = 8,
        spa_ratio: int = 8,
        down_ratio: int = 8,
    ) -> None:
        super().__init__()
        self.branches = ["spatial"] * spatial + ["channel"] * channel
        positions = size[0] * size[1]
        by_channels, by_positions = channels // cha_ratio, positions // spa_ratio
        for branch, features, tokens, embedded, related in (
            ("spatial", channels, positions, by_channels, by_positions),
            ("channel", positions, channels, by_positions, by_channels),
        ):
            if branch in self.branches:
                hidden = (1 + related) // down_ratio
                for name, inputs, outputs in (
                    ("gx", features, embedded),
                    ("theta", features, embedded),
                    ("phi", features, embedded),
                    ("gg", 2 * tokens, related),
                ):
                    setattr(self, f"{name}_{branch}", embedding(inputs, outputs))
                gate = [*embedding(1 + related, hidden), *embedding(hidden, 1)[:2]]
                setattr(self, f"W_{branch}", nn.Sequential(*gate))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if "spatial" in self.branches:
            height, width = x.shape[2:]
            affinity = self.affinity("spatial", x)  # (N, n, n)
            rows = affinity.permute(0, 2, 1).unflatten(2, (height, width))
            columns = affinity.unflatten(2, (height, width))
            gate = self.gate("spatial", x, torch.cat([rows, columns], dim=1))  # (N, 1, H, W)
            x = torch.sigmoid(gate.expand_as(x)) * x
        if "channel" in self.branches:
            tokens = x.flatten(2).permute(0, 2, 1).unsqueeze(3)  # (N, HW, C, 1)
            affinity = self.affinity("channel", tokens)
            stacked = torch.cat([affinity.permute(0, 2, 1), affinity], dim=1).unsqueeze(3)
            gate = self.gate("channel", tokens, stacked)  # (N, 1, C, 1)
            x = torch.sigmoid(gate.transpose(1, 2).expand_as(x)) * x
        return x

    def affinity(self, branch: str, tokens: Tensor) -> Tensor:
        """Tokens (N, F, …) of n positions -> (N, n, n)."""
        theta = self.get_submodule(f"theta_{branch}")(tokens).flatten(2)
        phi = self.get_submodule(f"phi_{branch}")(tokens).flatten(2)
        return theta.permute(0, 2, 1) @ phi

    def gate(self, branch: str, tokens: Tensor, stacked: Tensor) -> Tensor:
        """Tokens (N, F, …) and their relations (N, 2n, …) -> (N, 1, …)."""
        own = self.get_submodule(f"gx_{branch}")(tokens).mean(dim=1, keepdim=True)
        related = self.get_submodule(f"gg_{branch}")(stacked)
        gate: Tensor = self.get_submodule(f"W_{branch}")(torch.cat([own, related], dim=1))
        return gate


def embedding(inputs: int, outputs: int) -> nn.Sequential:
    """1×1 without bias, norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
