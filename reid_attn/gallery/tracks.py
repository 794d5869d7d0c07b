"""Pictures under one number of a tracker as one: their mean vector, and who cannot be alike.

A person is at one place at a time: two tracks that one camera saw at the same moment show two.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .contract import Store, Vectors, fitting_rows
from .record import Entry, Row


@dataclass(frozen=True, slots=True)
class Track:
    """Pictures that show one person: rows of the gallery, or entries that are not in it."""

    pictures: tuple[Row | Entry, ...]

    @property
    def camera(self) -> int:
        """The camera that saw it."""
        return self.pictures[0].camera

    @property
    def track(self) -> str:
        """The tracker's number; empty for a picture that stands alone."""
        return self.pictures[0].track

    @property
    def rows(self) -> list[int]:
        """The numbers of the pictures that are in the gallery."""
        return [picture.row for picture in self.pictures if isinstance(picture, Row)]

    @property
    def span(self) -> tuple[float, float]:
        """When it begins and ends, in seconds since 1970; NaN when no picture has a time."""
        times = [picture.time for picture in self.pictures if picture.time is not None]
        return min(times, default=np.nan), max(times, default=np.nan)


def tracks_of(pictures: Sequence[Row | Entry]) -> list[Track]:
    """The tracks of pictures, by their first one."""
    groups: dict[Hashable, list[Row | Entry]] = {}
    for place, picture in enumerate(pictures):
        key = (picture.camera, picture.track) if picture.track else place
        groups.setdefault(key, []).append(picture)
    return [Track(tuple(group)) for group in groups.values()]


def mean_vectors(store: Store, tracks: Sequence[Track]) -> Vectors:
    """(T, D) of unit length: for each track the mean of its pictures' unit vectors."""
    pictures = [picture for track in tracks for picture in track.pictures]
    stored = iter(store.vectors([picture.row for picture in pictures if isinstance(picture, Row)]))
    vectors = [
        next(stored) if isinstance(picture, Row) else np.frombuffer(picture.vector, "<f4")
        for picture in pictures
    ]
    starts = np.cumsum([0, *(len(track.pictures) for track in tracks)])[:-1]
    sums = np.add.reduceat(np.stack(vectors), starts, axis=0)
    return fitting_rows(sums, sums.shape[1])


def apart(tracks: Sequence[Track], others: Sequence[Track], once: bool) -> NDArray[np.bool_]:
    """(T, O): whether two tracks cannot show one person.

    They overlap in time at one camera; or with `once`, for persons who pass each camera once, they
    are of one camera. A track is never apart from itself.
    """
    camera = np.array([track.camera for track in tracks], np.int64)[:, None]
    first, last = np.array([track.span for track in tracks]).T[:, :, None]
    other_first, other_last = np.array([other.span for other in others]).T
    found: NDArray[np.bool_] = camera == [other.camera for other in others]
    if not once:
        found &= (first <= other_last) & (other_first <= last)  # false for NaN
    places = {_identity(other): place for place, other in enumerate(others)}
    for place, track in enumerate(tracks):
        if _identity(track) in places:
            found[place, places[_identity(track)]] = False
    return found


def _identity(track: Track) -> Hashable:
    """What the parts of one track share, of which some may be named and others not yet."""
    return (track.camera, track.track) if track.track else track.pictures
