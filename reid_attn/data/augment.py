"""From pixels to a training tensor: place, mirror, normalise, erase.

Every draw comes from the generator that is handed in, so a picture's augmentation depends on
nothing else.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..settings import AugmentSettings
from .images import MEAN, STD, Pixels, resize

ENLARGEMENT = 9 / 8
"""Random2DTranslation of the RGA recipe: 256×128 is cut out of 288×144."""
ENLARGE_PROBABILITY = 0.5
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_TRIES = 100


def normalise(pixels: Pixels) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H, W) float32, with the mean and deviation of ImageNet."""
    image = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32, order="C"))
    mean, deviation = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return image.div_(255).sub_(mean).div_(deviation)


def augment(
    pixels: Pixels,
    settings: AugmentSettings,
    generator: np.random.Generator,
    size: tuple[int, int],
) -> Tensor:
    """(H, W, 3) uint8 RGB of any size -> (3, height, width) float32, `size` = (height, width)."""
    if settings.crop == "pad":
        placed = _pad_and_crop(resize(pixels, size), settings.padding, generator)
    elif settings.crop == "enlarge":
        placed = _enlarge_and_crop(pixels, generator, size)
    else:
        placed = resize(pixels, size)
    if generator.random() < settings.flip:
        placed = placed[:, ::-1]
    image = normalise(placed)
    if generator.random() < settings.erase:
        _erase(image, settings, generator)
    return image


def _pad_and_crop(pixels: Pixels, padding: int, generator: np.random.Generator) -> Pixels:
    """A black border of `padding` pixels, then a window of the old size anywhere in it."""
    padded = np.pad(pixels, ((padding, padding), (padding, padding), (0, 0)))
    height, width, _ = pixels.shape
    return _window(padded, generator, (height, width))


def _enlarge_and_crop(
    pixels: Pixels, generator: np.random.Generator, size: tuple[int, int]
) -> Pixels:
    """With probability 1/2 a window of a picture enlarged by 9/8, else the plain resize."""
    if generator.random() >= ENLARGE_PROBABILITY:
        return resize(pixels, size)
    height, width = size
    larger = (round(height * ENLARGEMENT), round(width * ENLARGEMENT))
    return _window(resize(pixels, larger), generator, size)


def _window(pixels: Pixels, generator: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A window of `size`, each place equally likely."""
    height, width = size
    top = generator.integers(pixels.shape[0] - height, endpoint=True)
    left = generator.integers(pixels.shape[1] - width, endpoint=True)
    return pixels[top : top + height, left : left + width]


def _erase(image: Tensor, settings: AugmentSettings, generator: np.random.Generator) -> None:
    """Random erasing in place (Zhong et al., arXiv 1708.04896, algorithm 1).

    A rectangle of `erase_area` of the image and an aspect of 0.3 to 1/0.3; one that does not fit is
    drawn again, and after 100 tries the image stays whole.
    """
    _, height, width = image.shape
    for _ in range(ERASE_TRIES):
        area = generator.uniform(*settings.erase_area) * height * width
        aspect = generator.uniform(*ERASE_ASPECT)
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top = generator.integers(height - tall, endpoint=True)
            left = generator.integers(width - wide, endpoint=True)
            fill = MEAN if settings.erase_fill == "mean" else (0.0, 0.0, 0.0)
            patch = image[:, top : top + tall, left : left + wide]
            patch.copy_(torch.tensor(fill).view(3, 1, 1))
            return
