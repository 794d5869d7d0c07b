"""Pictures that a set brings in another form: written once as PNG, which the decoder reads."""

import struct
import zlib
from pathlib import Path

import numpy as np

from ..storage import write_bytes
from .images import MAX_PIXELS, Pixels


def write_png(path: Path, pixels: Pixels) -> None:
    """Write `pixels` (H, W, 3), RGB, to `path`, whole or not at all."""
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter: 0, none
    lines[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = (
        _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + _chunk(b"IEND", b"")
    )
    write_bytes(path, b"\x89PNG\r\n\x1a\n" + chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_bitmap(data: bytes) -> Pixels:
    """A Windows bitmap of 24 bits a pixel, not compressed, as (H, W, 3) RGB.

    `ValueError` for any other kind, and for one that is cut short.
    """
    if len(data) < 54 or not data.startswith(b"BM"):
        raise ValueError("it is no bitmap")
    (start,) = struct.unpack_from("<I", data, 10)
    header, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    if header < 40 or bits != 24 or compression:
        raise ValueError("it is not a bitmap of 24 bits a pixel without compression")
    rows, line = abs(height), -(-3 * width // 4) * 4  # each line ends at a multiple of 4 bytes
    if width <= 0 or not 0 < rows * width <= MAX_PIXELS:
        raise ValueError(f"{width}×{rows} pixels are none or too many")
    if start + rows * line > len(data):
        raise ValueError("it is cut short")
    lines = np.frombuffer(data, np.uint8, rows * line, start).reshape(rows, line)
    pixels = lines[:, : 3 * width].reshape(rows, width, 3)[:, :, ::-1]  # from BGR
    return pixels[::-1] if height > 0 else pixels  # a positive height counts from below
