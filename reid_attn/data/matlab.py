"""MATLAB's `.mat` files, level 5: arrays of real numbers, and cells of text.

The file is taken apart here, after "MAT-File Format" of The MathWorks, since scipy 1.17 dies of a
segmentation fault where one bit of a type is wrong. Nothing else is understood.
"""

import math
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import storage
from ..errors import DataError

T = TypeVar("T")

_EXACT = 2.0**53  # from here on a double skips whole numbers
_LISTED = 12

_HEADER = 128  # bytes; the last four are the version and the mark of the byte order
_ORDERS = {b"IM": "<", b"MI": ">"}
_HDF5 = 2  # the major version of MATLAB's -v7.3
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements, and those of numbers in a file:
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 12: "i8", 13: "u8"} | {
    7: "f4",
    9: "f8",
}
_CELL, _TEXT, _OPAQUE = 1, 4, 17  # classes of arrays in MATLAB, and those of numbers:
_NUMBERS = {8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"} | {
    6: "f8",
    7: "f4",
}
_LETTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_ENDS = {"<": "16-le", ">": "16-be"}
_OTHERS = {1: "cells", 2: "structs", 3: "objects", 4: "characters", 5: "sparse numbers"}
_COMPLEX, _LOGICAL = 0x800, 0x200


