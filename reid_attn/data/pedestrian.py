"""Drawing one pedestrian of the sample set: pose, skeleton and paint.

The skeleton is a handful of joints (forward, to the left, down; in body heights below the top of
the head), turned about the vertical axis and projected without perspective. Limbs are capsules, the
trunk is a profile, and everything is painted from the back to the front. Patterns live in the
coordinates of the garment, so they move with the body.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from .looks import Cloth, Colour, Look
from .shapes import Array, Point, box, capsule, ellipse, grid, paint

Joint = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """How a person appears in one picture."""

    turn: float  # radians; 0 faces the camera, π/2 walks to the right of the picture
    phase: float  # of the walk, radians
    stride: float  # largest angle of the thigh, radians
    top: Point  # where the head of an average person ends, pixels
    scale: float  # pixels per body height of an average person


def draw_pose(generator: np.random.Generator, height: int, width: int) -> Pose:
    """A pose by chance that fills a picture of `height` × `width` pixels about as detectors do."""
    scale = height * float(generator.uniform(0.87, 0.97))
    return Pose(
        turn=float(generator.uniform(-np.pi, np.pi)),
        phase=float(generator.uniform(0, 2 * np.pi)),
        stride=float(generator.uniform(0.1, 0.5)),
        top=(
            width * float(generator.uniform(0.42, 0.58)),
            (height - scale) * float(generator.uniform(0.1, 0.9)),
        ),
        scale=scale,
    )


def draw_person(canvas: Array, look: Look, pose: Pose) -> None:
    """Paint a person and the shadow on the ground over `canvas` (H, W, 3)."""
    figure = _Figure(canvas, look, pose)
    figure.shadow()
    for _, paint_part in sorted(figure.parts(), key=lambda part: part[0]):
        paint_part()


class _Figure:
    """One person on one canvas. Lengths are in body heights unless they say pixels."""

    def __init__(self, canvas: Array, look: Look, pose: Pose) -> None:
        self.canvas, self.look, self.pose = canvas, look, pose
        self.x, self.y = grid(canvas.shape[0], canvas.shape[1])
        self.scale = pose.scale * look.height
        # feet stay on the ground, so a short person starts lower; the body bobs twice a step
        self.top = pose.top[1] + pose.scale * (1 + 0.008 * np.cos(2 * pose.phase)) - self.scale
        self.sin, self.cos = float(np.sin(pose.turn)), float(np.cos(pose.turn))

    def place(self, joint: Joint) -> Point:
        """The pixel of a joint."""
        forward, left, down = joint
        across = forward * self.sin + left * self.cos
        return self.pose.top[0] + self.scale * across, self.top + self.scale * down

    def depth(self, joint: Joint) -> float:
        """How far a joint lies towards the camera."""
        return joint[0] * self.cos - joint[1] * self.sin

    def parts(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """What to paint, each with its depth; legs always lie under the upper garment."""
        look = self.look
        yield 0.0, self.torso
        yield 0.01, self.head
        for side in (-1, 1):
            leg, arm = self.leg_joints(side), self.arm_joints(side)
            yield self.depth(leg[1]) - 2, partial(self.leg, leg)
            yield self.depth(arm[1]), partial(self.arm, arm)
        if look.legwear == "skirt":
            yield -1.0, self.skirt
        if look.hairstyle == "long":
            yield 0.005 - 0.035 * self.cos, self.long_hair
        if look.bag == "backpack":
            yield -0.05 * self.cos, self.backpack
        if look.bag == "backpack" and self.cos > 0:
            yield 0.005, self.straps
        if look.bag == "satchel":
            yield 0.02, self.satchel

    def leg_joints(self, side: int) -> list[Joint]:
        """Hip, knee, ankle and toe; the shin of the leg that comes forward is bent."""
        swing, lift = side * np.sin(self.pose.phase), max(0.0, -side * np.cos(self.pose.phase))
        thigh = self.pose.stride * swing
        shin = thigh - self.pose.stride * (0.25 + 1.3 * lift)
        left = 0.05 * side * self.look.build
        knee = (0.23 * np.sin(thigh), left, 0.5 + 0.23 * np.cos(thigh))
        ankle = (knee[0] + 0.22 * np.sin(shin), 0.9 * left, knee[2] + 0.22 * np.cos(shin))
        toe = (ankle[0] + 0.06, 1.2 * left, ankle[2] + 0.018)
        return [(0.0, left, 0.5), knee, ankle, toe]

    def arm_joints(self, side: int) -> list[Joint]:
        """Shoulder, elbow and hand; arms swing against the legs."""
        upper = -0.9 * self.pose.stride * side * np.sin(self.pose.phase)
        lower = upper + 0.25 + 0.4 * self.pose.stride
        left = 0.104 * side * self.look.build
        elbow = (0.155 * np.sin(upper), left + 0.02 * side, 0.185 + 0.155 * np.cos(upper))
        hand = (
            elbow[0] + 0.14 * np.sin(lower),
            left + 0.015 * side,
            elbow[2] + 0.14 * np.cos(lower),
        )
        return [(0.0, left, 0.185), elbow, hand]

    def shadow(self) -> None:
        """Three ellipses, one in the other, for a soft edge."""
        feet = self.place((0.0, 0.0, 0.975))
        for share in (1.0, 0.8, 0.6):
            radii = 0.2 * self.scale * share, 0.03 * self.scale * share
            paint(self.canvas, ellipse(self.x, self.y, feet, radii), (0, 0, 0), 0.22)

    def leg(self, joints: list[Joint]) -> None:
        hip, knee, ankle, toe = joints
        look = self.look
        thigh = look.skin if look.legwear == "skirt" else look.lower
        shin = look.lower if look.legwear == "trousers" else look.skin
        thick = look.build * (0.8 if look.legwear == "skirt" else 1.0)
        self.limb(ankle, toe, (0.024, 0.02), look.shoes)
        self.limb(knee, ankle, (0.04 * thick, 0.028), shin, 0.23)
        self.limb(hip, knee, (0.06 * thick, 0.043 * thick), thigh)

    def arm(self, joints: list[Joint]) -> None:
        shoulder, elbow, hand = joints
        look = self.look
        forearm = look.skin if look.sleeves == "short" else look.upper
        self.limb(hand, hand, (0.022, 0.022), look.skin)
        self.limb(elbow, hand, (0.028, 0.022), forearm, 0.155)
        self.limb(shoulder, elbow, (0.034 * look.build, 0.029), look.upper)

    def torso(self) -> None:
        look, hem = self.look, self.look.hem
        self.limb((0.0, 0.0, 0.11), (0.0, 0.0, 0.17), (0.03, 0.034), look.skin)
        if look.legwear != "skirt":
            self.trunk([0.46, 0.54], [0.095, 0.1], look.lower)
        skirts = 0.102 + 0.1 * (hem - 0.52)
        self.trunk([0.148, 0.165, 0.19, 0.4, hem], [0.045, 0.09, 0.112, 0.094, skirts], look.upper)

    def skirt(self) -> None:
        self.trunk([0.46, 0.54, 0.7], [0.09, 0.105, 0.14], self.look.lower)

    def head(self) -> None:
        centre, radii = self.place((0.012, 0.0, 0.07)), (0.05 * self.scale, 0.066 * self.scale)
        u, v = (self.x - centre[0]) / radii[0], (self.y - centre[1]) / radii[1]
        paint(self.canvas, ellipse(self.x, self.y, centre, radii), self.look.skin * _shade(u))
        if self.look.hairstyle != "bald":
            # the hairline tilts away from the face and sinks to the neck at the back
            line = v + 0.9 * self.sin * u + 0.25 - 1.2 * max(0.0, -self.cos)
            cap = ellipse(self.x, self.y, centre, (1.1 * radii[0], 1.08 * radii[1]))
            hair = self.look.hair * _shade(u)
            paint(self.canvas, np.maximum(cap, radii[0] * line), hair)

    def long_hair(self) -> None:
        self.limb((-0.03, 0.0, 0.07), (-0.04, 0.0, 0.17), (0.055, 0.05), self.look.hair)

    def backpack(self) -> None:
        half = 0.095 * abs(self.cos) + 0.055 * abs(self.sin)
        self.case((-0.1, 0.0, 0.3), (half, 0.12), 0.04, 1.0)
        self.case((-0.1, 0.0, 0.35), (0.7 * half, 0.05), 0.02, 0.75)

    def straps(self) -> None:
        for left in (-0.07, 0.07):
            ends = (0.03, left, 0.17), (0.05, 1.1 * left, 0.36)
            self.limb(*ends, (0.014, 0.014), self.look.bag_colour)

    def satchel(self) -> None:
        half = 0.05 + 0.03 * abs(self.sin)
        self.limb((0.02, -0.08, 0.17), (0.0, 0.13, 0.44), (0.01, 0.01), self.look.bag_colour)
        self.case((0.0, 0.14, 0.48), (half, 0.055), 0.02, 1.0)
        self.case((0.0, 0.14, 0.45), (half, 0.025), 0.01, 0.8)

    def limb(
        self, start: Joint, end: Joint, radii: Point, material: Cloth | Colour, down: float = 0.0
    ) -> None:
        """A capsule; `down` is how far along the garment it starts."""
        thick = radii[0] * self.scale, radii[1] * self.scale
        ends = self.place(start), self.place(end)
        columns, rows = (_span(*line, max(thick)) for line in zip(*ends, strict=True))
        distance, across, along = capsule(self.x[:, columns], self.y[rows], *ends, thick)
        if isinstance(material, Cloth):
            colour = material.at(across * radii[0], along / self.scale + down, chest=False)
        else:
            colour = np.asarray(material, np.float32)
        far = 0.82 if self.depth(end) < -0.03 else 1.0
        paint(self.canvas[rows, columns], distance, colour * (far * _shade(across)))

    def trunk(self, down: list[float], half: list[float], cloth: Cloth) -> None:
        """The body between the heights `down`, where its half breadth from the front is `half`."""
        u = (self.x - self.pose.top[0]) / self.scale
        v = (self.y - self.top) / self.scale
        # from the side a trunk looks about two thirds as broad
        breadth = self.look.build * np.hypot(self.cos, 0.68 * self.sin)
        width = (breadth * np.interp(v, down, half)).astype(np.float32)
        beyond = np.maximum(down[0] - v, v - down[-1])
        distance = np.maximum(np.abs(u) - width, beyond) * self.scale
        colour = cloth.at(u - 0.07 * self.sin, v - down[0], chest=self.cos > 0.2)
        paint(self.canvas, distance, colour * _shade(u / width))

    def case(self, centre: Joint, half: Point, corner: float, tone: float) -> None:
        """A flat box in the colour of the bag."""
        place = self.place(centre)
        size = half[0] * self.scale, half[1] * self.scale
        colour = tone * np.asarray(self.look.bag_colour) * _shade((self.x - place[0]) / size[0])
        paint(self.canvas, box(self.x, self.y, place, size, corner * self.scale), colour)


def _shade(across: Array) -> Array:
    """Light from the left of the picture on a round body: (H, W, 1) at positions −1 … 1 across."""
    return np.clip(1.04 - 0.1 * across - 0.22 * across**2, 0.4, 1.1)[..., None]


def _span(start: float, end: float, reach: float) -> slice:
    """The rows or columns within `reach` pixels of a line: painting them alone is much faster."""
    low, high = min(start, end) - reach - 1, max(start, end) + reach + 2
    return slice(max(0, int(low)), max(0, int(high)))
