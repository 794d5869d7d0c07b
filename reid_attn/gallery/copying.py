"""A whole gallery from one store into another, with proof that both then hold the same."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import DamagedError, LockedError
from .contract import Correction, Found, Store
from .filters import EVERYTHING, LIVE
from .pictures import Progress, silent
from .record import Meta, Row

PART = 1000  # rows that are in memory together
QUERIES = 20  # searches that are compared
_HITS = 10


class Kept(NamedTuple):
    """All that is kept of one picture."""

    row: Row
    vector: bytes
    """Little-endian float32."""
    thumbnail: bytes | None


@dataclass(frozen=True, slots=True)
class Content:
    """A whole gallery on its way into another store."""

    meta: Meta
    numbers: Sequence[int]
    """Of its rows, ascending."""
    last: int
    """The last number that a row was ever given."""
    blocked: Sequence[bytes]
    corrections: Sequence[Correction]
    parts: Iterable[Sequence[Kept]]
    """The rows, some at a time."""
    origin: str
    """The place it comes from."""


class Copyable(Store, Protocol):
    """A store that can be copied, and into which one can be copied."""

    def blocked(self) -> list[bytes]:
        """The salted hashes of the sources that were erased and may not come back, sorted."""

    def last_number(self) -> int:
        """The last number that a row was ever given; 0 when there has been none."""

    def receive(self, content: Content) -> None:
        """Become a copy, all or nothing, of which the next generation says that it is one.

        Rows and corrections stay as they are, with numbers, moments and expiries. `UsageError`
        unless this store has never had a row.
        """


def copy(source: Copyable, target: Copyable, progress: Progress = silent) -> int:
    """Copy everything but the audit log, compare, and return the number of rows.

    `target` is empty, made for the same model. `LockedError` when `source` is changed meanwhile,
    and nothing is copied; `DamagedError` when a row cannot be read as it was written, or the two
    do not agree in the end.
    """
    meta = source.meta()
    numbers = [row.row for row in source.rows(EVERYTHING)]
    parts = _parts(source, meta, numbers, progress)
    told = source.last_number(), source.blocked(), source.corrections()
    target.receive(Content(meta, numbers, *told, parts, source.place))
    compare(source, target, numbers)
    return len(numbers)


def blank(meta: Meta) -> Meta:
    """Of the empty gallery that is to become a copy of the one with `meta`."""
    return replace(meta, generation=0, rows=0, calibration=None)


def compare(source: Copyable, target: Copyable, numbers: Sequence[int]) -> None:
    """`DamagedError` unless both hold the same rows, and answer some searches alike."""
    there = [row.row for row in target.rows(EVERYTHING)]
    if there != list(numbers):
        raise _differs(source, target, f"{len(there)} of {len(numbers)} rows are there")
    if (source.blocked(), source.corrections()) != (target.blocked(), target.corrections()):
        raise _differs(source, target, "erased sources or corrections are not the same")
    for some in _batches(numbers):
        for ours, theirs in zip(_kept(source, some), _kept(target, some), strict=True):
            if ours != theirs:
                raise _differs(source, target, f"row {ours.row.row} is not the same")
    live = [row.row for row in source.rows(LIVE)]
    drawn = np.random.default_rng(0).permutation(live)[:QUERIES].tolist()
    if drawn:
        queries = source.vectors(drawn)
        answers = [_plain(store.search(queries, _HITS, LIVE)) for store in (source, target)]
        if answers[0] != answers[1]:
            raise _differs(source, target, "they answer the same search differently")


def _parts(
    source: Copyable, meta: Meta, numbers: Sequence[int], progress: Progress
) -> Iterator[list[Kept]]:
    for some in _batches(numbers):
        yield _kept(source, some)
        progress(len(some))
    if source.meta().change != meta.change:
        raise LockedError(
            f"{source.place} was changed while it was copied, and nothing was copied: run the "
            "command again when nobody writes"
        )


def _kept(store: Copyable, numbers: Sequence[int]) -> list[Kept]:
    rows, vectors, pictures = store.get(numbers), store.vectors(numbers), store.thumbnails(numbers)
    contents = [vector.astype("<f4", copy=False).tobytes() for vector in vectors]
    return [Kept(*kept) for kept in zip(rows, contents, pictures, strict=True)]


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), PART):
        yield numbers[start : start + PART]


def _plain(answers: Sequence[Sequence[Found]]) -> list[list[tuple[float, int]]]:
    return [[(hit.score, hit.row.row) for hit in hits] for hits in answers]


def _differs(source: Copyable, target: Copyable, how: str) -> DamagedError:
    return DamagedError(
        f"{target.place} is no faithful copy of {source.place}: {how}; make the copy again"
    )
