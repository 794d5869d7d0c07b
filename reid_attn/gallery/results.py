"""What a gallery answers: hits, the decision on the person searched for, and figures."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from ..errors import DamagedError
from .contract import Store
from .record import Calibration, Row, attributes_of

Grouping = Literal["picture", "person", "track"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture of the gallery, found by a search; with a grouping, the best of its group."""

    row: int
    """Its number in the gallery, from 1; never given twice."""
    person: str
    """Empty as long as nobody knows."""
    camera: int
    source: str
    """The file name as it was given to `add`."""
    score: float
    """Cosine similarity, -1 to 1."""
    name: str = ""
    """What people call the person."""
    time: float | None = None
    """Seconds since 1970, UTC."""
    track: str = ""
    attributes: str = "{}"
    """A JSON object."""

    def __post_init__(self) -> None:
        if self.row < 1:
            raise DamagedError(f"{self.row} is not a row of a gallery: its index is damaged")
        attributes_of(self.attributes)

    @classmethod
    def of(cls, row: Row, score: float) -> "Hit":
        """The hit on a row."""
        source = os.fsdecode(row.source)
        known = (row.name, row.time, row.track, row.attributes)
        return cls(row.row, row.person, row.camera, source, score, *known)


@dataclass(frozen=True, slots=True)
class Answer(Sequence[Hit]):
    """The hits of one query, best first, and whether its person is in the gallery at all.

    A likeness, not an identification: a person decides.
    """

    hits: tuple[Hit, ...]
    calibration: Calibration | None
    best: float | None
    """The highest score of the pictures that were searched; `None` where there was none."""

    @property
    def known(self) -> bool | None:
        """Whether the best score reaches the threshold; `None` as long as nobody calibrated."""
        if self.calibration is None:
            return None
        return self.best is not None and self.best >= self.calibration.threshold

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Hit]: ...
    def __getitem__(self, place: int | slice) -> Hit | Sequence[Hit]:
        return self.hits[place]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A gallery in figures; `rows` counts expired pictures too, until they are deleted."""

    rows: int
    persons: int
    cameras: int
    tracks: int
    expired: int
    erased: int
    """Sources that were erased and may not come back."""
    dimension: int
    fingerprint: str
    generation: int
    schema: int
    created: str
    """UTC, ISO 8601."""
    purpose: str
    controller: str
    run: str
    keep_days: int | None
    until: int | None
    pictures: bool
    threshold: float | None
    """From which score on a person counts as known, if calibrated."""
    bytes: int
    """All files of the gallery."""
    cache: str
    rebuild_seconds: float | None
    """What building the index took when it was last built; `None` when not known."""
    store: dict[str, Any]
    """What else the store has to say."""


def figures(store: Store) -> Stats:
    """The gallery of `store` in figures."""
    found = store.summary()
    meta = found.meta
    return Stats(
        rows=meta.rows,
        persons=found.persons,
        cameras=found.cameras,
        tracks=found.tracks,
        expired=found.expired,
        erased=found.erased,
        dimension=meta.dimension,
        fingerprint=meta.fingerprint,
        generation=meta.generation,
        schema=meta.schema,
        created=meta.created,
        purpose=meta.purpose,
        controller=meta.controller,
        run=meta.run,
        keep_days=meta.keep_days,
        until=meta.until,
        pictures=meta.pictures,
        threshold=(meta.calibration or {}).get("threshold"),
        bytes=found.bytes,
        cache=found.cache,
        rebuild_seconds=found.rebuild_seconds,
        store=found.store,
    )
