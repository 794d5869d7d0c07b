"""Street cameras of the sample set: what each sees behind people, and how it renders colour."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .shapes import Array, blur, box, grid, paint, smooth_noise

# (generator, x, y) -> tone (H, W) around 1: pixels across, and down from the surface's upper edge
Surface: TypeAlias = Callable[[np.random.Generator, Array, Array], Array]

_SCENE = (160, 640)  # pixels; a picture is a window of it
_PARKING = 84  # pixels for a car
# A camera's own tint, and its drift from picture to picture (the spread of each channel), as the
# logarithm of the gain. They set how far a colour histogram comes.
_CAST, _DRIFT = 0.07, 0.05


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera: its view and its way with colours."""

    scene: Array  # (160, 640, 3)
    gain: Array  # (3,)
    gamma: float
    saturation: float
    softness: float  # σ of the blur, pixels

    def background(self, generator: np.random.Generator, height: int, width: int) -> Array:
        """A window (H, W, 3) of the scene, free to be painted on."""
        rows, columns = self.scene.shape[:2]
        top = generator.integers(rows - height + 1)
        left = generator.integers(columns - width + 1)
        return self.scene[top : top + height, left : left + width].copy()

    def expose(self, canvas: Array, generator: np.random.Generator) -> NDArray[np.uint8]:
        """The picture (H, W, 3) that this camera takes of `canvas`."""
        grey = canvas.mean(axis=2, keepdims=True)
        colours = np.clip(grey + self.saturation * (canvas - grey), 0, 1) ** self.gamma
        light = generator.uniform(0.8, 1.15) * np.exp(generator.normal(0, _DRIFT, 3)) * self.gain
        noisy = blur(colours * light, self.softness) + generator.normal(0, 0.012, canvas.shape)
        return np.clip(255 * noisy + 0.5, 0, 255).astype(np.uint8)


def draw_camera(generator: np.random.Generator, hue: float) -> Camera:
    """A camera by chance, whose colours lean towards `hue` (in turns; 0 is red, 1/3 green)."""
    lean = np.cos(2 * np.pi * (hue - np.arange(3) / 3))
    return Camera(
        scene=_scene(generator),
        gain=np.exp(_CAST * lean),
        gamma=float(generator.uniform(0.88, 1.14)),
        saturation=float(generator.uniform(0.7, 1.05)),
        softness=float(generator.uniform(0.4, 0.9)),
    )


def draw_obstacle(canvas: Array, generator: np.random.Generator) -> None:
    """Put a post or a bin in front of the person."""
    height, width = canvas.shape[:2]
    x, y = grid(height, width)
    colour = generator.uniform(0.15, 0.6) * generator.uniform(0.8, 1.2, 3)
    centre = width * float(generator.uniform(0, 1))
    if generator.random() < 0.5:
        half = float(generator.uniform(2.5, 5))
        round_shade = np.clip(1.1 - 0.35 * ((x - centre) / half) ** 2, 0.4, 1.2)[..., None]
        paint(canvas, box(x, y, (centre, 0), (half, 2.0 * height)), colour * round_shade)
    else:
        half, rise = float(generator.uniform(10, 24)), height * float(generator.uniform(0.2, 0.4))
        paint(canvas, box(x, y, (centre, height), (half, rise), 3), colour)
        paint(canvas, box(x, y, (centre, height - rise), (half + 1, 2.5), 1), 0.7 * colour)


def _scene(generator: np.random.Generator) -> Array:
    """A street: houses and hedges side by side, one pavement, cars, sun and shade."""
    height, width = _SCENE
    x, y = grid(height, width)
    horizon = int(generator.integers(55, 95))
    pavement = _PAVEMENTS[generator.integers(len(_PAVEMENTS))]
    nearer = 0.8 + 0.3 * (y - horizon) / (height - horizon)
    scene = _muted(generator) * (nearer * pavement(generator, x, y - horizon))[..., None]
    left = 0
    while left < width:
        right = left + int(generator.integers(60, 160))
        backdrop = _BACKDROPS[generator.integers(len(_BACKDROPS))]
        tone = (1 - 0.25 * y / height) * backdrop(generator, x[:, left:right], y)
        scene[:horizon, left:right] = _muted(generator) * tone[:horizon, :, None]
        left = right
    paint(scene, box(x, y, (0, horizon), (width, 1.5)), scene.mean((0, 1)) * 0.6)
    for left in generator.integers(0, width - _PARKING, 5):
        _park_car(scene[:, left : left + _PARKING], generator, horizon - 4.0)
    scene *= 1 + 0.3 * smooth_noise(generator, height, width, 70)[..., None]
    return np.clip(scene, 0, 1).astype(np.float32)


