"""Residual attention (Wang et al., CVPR 2017, arXiv 1704.06904), stages A, B and C of its network.

Unit r: (N, C, H, W) -> the same, pre-activation, convolutions without bias:

    r(x) = x + 1×1_{C/4→C}(ReLU(BN(3×3(ReLU(BN(1×1_{C→C/4}(ReLU(BN(x)))))))))

Module with L levels (A: 3, B: 2, C: 1); ↓ halves the map, ↑ resizes to the map it is added to:

    z   = r(x),   T = r(r(z))                                        trunk
    d_1 = r(↓z), …, d_L = r(r(↓d_{L-1}))                             mask, downwards
    u_L = d_L,    u_k = r(↑u_{k+1} + r(d_k))      k = L-1 … 1        mask, upwards
    M   = σ(1×1(ReLU(BN(1×1(ReLU(BN(↑u_1)))))))                      ∈ (0, 1)^{N×C×H×W}
    out = r((1 + M) ⊙ T)

Cost: 3L + 3 units of 1.0625C² + 3C parameters, and 2C² + 4C in the mask's head. At 256×64×32: A
977k parameters and 1.95 GFLOP, B 766k and 1.93, C 554k and 1.82, about seven bottlenecks each.
Place: in the paper it is the backbone, one module (Attention-56) between two stages; in a
ResNet-50 here: A after stage 1, B after stage 2, C after stage 3.

What published code does differently. The authors' graph is a Caffe prototxt, followed here. The
well-known PyTorch port adds identity shortcuts in the mask (↑u + d_k, and ↑u_1 + T before the
head) that the prototxt lacks, fixes the map sizes to 56/28/14, and gives each unit a convolution
for a shortcut that it never uses. Here sizes come from the tensors and nothing unused is built.
↓ is a 3×3 maximum with stride 2 and padding 1, as in the port; Caffe pads nothing and rounds up,
which shifts the windows by one pixel on even maps. ↑ is bilinear with aligned corners.
(1 + M) ⊙ T is T + M ⊙ T in one operation, which keeps one map less for backward.

`convert_official` reads the port's keys. For three levels they are those of its class with the
authors' graph; for two and one this file assumes the names of its classes for those stages, whose
weights were trained with the extra shortcuts and will not give the same output here.
Doubts: a mask near 1/2 at the start scales the trunk by about 1.5. Norms stand first in each unit
and many follow one another, so a constant map in training, whose variance is 0, has gradients of up
to 1/√ε = 316 for each norm: with two or three levels these can leave the range of float32.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value


class ResidualAttention(Block):
    """A trunk of two residual units, weighed by 1 + a mask from a small hourglass.

    Args:
        channels: C of the map, a multiple of 4.
        levels: how often the mask's map is halved: 3, 2, 1 for the paper's stages A, B, C.

    Raises:
        UsageError: C is not a multiple of 4.
    """

    kind = "map"
    slots = ("stage", "head")
    published = (
        Place("stage", stages=(1,), options={"levels": 3}),
        Place("stage", stages=(2,), options={"levels": 2}),
        Place("stage", stages=(3,), options={"levels": 1}),
    )
    variants = ({"levels": 2}, {"levels": 1})

    def __init__(self, channels: int, levels: Literal[1, 2, 3] = 3) -> None:
        super().__init__()
        if channels < 4 or channels % 4:
            raise UsageError(
                f"residual attention needs channels in multiples of 4 and got {channels}"
            )
        self.levels = levels
        self.first = _Unit(channels)
        self.trunk = nn.Sequential(_Unit(channels), _Unit(channels))
        self.down = nn.ModuleList(_Unit(channels) for _ in range(levels - 1))
        self.bottom = nn.Sequential(_Unit(channels), _Unit(channels))
        self.skip = nn.ModuleList(_Unit(channels) for _ in range(levels - 1))  # as `down`
        self.up = nn.ModuleList(_Unit(channels) for _ in range(levels - 1))  # as `down`
        self.head = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=1, bias=False),
        )
        self.last = _Unit(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same; MismatchError when there is nothing to normalise over."""
        self._refuse_lone_values(x)
        z = self.first(x)
        trunk = self.trunk(z)
        out: Tensor = self.last(torch.addcmul(trunk, self._mask(z), trunk))
        return out

    def gate(self, x: Tensor) -> Tensor:
        """1 + M ∈ (1, 2), (N, C, H, W): what the trunk is multiplied by."""
        self._refuse_lone_values(x)
        return 1 + self._mask(self.first(x))

    def _mask(self, z: Tensor) -> Tensor:
        """(N, C, H, W) -> M in (0, 1) of the same shape."""
        maps = []
        deep = z
        for unit in self.down:
            deep = unit(_halved(deep))
            maps.append(deep)
        deep = self.bottom(_halved(deep))
        for shallow, skip, up in zip(
            reversed(maps), reversed(self.skip), reversed(self.up), strict=True
        ):
            deep = up(_resized(deep, shallow) + skip(shallow))
        return torch.sigmoid_(self.head(_resized(deep, z)))

    def _refuse_lone_values(self, x: Tensor) -> None:
        smallest = [-(-side // 2**self.levels) for side in x.shape[2:]]
        refuse_lone_value("residual", self.first.bn1, x.shape[0] * smallest[0] * smallest[1])

    def official_modules(self) -> Mapping[str, str]:
        """Our modules -> the port's; its mask is numbered downwards, then upwards to the head."""
        prefixes = {
            "first": "first_residual_blocks",
            "trunk": "trunk_branches",
            "bottom": f"softmax{self.levels}_blocks",
            "head": f"softmax{2 * self.levels}_blocks",
            "last": "last_blocks",
        }
        for level in range(1, self.levels):
            prefixes |= {
                f"down.{level - 1}": f"softmax{level}_blocks",
                f"skip.{level - 1}": f"skip{level}_connection_residual_block",
                f"up.{level - 1}": f"softmax{2 * self.levels - level}_blocks",
            }
        modules = {key.rpartition(".")[0] for key in self.state_dict()}
        return {
            module: official + module.removeprefix(own)
            for own, official in prefixes.items()
            for module in modules
            if module.startswith(f"{own}.")
        }

    def convert_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The port's state dict under our names, without the shortcuts that it never uses.

        Raises:
            MismatchError: a tensor is missing, unknown, or of another shape.
        """
        modules = self.official_modules().values()
        unused = {f"{name[:-1]}4.weight" for name in modules if name.endswith(".conv3")}
        return super().convert_official({k: v for k, v in state.items() if k not in unused})


class _Unit(nn.Module):
    """Pre-activation bottleneck with an identity shortcut, (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, kernel_size=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu_(self.bn1(x)))
        y = self.conv2(torch.relu_(self.bn2(y)))
        out: Tensor = x + self.conv3(torch.relu_(self.bn3(y)))
        return out


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)


def _resized(x: Tensor, target: Tensor) -> Tensor:
    """`x` bilinearly at the height and width of `target`."""
    return F.interpolate(x, size=target.shape[2:], mode="bilinear", align_corners=True)


def parameter_count(channels: int, size: tuple[int, int], levels: int = 3) -> int:
    """(3L + 3)(1.0625C² + 3C) + 2C² + 4C, for maps of any size."""
    del size
    unit = 17 * channels**2 // 16 + 3 * channels
    return (3 * levels + 3) * unit + 2 * channels**2 + 4 * channels
