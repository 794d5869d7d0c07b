"""What is added to a store: sightings, a part at a time, and vectors of other systems."""

import os
from collections.abc import Sequence, Sized

from ..errors import UsageError, refuse_single
from . import pictures
from .contract import Embedder, Store, Vectors
from .filters import Moment, seconds
from .persons import given_names, named_rows
from .pictures import Progress, Refused
from .record import (
    Attributes,
    Entry,
    attributes_text,
    person_name,
    source_digest,
    source_name,
    stored_camera,
    track_number,
)
from .sightings import Sighting

PART = 1024  # pictures that are kept, or not, together


def add_sightings(
    store: Store, embedder: Embedder, sightings: Sequence[Sighting], progress: Progress
) -> int:
    """See `Gallery.add_sightings`."""
    keep = store.meta().pictures
    found = pictures.hashed([sighting.checked() for sighting in sightings])
    there = store.known([item.key for item in found])
    new = [item for item in found if item.key not in there]
    if len(new) < len(found):
        progress(len(found) - len(new))
    added, problems = 0, list[str]()
    for start in range(0, len(new), PART):
        try:
            part = pictures.entries(embedder, new[start : start + PART], keep, progress)
        except Refused as error:
            problems += error.problems
        else:
            added += store.add(part)
    _name(store, [item.sighting for item in found])
    pictures.refuse(problems, len(sightings), added)
    return added


def _name(store: Store, sightings: Sequence[Sighting]) -> None:
    """Let a name that came with pictures of a person stand on the older ones too."""
    rows = named_rows(store, {s.person for s in sightings if s.person and s.name})
    names = given_names(rows)
    if labels := {row.row: (row.person, names[row.person]) for row in rows if not row.name}:
        store.relabel(labels, "rename")


def vector_entries(
    rows: Vectors,
    persons: Sequence[str | None],
    cameras: Sequence[int],
    sources: Sequence[str | os.PathLike[str]],
    source_hashes: Sequence[bytes],
    times: Sequence[Moment | None],
    tracks: Sequence[str],
    attributes: Sequence[Attributes],
) -> list[Entry]:
    """The entries of unit rows (N, D), with a value for each in every other column."""
    check_lengths(
        len(rows),
        persons=persons,
        cameras=cameras,
        sources=sources,
        hashes=source_hashes,
        times=times,
        tracks=tracks,
        attributes=attributes,
    )
    return [
        Entry(
            person="" if person is None else person_name(person),
            camera=stored_camera(cameras[place]),
            time=seconds(times[place]),
            track=track_number(tracks[place]),
            source=source_name(sources[place]),
            source_hash=source_digest(source_hashes[place]),
            attributes=attributes_text(attributes[place]),
            vector=rows[place].astype("<f4", copy=False).tobytes(),
        )
        for place, person in enumerate(persons)
    ]


def check_lengths(pictures: int, **columns: Sized) -> None:
    """`UsageError` for a column that has not one value for each picture, or is no list."""
    refuse_single(**columns)
    for name, column in columns.items():
        if len(column) != pictures:
            raise UsageError(
                f"{pictures} pictures were given with {len(column)} {name}: give one for each"
            )
