"""What a gallery takes and stands on: the embedder that makes vectors, the store that keeps them.

`Gallery` knows pictures, people and thresholds; a `Store` knows rows. Whatever keeps this contract
carries a gallery: one folder (`local/`) or a server. `tests/gallery/test_contract.py` holds every
store to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..neighbours import unit_rows
from .audit import Gap
from .filters import Where
from .record import Entry, Meta, Row

Vectors = NDArray[np.float32]
Picture = Path | bytes
"""A file, or the content of one: the part of a frame that a tracker's box cuts out."""


class Embedder(Protocol):
    """Turns pictures into features; the fingerprint names everything that shapes them."""

    @property
    def fingerprint(self) -> str:
        """Weights, settings, preprocessing and library versions, as one digest."""

    @property
    def dimension(self) -> int:
        """Length D of a feature."""

    def __call__(self, pictures: Sequence[Picture], /) -> Vectors:
        """(N, D) float32 rows of unit length; `DataError` names a picture that cannot be read."""


class Found(NamedTuple):
    """A row that a search returned."""

    score: float
    """Cosine similarity, -1 to 1."""
    row: Row


class Summary(NamedTuple):
    """A store in numbers."""

    meta: Meta
    persons: int
    cameras: int
    tracks: int
    expired: int
    erased: int
    """Sources that may not come back."""
    bytes: int
    cache: str
    """Whether what is searched is up to date with the rows: `fresh`, `stale` or `absent`."""
    rebuild_seconds: float | None
    store: dict[str, Any]
    """What else the store has to say."""


class Erasure(NamedTuple):
    """What erasing has done, for the receipt."""

    rows: int
    proof: dict[str, Any]
    """How it was made sure, and that nothing is left; free fields of the store."""
    unreachable: tuple[str, ...]
    """What this store cannot reach, a sentence each."""


Label = tuple[str, str]
"""Who a row shows: the key of the person, and the name."""


class Correction(NamedTuple):
    """A change of who rows show, as far as these rows are still there."""

    number: int
    """The generation that made it."""
    at: int
    """When: seconds since 1970, UTC."""
    action: str
    undoes: int
    """The number of the correction that this one took back; 0 for none."""
    rows: dict[int, tuple[Label, Label]]
    """What each row showed before and after."""


class Store(Protocol):
    """Rows in a place of its own. Each change is all or nothing and done when the call returns.

    It then survives the end of the process at any moment, is recorded in the audit log, and has
    raised `Meta.generation` by one (a change that changes nothing raises nothing). Rows come back
    verified; `DamagedError` names one that is not as it was written. `LockedError`: somebody else
    was writing for too long; `DiskError`: the place is full, gone or forbidden.
    """

    @property
    def place(self) -> str:
        """The folder or address, for people."""

    def close(self) -> None:
        """Let go of the place; a second call does nothing."""

    def meta(self) -> Meta:
        """The state as it is now."""

    def annotate(self, action: str, **changes: Any) -> None:
        """Change fields of `Meta`, such as `calibration`; `action` goes to the audit log."""

    # Rows in and out -------------------------------------------------------------------------

    def add(self, entries: Sequence[Entry]) -> int:
        """Keep the entries whose key is not there yet among the rows that have not expired.

        Returns how many; equal keys among `entries` count once. `expiry` follows from `keep_days`
        and `until`, and `name` from the person, if he has one already. `DataError` when a source
        was erased and may not come back, `UsageError` when the gallery has come to its end; nothing
        is added.
        """

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` (`Entry.key`) that rows have which have not expired."""

    def erased(self, source_hashes: Sequence[bytes]) -> set[bytes]:
        """Those of `source_hashes` that were erased and may not come back."""

    def relabel(
        self,
        persons: Mapping[int, Label],
        action: str,
        *,
        as_of: int | None = None,
        undoes: int = 0,
    ) -> int:
        """Give rows another (person, name); returns how many were changed.

        What they showed before is kept as a `Correction` in the same change. `UsageError` for a row
        that is not there, `LockedError` for one that was changed after generation `as_of`; nothing
        is changed then.
        """

    def corrections(self) -> list[Correction]:
        """What `relabel` has done, oldest first.

        A row that is deleted leaves its corrections, and whoever is erased with `block` leaves all
        those which name him.
        """

    def remove(self, rows: Sequence[int]) -> int:
        """Delete rows, without the proof of `erase`; `UsageError` for one that is not there."""

    def erase(self, rows: Sequence[int], action: str, block: bool) -> Erasure:
        """Delete rows beyond recovery, prove it, and record it under `action`.

        With `block` their sources are refused from then on. `LockedError` when somebody is reading:
        it says whether nothing was deleted, or rows were and are not yet erased, and then the
        next erasure, of no rows if need be, finishes it.
        """

    # Reading ---------------------------------------------------------------------------------

    def rows(self, where: Where) -> list[Row]:
        """The rows that are meant, by number."""

    def get(self, rows: Sequence[int]) -> list[Row]:
        """Rows by number, in the order asked for; `UsageError` for one that is not there."""

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """(N, D) float32 unit rows, in the order asked for."""

    def thumbnails(self, rows: Sequence[int]) -> list[bytes | None]:
        """JPEG files, in the order asked for; `None` where no picture is kept."""

    def search(self, queries: Vectors, k: int, where: Where) -> list[list[Found]]:
        """For each unit row (Q, D) the `k` most similar rows among those meant, best first.

        Equal scores by number. Fewer than `k` only when no more are meant. All from one state.
        """

    def summary(self) -> Summary:
        """The gallery in numbers, all of one state."""

    # Care ------------------------------------------------------------------------------------

    def record(self, action: str, details: Mapping[str, Any]) -> None:
        """Put a line into the audit log, for what changes nothing: searches, exports."""

    def history(self) -> Iterator[dict[str, Any]]:
        """The lines of the audit log, oldest first."""

    def gaps(self) -> list[Gap]:
        """Lines that the audit log lacks, and of which none says so; see `audit.acknowledged`."""

    def verify(self) -> list[str]:
        """Read everything; one sentence for each thing that is damaged, naming it."""

    def backup(self, target: Path) -> None:
        """A copy as of now that can be opened as a gallery, in a folder that must not exist."""


def fitting_rows(vectors: ArrayLike, dimension: int) -> Vectors:
    """`vectors` (N, D) as float32 rows of unit length.

    `DataError` for another shape, a row that is not finite, or a zero row, which has no direction.
    """
    rows = float_array(vectors)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise DataError(
            f"vectors of shape {rows.shape} do not fit a gallery of dimension {dimension}: "
            f"give one row of {dimension} numbers per picture"
        )
    return unit_rows(rows)


def float_array(values: object) -> Vectors:
    """`values` of any shape as float32; `DataError` for texts, complex numbers and uneven rows."""
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "fiubO":  # texts would be read as numbers where they can be
            raise TypeError(f"they are of type {given.dtype}")
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
            return given.astype(np.float32, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"vectors must be rows of real numbers, equally many in each ({error})"
        ) from error


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as [first, last] pairs, for the audit log: [1, 2, 3, 7] is [[1, 3], [7, 7]]."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
