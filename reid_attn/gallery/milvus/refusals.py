"""The sources that were erased and may not come back, as a note for each salted hash."""

from collections.abc import Iterable, Sequence

from .notes import Notes

KIND = "refused"


def noted(hidden: Iterable[bytes]) -> dict[str, str]:
    """The notes of salted hashes, by name."""
    return {f"{KIND}/{salted.hex()}": "" for salted in hidden}


def read(notes: Notes) -> list[bytes]:
    """All salted hashes."""
    return sorted(map(_hash, notes.of_kind(KIND)))


def among(notes: Notes, hidden: Sequence[bytes]) -> set[bytes]:
    """Those of the salted hashes that are noted."""
    return set(map(_hash, notes.get(noted(hidden))))


def _hash(name: str) -> bytes:
    return bytes.fromhex(name.partition("/")[2])
