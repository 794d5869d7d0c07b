"""Which rows are meant, and the moments that say so."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import DataError, refuse_single
from .record import Attributes, attributes_text, camera_number, person_name

Moment = float | str | datetime
"""Seconds since 1970 in UTC, or ISO 8601 such as `2026-05-01T12:30:00+02:00`, or what it reads as
(UTC if it says no zone)."""


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
    refuse_single(persons=persons)
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
        number = _of_text(moment) if isinstance(moment, str) else _of_plain(moment)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{moment!r} is not a moment: use seconds since 1970, or ISO 8601 such as "
            "2026-05-01T12:30:00+02:00"
        )
    return number + 0.0  # SQLite knows no -0.0


def _of_plain(moment: float | datetime) -> float:
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    return float(moment)


def _of_text(text: str) -> float:
    """Seconds if the text is a number; not one that ISO 8601 reads as a year or a day."""
    plain = text.strip()
    if plain.isdecimal() and len(plain) in (4, 8):
        raise DataError(f"{text!r} may be a date or seconds: write {_dashed(plain)} or {plain}.0")
    if "_" in plain or not plain.isascii():  # which Python takes in numbers
        raise ValueError(text)
    try:
        return float(plain)
    except ValueError:
        return _of_plain(datetime.fromisoformat(plain.replace("Z", "+00:00")))


def _dashed(digits: str) -> str:
    """The day that 4 or 8 digits may mean, as it can be written."""
    month, day = (digits[4:6], digits[6:]) if len(digits) == 8 else ("01", "01")
    return f"{digits[:4]}-{month}-{day}"
