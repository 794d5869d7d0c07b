"""What filters ask of the rows, in memory: numbers as arrays, texts as codes.

Filtering in SQL would read the rows without their checksums, and a flipped camera would silently
hide somebody. These columns come from verified rows, and filter a million in milliseconds.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DamagedError
from ..filters import Where
from ..record import Row, attributes_of

NEVER = 2**63 - 1

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Words:
    """A column of texts: the different ones, and the place of each row's among them."""

    words: list[str]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Words":
        """The column of `texts`."""
        places: dict[str, int] = {}
        codes = [places.setdefault(text, len(places)) for text in texts]
        return cls(list(places), np.array(codes, np.int32))

    def take(self, chosen: NDArray[Any]) -> "Words":
        """The rows of `chosen`, without words that no row has: nothing of an erased one stays."""
        codes = self.codes[chosen]
        used = np.zeros(len(self.words), bool)
        used[codes] = True
        places = np.cumsum(used, dtype=np.int32) - np.int32(1)
        return Words([self.words[place] for place in np.flatnonzero(used)], places[codes])

    def join(self, other: "Words") -> "Words":
        """The rows of both."""
        places = {word: place for place, word in enumerate(self.words)}
        moved = [places.setdefault(word, len(places)) for word in other.words]
        codes = np.array(moved, np.int32)[other.codes] if moved else other.codes
        return Words(list(places), np.concatenate((self.codes, codes)))

    def among(self, wanted: Iterable[str]) -> Mask:
        """(N,) whether the text is one of `wanted`."""
        wanted = set(wanted)
        return np.array([word in wanted for word in self.words] or [False])[self.codes]


@dataclass(frozen=True, eq=False)
class Columns:
    """The rows of a gallery by number; every array is (N,)."""

    rows: Ids
    cameras: Ids
    times: NDArray[np.float64]
    """NaN where not known."""
    expiries: Ids
    """`NEVER` where there is none."""
    persons: Words
    tracks: Words
    attributes: Words

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Columns":
        """The columns of `rows`, which are in the order of their numbers."""
        listed = list(rows)
        return cls(
            np.array([row.row for row in listed], np.int64),
            np.array([row.camera for row in listed], np.int64),
            np.array([np.nan if row.time is None else row.time for row in listed], np.float64),
            np.array([NEVER if row.expiry is None else row.expiry for row in listed], np.int64),
            Words.of(row.person for row in listed),
            Words.of(row.track for row in listed),
            Words.of(row.attributes for row in listed),
        )

    def follow(self, changed: "Columns", gone: Ids) -> "Columns":
        """These after a change: rows that were written, and rows that went."""
        left = self._take(~np.isin(self.rows, np.concatenate((changed.rows, gone))))
        joined = Columns(
            np.concatenate((left.rows, changed.rows)),
            np.concatenate((left.cameras, changed.cameras)),
            np.concatenate((left.times, changed.times)),
            np.concatenate((left.expiries, changed.expiries)),
            left.persons.join(changed.persons),
            left.tracks.join(changed.tracks),
            left.attributes.join(changed.attributes),
        )
        return joined._take(np.argsort(joined.rows))

    def chosen(self, where: Where, now: int) -> Mask:
        """(N,) which rows `where` means."""
        chosen = np.ones(len(self), bool)
        if where.expired is not None:
            chosen &= (self.expiries <= now) == where.expired
        if where.cameras is not None:
            chosen &= np.isin(self.cameras, list(where.cameras))
        if where.other_cameras_than:
            chosen &= ~np.isin(self.cameras, list(where.other_cameras_than))
        if where.other_rows_than:
            chosen &= ~np.isin(self.rows, list(where.other_rows_than))
        if where.since is not None:
            chosen &= self.times >= where.since
        if where.until is not None:
            chosen &= self.times < where.until
        if where.persons is not None:
            chosen &= self.persons.among(where.persons)
        if where.tracks is not None:
            chosen &= self._on_tracks(where.tracks)
        for key, value in (where.attributes or {}).items():
            fits = [w for w in self.attributes.words if _has(attributes_of(w), key, value)]
            chosen &= self.attributes.among(fits)
        return chosen

    def counts(self, now: int) -> dict[str, int]:
        """How many different persons, cameras and tracks there are, and expired rows."""
        known = self.persons.codes[~self.persons.among([""])]
        on_track = ~self.tracks.among([""])
        tracks = np.stack((self.cameras[on_track], self.tracks.codes[on_track]))
        return {
            "persons": len(np.unique(known)),
            "cameras": len(np.unique(self.cameras)),
            "tracks": np.unique(tracks, axis=1).shape[1],
            "expired": int((self.expiries <= now).sum()),
        }

    def to_bytes(self) -> bytes:
        """One JSON line with the texts, then the arrays one after the other."""
        words = [column.words for column in (self.persons, self.tracks, self.attributes)]
        head = json.dumps({"rows": len(self), "words": words}).encode() + b"\n"
        return head + b"".join(array.tobytes() for array in self._arrays())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Columns":
        """The columns of `to_bytes`, whose checksum was compared before."""
        head, _, body = data.partition(b"\n")
        try:
            described = json.loads(head)
            count, (persons, tracks, attributes) = described["rows"], described["words"]
            numbers = np.frombuffer(body[: 32 * count]).reshape(4, count)
            codes = np.frombuffer(body[32 * count :], np.int32).reshape(3, count)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"the columns of the rows cannot be read ({error})") from error
        rows, cameras, expiries = (numbers[place].view(np.int64) for place in range(3))
        texts = zip((persons, tracks, attributes), codes, strict=True)
        return cls(rows, cameras, numbers[3], expiries, *(Words(w, c) for w, c in texts))

    def _arrays(self) -> list[NDArray[Any]]:
        numbers = [self.rows, self.cameras, self.expiries, self.times]
        return [*numbers, self.persons.codes, self.tracks.codes, self.attributes.codes]

    def _on_tracks(self, tracks: frozenset[tuple[int, str]]) -> Mask:
        chosen = np.zeros(len(self), bool)
        for camera, track in tracks:
            chosen |= (self.cameras == camera) & self.tracks.among([track])
        return chosen

    def _take(self, chosen: NDArray[Any]) -> "Columns":
        return Columns(
            self.rows[chosen],
            self.cameras[chosen],
            self.times[chosen],
            self.expiries[chosen],
            self.persons.take(chosen),
            self.tracks.take(chosen),
            self.attributes.take(chosen),
        )


def _has(attributes: dict[str, Any], key: str, value: object) -> bool:
    """Whether `key` has this very value; true is not 1, but 1.0 is."""
    if key not in attributes:
        return False
    found = attributes[key]
    return isinstance(found, bool) == isinstance(value, bool) and bool(found == value)
