"""Large-kernel attention, LKA of VAN (Guo et al., CVMJ 2023, arXiv 2202.09741), and its separable
form, LSKA (Lau et al., ESWA 2024, arXiv 2309.01439).

A depth-wise k×k kernel is made of a local a×a one, a b×b one with dilation q, and a 1×1:

    LKA(x)   = x · 1×1(dw_{b, dilation q}(dw_a(x)))               mode "gate"
    A(x)     = x + 1×1(LKA(GELU(1×1(x))))                         mode "attention"
    block(x) = u + s₂ · MLP(BN(u)),  u = x + s₁ · A(BN(x))        mode "block"

MLP = 1×1 C→rC, dw 3×3, GELU, 1×1 rC→C; s₁, s₂ ∈ R^C start at 1/100. Separable: each depth-wise
kernel is a row (1×a), then a column (a×1). Every convolution has a bias and keeps the size. No
sigmoid squashes the factor.

    kernel          7      11     23     35      41      53
    a, b, q       3,3,2  3,5,2  5,7,3  5,11,3  5,13,3  5,17,3

Published are 23 (VAN's text says 21) for the plain form and all for the separable one; the other
plain ones are ours. At 256×64×32, A costs 0.88 GFLOP and keeps 14 MiB for backward per image.

Place: VAN is a backbone of its own. In a ResNet-50 we put A after stages 1 and 2: on the 16×8 maps
of stages 3 and 4 a kernel of 23 reads mostly padding, so take 7 or 11 there. Mode "gate" in slot
`conv2` is 16 times cheaper.
Differences from the published code: the input is not cloned, the mathematics are the same. A
common snippet of it returns nothing.
Doubts: a product of two feature maps is unbounded; in float16 it can overflow.
"""

import math
from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ._block import Block, Place
from ._norms import refuse_lone_value
from ._published import Sources

Mode = Literal["gate", "attention", "block"]

_KERNELS = {  # kernel: local kernel a, dilated kernel b, dilation q
    7: (3, 3, 2),
    11: (3, 5, 2),
    23: (5, 7, 3),
    35: (5, 11, 3),
    41: (5, 13, 3),
    53: (5, 17, 3),
}


class LargeKernel(Block):
    """A map times its own large-kernel convolution.

    Args:
        channels: C of the map.
        mode: the product alone, with its projections and shortcut, or VAN's whole block.
        separable: rows and columns (LSKA) instead of square kernels.
        kernel: width that the kernels cover together: 7, 11, 23, 35, 41 or 53.
        mlp_ratio: widening r of the block's MLP.
        layer_scale: start of s₁ and s₂ of the block.
        drop_path: share of the pictures of a training batch for which a branch of the block is
            left out.

    Raises:
        UsageError: a kernel, ratio or share that there is not.
    """

    published = (Place("stage", stages=(1, 2)),)
    variants = (
        {"mode": "gate"},
        {"separable": True},
        {"kernel": 7},
        {"mode": "gate", "separable": True, "kernel": 11},
        {"mode": "block"},
        {"mode": "block", "mlp_ratio": 2},
        {"mode": "block", "layer_scale": 0.5},
        {"mode": "block", "drop_path": 0.5},
    )

    def __init__(
        self,
        channels: int,
        mode: Mode = "attention",
        separable: bool = False,
        kernel: int = 23,
        mlp_ratio: int = 4,
        layer_scale: float = 1e-2,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        _refuse(kernel, mlp_ratio, drop_path)
        self.mode, self.drop_path = mode, drop_path
        self.kernels = nn.Sequential(*_kernels(channels, separable, kernel))
        if mode != "gate":
            self.project_in = nn.Conv2d(channels, channels, kernel_size=1)
            self.project_out = nn.Conv2d(channels, channels, kernel_size=1)
        if mode == "block":
            self.norm = nn.BatchNorm2d(channels)
            self.mlp_norm = nn.BatchNorm2d(channels)
            self.mlp = _mlp(channels, mlp_ratio * channels)
            self.scale = nn.Parameter(torch.full((channels, 1, 1), layer_scale))
            self.mlp_scale = nn.Parameter(torch.full((channels, 1, 1), layer_scale))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _initialise(module)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); MismatchError for a lone value in a block's training."""
        if self.mode != "block":
            return self._attend(x)
        refuse_lone_value("large_kernel", self.norm, x[:, 0].numel())
        x = x + self._branch(self.scale, self._attend(self.norm(x)))
        return x + self._branch(self.mlp_scale, self.mlp(self.mlp_norm(x)))

    def gate(self, x: Tensor) -> Tensor:
        """The factor (N, C, H, W): of x itself in mode gate, else of GELU(1×1(x or BN(x)))."""
        factor: Tensor = self.kernels(self._inner(self.norm(x) if self.mode == "block" else x))
        return factor

    def _attend(self, x: Tensor) -> Tensor:
        inner = self._inner(x)
        product: Tensor = inner * self.kernels(inner)
        return product if self.mode == "gate" else x + self.project_out(product)

    def _inner(self, x: Tensor) -> Tensor:
        return x if self.mode == "gate" else functional.gelu(self.project_in(x))

    def _branch(self, scale: Tensor, branch: Tensor) -> Tensor:
        """The branch, scaled; in training left out of some pictures and enlarged in the others."""
        factor = scale.to(branch.dtype)
        if self.training and self.drop_path > 0:
            kept = 1 - self.drop_path
            factor = factor * (branch.new_empty(len(branch), 1, 1, 1).bernoulli_(kept) / kept)
        return branch * factor

    def official_modules(self) -> Mapping[str, str]:
        """VAN's names, or LSKA's for the kernels."""
        kernels = ["conv0", "conv_spatial", "conv1"]
        if len(self.kernels) > len(kernels):
            kernels = ["conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v", "conv1"]
        outer = "attn." if self.mode == "block" else ""
        inner = "" if self.mode == "gate" else f"{outer}spatial_gating_unit."
        return {f"kernels.{index}": inner + name for index, name in enumerate(kernels)} | {
            "project_in": f"{outer}proj_1",
            "project_out": f"{outer}proj_2",
            "norm": "norm1",
            "mlp_norm": "norm2",
            "mlp.0": "mlp.fc1",
            "mlp.1": "mlp.dwconv.dwconv",
            "mlp.3": "mlp.fc2",
            "": "",
        }

    def sources(self) -> Sources:
        """Our key -> VAN's; the layer scales are the only tensors with other names."""
        scales = {"scale": ["layer_scale_1"], "mlp_scale": ["layer_scale_2"]}
        return {key: scales.get(key, names) for key, names in super().sources().items()}


