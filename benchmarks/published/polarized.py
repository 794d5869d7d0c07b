"""Polarized self-attention as published: every projection is a 1×1 convolution of the whole map."""

import torch
from torch import Tensor, nn


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W), under the published keys."""

    def __init__(self, channels: int, size: tuple[int, int], variant: str = "official_p") -> None:
        super().__init__()
        del size
        self.variant = variant
        inner = channels // 2
        self.conv_q_right = nn.Conv2d(channels, 1, 1, bias=False)
        self.conv_v_right = nn.Conv2d(channels, inner, 1, bias=False)
        self.conv_up = self._up(channels, inner)
        self.conv_q_left = nn.Conv2d(channels, inner, 1, bias=False)
        self.conv_v_left = nn.Conv2d(channels, inner, 1, bias=False)

    def _up(self, channels: int, inner: int) -> nn.Module:
        if self.variant == "official_p":
            return nn.Conv2d(inner, channels, 1, bias=False)
        if self.variant == "official_s":
            hidden = max(channels // 8, 1)
            return nn.Sequential(
                nn.Conv2d(inner, hidden, 1),
                nn.LayerNorm([hidden, 1, 1]),
                nn.ReLU(),
                nn.Conv2d(hidden, channels, 1),
            )
        return nn.Sequential(
            nn.Conv2d(inner, channels, 1, bias=False), nn.LayerNorm([channels, 1, 1])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Both gates beside each other, or one after the other."""
        if self.variant.endswith("_p"):
            return self._channel(x) + self._spatial(x)
        return self._spatial(self._channel(x))

    def _channel(self, x: Tensor) -> Tensor:
        value = self.conv_v_right(x).flatten(2)  # (N, C/2, H·W)
        weights = torch.softmax(self.conv_q_right(x).flatten(2), dim=2)  # (N, 1, H·W)
        context = torch.matmul(value, weights.transpose(1, 2)).unsqueeze(-1)  # (N, C/2, 1, 1)
        return x * torch.sigmoid(self.conv_up(context))

    def _spatial(self, x: Tensor) -> Tensor:
        query = nn.functional.adaptive_avg_pool2d(self.conv_q_left(x), 1).flatten(2)
        value = self.conv_v_left(x).flatten(2)
        if self.variant == "official_p":
            logits = torch.softmax(torch.matmul(query.transpose(1, 2), value), dim=2)
        elif self.variant == "official_s":
            logits = torch.matmul(query.transpose(1, 2), torch.softmax(value, dim=2))
        else:
            logits = torch.matmul(torch.softmax(query, dim=1).transpose(1, 2), value)
        return x * torch.sigmoid(logits.view(x.shape[0], 1, *x.shape[2:]))