def _muted(generator: np.random.Generator) -> Array:
    """Nearly a grey, so that streets differ more in structure than in colour."""
    return (generator.uniform(0.44, 0.6) * generator.uniform(0.97, 1.03, 3)).astype(np.float32)


def _park_car(scene: Array, generator: np.random.Generator, middle: float) -> None:
    """Paint a car into a part of the scene; `middle` is the height of its middle."""
    x, y = grid(*scene.shape[:2])
    place = scene.shape[1] / 2, middle
    length, roof = float(generator.uniform(26, 36)), float(generator.uniform(9, 12))
    colour = generator.uniform(0.12, 0.75) * generator.uniform(0.7, 1.3, 3)
    cabin = place[0], place[1] - roof
    for wheel in (-0.6 * length, 0.6 * length):
        paint(scene, box(x, y, (place[0] + wheel, place[1] + 10), (5, 5), 5), (0.08, 0.08, 0.08))
    paint(scene, box(x, y, cabin, (0.62 * length, roof), 6), 0.9 * colour)
    paint(scene, box(x, y, cabin, (0.52 * length, 0.7 * roof), 4), (0.3, 0.34, 0.38))
    paint(scene, box(x, y, place, (length, 9), 5), colour)


def _facade(generator: np.random.Generator, x: Array, y: Array) -> Array:
    """Rows of windows in pale frames."""
    pitch, storey = generator.uniform(26, 44), generator.uniform(34, 48)
    u, v = (x / pitch) % 1 - 0.5, (y / storey) % 1 - 0.5
    frame = np.maximum(np.abs(u) - 0.28, np.abs(v) - 0.3) < 0
    pane = np.maximum(np.abs(u) - 0.24, np.abs(v) - 0.27) < 0
    return np.where(pane, 0.42 + 0.25 * (u + v), np.where(frame, 1.25, 1.0))


def _bricks(generator: np.random.Generator, x: Array, y: Array) -> Array:
    course = generator.uniform(6, 10)
    shift = 0.5 * (np.floor(y / course) % 2)
    mortar = ((x / (2.4 * course) + shift) % 1 < 0.07) | ((y / course) % 1 < 0.16)
    return np.where(mortar, 0.72, 1 + 0.1 * smooth_noise(generator, y.size, x.size, 5))


def _panels(generator: np.random.Generator, x: Array, y: Array) -> Array:
    pitch = generator.uniform(9, 22)
    tone: Array = 1 + 0.16 * np.sign(np.sin(2 * np.pi * x / pitch)) + 0 * y
    return tone


def _hedge(generator: np.random.Generator, x: Array, y: Array) -> Array:
    leaves = smooth_noise(generator, y.size, x.size, 3)
    return 0.85 + 0.25 * leaves + 0.25 * smooth_noise(generator, y.size, x.size, 14)


def _tiles(generator: np.random.Generator, x: Array, y: Array) -> Array:
    """Slabs in perspective: larger the further below the horizon."""
    nearness = np.maximum(y, 1) + 12
    row = 260 * generator.uniform(0.8, 1.4) / nearness
    vanishing = _SCENE[1] / 2 + generator.uniform(-60, 60)
    column = generator.uniform(1.2, 2.2) * (x - vanishing) / nearness
    joint = (row % 1 < 0.09) | (column % 1 < 0.05)
    return np.where(joint, 0.78, 1.0)


def _asphalt(generator: np.random.Generator, x: Array, y: Array) -> Array:
    """Grain, stains, and a painted line."""
    grain = smooth_noise(generator, y.size, x.size, 2)
    stains = smooth_noise(generator, y.size, x.size, 30)
    line = np.abs(y - generator.uniform(14, 40)) < 2
    tone: Array = 0.9 + 0.08 * grain + 0.15 * stains + 0.5 * line
    return tone


_BACKDROPS: tuple[Surface, ...] = (_facade, _bricks, _panels, _hedge)
_PAVEMENTS: tuple[Surface, ...] = (_tiles, _asphalt)
