"""Simple drawn pedestrians: what a person looks like, how it stands, and the drawing itself.

The skeleton is a handful of points in three dimensions (forward, to the left, down; in body
heights), turned about the vertical axis and projected without perspective; limbs are capsules.
Patterns are laid out in the coordinates of the garment, so they move with the body.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .shapes import Array, Point, box, capsule, ellipse, grid, paint

Colour = tuple[float, float, float]
Joint = tuple[float, float, float]

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
_SKIN: tuple[Colour, ...] = ((0.96, 0.80, 0.69), (0.86, 0.66, 0.52), (0.62, 0.43, 0.31), (0.38, 0.25, 0.18))
_HAIR: tuple[Colour, ...] = (
    (0.07, 0.06, 0.06),
    (0.24, 0.15, 0.09),
    (0.45, 0.28, 0.14),
    (0.82, 0.66, 0.38),
    (0.62, 0.62, 0.62),
)


def _wave(t: Array) -> Array:
    return np.clip(0.5 + 1.6 * np.cos(2 * np.pi * t), 0, 1)


def _inside(distance: Array) -> Array:
    return np.clip(0.5 - 6 * distance, 0, 1)


# Share of the second colour at (u, v), both in periods of the pattern; the garment's middle is u = 0.
_PATTERNS: dict[str, Callable[[Array, Array], Array]] = {
    "plain": lambda u, v: 0 * (u + v),
    "bands": lambda u, v: _wave(v + 0 * u),
    "stripes": lambda u, v: _wave(u + 0 * v),
    "checks": lambda u, v: 0.5 * (_wave(u) + _wave(v)),
    "dots": lambda u, v: _inside(np.hypot(u - np.round(u), v - np.round(v)) - 0.3),
    "yoke": lambda u, v: _inside(v - 1 + 0 * u),
    "logo": lambda u, v: _inside(np.maximum(np.abs(u) - 0.6, np.abs(v - 1.1) - 0.5)),
}
_OUT_OF_SIGHT = 8.0  # whole periods: where periodic patterns look the same and a logo is not


@dataclass(frozen=True, slots=True)
class Cloth:
    """Two colours and the pattern they form; `period` is in body heights."""

    colour: Colour
    second: Colour
    pattern: str
    period: float

    def at(self, u: Array, v: Array) -> Array:
        """The colour (H, W, 3) at garment coordinates in body heights."""
        share = _PATTERNS[self.pattern](u / self.period, v / self.period)[..., None]
        first, second = np.float32(self.colour), np.float32(self.second)
        return first + share * (second - first)


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
    short_sleeves: bool
    hem: float  # where the upper garment ends, in body heights from the top
    build: float  # breadth; 1 is average
    height: float  # 1 is average


@dataclass(frozen=True, slots=True)
class Pose:
    """How the person appears in one picture."""

    turn: float  # radians; 0 faces the camera, π/2 walks to the right
    phase: float  # of the walk, radians
    stride: float  # largest angle of the thigh, radians
    top: Point  # where the head ends, pixels
    scale: float  # pixels per body height of an average person


def draw_look(generator: np.random.Generator) -> Look:
    """A person by chance."""
    upper = _draw_cloth(generator, _UPPER, tuple(_PATTERNS), 0.055, 0.11)
    lower = _draw_cloth(generator, _LOWER, ("plain", "plain", "plain", "stripes", "bands", "checks"), 0.04, 0.08)
    return Look(
        upper=upper,
        lower=lower,
        skin=_pick(generator, _SKIN),
        hair=_pick(generator, _HAIR),
        shoes=_pick(generator, _LOWER),
        bag_colour=_pick(generator, _UPPER),
        bag=str(generator.choice(["none", "none", "backpack", "satchel"])),
        hairstyle=str(generator.choice(["short", "short", "long", "bald"], p=[0.3, 0.3, 0.35, 0.05])),
        legwear=str(generator.choice(["trousers", "shorts", "skirt"], p=[0.6, 0.2, 0.2])),
        short_sleeves=bool(generator.random() < 0.45),
        hem=float(generator.choice([0.52, 0.55, 0.64], p=[0.5, 0.3, 0.2])),
        build=float(generator.uniform(1.0, 1.3)),
        height=float(generator.uniform(0.92, 1.04)),
    )


def draw_pose(generator: np.random.Generator, height: int, width: int) -> Pose:
    """A pose by chance, somewhere near the middle of a picture of `height` × `width` pixels."""
    scale = height * generator.uniform(0.87, 0.97)
    return Pose(
        turn=float(generator.uniform(-np.pi, np.pi)),
        phase=float(generator.uniform(0, 2 * np.pi)),
        stride=float(generator.uniform(0.1, 0.5)),
        top=(
            width * (0.5 + float(generator.uniform(-0.08, 0.08))),
            float(generator.uniform(0.1, 0.9)) * (height - scale),
        ),
        scale=float(scale),
    )


def draw_person(canvas: Array, look: Look, pose: Pose) -> None:
    """Paint the person over `canvas` (H, W, 3), from the shadow on the ground to the bag."""
    figure = _Figure(canvas, look, pose)
    figure.shadow()
    for _, part in sorted(figure.parts(), key=lambda entry: entry[0]):
        part()


class _Figure:
    """One person on one canvas; methods paint parts, lengths are in body heights."""

    def __init__(self, canvas: Array, look: Look, pose: Pose) -> None:
        self.canvas, self.look, self.pose = canvas, look, pose
        self.x, self.y = grid(canvas.shape[0], canvas.shape[1])
        self.scale = pose.scale * look.height
        # feet stay on the ground, so a short person starts lower
        self.top = pose.top[1] + pose.scale - self.scale
        self.sin, self.cos = float(np.sin(pose.turn)), float(np.cos(pose.turn))
        self.bob = 0.008 * float(np.cos(2 * pose.phase))

    def place(self, joint: Joint) -> Point:
        """Pixel of a point (forward, left, down)."""
        forward, left, down = joint
        across = forward * self.sin + left * self.cos
        return self.pose.top[0] + self.scale * across, self.top + self.scale * (down + self.bob)

    def depth(self, joint: Joint) -> float:
        """How far the point lies towards the camera."""
        return joint[0] * self.cos - joint[1] * self.sin

    def shadow(self) -> None:
        x, y = self.place((0.0, 0.0, 0.975))
        radii = 0.2 * self.scale, 0.03 * self.scale
        for share in (1.0, 0.8, 0.6):
            reach = radii[0] * share, radii[1] * share
            paint(self.canvas, ellipse(self.x, self.y, (x, y), reach), (0, 0, 0), 0.22)

    def parts(self) -> list[tuple[float, Callable[[], None]]]:
        """What to paint, each with its depth; legs lie under the upper garment."""
        parts: list[tuple[float, Callable[[], None]]] = [(0.0, self.torso), (0.01, self.head)]
        for side in (-1, 1):
            swing = side * float(np.sin(self.pose.phase))
            lift = max(0.0, -side * float(np.cos(self.pose.phase)))
            legs = self.leg_joints(side, swing, lift)
            parts.append((self.depth(legs[1]) - 2, lambda legs=legs: self.leg(legs)))
            arms = self.arm_joints(side, -swing)
            parts.append((self.depth(arms[1]), lambda arms=arms: self.arm(arms)))
        if self.look.legwear == "skirt":
            parts.append((-1.0, self.skirt))
        if self.look.bag == "backpack":
            parts.append((-0.05 * self.cos, self.backpack))
            parts.append((0.005, self.straps))
        if self.look.bag == "satchel":
            parts.append((0.02, self.satchel))
        return parts

    def leg_joints(self, side: int, swing: float, lift: float) -> list[Joint]:
        thigh = self.pose.stride * swing
        shin = thigh - self.pose.stride * (0.25 + 1.3 * lift)
        left = 0.05 * side * self.look.build
        hip = (0.0, left, 0.5)
        knee = (0.23 * np.sin(thigh), left, 0.5 + 0.23 * np.cos(thigh))
        ankle = (knee[0] + 0.22 * np.sin(shin), left * 0.9, knee[2] + 0.22 * np.cos(shin))
        toe = (ankle[0] + 0.06, left * 1.2, ankle[2] + 0.018)
        return [hip, knee, ankle, toe]

    def arm_joints(self, side: int, swing: float) -> list[Joint]:
        upper = 0.9 * self.pose.stride * swing
        lower = upper + 0.25 + 0.4 * self.pose.stride
        breadth = 0.104 * self.look.build
        shoulder = (0.0, side * breadth, 0.185)
        elbow = (0.155 * np.sin(upper), side * (breadth + 0.02), 0.185 + 0.155 * np.cos(upper))
        hand = (elbow[0] + 0.14 * np.sin(lower), side * (breadth + 0.015), elbow[2] + 0.14 * np.cos(lower))
        return [shoulder, elbow, hand]

    def limb(self, start: Joint, end: Joint, radii: Point, cloth: Cloth | Colour, offset: float = 0.0) -> None:
        """Paint a capsule in a cloth or a plain colour; `offset` is how far down the garment it starts."""
        radii = radii[0] * self.scale, radii[1] * self.scale
        ends = self.place(start), self.place(end)
        rows, columns = self.around(ends, max(radii))
        x, y = self.x[:, columns], self.y[rows]
        distance, across, along = capsule(x, y, *ends, radii)
        if isinstance(cloth, Cloth):
            u = across * radii[0] / self.scale + _OUT_OF_SIGHT * cloth.period
            colour = cloth.at(u, along / self.scale + offset)
        else:
            colour = np.float32(cloth)
        dim = 1.0 - 0.18 * float(self.depth(end) < -0.03)
        paint(self.canvas[rows, columns], distance, colour * (dim * self.shade(across)))

    def around(self, points: Sequence[Point], reach: float) -> tuple[slice, slice]:
        """The rows and columns within `reach` of `points`: painting there alone is much faster."""
        (left, top), (right, bottom) = np.min(points, 0) - reach - 1, np.max(points, 0) + reach + 2
        return slice(max(0, int(top)), max(0, int(bottom))), slice(max(0, int(left)), max(0, int(right)))

    def shade(self, across: Array) -> Array:
        """Light falls from the left of the picture: (H, W, 1) for positions in radii."""
        return np.clip(1.04 - 0.1 * across - 0.22 * across**2, 0.4, 1.1)[..., None]

    def leg(self, joints: list[Joint]) -> None:
        hip, knee, ankle, toe = joints
        look, thick = self.look, self.look.build
        upper: Cloth | Colour = look.skin if look.legwear == "skirt" else look.lower
        lower: Cloth | Colour = look.lower if look.legwear == "trousers" else look.skin
        bare = 0.8 if look.legwear == "skirt" else 1.0
        self.limb(ankle, toe, (0.024, 0.02), look.shoes)
        self.limb(knee, ankle, (0.04 * thick, 0.028), lower, 0.23)
        self.limb(hip, knee, (0.06 * thick * bare, 0.043 * thick * bare), upper)

    def arm(self, joints: list[Joint]) -> None:
        shoulder, elbow, hand = joints
        look = self.look
        forearm: Cloth | Colour = look.skin if look.short_sleeves else look.upper
        self.limb(hand, hand, (0.022, 0.022), look.skin)
        self.limb(elbow, hand, (0.028, 0.022), forearm, 0.155)
        self.limb(shoulder, elbow, (0.034 * look.build, 0.029), look.upper)

    def profile(self, down: list[float], half: list[float], cloth: Cloth) -> None:
        """Paint a part of the trunk whose half breadth at heights `down` is `half`."""
        middle, _ = self.place((0.0, 0.0, 0.0))
        v = (self.y - self.place((0.0, 0.0, 0.0))[1]) / self.scale
        # seen from the side a trunk is about two thirds as broad
        breadth = self.look.build * float(np.hypot(self.cos, 0.68 * self.sin))
        width = breadth * np.interp(v, down, half).astype(np.float32)
        u = (self.x - middle) / self.scale
        ends = np.maximum(down[0] - v, v - down[-1])
        distance = np.maximum(np.abs(u) - width, ends) * self.scale
        facing = 0.0 if self.cos > 0.2 else _OUT_OF_SIGHT * cloth.period
        colour = cloth.at(u - 0.07 * self.sin + facing, v - down[0])
        paint(self.canvas, distance, colour * self.shade(u / width))

    def torso(self) -> None:
        hem = self.look.hem
        self.limb((0.0, 0.0, 0.11), (0.0, 0.0, 0.17), (0.03, 0.034), self.look.skin)
        if self.look.legwear != "skirt" and hem < 0.54:
            self.profile([0.46, 0.54], [0.095, 0.1], self.look.lower)
        down = [0.148, 0.165, 0.19, 0.4, hem]
        self.profile(down, [0.045, 0.09, 0.112, 0.094, 0.102 + 0.1 * (hem - 0.52)], self.look.upper)

    def skirt(self) -> None:
        self.profile([0.46, 0.54, 0.7], [0.09, 0.105, 0.14], self.look.lower)

    def head(self) -> None:
        x, y = self.place((0.012, 0.0, 0.07))
        radii = 0.05 * self.scale, 0.066 * self.scale
        u, v = (self.x - x) / radii[0], (self.y - y) / radii[1]
        if self.look.hairstyle == "long":
            back = self.place((-0.03, 0.0, 0.07)), self.place((-0.04, 0.0, 0.17))
            fall = capsule(self.x, self.y, *back, (0.055 * self.scale, 0.05 * self.scale))[0]
            if self.cos > -0.3:
                paint(self.canvas, np.maximum(fall, -ellipse(self.x, self.y, (x, y), radii)), self.look.hair)
        skull = ellipse(self.x, self.y, (x, y), radii)
        paint(self.canvas, skull, np.float32(self.look.skin) * self.shade(u))
        if self.look.hairstyle == "bald":
            return
        line = v + 0.9 * self.sin * u + 0.25 - 1.2 * max(0.0, -self.cos)
        cap = ellipse(self.x, self.y, (x, y), (radii[0] * 1.1, radii[1] * 1.08))
        paint(self.canvas, np.maximum(cap, line * radii[0]), np.float32(self.look.hair) * self.shade(u))
        if self.look.hairstyle == "long" and self.cos <= -0.3:
            paint(self.canvas, fall, np.float32(self.look.hair) * self.shade(u))

    def backpack(self) -> None:
        x, y = self.place((-0.1, 0.0, 0.3))
        half = 0.095 * abs(self.cos) + 0.055 * abs(self.sin), 0.12
        size = half[0] * self.scale, half[1] * self.scale
        colour = np.float32(self.look.bag_colour)
        paint(self.canvas, box(self.x, self.y, (x, y), size, 0.04 * self.scale), colour * self.shade((self.x - x) / size[0]))
        pocket = box(self.x, self.y, (x, y + 0.05 * self.scale), (0.7 * size[0], 0.4 * size[1]), 0.02 * self.scale)
        paint(self.canvas, pocket, 0.75 * colour)

    def straps(self) -> None:
        if self.cos < 0:
            return
        for side in (-0.07, 0.07):
            self.limb((0.03, side, 0.17), (0.05, side * 1.1, 0.36), (0.014, 0.014), self.look.bag_colour)

    def satchel(self) -> None:
        self.limb((0.02, -0.08, 0.17), (0.0, 0.13, 0.44), (0.01, 0.01), self.look.bag_colour)
        x, y = self.place((0.0, 0.14, 0.48))
        half = (0.05 + 0.03 * abs(self.sin)) * self.scale, 0.055 * self.scale
        colour = np.float32(self.look.bag_colour)
        paint(self.canvas, box(self.x, self.y, (x, y), half, 0.02 * self.scale), colour)
        paint(self.canvas, box(self.x, self.y, (x, y - 0.03 * self.scale), (half[0], half[1] * 0.45), 1.0), 0.8 * colour)


def _pick(generator: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """A colour of `palette`, a little off."""
    colour = np.float32(palette[generator.integers(len(palette))])
    red, green, blue = np.clip(colour + generator.normal(0, 0.03, 3), 0.03, 0.97)
    return float(red), float(green), float(blue)


def _draw_cloth(
    generator: np.random.Generator,
    palette: tuple[Colour, ...],
    patterns: tuple[str, ...],
    finest: float,
    coarsest: float,
) -> Cloth:
    first, second = generator.choice(len(palette), 2, replace=False)
    return Cloth(
        colour=_pick(generator, (palette[first],)),
        second=_pick(generator, (palette[second],)),
        pattern=str(generator.choice(patterns)),
        period=float(generator.uniform(finest, coarsest)),
    )
