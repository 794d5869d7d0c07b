"""A model small enough to follow by hand, and galleries made with it."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reid_attn.errors import DataError
from reid_attn.gallery import Calibration, Gallery

DIMENSION = 8


class FakeEmbedder:
    """A vector drawn by the content of the picture; the content `bad` cannot be decoded."""

    def __init__(self, fingerprint: str = "model-a", dimension: int = DIMENSION) -> None:
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.embedded = 0

    def __call__(self, pictures: Sequence[Path]) -> NDArray[np.float32]:
        contents = [picture.read_bytes() for picture in pictures]
        for picture, content in zip(pictures, contents, strict=True):
            if content == b"bad":
                raise DataError(f"{picture} is not a picture")
        self.embedded += len(pictures)
        rows = np.stack([_drawn(content, self.dimension) for content in contents])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _drawn(content: bytes, dimension: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dimension)


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def make_embedder() -> Callable[..., FakeEmbedder]:
    return FakeEmbedder


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty gallery for vectors of `DIMENSION`, made once, since that waits for the disk."""
    folder = tmp_path_factory.mktemp("empty") / "people"
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION, pictures=False)
    return folder


@pytest.fixture
def folder(tmp_path: Path, empty: Path) -> Path:
    """A closed, empty gallery for vectors of `DIMENSION`."""
    return Path(shutil.copytree(empty, tmp_path / "people"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Six files that the embedder takes."""
    paths = [tmp_path / f"{number}.jpg" for number in range(6)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def measured() -> Callable[[float], dict[str, float]]:
    """What `calibrate` keeps, with a threshold of one's own."""

    def calibration(threshold: float) -> dict[str, float]:
        return asdict(Calibration(threshold, 0.01, 0.0, 1.0, 9, 4, 2))

    return calibration


@pytest.fixture
def add_random() -> Callable[..., NDArray[np.float32]]:
    """Adds random vectors of four persons and three cameras; returns them."""

    def add(
        folder: Path, count: int, seed: int = 0, dimension: int = DIMENSION
    ) -> NDArray[np.float32]:
        vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
        with Gallery.open(folder) as gallery:
            added = gallery.add_vectors(
                vectors,
                [f"person {number % 4}" for number in range(count)],
                [number % 3 for number in range(count)],
                [f"{seed}-{number}.jpg" for number in range(count)],
                [hashlib.sha256(f"{seed}-{number}".encode()).digest() for number in range(count)],
            )
        assert added == count
        return vectors

    return add
