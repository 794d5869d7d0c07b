"""Features of many pictures, kept part by part: an interruption costs seconds, not hours."""

import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import storage
from .embedder import Embedder
from .extract import Progress

UNIT = 256
"""Parts have multiples of so many pictures, and so the batches, and bits, of one that is whole."""
SECONDS = 30
"""How long a part takes, about: the most that a kill costs."""

_NAME = re.compile(r"\d+-(?P<count>\d+)-[0-9a-f]{64}\.f32")
_FLOAT32 = np.dtype("<f4")


def embed_in_parts(
    embedder: Embedder, paths: Sequence[Path], folder: Path, progress: Progress
) -> NDArray[np.float32]:
    """`embedder(paths)`, (N, D), with finished parts in `folder`, which are not computed again.

    A part counts while its pictures (path, size, time of change), the network and its own bytes are
    what they were. Whoever has put the result away discards the folder.

    Raises:
        LockedError: another process is at it. Whatever the embedder raises.
    """
    if len(paths) <= UNIT:
        return embedder(paths, progress)
    vectors = np.empty((len(paths), embedder.dimension), np.float32)
    start, size = 0, UNIT
    with storage.locked(folder):
        storage.sweep(folder)
        while start < len(paths):
            part = _read(folder, embedder.fingerprint, paths, start)
            if part is None:
                begun, pictures = time.monotonic(), paths[start : start + size]
                part = embedder(pictures, progress)
                _write(folder, embedder.fingerprint, start, pictures, part)
                fitting = len(part) * SECONDS / (time.monotonic() - begun)
                size = max(1, int(fitting / UNIT)) * UNIT
            else:
                progress(len(part))
            vectors[start : start + len(part)] = part
            start += len(part)
    return vectors


def discard(folder: Path) -> None:
    """Remove the folder, unless it holds something else than parts."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if names and all(_NAME.fullmatch(name) or name == storage.LOCK for name in names):
        storage.remove(folder)


def _read(
    folder: Path, fingerprint: str, paths: Sequence[Path], start: int
) -> NDArray[np.float32] | None:
    """The part that begins with picture number `start`, if there is one that counts."""
    for path in folder.glob(f"{start}-*.f32"):
        if found := _NAME.fullmatch(path.name):
            content, pictures = path.read_bytes(), paths[start : start + int(found["count"])]
            if path.name == _name(fingerprint, start, pictures, content):
                return np.frombuffer(content, _FLOAT32).reshape(len(pictures), -1)
    return None


def _write(
    folder: Path, fingerprint: str, start: int, pictures: Sequence[Path], part: NDArray[np.float32]
) -> None:
    content = part.astype(_FLOAT32).tobytes()
    storage.write_bytes(folder / _name(fingerprint, start, pictures, content), content)


def _name(fingerprint: str, start: int, pictures: Sequence[Path], content: bytes) -> str:
    """Of a part's file, with a SHA-256 of all that must be as it was."""
    digest = hashlib.sha256(fingerprint.encode())
    for path in pictures:
        stat = path.stat()
        told = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0"
        digest.update(told.encode(errors="surrogateescape"))
    digest.update(content)
    return f"{start}-{len(pictures)}-{digest.hexdigest()}.f32"
