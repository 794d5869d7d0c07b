"""The augmentation of one picture in plain steps, as it was before whole batches."""

import math

import numpy as np
import torch
from torch import Tensor

from reid_attn.data.images import NORMALISATIONS, Pixels, resize
from reid_attn.settings import AugmentSettings


def slow_augment(
    pixels: Pixels,
    settings: AugmentSettings,
    generator: np.random.Generator,
    size: tuple[int, int],
    normalisation: str = "imagenet",
) -> Tensor:
    placed = resize(pixels, size)
    if settings.crop == "pad":
        border = settings.padding
        padded = np.pad(placed, ((border, border), (border, border), (0, 0)))
        placed = window(padded, generator, size)
    elif settings.crop == "enlarge" and generator.random() < 0.5:
        larger = (round(size[0] * 9 / 8), round(size[1] * 9 / 8))
        placed = window(resize(pixels, larger), generator, size)
    if generator.random() < settings.flip:
        placed = placed[:, ::-1]
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in NORMALISATIONS[normalisation])
    image = torch.from_numpy(placed.transpose(2, 0, 1).astype(np.float32, order="C"))
    image = image.div_(255).sub_(mean).div_(deviation)
    if generator.random() < settings.erase:
        fill = mean if settings.erase_fill == "mean" else torch.zeros(3, 1, 1)
        erase(image, settings, generator, fill)
    return image


def window(pixels: Pixels, generator: np.random.Generator, size: tuple[int, int]) -> Pixels:
    height, width = size
    top = generator.integers(pixels.shape[0] - height, endpoint=True)
    left = generator.integers(pixels.shape[1] - width, endpoint=True)
    return pixels[top : top + height, left : left + width]


def erase(
    image: Tensor, settings: AugmentSettings, generator: np.random.Generator, fill: Tensor
) -> None:
    _, height, width = image.shape
    for _ in range(100):
        area = generator.uniform(*settings.erase_area) * height * width
        aspect = generator.uniform(0.3, 1 / 0.3)
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top = generator.integers(height - tall, endpoint=True)
            left = generator.integers(width - wide, endpoint=True)
            image[:, top : top + tall, left : left + wide] = fill
            return
