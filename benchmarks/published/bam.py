"""BAM as published, but for its pool over the whole map: both branches expanded, 1 + σ made."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d


class Published(nn.Module):
    """(N, C, H, W) -> (N, C, H, W)."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        reduction: int = 16,
        dilation: int = 4,
        fusion: Literal["sum", "mul"] = "sum",
    ) -> None:
        super().__init__()
        del size
        self.fusion = fusion
        width = channels // reduction
        channel = OrderedDict(
            flatten=nn.Flatten(),
            gate_c_fc_0=nn.Linear(channels, width),
            gate_c_bn_1=nn.BatchNorm1d(width),
            gate_c_relu_1=nn.ReLU(),
            gate_c_fc_final=nn.Linear(width, channels),
        )
        self.channel_att = nn.Sequential(OrderedDict(gate_c=nn.Sequential(channel)))
        spatial = OrderedDict(
            gate_s_conv_reduce0=nn.Conv2d(channels, width, kernel_size=1),
            gate_s_bn_reduce0=nn.BatchNorm2d(width),
            gate_s_relu_reduce0=nn.ReLU(),
        )
        for layer in (0, 1):
            spatial[f"gate_s_conv_di_{layer}"] = nn.Conv2d(
                width, width, kernel_size=3, padding=dilation, dilation=dilation
            )
            spatial[f"gate_s_bn_di_{layer}"] = nn.BatchNorm2d(width)
            spatial[f"gate_s_relu_di_{layer}"] = nn.ReLU()
        spatial["gate_s_conv_final"] = nn.Conv2d(width, 1, kernel_size=1)
        self.spatial_att = nn.Sequential(OrderedDict(gate_s=nn.Sequential(spatial)))

    def forward(self, x: Tensor) -> Tensor:
        """Gates from 1 to 2."""
        window = (x.shape[2], x.shape[3])
        channel = self.channel_att(avg_pool2d(x, window, stride=window))
        wide_channel = channel[:, :, None, None].expand_as(x)
        wide_spatial = self.spatial_att(x).expand_as(x)
        fused = wide_channel + wide_spatial if self.fusion == "sum" else wide_channel * wide_spatial
        return (1 + torch.sigmoid(fused)) * x
