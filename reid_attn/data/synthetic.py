"""The built-in sample set: drawn pedestrians before street cameras, in Market-1501 layout.

Who somebody is shows in the clothes (colours and patterns of the two halves), hair, bag and build.
What changes is the pose, the place, the camera's colours and sharpness, and what stands in the way.
Somebody else in the same street shares more colours with a picture than the same person in another
street, so a colour histogram finds few, and a network has something to learn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..storage import write_bytes
from .images import encode_jpeg
from .looks import draw_look
from .market1501 import DISTRACTOR, JUNK, SPLITS
from .pedestrian import draw_person, draw_pose
from .shapes import Array
from .street import Camera, draw_camera, draw_obstacle

HEIGHT, WIDTH = 128, 64
USELESS = 3
"""How many distractors, and how many junk pictures, each camera adds to the gallery."""

_CAMERA, _LOOK, _PICTURE = range(3)  # what a stream of random numbers is for


def write_sample(folder: Path, persons: int, cameras: int, seed: int, pictures: int = 4) -> None:
    """Write the sample set below `folder`; the same arguments give the same bytes.

    The first half of the `persons` (the larger, if odd) is for training, the others for testing:
    each camera's first picture of a test person is a query, the rest is the gallery. `pictures`
    is the number per person and camera. A person looks the same in sets of any size.

    Raises `UsageError` for numbers that make no set, `DataError` if `folder` holds another set.
    """
    _check(persons=persons, cameras=cameras, pictures=pictures, seed=seed)
    shots = list(_plan(persons, cameras, pictures))
    _refuse_others(folder, {shot.name for shot in shots})
    views = {camera: _camera(camera, seed) for camera in range(1, cameras + 1)}
    for shot in shots:
        write_bytes(folder / shot.name, encode_jpeg(_take(shot, views[shot.camera], seed)))


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture to be taken."""

    split: str
    person: int
    camera: int
    frame: int

    @property
    def name(self) -> str:
        person = str(JUNK) if self.person == JUNK else f"{self.person:04d}"
        return f"{SPLITS[self.split]}/{person}_c{self.camera}s1_{self.frame:06d}_00.jpg"


_LIMITS = {"persons": (4, 9999), "cameras": (2, 9), "pictures": (2, 999), "seed": (0, 2**63)}


def _check(**options: int) -> None:
    for option, value in options.items():
        low, high = _LIMITS[option]
        if not low <= value <= high:
            raise UsageError(f"{option} must be from {low} to {high} in a sample set, not {value}")


def _plan(persons: int, cameras: int, pictures: int) -> Iterator[_Shot]:
    for camera in range(1, cameras + 1):
        for person in range(1, persons + 1):
            for frame in range(1, pictures + 1):
                test = "query" if frame == 1 else "gallery"
                yield _Shot("train" if 2 * person <= persons + 1 else test, person, camera, frame)
        for person in (DISTRACTOR, JUNK):
            for frame in range(1, USELESS + 1):
                yield _Shot("gallery", person, camera, frame)


def _refuse_others(folder: Path, names: set[str]) -> None:
    """An interrupted writing may be repeated, but two sets must not mix."""
    for path in sorted(folder.glob("*/*.jpg")):
        if path.relative_to(folder).as_posix() not in names:
            raise DataError(f"{folder} holds another set, with {path}: name a new folder")


def _stream(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """Random numbers of their own for every camera, person and picture, whatever else is drawn."""
    return np.random.default_rng([seed, purpose, *numbers])


def _camera(camera: int, seed: int) -> Camera:
    """Steps of the golden ratio keep the tints of any number of cameras apart."""
    first = _stream(seed, _CAMERA, 0).random()
    return draw_camera(_stream(seed, _CAMERA, camera), hue=first + camera * (np.sqrt(5) - 1) / 2)


def _take(shot: _Shot, camera: Camera, seed: int) -> NDArray[np.uint8]:
    """The picture (128, 64, 3) of a person, of nobody, or of a part of somebody."""
    generator = _stream(seed, _PICTURE, shot.person - JUNK, shot.camera, shot.frame)
    canvas = camera.background(generator, HEIGHT, WIDTH)
    if generator.random() < 0.25:
        _pass_by(canvas, generator)
    if shot.person == JUNK:
        _cut_off(canvas, generator)
    elif shot.person != DISTRACTOR:
        look = draw_look(_stream(seed, _LOOK, shot.person))
        draw_person(canvas, look, draw_pose(generator, HEIGHT, WIDTH))
    if generator.random() < 0.2:
        draw_obstacle(canvas, generator)
    return camera.expose(canvas, generator)


def _pass_by(canvas: Array, generator: np.random.Generator) -> None:
    """Somebody else, half outside the picture."""
    pose = draw_pose(generator, HEIGHT, WIDTH)
    edge = WIDTH * float(generator.choice([-0.02, 1.02]))
    draw_person(canvas, draw_look(generator), replace(pose, top=(edge, pose.top[1])))


def _cut_off(canvas: Array, generator: np.random.Generator) -> None:
    """A detection that caught only the upper or the lower part of somebody."""
    pose = draw_pose(generator, HEIGHT, WIDTH)
    top = HEIGHT * float(generator.choice([-0.75, 0.5]))
    cut = replace(pose, top=(pose.top[0], top), scale=1.3 * pose.scale)
    draw_person(canvas, draw_look(generator), cut)
