"""Looks through every byte of every file of a folder for pieces that must not be there.

A program of its own, given the folder and the pieces on its standard input: the process that holds
the database open must not open its files. It prints JSON: of each file its SHA-256, its length and
how many pieces are in it; and the places of the pieces that were found. It imports nothing of the
package, to start fast.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 32
_BLOCK = 8 * 2**20
_MIX = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: spreads the bits over the table

Words = NDArray[np.uint64]


class Pieces:
    """Pieces of `PIECE` bytes, found at any place of a text by their first eight bytes."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._places = {piece: place for place, piece in enumerate(pieces)}
        starts = np.frombuffer(b"".join(piece[:8] for piece in pieces), "<u8")
        self._starts = np.unique(starts)
        self._shift = np.uint64(64 - max(16, min(28, len(pieces).bit_length() + 5)))
        self._table = np.zeros(1 << (64 - int(self._shift)), bool)
        self._table[self._slots(self._starts)] = True

    def found(self, text: bytes) -> set[int]:
        """The places, in the list that was given, of the pieces that are somewhere in `text`."""
        hits: set[int] = set()
        for offset in range(min(8, max(0, len(text) - PIECE + 1))):
            words: Words = np.frombuffer(text, "<u8", (len(text) - offset) // 8, offset)
            likely = np.flatnonzero(self._table[self._slots(words)])
            likely = likely[np.isin(words[likely], self._starts)]
            for start in (likely * 8 + offset).tolist():
                place = self._places.get(text[start : start + PIECE])
                hits |= set() if place is None else {place}
        return hits

    def _slots(self, words: Words) -> Words:
        return (words * _MIX) >> self._shift


def scan(folder: Path, pieces: list[bytes]) -> dict[str, Any]:
    """What is in the files below `folder`."""
    sought = Pieces(pieces)
    files: dict[str, Any] = {}
    found: set[int] = set()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest, length, rest = hashlib.sha256(), 0, b""
            here: set[int] = set()
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    length += len(block)
                    here |= sought.found(rest + block)
                    rest = (rest + block)[-PIECE + 1 :]
            name = str(path.relative_to(folder)).encode(errors="surrogateescape")
            told = {"sha256": digest.hexdigest(), "bytes": length, "pieces": len(here)}
            files[name.decode(errors="replace")] = told
            found |= here
    return {"files": files, "found": sorted(found)}


if __name__ == "__main__":
    given = sys.stdin.buffer.read()
    cut = [given[start : start + PIECE] for start in range(0, len(given), PIECE)]
    json.dump(scan(Path(sys.argv[1]), cut), sys.stdout)
