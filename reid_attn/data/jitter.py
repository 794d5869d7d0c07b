"""Colour jitter: brightness, contrast and saturation change, as they do from camera to camera.

The factors of a picture are drawn with everything else (`augment.py`); the pixels of a whole batch
change at once. The operations are those of torchvision's `ColorJitter`, in a fixed order, without
its change of hue, and on numbers that are not rounded between two of them.
"""

import numpy as np
import torch
from torch import Tensor

from ..settings import AugmentSettings

Factors = tuple[float, float, float]
"""Of brightness, contrast and saturation; 1 changes nothing."""
UNCHANGED: Factors = (1.0, 1.0, 1.0)
LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey of ITU-R BT.601, as torchvision rounds them."""
WHITE = 255.0


def draw_factors(settings: AugmentSettings, generator: np.random.Generator) -> Factors:
    """Each uniform in 1 ± its strength; `UNCHANGED` unless chance has it."""
    if generator.random() >= settings.jitter:
        return UNCHANGED
    brightness, contrast, saturation = 1 + generator.uniform(-1, 1, 3) * settings.jitter_strength
    return float(brightness), float(contrast), float(saturation)


def recolour(pixels: Tensor, factors: Tensor) -> Tensor:
    """(N, H, W, 3) RGB of 0 to 255 and (N, 3) factors -> (N, H, W, 3) float32."""
    brightness, contrast, saturation = factors.T[..., None, None, None]  # (N, 1, 1, 1)
    lit = (pixels * brightness).clamp_(0, WHITE)
    mean = _grey(lit).mean((1, 2), keepdim=True)
    sharp = torch.lerp(mean, lit, contrast).clamp_(0, WHITE)
    return torch.lerp(_grey(sharp), sharp, saturation).clamp_(0, WHITE)


def _grey(pixels: Tensor) -> Tensor:
    red, green, blue = pixels.unbind(-1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(-1)
