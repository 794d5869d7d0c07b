"""Mixed pooling module, MPM (Hou et al., CVPR 2020, arXiv 2003.13328), the head of SPNet.

Every convolution is without bias and with its BN; i = C/4; ↓ averages to a fixed size, ↑ resizes to
H×W bilinearly with aligned corners:

    p, s    = ReLU(1×1_{C→i}(x)), each its own                                       ∈ R^{i×H×W}
    pyramid = ReLU(3×3(ReLU(3×3(p) + ↑3×3(↓p to pool 1) + ↑3×3(↓p to pool 2))))      ∈ R^{i×H×W}
    strips  = ReLU(3×3(ReLU(1×3(mean over H of s) + 3×1(mean over W of s))))         ∈ R^{i×H×W}
    out     = ReLU(x + 1×1_{2i→C}([pyramid; strips]))

Cost: 51i² + 4Ci + 18i + 2C parameters, 17.6M at C = 2048. On a 16×8 map the paper's pools cost
5.49 GFLOP, most of it in the pooled maps: 9i² multiply-adds for each of their 20² + 12² = 544
positions, against the map's own 128. Those sizes are made for scene parsing and enlarge a re-ID
map. For re-ID take a half and a quarter of the map: pool = ((8, 4), (4, 2)) for 16×8 (pictures of
256×128, last stride 1), ((12, 4), (6, 2)) for 24×8 (384×128).
Place: on the last map. The paper first reduces it from 2048 to 1024 channels and stacks two; here
one stands on the map as it is, and a second one is a second entry in the configuration.

What published code does differently: it resizes strips with aligned corners, which is exactly a
broadcast. Common snippets hold this module under the name of strip pooling (here `strip_pooling`).
Doubts: the paper reports scene parsing only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value

_Side = int | Sequence[int]


class MixedPooling(Block):
    """Adds to the map what a pyramid of pools and a pair of strips tell about it.

    Args:
        channels: C of the map, at least 4.
        pool: the sizes of the pyramid's two pooled maps; each a number n for n×n, or (height,
            width).

    Raises:
        UsageError: fewer than 4 channels, or `pool` is not two sizes.
    """

    kind = "map"
    slots = ("stage", "head")
    published = (Place("head"),)
    variants = ({"pool": (4, 2)}, {"pool": ((8, 4), (4, 2))})

    def __init__(self, channels: int, pool: tuple[_Side, _Side] = (20, 12)) -> None:
        super().__init__()
        if channels < 4:
            raise UsageError(f"mixed pooling needs at least 4 channels and got {channels}")
        inner = channels // 4
        self.coarse, self.coarser = _sizes(pool)
        self.to_pyramid = _normalised(channels, inner, (1, 1))
        self.to_strips = _normalised(channels, inner, (1, 1))
        self.whole = _normalised(inner, inner, (3, 3))
        self.pooled = nn.ModuleList(_normalised(inner, inner, (3, 3)) for _ in range(2))
        self.columns = _normalised(inner, inner, (1, 3))
        self.rows = _normalised(inner, inner, (3, 1))
        self.from_pyramid = _normalised(inner, inner, (3, 3))
        self.from_strips = _normalised(inner, inner, (3, 3))
        self.merge = _normalised(2 * inner, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same; MismatchError when there is nothing to normalise over."""
        self._refuse_lone_values(x)
        both = torch.cat([self._pyramid(x), self._strips(x)], dim=1)  # (N, 2i, H, W)
        return torch.relu_(x + self.merge(both))

    def _pyramid(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, i, H, W)."""
        p = torch.relu_(self.to_pyramid(x))
        total = self.whole(p)
        for convolution, size in zip(self.pooled, (self.coarse, self.coarser), strict=True):
            small = convolution(F.adaptive_avg_pool2d(p, size))
            total += F.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=True)
        return torch.relu_(self.from_pyramid(torch.relu_(total)))

    def _strips(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, i, H, W)."""
        s = torch.relu_(self.to_strips(x))
        columns = self.columns(s.mean(dim=2, keepdim=True))  # (N, i, 1, W)
        rows = self.rows(s.mean(dim=3, keepdim=True))  # (N, i, H, 1)
        return torch.relu_(self.from_strips(torch.relu_(columns + rows)))

    def _refuse_lone_values(self, x: Tensor) -> None:
        pools = (height * width for height, width in (self.coarse, self.coarser))
        values = x.shape[0] * min(*x.shape[2:], *pools)
        refuse_lone_value("mixed_pooling", self.whole[1], values)

    def official_modules(self) -> Mapping[str, str]:
        """Our modules -> those of the published class, each a convolution and its norm."""
        names = {
            "to_pyramid": "conv1_1",
            "to_strips": "conv1_2",
            "whole": "conv2_0",
            "pooled.0": "conv2_1",
            "pooled.1": "conv2_2",
            "columns": "conv2_3",
            "rows": "conv2_4",
            "from_pyramid": "conv2_5",
            "from_strips": "conv2_6",
            "merge": "conv3",
        }
        return {
            f"{own}.{index}": f"{official}.{index}"
            for own, official in names.items()
            for index in (0, 1)
        }


def _sizes(pool: Any) -> list[tuple[int, int]]:
    """The two (height, width) that `pool` means; settings hold lists where Python has tuples."""
    entries = list(pool) if isinstance(pool, Sequence) else []
    sizes = [(entry, entry) if isinstance(entry, int) else entry for entry in entries]
    if len(sizes) != 2 or not all(_is_size(size) for size in sizes):
        raise UsageError(
            "mixed pooling takes two pool sizes, each a whole number from 1 or such a pair of "
            f"height and width, as in (20, 12) or ((8, 4), (4, 2)), not {pool!r}"
        )
    return [(height, width) for height, width in sizes]


def _is_size(size: Any) -> bool:
    return (
        isinstance(size, Sequence)
        and len(size) == 2
        and all(isinstance(side, int) and side >= 1 for side in size)
    )


def _normalised(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Sequential:
    """A convolution that keeps the map's size, and its norm."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False), nn.BatchNorm2d(outputs)
    )


def parameter_count(channels: int, size: tuple[int, int]) -> int:
    """51i² + 4Ci + 18i + 2C with i = C/4, for maps of any size."""
    del size
    i = channels // 4
    maps = 2 * (channels * i + 2 * i) + (2 * i * channels + 2 * channels)
    return maps + 5 * (9 * i**2 + 2 * i) + 2 * (3 * i**2 + 2 * i)
