"""AutoAugment: one of 25 pairs of operations that were searched for on ImageNet.

Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data" (arXiv 1805.09501), applied
to the picture as it was decoded, before the resize, as fast-reid does in its SBS recipe. Operations
and policy are torchvision's. Fast-reid has timm's, which read some magnitudes of the paper in other
ways: posterize at level 8 keeps 7 bits and not 4, and colour, contrast and sharpness run from 0.1
to 1.9 with the level instead of being drawn towards either side of 1.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .images import Pixels

PAIRS = 25
BORDER = [128.0, 128.0, 128.0]
"""Grey, for what a turned or sheared picture leaves free, as fast-reid has it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What was drawn: the pair, and for each of its two operations a chance and a sign."""

    pair: int
    chances: tuple[float, float]
    signs: tuple[int, int]


def draw_policy(generator: np.random.Generator) -> Policy:
    """One of the 25 pairs, each equally likely."""
    pair = int(generator.integers(PAIRS))
    first, second = generator.random(2).tolist()
    one, other = generator.integers(2, size=2).tolist()
    return Policy(pair, (first, second), (one, other))


class AutoAugment:
    """Applies a drawn policy. To make one takes the seconds that torchvision's import takes."""

    def __init__(self) -> None:
        from torchvision.transforms import AutoAugment, InterpolationMode

        self._transform = AutoAugment(interpolation=InterpolationMode.BILINEAR, fill=BORDER)

    def __call__(self, pixels: Pixels, policy: Policy) -> Pixels:
        """`pixels` (H, W, 3) after the operations of `policy`."""
        drawn = policy.pair, torch.tensor(policy.chances), torch.tensor(policy.signs)
        # Torchvision would draw from torch's global generator, which belongs to the training.
        self._transform.get_params = lambda _: drawn
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        changed = self._transform(image).permute(1, 2, 0)
        return np.ascontiguousarray(changed.numpy())
