"""The pictures that are embedded: listed first, so that what is wrong is told before the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from ..data.images import pictures_at
from ..data.market1501 import EXAMPLE, JUNK, parse_name
from ..errors import DataError
from ..features import Embedder, Features
from ..features.file import Floats
from ..features.parts import embed_in_parts
from .progress import features_of

UNKNOWN = -1


@dataclass(frozen=True)
class Listed:
    """Pictures with the (person, camera) of each: unknown for all, unless all have them."""

    paths: tuple[Path, ...]
    labels: tuple[tuple[int, int], ...]
    unnamed: int
    """How many have no name that tells person and camera."""

    def __len__(self) -> int:
        return len(self.paths)

    def lack(self, what: str) -> str:
        """Why persons and cameras are unknown; an empty text where they are known."""
        some = f"{self.unnamed} of {len(self)} {what} without a name like {EXAMPLE}"
        return some if self.unnamed else ""

    def features(self, vectors: Floats, fingerprint: str) -> Features:
        """Those of the pictures, (N, D), by the network of this fingerprint."""
        persons, cameras = np.array(self.labels, np.int64).reshape(-1, 2).T
        return Features(vectors, persons, cameras, tuple(map(str, self.paths)), fingerprint)


def list_pictures(place: Path) -> Listed:
    """A picture, or all below a folder; `DataError` when there is none.

    Persons and cameras come from the names when all of them follow Market-1501; `-1` is then
    dropped, as in the data set. Else they are unknown.
    """
    paths = pictures_at(place)
    if not paths:
        raise DataError(f"there is no picture at {place}: name a JPEG or PNG file or a folder")
    named = [(path, label) for path in paths if (label := parse_name(path.name))]
    if unnamed := len(paths) - len(named):
        return Listed(tuple(paths), ((UNKNOWN, UNKNOWN),) * len(paths), unnamed)
    kept = [(path, label) for path, label in named if label[0] != JUNK]
    if not kept:
        raise DataError(
            f"no picture is left at {place}: all have names that begin with -1, which marks junk; "
            "name other pictures"
        )
    return Listed(tuple(path for path, _ in kept), tuple(label for _, label in kept), 0)


def embed(embedder: Embedder, lists: Sequence[Listed], console: Console) -> list[Features]:
    """Unit features of each list; one `DataError` names the undecodable pictures of all."""
    with features_of(console, [path for listed in lists for path in listed.paths]) as progress:
        return [
            listed.features(embedder(listed.paths, progress), embedder.fingerprint)
            for listed in lists
        ]


def embed_and_keep(embedder: Embedder, listed: Listed, parts: Path, console: Console) -> Features:
    """Unit features, of many pictures in parts that are kept in the folder `parts`."""
    with features_of(console, listed.paths) as progress:
        vectors = embed_in_parts(embedder, listed.paths, parts, progress)
    return listed.features(vectors, embedder.fingerprint)
