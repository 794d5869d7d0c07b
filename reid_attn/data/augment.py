"""What chance does to a training picture: every draw first, and the pixels brought into place.

All draws of a picture come from the generator that is handed in and from nothing else, and they are
made before a pixel is read. So it does not matter where the pixels come from, which process places
them, or which device finishes them (`finish.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..settings import AugmentSettings
from .auto_augment import Policy, draw_policy
from .images import NORMALISATIONS, Pixels
from .jitter import Factors, draw_factors

ENLARGEMENT = 9 / 8
"""Random2DTranslation of the RGA recipe: 256×128 is cut out of 288×144."""
ENLARGE_PROBABILITY = 0.5
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_TRIES = 100

Size = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What was drawn for one picture."""

    size: Size
    """What it is resized to."""
    corner: tuple[int, int]
    """Row and column of the window in the resized picture; less than 0 is in the black border."""
    mirrored: bool
    erased: tuple[int, int, int, int]
    """First row, end of the rows, first column, end of the columns; zeros: nothing."""
    policy: Policy | None
    """Of AutoAugment, which comes before all the rest."""
    tones: Factors
    """Of colour jitter."""


def draw(settings: AugmentSettings, size: Size, generator: np.random.Generator) -> Draws:
    """Everything that chance decides for a picture that is trained at `size`."""
    source, corner = _window(settings, size, generator)
    mirrored = generator.random() < settings.flip
    erased = (0, 0, 0, 0)
    if generator.random() < settings.erase:
        erased = _rectangle(settings, size, generator)
    # These two are drawn last, so that the other draws are those of runs without them.
    policy = draw_policy(generator) if generator.random() < settings.auto else None
    tones = draw_factors(settings, generator)
    return Draws(source, corner, mirrored, erased, policy, tones)


def source_sizes(settings: AugmentSettings, size: Size) -> tuple[Size, ...]:
    """The sizes that `draw` may ask a picture to be resized to."""
    return (size, _enlarged(size)) if settings.crop == "enlarge" else (size,)


def place(pixels: Pixels, corner: tuple[int, int], target: Pixels) -> None:
    """The window of `pixels` that begins at `corner`, into the black array `target`."""
    to_rows, from_rows = _overlap(corner[0], target.shape[0], pixels.shape[0])
    to_columns, from_columns = _overlap(corner[1], target.shape[1], pixels.shape[1])
    target[to_rows, to_columns] = pixels[from_rows, from_columns]


def normalise(pixels: Pixels | Tensor, normalisation: str = "imagenet") -> Tensor:
    """(…, H, W, 3) uint8 RGB -> (…, 3, H, W) float32: scaled to 0-1, less the mean, over the
    deviation."""
    if isinstance(pixels, np.ndarray):
        pixels = torch.from_numpy(pixels.copy())
    mean, deviation = (channels(values, pixels.device) for values in NORMALISATIONS[normalisation])
    planes = pixels.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.div_(255).sub_(mean).div_(deviation)


def channels(values: Sequence[float], device: torch.device) -> Tensor:
    """One number for each channel, (C, 1, 1); made on the device, which need not be waited for."""
    return torch.cat([torch.full((1, 1, 1), value, device=device) for value in values])


def _overlap(start: int, length: int, available: int) -> tuple[slice, slice]:
    """Along one side: where in the window there are pixels, and which."""
    first = max(start, 0)
    end = max(first, min(start + length, available))
    return slice(first - start, end - start), slice(first, end)


def _window(
    settings: AugmentSettings, size: Size, generator: np.random.Generator
) -> tuple[Size, tuple[int, int]]:
    """The size to resize to, and the corner of a window of `size` in that, or in its border."""
    if settings.crop == "pad":
        border = settings.padding
        top, left = (int(generator.integers(2 * border, endpoint=True)) for _ in size)
        return size, (top - border, left - border)
    if settings.crop == "enlarge" and generator.random() < ENLARGE_PROBABILITY:
        larger = _enlarged(size)
        spare = (larger[0] - size[0], larger[1] - size[1])
        top, left = (int(generator.integers(most, endpoint=True)) for most in spare)
        return larger, (top, left)
    return size, (0, 0)


def _enlarged(size: Size) -> Size:
    return round(size[0] * ENLARGEMENT), round(size[1] * ENLARGEMENT)


def _rectangle(
    settings: AugmentSettings, size: Size, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """The rectangle of random erasing (Zhong et al., arXiv 1708.04896, algorithm 1).

    It has `erase_area` of the picture and an aspect of 0.3 to 1/0.3; one that does not fit is drawn
    again, and after 100 tries the picture stays whole.
    """
    height, width = size
    for _ in range(ERASE_TRIES):
        area = generator.uniform(*settings.erase_area) * height * width
        aspect = generator.uniform(*ERASE_ASPECT)
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top = int(generator.integers(height - tall, endpoint=True))
            left = int(generator.integers(width - wide, endpoint=True))
            return top, top + tall, left, left + wide
    return 0, 0, 0, 0
