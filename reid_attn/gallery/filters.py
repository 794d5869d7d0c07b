"""Which rows are meant, and the moments that say so."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import DataError
from .record import Attributes, attributes_text, camera_number, person_name

Moment = float | str
"""Seconds since 1970 in UTC, or ISO 8601 such as `2026-05-01T12:30:00+02:00` (UTC if it says no
zone)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which rows are meant: those that fulfil everything that is given.

    Expired rows are left out unless `expired` says otherwise.
    """

    cameras: frozenset[int] | None = None
    other_cameras_than: frozenset[int] = frozenset()
    other_rows_than: frozenset[int] = frozenset()
    since: float | None = None
    """Taken at this moment or later; a row without a time is in no window."""
    until: float | None = None
    """Taken before this moment."""
    attributes: Attributes | None = None
    """Keys with the value that each must have."""
    persons: frozenset[str] | None = None
    tracks: frozenset[tuple[int, str]] | None = None
    """Pairs of camera and track."""
    expired: bool | None = False
    """False: only rows that have not expired; True: only those that have; None: both."""


EVERYTHING = Where(expired=None)
LIVE = Where()


def where(
    *,
    cameras: Iterable[int] | None = None,
    other_cameras_than: Iterable[int] = (),
    since: Moment | None = None,
    until: Moment | None = None,
    attributes: Attributes | None = None,
    persons: Iterable[str] | None = None,
) -> Where:
    """A filter for rows that have not expired: `where(cameras=[1, 2], since="2026-05-01")`."""
    return Where(
        cameras=None if cameras is None else frozenset(map(camera_number, cameras)),
        other_cameras_than=frozenset(map(camera_number, other_cameras_than)),
        since=seconds(since),
        until=seconds(until),
        attributes=None if attributes is None else json.loads(attributes_text(attributes)),
        persons=None if persons is None else frozenset(map(person_name, persons)),
    )


def seconds(moment: Moment | None) -> float | None:
    """`moment` as seconds since 1970, UTC; `DataError` for what is no moment."""
    if moment is None or moment == "":
        return None
    try:
        number = float(moment)
    except ValueError:
        number = _from_iso(str(moment))
    if not math.isfinite(number):
        raise DataError(f"{moment!r} is not a moment: use seconds since 1970 or ISO 8601")
    return number + 0.0  # SQLite knows no -0.0


def _from_iso(text: str) -> float:
    try:
        parsed = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise DataError(
            f"{text!r} is not a moment: use seconds since 1970, or ISO 8601 such as "
            "2026-05-01T12:30:00+02:00"
        ) from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
