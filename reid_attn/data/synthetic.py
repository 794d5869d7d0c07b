"""The built-in sample set: drawn pedestrians before street cameras, in Market-1501 layout.

Who somebody is shows in the clothes (colours and patterns of the two halves), hair, bag and build;
what changes is the pose, the place, the camera's colours and sharpness, and what stands in the way.
Somebody else before the same wall has more colours in common with a picture than the same person in
another street, so a colour histogram finds few, and a network has something to learn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..storage import write_bytes
from .images import encode_jpeg
from .pedestrian import Look, draw_look, draw_person, draw_pose
from .street import Camera, draw_camera, occlude

HEIGHT, WIDTH = 128, 64
DISTRACTOR, JUNK = 0, -1  # the persons that Market-1501 gives to its useless detections
_USELESS = 3  # distractors, and as many junk pictures, for each camera

_CAMERA, _LOOK, _PICTURE = range(3)  # what a stream of random numbers is for


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture of the plan."""

    folder: str
    person: int
    camera: int
    frame: int

    @property
    def name(self) -> str:
        person = "-1" if self.person == JUNK else f"{self.person:04d}"
        return f"{self.folder}/{person}_c{self.camera}s1_{self.frame:06d}_00.jpg"


def write_sample(folder: Path, persons: int, cameras: int, seed: int, pictures: int = 4) -> None:
    """Write the sample set below `folder`; the same arguments give the same bytes.

    The first half of the `persons` (the larger, if odd) is for training, the others for testing:
    each camera's first picture of a test person is a query, the rest is the gallery. `pictures`
    is the number per person and camera. A person looks the same in sets of any size.

    Raises `UsageError` for numbers that make no set, `DataError` for a folder with other pictures.
    """
    _check(persons, cameras, seed, pictures)
    shots = list(_plan(persons, cameras, pictures))
    _refuse_others(folder, {shot.name for shot in shots})
    street = [draw_camera(_stream(seed, _CAMERA, camera)) for camera in range(1, cameras + 1)]
    for shot in shots:
        write_bytes(folder / shot.name, encode_jpeg(_picture(shot, street[shot.camera - 1], seed)))


def _check(persons: int, cameras: int, seed: int, pictures: int) -> None:
    limits = {
        "persons": (persons, 4, 9999),
        "cameras": (cameras, 2, 9),
        "pictures": (pictures, 2, 999),
        "seed": (seed, 0, 2**63),
    }
    for option, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise UsageError(
                f"a sample set needs {option} between {low} and {high}, and {value} was asked for"
            )


def _plan(persons: int, cameras: int, pictures: int) -> Iterator[_Shot]:
    training = (persons + 1) // 2
    for camera in range(1, cameras + 1):
        for person in range(1, persons + 1):
            for frame in range(1, pictures + 1):
                test = "query" if frame == 1 else "bounding_box_test"
                folder = "bounding_box_train" if person <= training else test
                yield _Shot(folder, person, camera, frame)
        for person in (DISTRACTOR, JUNK):
            for frame in range(1, _USELESS + 1):
                yield _Shot("bounding_box_test", person, camera, frame)


def _refuse_others(folder: Path, names: set[str]) -> None:
    """An interrupted writing may be repeated, but two different sets must not mix."""
    for path in sorted(folder.glob("*/*.jpg")):
        if path.relative_to(folder).as_posix() not in names:
            raise DataError(f"{folder} holds other pictures, such as {path}: name a new folder")


def _stream(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, *numbers])


def _picture(shot: _Shot, camera: Camera, seed: int) -> NDArray[np.uint8]:
    """Draw one picture (128, 64, 3)."""
    generator = _stream(seed, _PICTURE, shot.person + 1, shot.camera, shot.frame)
    canvas = camera.background(generator, HEIGHT, WIDTH)
    if generator.random() < 0.25:
        _pass_by(canvas, generator)
    if shot.person > 0:
        draw_person(canvas, draw_look(_stream(seed, _LOOK, shot.person)), draw_pose(generator, HEIGHT, WIDTH))
    elif shot.person == JUNK:
        _cut_off(canvas, draw_look(generator), generator)
    if generator.random() < 0.2:
        occlude(canvas, generator)
    return camera.expose(canvas, generator)


def _pass_by(canvas: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Somebody else, half outside the picture."""
    pose = draw_pose(generator, HEIGHT, WIDTH)
    edge = WIDTH * float(generator.choice([-0.02, 1.02]))
    draw_person(canvas, draw_look(generator), replace(pose, top=(edge, pose.top[1])))


def _cut_off(canvas: NDArray[np.float32], look: Look, generator: np.random.Generator) -> None:
    """A detection that caught only the upper or the lower part of somebody."""
    pose = draw_pose(generator, HEIGHT, WIDTH)
    top = HEIGHT * float(generator.choice([-0.75, 0.5]))
    draw_person(canvas, look, replace(pose, top=(pose.top[0], top), scale=1.3 * pose.scale))
