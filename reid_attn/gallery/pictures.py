"""Pictures on their way into a gallery: all are looked at, and none is taken if one is bad."""

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from .. import storage
from ..errors import DataError
from .contract import Embedder, Vectors

CHUNK = 128  # pictures that are embedded at a time

Picture = str | os.PathLike[str]
Progress = Callable[[int], None]
"""Called with the number of pictures that were just finished."""


def silent(_: int) -> None:
    """The `Progress` that shows nothing."""


def hashes(pictures: Sequence[Picture]) -> list[bytes]:
    """SHA-256 of the content of each picture; `DataError` names all that cannot be read."""
    found, problems = [], []
    for picture in pictures:
        try:
            found.append(sha256(storage.read_bytes(Path(picture))).digest())
        except DataError as error:
            problems.append(str(error))
    _refuse(problems, len(pictures))
    return found


def embed(embedder: Embedder, pictures: Sequence[Path], progress: Progress) -> Vectors:
    """Features (N, D); `DataError` names all pictures that the embedder refuses."""
    vectors = [np.empty((0, embedder.dimension), np.float32)]
    problems: list[str] = []
    for start in range(0, len(pictures), CHUNK):
        chunk = pictures[start : start + CHUNK]
        try:
            vectors.append(embedder(chunk))
        except DataError as error:
            problems += _problems(embedder, chunk) or [str(error)]
        progress(len(chunk))
    _refuse(problems, len(pictures))
    return np.concatenate(vectors)


def _problems(embedder: Embedder, pictures: Sequence[Path]) -> list[str]:
    """What the embedder says of each picture alone: together, it names only the first."""
    problems = []
    for picture in pictures:
        try:
            embedder([picture])
        except DataError as error:
            problems.append(str(error))
    return problems


def _refuse(problems: Sequence[str], pictures: int) -> None:
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise DataError(
            f"{len(problems)} of {pictures} pictures cannot be used, so none was added:{listed}"
        )
