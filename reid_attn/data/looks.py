"""What the drawn people of the sample set look like: clothes with patterns, hair, bag and build."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .shapes import Array

Colour = tuple[float, float, float]

_UPPER: tuple[Colour, ...] = (
    (0.10, 0.10, 0.11),  # black
    (0.92, 0.92, 0.90),  # white
    (0.52, 0.53, 0.55),  # grey
    (0.12, 0.16, 0.36),  # navy
    (0.15, 0.35, 0.75),  # blue
    (0.50, 0.74, 0.92),  # sky
    (0.80, 0.12, 0.14),  # red
    (0.42, 0.08, 0.16),  # burgundy
    (0.12, 0.52, 0.24),  # green
    (0.38, 0.40, 0.18),  # olive
    (0.94, 0.80, 0.18),  # yellow
    (0.93, 0.49, 0.12),  # orange
    (0.94, 0.56, 0.68),  # pink
    (0.46, 0.24, 0.60),  # purple
    (0.10, 0.56, 0.58),  # teal
    (0.84, 0.74, 0.58),  # beige
)
_LOWER: tuple[Colour, ...] = (
    (0.09, 0.09, 0.10),  # black
    (0.16, 0.22, 0.42),  # dark denim
    (0.36, 0.50, 0.70),  # light denim
    (0.48, 0.48, 0.50),  # grey
    (0.76, 0.66, 0.48),  # beige
    (0.38, 0.25, 0.16),  # brown
    (0.90, 0.89, 0.86),  # white
    (0.30, 0.36, 0.20),  # olive
    (0.66, 0.14, 0.18),  # red
)
_SKIN: tuple[Colour, ...] = (
    (0.96, 0.80, 0.69),
    (0.86, 0.66, 0.52),
    (0.62, 0.43, 0.31),
    (0.38, 0.25, 0.18),
)
_HAIR: tuple[Colour, ...] = (
    (0.07, 0.06, 0.06),
    (0.24, 0.15, 0.09),
    (0.45, 0.28, 0.14),
    (0.82, 0.66, 0.38),
    (0.62, 0.62, 0.62),
)


def _wave(t: Array) -> Array:
    share: Array = np.clip(0.5 + 1.6 * np.cos(2 * np.pi * t), 0, 1)
    return share


def _inside(distance: Array) -> Array:
    share: Array = np.clip(0.5 - 6 * distance, 0, 1)
    return share


# The share of the second colour at (u, v): across and down, in periods, from the garment's middle
# and upper edge.
PATTERNS: Mapping[str, Callable[[Array, Array], Array]] = {
    "plain": lambda u, v: np.zeros_like(u + v),
    "bands": lambda u, v: _wave(v + 0 * u),
    "stripes": lambda u, v: _wave(u + 0 * v),
    "checks": lambda u, v: 0.5 * (_wave(u) + _wave(v)),
    "dots": lambda u, v: _inside(np.hypot(u - np.round(u), v - np.round(v)) - 0.3),
    "yoke": lambda u, v: _inside(v - 1 + 0 * u),
    "logo": lambda u, v: _inside(np.maximum(np.abs(u) - 0.6, np.abs(v - 1.1) - 0.5)),
}
_ALL_OVER = ("stripes", "bands", "checks")


@dataclass(frozen=True, slots=True)
class Cloth:
    """Two colours and the pattern that they form; `period` is in body heights."""

    colour: Colour
    second: Colour
    pattern: str
    period: float

    def at(self, u: Array, v: Array, chest: bool) -> Array:
        """The colour (H, W, 3) at `u` across and `v` down, both in body heights.

        `chest` tells the front of the trunk, the only place for a logo, from sleeves and back.
        """
        # whole periods away, a pattern that repeats looks the same and a logo is out of sight
        across = u / self.period + (0 if chest else 8)
        share = PATTERNS[self.pattern](across, v / self.period)[..., None]
        first, second = np.asarray(self.colour), np.asarray(self.second)
        mixed: Array = first + share * (second - first)
        return mixed


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that stays the same from picture to picture of one person."""

    upper: Cloth
    lower: Cloth
    skin: Colour
    hair: Colour
    shoes: Colour
    bag_colour: Colour
    bag: str  # none, backpack, satchel
    hairstyle: str  # short, long, bald
    legwear: str  # trousers, shorts, skirt
    sleeves: str  # long, short
    hem: float  # where the upper garment ends, in body heights below the top of the head
    build: float  # breadth; 1 is slim
    height: float  # 1 is average


def draw_look(generator: np.random.Generator) -> Look:
    """A person by chance."""
    return Look(
        upper=_cloth(generator, _UPPER, tuple(PATTERNS), (0.055, 0.11)),
        lower=_cloth(generator, _LOWER, ("plain",) * 3 + _ALL_OVER, (0.04, 0.08)),
        skin=_colour(generator, _SKIN),
        hair=_colour(generator, _HAIR),
        shoes=_colour(generator, _LOWER),
        bag_colour=_colour(generator, _UPPER),
        bag=_one_of(generator, {"none": 0.5, "backpack": 0.25, "satchel": 0.25}),
        hairstyle=_one_of(generator, {"short": 0.6, "long": 0.35, "bald": 0.05}),
        legwear=_one_of(generator, {"trousers": 0.6, "shorts": 0.2, "skirt": 0.2}),
        sleeves=_one_of(generator, {"long": 0.55, "short": 0.45}),
        hem=float(generator.choice([0.52, 0.55, 0.64], p=[0.5, 0.3, 0.2])),
        build=float(generator.uniform(1.0, 1.3)),
        height=float(generator.uniform(0.92, 1.04)),
    )


def _cloth(
    generator: np.random.Generator,
    palette: Sequence[Colour],
    patterns: Sequence[str],
    periods: tuple[float, float],
) -> Cloth:
    first, second = generator.choice(len(palette), 2, replace=False)
    return Cloth(
        colour=_colour(generator, [palette[first]]),
        second=_colour(generator, [palette[second]]),
        pattern=str(generator.choice(patterns)),
        period=float(generator.uniform(*periods)),
    )


def _colour(generator: np.random.Generator, palette: Sequence[Colour]) -> Colour:
    """A colour of `palette`, a little off."""
    colour = np.asarray(palette[int(generator.integers(len(palette)))])
    red, green, blue = np.clip(colour + generator.normal(0, 0.03, 3), 0.03, 0.97)
    return float(red), float(green), float(blue)


def _one_of(generator: np.random.Generator, shares: Mapping[str, float]) -> str:
    return str(generator.choice(list(shares), p=list(shares.values())))
