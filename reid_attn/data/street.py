"""Street cameras of the sample set: a view of their own, and what their lens does to colours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .shapes import Array, blur, box, grid, paint, smooth_noise

_SCENE = (160, 640)  # pixels; a picture is a window of it


@dataclass(frozen=True, slots=True)
class Camera:
    """What one camera sees behind people, and how it renders colour."""

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
        light = generator.uniform(0.8, 1.15) * self.gain
        noisy = blur(colours * light, self.softness) + generator.normal(0, 0.012, canvas.shape)
        return np.clip(255 * noisy + 0.5, 0, 255).astype(np.uint8)


def draw_camera(generator: np.random.Generator) -> Camera:
    """A camera by chance."""
    return Camera(
        scene=_draw_scene(generator),
        gain=np.exp(generator.uniform(-0.08, 0.08, 3)).astype(np.float32),
        gamma=float(generator.uniform(0.85, 1.2)),
        saturation=float(generator.uniform(0.7, 1.05)),
        softness=float(generator.uniform(0.4, 0.9)),
    )


def occlude(canvas: Array, generator: np.random.Generator) -> None:
    """Put a post or a box in front of the person."""
    height, width = canvas.shape[:2]
    x, y = grid(height, width)
    colour = generator.uniform(0.15, 0.6) * generator.uniform(0.8, 1.2, 3)
    if generator.random() < 0.5:
        centre = width * float(generator.uniform(0.1, 0.9))
        half = float(generator.uniform(2.5, 5))
        shade = np.clip(1.1 - 0.35 * ((x - centre) / half) ** 2, 0.4, 1.2)[..., None]
        paint(canvas, box(x, y, (centre, 0), (half, 2.0 * height)), colour * shade)
    else:
        half_width, half_height = generator.uniform(10, 24), height * generator.uniform(0.1, 0.2)
        centre = width * float(generator.uniform(0, 1))
        bin_ = box(x, y, (centre, height), (float(half_width), 2 * float(half_height)), 3)
        lid = box(x, y, (centre, height - 2 * float(half_height)), (float(half_width) + 1, 2.5), 1)
        paint(canvas, bin_, colour)
        paint(canvas, lid, 0.7 * colour)


def _draw_scene(generator: np.random.Generator) -> Array:
    """A street: houses and hedges side by side, one pavement, things standing before the wall."""
    height, width = _SCENE
    x, y = grid(height, width)
    horizon = int(generator.integers(55, 95))
    pavement = _PAVEMENTS[generator.integers(len(_PAVEMENTS))]
    near = 0.8 + 0.3 * (y - horizon) / (height - horizon)
    scene = _muted(generator) * (near * pavement(generator, x, y - horizon))[..., None]
    left = 0
    while left < width:
        right = left + int(generator.integers(60, 160))
        backdrop = _BACKDROPS[generator.integers(len(_BACKDROPS))]
        tone = (1 - 0.25 * y / height) * backdrop(generator, x[:, left:right], y)
        scene[:horizon, left:right] = _muted(generator) * tone[:horizon, :, None]
        left = right
    _furnish(scene, generator, horizon)
    scene *= 1 + 0.3 * smooth_noise(generator, height, width, 70)[..., None]  # sun and shade
    return np.clip(scene, 0, 1).astype(np.float32)


def _muted(generator: np.random.Generator) -> Array:
    return (generator.uniform(0.42, 0.62) * generator.uniform(0.95, 1.05, 3)).astype(np.float32)


def _furnish(scene: Array, generator: np.random.Generator, horizon: int) -> None:
    """A kerb along the wall, and before it parked cars."""
    x, y = grid(*scene.shape[:2])
    paint(scene, box(x, y, (0, horizon), (scene.shape[1], 1.5)), scene.mean((0, 1)) * 0.6)
    for centre in generator.uniform(0, scene.shape[1], 5):
        length, roof = float(generator.uniform(26, 36)), float(generator.uniform(9, 12))
        colour = generator.uniform(0.12, 0.75) * generator.uniform(0.7, 1.3, 3)
        place, cabin = (float(centre), horizon - 4.0), (float(centre), horizon - 4.0 - roof)
        for wheel in (-0.6, 0.6):
            paint(scene, box(x, y, (place[0] + wheel * length, horizon + 6.0), (5, 5), 5), (0.08, 0.08, 0.08))
        paint(scene, box(x, y, cabin, (0.62 * length, roof), 6), 0.9 * colour)
        paint(scene, box(x, y, cabin, (0.52 * length, 0.7 * roof), 4), (0.3, 0.34, 0.38))
        paint(scene, box(x, y, place, (length, 9), 5), colour)


def _facade(generator: np.random.Generator, x: Array, y: Array) -> Array:
    """Rows of windows."""
    pitch, storey = generator.uniform(26, 44), generator.uniform(34, 48)
    u, v = (x / pitch) % 1 - 0.5, (y / storey) % 1 - 0.5
    window = np.maximum(np.abs(u) - 0.28, np.abs(v) - 0.3)
    pane = np.maximum(np.abs(u) - 0.24, np.abs(v) - 0.27)
    return np.where(pane < 0, 0.42 + 0.25 * (v + u), np.where(window < 0, 1.25, 1.0)).astype(np.float32)


def _bricks(generator: np.random.Generator, x: Array, y: Array) -> Array:
    course = generator.uniform(6, 10)
    row = np.floor(y / course)
    u, v = (x / (2.4 * course) + 0.5 * (row % 2)) % 1, (y / course) % 1
    tone = smooth_noise(generator, y.shape[0], x.shape[1], 5)
    return np.where((u < 0.07) | (v < 0.16), 0.72, 1 + 0.1 * tone).astype(np.float32)


def _panels(generator: np.random.Generator, x: Array, y: Array) -> Array:
    pitch = generator.uniform(9, 22)
    return (1 + 0.16 * np.sign(np.sin(2 * np.pi * x / pitch)) + 0 * y).astype(np.float32)


def _hedge(generator: np.random.Generator, x: Array, y: Array) -> Array:
    fine = smooth_noise(generator, y.shape[0], x.shape[1], 3)
    coarse = smooth_noise(generator, y.shape[0], x.shape[1], 14)
    return 0.85 + 0.25 * fine + 0.25 * coarse


def _tiles(generator: np.random.Generator, x: Array, depth: Array) -> Array:
    """Slabs in perspective: rows grow with the distance below the horizon."""
    far = np.maximum(depth, 1) + 12
    row, slant = 260 / far * generator.uniform(0.8, 1.4), generator.uniform(-60, 60)
    column = (x - 320 + slant) / far * generator.uniform(1.2, 2.2)
    return np.where((row % 1 < 0.09) | (column % 1 < 0.05), 0.78, 1.0).astype(np.float32)


def _asphalt(generator: np.random.Generator, x: Array, depth: Array) -> Array:
    fine = smooth_noise(generator, depth.shape[0], x.shape[1], 2)
    coarse = smooth_noise(generator, depth.shape[0], x.shape[1], 30)
    line = np.abs(depth - generator.uniform(14, 40)) < 2.0
    return 0.9 + 0.08 * fine + 0.15 * coarse + 0.5 * line


_BACKDROPS: tuple[Callable[[np.random.Generator, Array, Array], Array], ...] = (
    _facade,
    _bricks,
    _panels,
    _hedge,
)
_PAVEMENTS: tuple[Callable[[np.random.Generator, Array, Array], Array], ...] = (_tiles, _asphalt)
