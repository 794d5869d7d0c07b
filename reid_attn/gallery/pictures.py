"""From pictures to entries: all are looked at, and no part is taken if one in it is bad."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..data.images import Pixels, decode, encode_jpeg, read, resize
from ..errors import DataError
from .contract import Embedder, Picture, Vectors, fitting_rows
from .filters import seconds
from .record import Entry, attributes_text, entry_key
from .sightings import Box, Sighting

CHUNK = 128  # pictures that are embedded at a time
THUMBNAIL = (256, 128)  # the most height and width
QUALITY = 85
NEARLY_LOSSLESS = 100

Progress = Callable[[int], None]
"""Called with the number of pictures that were just finished."""


def silent(_: int) -> None:
    """The `Progress` that shows nothing."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A sighting, and the hash of its picture."""

    sighting: Sighting
    source_hash: bytes

    @property
    def key(self) -> bytes:
        """That of the entry which it becomes."""
        sighting = self.sighting
        known = (sighting.person or "", sighting.camera, seconds(sighting.time))
        return entry_key(self.source_hash, *known, sighting.track)

    def entry(self, vector: Vectors, thumbnail: bytes | None) -> Entry:
        """The entry with a unit vector (D,)."""
        sighting = self.sighting
        return Entry(
            person=sighting.person or "",
            name=sighting.name,
            camera=sighting.camera,
            time=seconds(sighting.time),
            track=sighting.track,
            source=os.fsencode(sighting.picture),
            source_hash=self.source_hash,
            attributes=attributes_text(sighting.attributes),
            vector=vector.astype("<f4", copy=False).tobytes(),
            thumbnail=thumbnail,
        )


def hashed(sightings: Sequence[Sighting]) -> list[Hashed]:
    """Each with the SHA-256 of its picture, and of the box; `DataError` names all that fail."""
    found, problems, digests = [], [], dict[Path, bytes]()
    for sighting in sightings:
        path = sighting.picture
        try:
            if path not in digests:
                digests[path] = sha256(read(path)).digest()
        except DataError as error:
            problems.append(str(error))
            continue
        box = "" if sighting.box is None else repr(sighting.box)
        digest = sha256(digests[path] + box.encode()).digest() if box else digests[path]
        found.append(Hashed(sighting, digest))
    refuse(problems, len(sightings), 0)
    return found


def entries(
    embedder: Embedder, wanted: Sequence[Hashed], keep: bool, progress: Progress
) -> list[Entry]:
    """The entries of pictures, with thumbnails if `keep`; `DataError` names all that fail."""
    found: list[Entry] = []
    problems: list[str] = []
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        loaded = [_loaded(item.sighting, keep, problems) for item in chunk]
        good = [(item, pair) for item, pair in zip(chunk, loaded, strict=True) if pair]
        vectors = embed(embedder, [picture for _, (picture, _) in good], problems)
        if len(vectors) == len(good):
            rows = fitting_rows(vectors, embedder.dimension)
            found += [
                item.entry(row, thumbnail)
                for (item, (_, thumbnail)), row in zip(good, rows, strict=True)
            ]
        progress(len(chunk))
    if problems:
        raise Refused(problems)
    return found


class Refused(DataError):
    """Pictures that cannot be used, a sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def embed(embedder: Embedder, pictures: Sequence[Picture], problems: list[str]) -> Vectors:
    """Features (N, D), or none and more problems, one for each picture that is refused."""
    nothing = np.empty((0, embedder.dimension), np.float32)
    if not pictures:
        return nothing
    try:
        return embedder(pictures)
    except DataError as error:
        problems += list(_alone(embedder, pictures)) or [str(error)]
        return nothing


def refuse(problems: Sequence[str], pictures: int, added: int) -> None:
    """`DataError` when there are problems."""
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        outcome = f"{added} others were added" if added else "none was added"
        raise DataError(
            f"{len(problems)} of {pictures} pictures cannot be used, so {outcome}:{listed}"
        )


def cut_out(picture: Path, box: Box) -> Pixels:
    """The part of a picture inside `box`, which may reach over the edge."""
    pixels = decode(picture)
    x, y, width, height = box
    part = pixels[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not part.size:
        raise DataError(f"{picture}: the box {box} lies outside of its {pixels.shape[:2]} pixels")
    return part


def thumbnail(pixels: Pixels) -> bytes:
    """A small JPEG, not larger than `THUMBNAIL` in any direction."""
    height, width = pixels.shape[:2]
    share = min(1.0, THUMBNAIL[0] / height, THUMBNAIL[1] / width)
    size = (max(1, round(height * share)), max(1, round(width * share)))
    return encode_jpeg(resize(pixels, size), QUALITY)


def _loaded(
    sighting: Sighting, keep: bool, problems: list[str]
) -> tuple[Picture, bytes | None] | None:
    """What the embedder gets and the thumbnail; or `None` and one more problem."""
    try:
        if sighting.box is not None:
            part = cut_out(sighting.picture, sighting.box)
            return encode_jpeg(part, NEARLY_LOSSLESS), thumbnail(part) if keep else None
        return sighting.picture, thumbnail(decode(sighting.picture)) if keep else None
    except DataError as error:
        problems.append(str(error))
        return None


def _alone(embedder: Embedder, pictures: Sequence[Picture]) -> Iterator[str]:
    """What the embedder says of each picture alone: together, it names only the first."""
    for picture in pictures:
        try:
            embedder([picture])
        except DataError as error:
            yield str(error)
