"""The training pictures, decoded and resized once and kept on disk as plain uint8.

Below the folder of `data.cache` each list of pictures has, for each size, its own folder: files
of `PART` pictures one after the other, which are mapped into memory, and a manifest, written last.
The manifest holds each picture's length and time, so that a changed picture is noticed when the
cache is opened, which makes it anew; and a CRC-32 of its pixels, which every reading checks.
"""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import storage
from ..errors import DamagedError, DataError, LockedError
from ..settings import DataSettings, Settings
from .augment import Size, source_sizes
from .dataset import Dataset
from .images import Pixels, decode, decoding
from .workers import in_order

SCHEMA = 1
PART = 256
"""Pictures in a file: what has to be in memory while the cache is made."""
WAIT_SECONDS = 0.2
"""Between two looks at a cache that another process is making."""


@dataclass(frozen=True)
class _Kept:
    """The pictures at one size."""

    folder: Path
    parts: Sequence[Pixels]
    sums: Sequence[int]


@dataclass(frozen=True)
class Cache:
    """Training pictures by their index and one of the sizes that they are kept at."""

    kept: Mapping[Size, _Kept]

    def read(self, index: int, size: Size) -> Pixels:
        """(height, width, 3), not writable: a view of the file. `DamagedError` when it changed."""
        kept = self.kept[size]
        pixels: Pixels = kept.parts[index // PART][index % PART]
        if zlib.crc32(pixels.data) != kept.sums[index]:
            raise DamagedError(
                f"{_part(kept.folder, index // PART)} is damaged: remove the folder {kept.folder}, "
                "and the pictures are decoded again"
            )
        return pixels


def open_cache(dataset: Dataset, settings: Settings) -> Cache | None:
    """The cache that `data.cache` names, made first where it is missing, stale or cut short.

    Several processes may open it at once: one makes it, the others wait. None without `data.cache`.
    `DataError` names a picture that cannot be used, `DiskError` leaves nothing behind.
    """
    if not settings.data.cache:
        return None
    paths = [picture.path for picture in dataset.train]
    sizes = source_sizes(settings.augment, (settings.data.height, settings.data.width))
    return Cache({size: _open(paths, size, settings.data) for size in sizes})


def _open(paths: Sequence[Path], size: Size, data: DataSettings) -> _Kept:
    wanted = {
        "schema": SCHEMA,
        "decoding": decoding(data.interpolation),
        "pictures": [_state(path) for path in paths],
    }
    listed = "\0".join([decoding(data.interpolation), *map(str, paths)])
    name = storage.sha256(listed.encode("utf-8", "surrogateescape"))[:16]
    folder = Path(data.cache) / f"{size[0]}x{size[1]}-{name}"
    while True:
        kept = _read(folder, size, wanted)
        if kept:
            return kept
        try:
            with storage.locked(folder):
                if not _read(folder, size, wanted):  # nobody made it in the meantime
                    _make(folder, paths, size, data, wanted)
        except LockedError:
            time.sleep(WAIT_SECONDS)


def _state(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"could not read {path} ({error.strerror}): check the path") from error
    return [str(path), status.st_size, status.st_mtime_ns]


def _read(folder: Path, size: Size, wanted: Mapping[str, Any]) -> _Kept | None:
    """What is in `folder`, or None when that is not whole, or not what is wanted."""
    try:
        manifest = storage.read_json(folder / storage.MANIFEST)
    except (DataError, DamagedError):
        return None
    pictures = len(wanted["pictures"])
    if not isinstance(manifest, dict) or {**manifest, **wanted} != manifest:
        return None
    sums = manifest.get("sums")
    if not isinstance(sums, list) or len(sums) != pictures:
        return None
    parts = []
    for start in range(0, pictures, PART):
        path, shape = _part(folder, start // PART), (min(PART, pictures - start), *size, 3)
        try:
            if path.stat().st_size != np.prod(shape):
                return None
            parts.append(np.asarray(np.memmap(path, np.uint8, "r", shape=shape)))
        except OSError:
            return None
    return _Kept(folder, parts, sums)


def _make(
    folder: Path, paths: Sequence[Path], size: Size, data: DataSettings, wanted: Mapping[str, Any]
) -> None:
    def prepare(start: int) -> Tensor:
        pixels = [decode(path, size, data.interpolation) for path in paths[start : start + PART]]
        return torch.from_numpy(np.stack(pixels))

    sums: list[int] = []
    storage.sweep(folder)
    storage.remove(folder / storage.MANIFEST)
    try:
        parts = in_order(prepare, range(0, len(paths), PART), data.workers)
        for number, pixels in enumerate(part.numpy() for part in parts):
            storage.write_bytes(_part(folder, number), pixels.tobytes())
            sums += [zlib.crc32(picture.data) for picture in pixels]
        storage.write_json(folder / storage.MANIFEST, {**wanted, "sums": sums})
    except BaseException:
        for path in folder.glob("*.pixels"):
            storage.remove(path)
        raise


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.pixels"