def read_numbers(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The arrays called `names`, of the types that they have in MATLAB.

    Raises:
        DataError: the file is damaged, of another version, lacks an array, or has one twice or one
            that is not of real numbers.
    """
    return _read(path, names, _numbers)


def read_texts(path: Path, names: Collection[str]) -> dict[str, list[str]]:
    """The cells called `names`, column after column, each of which holds a line of text.

    Raises:
        DataError: as for `read_numbers`, with text in the place of numbers.
    """
    return _read(path, names, _texts)


def whole_column(array: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    """A row or column as (N,), doubles as integers; MATLAB knows no other arrays.

    `DataError` when a number is not whole. What is no row and no column keeps its shape.
    """
    column = array.reshape(-1) if array.size == max(array.shape, default=0) else array
    if column.dtype.kind != "f":
        return column
    whole = np.isfinite(column) & (np.abs(column) < _EXACT) & (column == np.rint(column))
    if not whole.all():
        value = column[~whole].flat[0]
        raise DataError(f"{path}: {name} must be whole numbers, not {value}: save integers")
    return column.astype(np.int64)


def refuse_missing(missing: list[str], names: Iterable[str], path: Path) -> None:
    """`DataError` that says which arrays of a file are `missing`, and which it has."""
    if missing:
        present = sorted(names)
        listed = ", ".join(present[:_LISTED]) or "nothing"
        more = " and more" if len(present) > _LISTED else ""
        raise DataError(f"{path} lacks {', '.join(missing)}; it has {listed}{more}")


def _read(
    path: Path, names: Collection[str], take: Callable[[memoryview, str, str], T]
) -> dict[str, T]:
    data = storage.read_bytes(path)
    order = _byte_order(data, path)
    found: dict[str, T] = {}
    present = []
    try:
        for content in _matrices(memoryview(data), order):
            name = _name(content, order)
            present.append(name)
            if name in found:
                raise DataError(f"{path} has {name} twice: save one of each")
            if name in names:
                found[name] = take(content, order, f"{path}: {name}")
    except (ValueError, struct.error, zlib.error, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} is not a sound .mat file ({reason}): save it again") from error
    refuse_missing([name for name in names if name not in found], present, path)
    return found


def _byte_order(data: bytes, path: Path) -> str:
    advice = "save it with scipy's savemat or with MATLAB's -v7"
    order = _ORDERS.get(data[_HEADER - 2 : _HEADER])
    version = struct.unpack_from(f"{order}H", data, _HEADER - 4)[0] >> 8 if order else 0
    if version == _HDF5 or data.startswith(b"\x89HDF"):
        raise DataError(f"{path} is of MATLAB's version 7.3 (HDF5), which is not read: {advice}")
    if order is None or version != 1:
        raise DataError(f"{path} is not a .mat file of MATLAB 5 to 7: {advice}")
    return order


def _matrices(data: memoryview, order: str) -> Iterator[memoryview]:
    """The content of every variable, unpacked."""
    place = _HEADER
    while place < len(data):
        kind, content, place = _element(data, place, order)
        if kind == _COMPRESSED:
            kind, content = _unpacked(content, order)
        if kind != _MATRIX:
            raise ValueError(f"a variable is of the unknown kind {kind}")
        yield content


def _element(data: memoryview, place: int, order: str) -> tuple[int, memoryview, int]:
    """Kind and content of the element at `place`, and where the element ends."""
    kind, size = struct.unpack_from(f"{order}II", data, place)
    start = place + 8
    if kind >> 16:  # four bytes or fewer stand within the head itself
        kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
    end = start + size
    if end > len(data) or (start == place + 4 and size > 4):
        raise ValueError("an array is longer than the file")
    return kind, data[start:end], max(end, place + 8)


def _unpacked(packed: memoryview, order: str) -> tuple[int, memoryview]:
    """The element within a compressed one; never more bytes than it says that it has."""
    stream = zlib.decompressobj()
    kind, size = struct.unpack(f"{order}II", stream.decompress(packed, 8))
    content = stream.decompress(stream.unconsumed_tail, size) if size else b""
    beyond = stream.decompress(stream.unconsumed_tail, 1)  # and the checksum
    if len(content) != size or beyond or not stream.eof:
        raise ValueError("an array is incomplete")
    return kind, memoryview(content)


def _parts(content: memoryview, order: str, count: int) -> list[tuple[int, memoryview]]:
    """The first elements within a matrix: flags, dimensions, name, numbers."""
    parts = []
    place = 0
    for _ in range(count):
        kind, part, place = _element(content, place, order)
        parts.append((kind, part))
        place += -place % 8
    return parts


def _flags(content: memoryview, order: str) -> int:
    ((_, flags),) = _parts(content, order, 1)
    number: int = struct.unpack_from(f"{order}I", flags)[0]
    return number


def _name(content: memoryview, order: str) -> str:
    if _flags(content, order) & 0xFF == _OPAQUE:
        return ""  # it has no dimensions: an object that MATLAB alone can read
    return bytes(_parts(content, order, 3)[2][1]).decode("latin-1")


def _numbers(content: memoryview, order: str, origin: str) -> NDArray[Any]:
    """The array of a variable; its class says the type, in which it need not be stored."""
    flags = _flags(content, order)
    kind = _NUMBERS.get(flags & 0xFF)
    if kind is None or flags & (_COMPLEX | _LOGICAL):
        other = "complex" if flags & _COMPLEX else "logical" if flags & _LOGICAL else ""
        other = other or _OTHERS.get(flags & 0xFF, "objects")
        raise DataError(f"{origin} must be an array of real numbers, not of {other}")
    _, (_, dimensions), _, (stored, part) = _parts(content, order, 4)
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    if stored not in _STORED or (_STORED[stored][0] == "f" and kind[0] != "f"):
        raise ValueError(f"numbers are stored in the unknown kind {stored}")
    values = np.frombuffer(part, f"{order}{_STORED[stored]}")
    if min(shape, default=-1) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} numbers do not make an array of {shape}")
    with np.errstate(over="ignore"):  # infinite features are refused later
        return values.astype(kind).reshape(shape, order="F")


def _texts(content: memoryview, order: str, origin: str) -> list[str]:
    """The lines of a cell; each element of it is a matrix of its own."""
    if _flags(content, order) & 0xFF != _CELL:
        raise DataError(f"{origin} must be cells of text")
    (_, _), (_, dimensions), _ = _parts(content, order, 3)
    count = math.prod(np.frombuffer(dimensions, f"{order}i4").tolist())
    if not 0 <= count <= len(content):
        raise ValueError(f"{count} cells are more than there is room for")
    return [_line(part, order, origin) for _, part in _parts(content, order, 3 + count)[3:]]


def _line(content: memoryview, order: str, origin: str) -> str:
    if _flags(content, order) & 0xFF != _TEXT:
        raise DataError(f"{origin} must be cells of text")
    _, _, _, (stored, part) = _parts(content, order, 4)
    if stored not in _LETTERS:
        raise ValueError(f"characters are stored in the unknown kind {stored}")
    return bytes(part).decode(_LETTERS[stored].replace("16", _ENDS[order]))
