"""Networks of timm up to their last map.

A transformer's map is that of its patch tokens. Its class token is left out: pooling, blocks and
parts need positions.
"""

import math
from typing import Any

from torch import Tensor, nn

from ..errors import MissingExtra, UsageError, nearest


def make(name: str, size: tuple[int, int], **options: Any) -> nn.Module:
    """The network without a classifier and with random weights, for pictures of `size` (H, W)."""
    try:
        import timm
    except ImportError as error:
        raise MissingExtra("timm", "zoo") from error
    if not timm.is_model(name):
        raise UsageError(f"timm has no network '{name}'{nearest(name, timm.list_models())}")
    fixed = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    if fixed is not None and fixed.fixed_input_size:
        options["img_size"] = size
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return network


def last_map(body: Any, x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, C, h, w)."""
    y: Tensor = body.forward_features(x)
    if y.ndim == 3:
        return _patches(body.patch_embed, y[:, body.num_prefix_tokens :], x)
    return y.permute(0, 3, 1, 2) if str(getattr(body, "output_fmt", "")) == "NHWC" else y


def embedding(body: nn.Module) -> tuple[nn.Module, int]:
    """Nothing follows the pooling."""
    del body
    return nn.Identity(), 0


def _patches(embed: Any, tokens: Tensor, x: Tensor) -> Tensor:
    """Tokens (N, h·w, C) of pictures x (N, 3, H, W) -> (N, C, h, w)."""
    grid = getattr(embed, "grid_size", (0, 0))
    if math.prod(grid) != tokens.shape[1]:
        raise ValueError("it ends in tokens of unknown positions")
    height, width = embed.patch_size
    if x.shape[2:] != (grid[0] * height, grid[1] * width):
        raise ValueError(f"its patches of {height}×{width} do not fill them")
    return tokens.mT.reshape(len(tokens), -1, *grid)
