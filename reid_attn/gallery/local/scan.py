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
_WORD = 8
_BLOCK = 8 * 2**20
_MIX = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: spreads the bits over the table

Words = NDArray[np.uint64]


class Pieces:
    """Pieces of `PIECE` bytes, found at any place of a text.

    Only every eighth word of eight bytes of a text is looked at: wherever a piece lies in it, three
    of them are within the piece, and one of these is known for each of the eight ways to lie.
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self._places = {piece: place for place, piece in enumerate(pieces)}
        table = np.frombuffer(b"".join(pieces), np.uint8).reshape(len(pieces), PIECE)
        self._words = np.unique(np.concatenate([_rarest(table, start) for start in range(_WORD)]))
        self._shift = np.uint64(64 - max(16, min(28, len(self._words).bit_length() + 5)))
        self._table = np.zeros(1 << (64 - int(self._shift)), bool)
        self._table[self._slots(self._words)] = True

    def found(self, text: bytes) -> set[int]:
        """The places, in the list that was given, of the pieces that are somewhere in `text`."""
        words: Words = np.frombuffer(text, "<u8", len(text) // _WORD)
        likely = np.flatnonzero(self._table[self._slots(words)])
        nearest = np.searchsorted(self._words, words[likely])
        likely = likely[self._words.take(nearest, mode="clip") == words[likely]]
        hits: set[int] = set()
        for word in (likely * _WORD).tolist():
            for start in range(max(0, word - PIECE + _WORD), word + 1):
                place = self._places.get(text[start : start + PIECE])
                hits |= set() if place is None else {place}
        return hits

    def _slots(self, words: Words) -> Words:
        return (words * _MIX) >> self._shift


def _rarest(table: NDArray[np.uint8], first: int) -> Words:
    """Of each piece the word with the most different bytes among those at `first`, `first` + 8, …

    Pieces may hold runs of zeros, and files are full of these.
    """
    starts = range(first, PIECE - _WORD + 1, _WORD)
    parts = np.stack([table[:, start : start + _WORD] for start in starts])
    different = np.count_nonzero(np.diff(np.sort(parts), axis=-1), axis=-1)
    chosen = parts[np.argmax(different, axis=0), np.arange(len(table))]
    words: Words = chosen.view("<u8").ravel()
    return words


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
