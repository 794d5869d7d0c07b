"""A filter in Milvus's own language."""

from collections.abc import Iterator

from ..filters import Where
from .fields import UNKNOWN, attribute_digest, digest, track_digest
from .link import among


def expression(where: Where, last: int, now: int) -> str:
    """What rows up to the number `last` fulfil that `where` means at the moment `now`."""
    terms = [f"row <= {last}", *_window(where), *_wanted(where)]
    if where.expired is not None:
        terms.append(f"expiry {'<=' if where.expired else '>'} {now}")
    if where.other_cameras_than:
        others = [digest(camera) for camera in sorted(where.other_cameras_than)]
        terms.append(f"not ({among('camera', others)})")
    if where.other_rows_than:
        terms.append(f"not ({among('row', sorted(where.other_rows_than))})")
    return " and ".join(terms)


def _window(where: Where) -> Iterator[str]:
    if where.since is not None or where.until is not None:
        yield f"time > {UNKNOWN!r}"
    if where.since is not None:
        yield f"time >= {float(where.since)!r}"
    if where.until is not None:
        yield f"time < {float(where.until)!r}"


def _wanted(where: Where) -> Iterator[str]:
    if where.cameras is not None:
        yield among("camera", [digest(camera) for camera in sorted(where.cameras)])
    if where.persons is not None:
        yield among("person", [digest(person) for person in sorted(where.persons)])
    if where.tracks is not None:
        yield among("track", [track_digest(*track) for track in sorted(where.tracks)])
    for key, value in (where.attributes or {}).items():
        yield f"array_contains(attributes, {attribute_digest(key, value)})"
