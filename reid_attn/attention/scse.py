"""Concurrent spatial and channel squeeze and excitation, scSE (Roy, Navab, Wachinger, MICCAI 2018,
arXiv 1803.02579; fusions: IEEE TMI 2019, arXiv 1808.08127).

    c = σ(W2 ReLU(W1 mean over positions of x + b1) + b2)    ∈ (0, 1)^C, hidden width C/2   (cSE)
    s = σ(1×1 C→1 (x))                                       ∈ (0, 1)^{H×W}                 (sSE)
    y = max(c x, s x)  |  (c + s) x  |  (c x)(s x)  |  1×1 2C→C ([c x; s x])

Cost: 2Ch + h + C + C + 1 parameters with h = C/2, three passes over the map, two with `add`.
Place: after each encoder and decoder block of a segmentation network; here after each stage.
Differences: the default, the maximum, is the published code's; segmentation libraries use `add` at
reduction 16. `add` is one product here, not two. `concat` doubles the channels in the paper; here a
1×1 convolution without bias, not published, brings them back to C.
Doubts: `mul` gives x² c s, without the sign of x: unwise before a ReLU.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ._block import Block, Place
from ._excite import Excitation, excitation_count
from ._layout import in_layout_of


class SCSE(Block):
    """A gate for each channel, a gate for each position, and a fusion of the two gated maps.

    Args:
        channels: C of the map.
        mode: both gates, or the one for the channels (cSE) or positions (sSE).
        fusion: of both: the larger one, their sum, their product, or a mixture of both maps.
        reduction: C / hidden width of the channel gate.

    Raises:
        UsageError: a reduction below 1.
    """

    published = (Place("stage"),)
    variants = (
        {"mode": "channel"},
        {"mode": "spatial"},
        {"fusion": "add"},
        {"fusion": "mul"},
        {"fusion": "concat"},
        {"reduction": 16},
    )

    def __init__(
        self,
        channels: int,
        mode: Literal["both", "channel", "spatial"] = "both",
        fusion: Literal["max", "add", "mul", "concat"] = "max",
        reduction: int = 2,
    ) -> None:
        super().__init__()
        self.mode, self.fusion = mode, fusion
        if mode != "spatial":
            self.channel = Excitation(channels, reduction)
        if mode != "channel":
            self.spatial = nn.Conv2d(channels, 1, kernel_size=1)
        if mode == "both" and fusion == "concat":
            self.mix = nn.Conv2d(2 * channels, channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if self.mode != "both" or self.fusion == "add":
            return x * self.gate(x)
        by_channel, by_position = x * self._channel_gate(x), x * self._spatial_gate(x)
        if self.fusion == "max":
            return torch.maximum(by_channel, by_position)
        if self.fusion == "mul":
            return by_channel * by_position
        mixed: Tensor = self.mix(torch.cat([by_channel, by_position], dim=1))
        return mixed

    def gate(self, x: Tensor) -> Tensor:
        """What x (N, C, H, W) is multiplied by: (N, C or 1, H or 1, W or 1).

        Raises:
            UsageError: with `concat` the channels are mixed, so that there is no gate.
        """
        if self.mode == "channel":
            return self._channel_gate(x)
        if self.mode == "spatial":
            return self._spatial_gate(x)
        return self._fused(x, self._channel_gate(x), self._spatial_gate(x))

    def _fused(self, x: Tensor, channel: Tensor, spatial: Tensor) -> Tensor:
        if self.fusion == "add":
            return in_layout_of(x, torch.add, channel, spatial)
        if self.fusion == "mul":
            return x * channel * spatial
        if self.fusion == "max":  # right for any sign; forward has the cheaper form
            larger, smaller = torch.maximum(channel, spatial), torch.minimum(channel, spatial)
            return torch.where(x > 0, larger, smaller)
        raise UsageError("scse has no gate with fusion 'concat', which mixes the channels")

    def _channel_gate(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1)."""
        gate = torch.sigmoid(self.channel(x.mean(dim=(2, 3))))
        return gate.to(x.dtype)[..., None, None]

    def _spatial_gate(self, x: Tensor) -> Tensor:
        """(N, 1, H, W)."""
        return torch.sigmoid(self.spatial(x)).to(x.dtype)

    def official_modules(self) -> Mapping[str, str]:
        """Our module -> the published one, whose names lack a prefix when it stands alone."""
        channel, spatial = ("cSE.", "sSE.") if self.mode == "both" else ("", "")
        return {
            "channel.reduce": f"{channel}fc1",
            "channel.expand": f"{channel}fc2",
            "spatial": f"{spatial}conv",
            "mix": "mix",  # nothing published has one
        }


def parameter_count(
    channels: int,
    size: tuple[int, int],
    mode: str = "both",
    fusion: str = "max",
    reduction: int = 2,
) -> int:
    """Trainable parameters: 2Ch + h + C (cSE), C + 1 (sSE), 2C² (the mixture of `concat`)."""
    del size
    by_channel = 0 if mode == "spatial" else excitation_count(channels, reduction)
    by_position = 0 if mode == "channel" else channels + 1
    mix = 2 * channels**2 if mode == "both" and fusion == "concat" else 0
    return by_channel + by_position + mix
