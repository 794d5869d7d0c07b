"""What a gallery takes and gives: the embedder, vectors, hits and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DamagedError, DataError
from ..neighbours import unit_rows

CacheState = Literal["fresh", "stale", "absent"]
Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns pictures into features; the fingerprint names everything that shapes them."""

    @property
    def fingerprint(self) -> str:
        """Weights, settings, preprocessing and library versions, as one digest."""

    @property
    def dimension(self) -> int:
        """Length D of a feature."""

    def __call__(self, pictures: Sequence[Path], /) -> Vectors:
        """(N, D) float32 rows of unit length; `DataError` names a picture that cannot be read."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture of the gallery, found by a search."""

    row: int
    """Its number in the gallery, from 1; never given twice."""
    person: str
    camera: int
    source: str
    """The file name as it was given to `add`."""
    score: float
    """Cosine similarity, -1 to 1."""

    def __post_init__(self) -> None:
        if self.row < 1:
            raise DamagedError(f"{self.row} is not a row of a gallery: its index is damaged")


@dataclass(frozen=True, slots=True)
class Stats:
    """A gallery in figures; `rows` counts expired pictures too, until they are deleted."""

    rows: int
    persons: int
    cameras: int
    dimension: int
    fingerprint: str
    generation: int
    schema: int
    created: str
    """UTC, ISO 8601."""
    purpose: str
    run: str
    keep_days: int | None
    bytes: int
    """All files of the gallery."""
    cache: CacheState
    rebuild_seconds: float | None
    """What building the index took when it was last built; `None` when not known."""


def fitting_rows(vectors: ArrayLike, dimension: int) -> Vectors:
    """`vectors` (N, D) as float32 rows of unit length.

    `DataError` for another shape, a row that is not finite, or a zero row, which has no direction.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
        rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise DataError(
            f"vectors of shape {rows.shape} do not fit a gallery of dimension {dimension}: "
            f"give one row of {dimension} numbers per picture"
        )
    return unit_rows(rows)
