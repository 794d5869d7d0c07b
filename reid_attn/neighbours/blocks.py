"""Arrays in one file, in blocks that are read and checked when they are first looked at.

Opening reads the head alone, and nothing unchecked is ever used. What was checked stays in memory,
so that it cannot change again: a file that is mapped into memory would be read again at any time,
and one that was cut short would end the process.

    head    magic, format, length of the description, number of blocks
    text    the description: JSON with facts of the writer's own, and the arrays' names and shapes
    sums    SHA-256 of each block of each array, and then of all that stands before
    arrays  one after another, a block being `BLOCK` bytes of one of them, or what is left of it
"""

import hashlib
import io
import itertools
import json
import struct
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedError
from .checks import Ids, batches

BLOCK = 1 << 18

_HEAD = struct.Struct("<8sIQQ")
_MAGIC, _FORMAT = b"reidnear", 1
_SUM = hashlib.sha256().digest_size

Arrays = Mapping[str, NDArray[Any]]


def pieces(facts: Mapping[str, Any], arrays: Arrays) -> Iterator[bytes | memoryview]:
    """The bytes of a file with `facts` (JSON) and `arrays`."""
    flat = [_flat(array) for array in arrays.values()]
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps({"facts": facts, "arrays": shapes}).encode()
    sums = [_sum(data[some]) for data in flat for some in batches(len(data), BLOCK)]
    front = _HEAD.pack(_MAGIC, _FORMAT, len(text), len(sums)) + text + b"".join(sums)
    yield front + _sum(front)
    yield from flat


class CheckedArray:
    """An array in a file; `DamagedError` when a part of it that is looked at is not as written."""

    def __init__(self, file: "_File", start: int, array: NDArray[Any], sums: list[bytes]) -> None:
        self._file = file
        self._start = start
        self._array = array
        self._bytes = _flat(array)
        self._sums = sums
        self._missing = set(range(len(sums)))

    @property
    def shape(self) -> tuple[int, ...]:
        """As in numpy."""
        return self._array.shape

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: slice | Ids) -> NDArray[Any]:
        """Some rows, by a slice or by places (n,)."""
        if self._missing:
            for number in sorted(self._missing.intersection(self._blocks(rows))):
                self._read(number)
        return self._array[rows]

    def _blocks(self, rows: slice | Ids) -> set[int]:
        """The numbers of the blocks that hold `rows`."""
        width = self._array.nbytes // len(self)
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return set(range(start * width // BLOCK, -(-stop * width // BLOCK)))
        first, last = rows * width // BLOCK, ((rows + 1) * width - 1) // BLOCK
        spans = set(zip(first.tolist(), last.tolist(), strict=True))
        return {number for low, high in spans for number in range(low, high + 1)}

    def _read(self, number: int) -> None:
        block = self._bytes[number * BLOCK : (number + 1) * BLOCK]
        self._file.read(self._start + number * BLOCK, block)
        if _sum(block) != self._sums[number]:
            raise DamagedError("a stored index is damaged: build it again")
        self._missing.remove(number)


def read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, CheckedArray]]:
    """The facts and the arrays of a file that is open, unbuffered, and closed when nobody needs it.

    `DamagedError` when the head is not as it was written, or the length of the file.
    """
    source = _File(file)
    magic, version, length, blocks = _HEAD.unpack(source.take(0, _HEAD.size))
    if (magic, version) != (_MAGIC, _FORMAT):
        raise DamagedError("this is no index that this version stores: build it again")
    front = source.take(0, _HEAD.size + length + blocks * _SUM)
    if source.take(len(front), _SUM) != _sum(front):
        raise DamagedError("the head of a stored index is damaged: build it again")
    content = json.loads(front[_HEAD.size : _HEAD.size + length])
    sums = iter(front[at : at + _SUM] for at in range(_HEAD.size + length, len(front), _SUM))
    start, arrays = len(front) + _SUM, {}
    for name, (kind, shape) in content["arrays"].items():
        array = np.empty(shape, kind)
        own = list(itertools.islice(sums, -(-array.nbytes // BLOCK)))
        arrays[name] = CheckedArray(source, start, array, own)
        start += array.nbytes
    if start != source.size:
        raise DamagedError("a stored index has another length than was written: build it again")
    return content["facts"], arrays


class _File:
    """A file that is closed when the last array of it is gone."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        weakref.finalize(self, file.close)

    def take(self, start: int, length: int) -> bytes:
        """Some bytes that must be there."""
        if start + length > self.size:
            raise DamagedError("a stored index is cut short: build it again")
        taken = bytearray(length)
        self.read(start, memoryview(taken))
        return bytes(taken)

    def read(self, start: int, target: memoryview) -> None:
        """Fill `target`."""
        try:
            self._file.seek(start)
            read = self._file.readinto(target)  # type: ignore[attr-defined]
        except OSError as error:
            raise DamagedError(f"a stored index cannot be read ({error.strerror})") from error
        if read != len(target):
            raise DamagedError("a stored index is cut short: build it again")


def _flat(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _sum(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()
