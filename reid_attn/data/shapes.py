"""Drawing with numpy: signed distances, anti-aliased paint, smooth noise.

A canvas is an array (H, W, 3) of floats with RGB in 0..1 and is painted in place. Distances are in
pixels, negative inside; a pixel's coverage falls from 1 to 0 over the one pixel around the edge.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Point: TypeAlias = tuple[float, float]


def grid(height: int, width: int) -> tuple[Array, Array]:
    """The pixel centres as x (1, W) and y (H, 1)."""
    x = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    return x, y


def paint(canvas: Array, distance: Array, colour: ArrayLike, opacity: float = 1.0) -> None:
    """Lay `colour`, (3,) or (H, W, 3), over the inside of a shape given by its distance (H, W)."""
    coverage = opacity * np.clip(0.5 - distance, 0, 1)[..., None]
    canvas += coverage * (np.asarray(colour) - canvas)


def ellipse(x: Array, y: Array, centre: Point, radii: Point) -> Array:
    """Distance to an axis-parallel ellipse, exact in the limit of a circle."""
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    distance: Array = (np.hypot(u, v) - 1) * min(radii)
    return distance


def box(x: Array, y: Array, centre: Point, half: Point, corner: float = 0.0) -> Array:
    """Distance to a rectangle with half sides `half` and rounded corners."""
    u, v = np.abs(x - centre[0]) - half[0] + corner, np.abs(y - centre[1]) - half[1] + corner
    outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
    distance: Array = outside + np.minimum(np.maximum(u, v), 0) - corner
    return distance


def capsule(
    x: Array, y: Array, start: Point, end: Point, radii: Point
) -> tuple[Array, Array, Array]:
    """A limb whose radius runs from `radii[0]` at `start` to `radii[1]` at `end`.

    Returns (H, W) each: the distance, the position across in radii (−1 … 1 inside), and the
    position along the axis in pixels from `start`.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(float(np.hypot(dx, dy)), 1e-3)
    u, v = x - start[0], y - start[1]
    along = (u * dx + v * dy) / length
    share = np.clip(along / length, 0, 1)
    radius = radii[0] + share * (radii[1] - radii[0])
    distance = np.hypot(u - share * dx, v - share * dy) - radius
    across = (u * dy - v * dx) / length
    return distance, across / radius, along


def smooth_noise(generator: np.random.Generator, height: int, width: int, cell: float) -> Array:
    """Noise (H, W) in −1 … 1 that varies over about `cell` pixels: a bilinearly enlarged grid."""
    rows, columns = int(height / cell) + 2, int(width / cell) + 2
    coarse = generator.uniform(-1, 1, (rows, columns))
    down, across = _hats(height, rows, cell), _hats(width, columns, cell)
    return (down @ coarse @ across.T).astype(np.float32)


def blur(canvas: Array, sigma: float) -> Array:
    """`canvas` under a Gaussian of `sigma` pixels, cut off at 3σ; the border repeats."""
    reach = int(np.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        size = canvas.shape[axis]
        places = [np.clip(np.arange(size) + k, 0, size - 1) for k in range(-reach, reach + 1)]
        weighted = (w * canvas.take(p, axis) for w, p in zip(taps, places, strict=True))
        canvas = np.sum(list(weighted), axis=0, dtype=np.float32)
    return canvas


def _hats(size: int, knots: int, cell: float) -> Array:
    """Weights (size, knots) of linear interpolation between knots that lie `cell` pixels apart."""
    place = np.arange(size)[:, None] / cell
    weights: Array = np.maximum(0, 1 - np.abs(place - np.arange(knots)[None, :]))
    return weights