def _refuse(kernel: int, mlp_ratio: int, drop_path: float) -> None:
    if kernel not in list(_KERNELS):
        sizes = ", ".join(map(str, _KERNELS))
        raise UsageError(f"large_kernel has no kernel {kernel}: choose one of {sizes}")
    if mlp_ratio < 1:
        raise UsageError(f"mlp_ratio of large_kernel is {mlp_ratio}: take a whole number from 1 up")
    if not 0 <= drop_path < 1:
        raise UsageError(f"drop_path of large_kernel is {drop_path}: take one from 0 to below 1")


def _kernels(channels: int, separable: bool, kernel: int) -> list[nn.Conv2d]:
    """The depth-wise convolutions, local and then dilated, and the 1×1."""
    local, dilated, dilation = _KERNELS[kernel]
    depthwise = [
        _depthwise(channels, size, step)
        for side, step in ((local, 1), (dilated, dilation))
        for size in (((1, side), (side, 1)) if separable else ((side, side),))
    ]
    return [*depthwise, nn.Conv2d(channels, channels, kernel_size=1)]


def _depthwise(channels: int, size: tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    padding = (size[0] // 2 * dilation, size[1] // 2 * dilation)
    return nn.Conv2d(channels, channels, size, padding=padding, dilation=dilation, groups=channels)


def _mlp(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, kernel_size=1),
        _depthwise(hidden, (3, 3)),
        nn.GELU(),
        nn.Conv2d(hidden, channels, kernel_size=1),
    )


def _initialise(convolution: nn.Conv2d) -> None:
    """VAN's start: normal with variance 2 / (k² · outputs / groups), no bias."""
    height, width = convolution.kernel_size
    fan_out = height * width * convolution.out_channels // convolution.groups
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / fan_out))
    nn.init.zeros_(cast(Tensor, convolution.bias))


def parameter_count(
    channels: int,
    size: tuple[int, int],
    mode: Mode = "attention",
    separable: bool = False,
    kernel: int = 23,
    mlp_ratio: int = 4,
) -> int:
    """C² + kC + 3C, k the taps; + 2C² + 2C for A; + 2rC² + 11rC + 7C for the block."""
    del size
    local, dilated, _ = _KERNELS[kernel]
    taps = 2 * (local + dilated) if separable else local**2 + dilated**2
    norms = 5 if separable else 3
    count = channels**2 + (taps + norms) * channels
    if mode != "gate":
        count += 2 * channels**2 + 2 * channels
    if mode == "block":
        count += 2 * mlp_ratio * channels**2 + 11 * mlp_ratio * channels + 7 * channels
    return count
