"""What arrives in any store: the row that an entry becomes, and what may not come back."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from hashlib import sha256

from ..errors import DataError, UsageError
from .record import Entry, Meta, Row, checksum

SECONDS_A_DAY = 86_400


def arrived(number: int, entry: Entry, meta: Meta, now: int) -> Row:
    """The row that an entry becomes at the moment `now`, in the generation after `meta`.

    `UsageError` after the end of the gallery, from when on nothing in it is found.
    """
    if meta.until is not None and meta.until <= now:
        end = datetime.fromtimestamp(meta.until, timezone.utc).isoformat()
        raise UsageError(
            f"this gallery ended at {end}, and nothing that is added would be found: make a new one"
        )
    thumbnail = entry.thumbnail
    ends = [meta.until, None if meta.keep_days is None else now + meta.keep_days * SECONDS_A_DAY]
    return Row(
        row=number,
        person=entry.person,
        name=entry.name,
        camera=entry.camera,
        time=entry.time,
        track=entry.track,
        source=entry.source,
        source_hash=entry.source_hash,
        key=entry.key,
        attributes=entry.attributes,
        added=now,
        expiry=min((end for end in ends if end is not None), default=None),
        vector_hash=checksum((entry.vector,)),
        thumbnail_hash=None if thumbnail is None else checksum((thumbnail,)),
        changed=meta.generation + 1,
    )


def called(entries: Collection[Entry], names: Mapping[str, str]) -> list[Entry]:
    """The entries under the names of their persons, since nobody may have two.

    `names` are those that persons have already; who has none gets the first that comes.
    """
    known = dict(names)
    for entry in entries:
        if entry.name:
            known.setdefault(entry.person, entry.name)
    known.pop("", None)  # of those whom nobody knows each may have a name of his own
    return [replace(entry, name=known.get(entry.person, entry.name)) for entry in entries]


def salted(meta: Meta, source_hash: bytes) -> bytes:
    """How the block-list names a source, so that other lists of hashes do not lead to it."""
    return sha256(bytes.fromhex(meta.salt) + source_hash).digest()


def refuse_erased(entries: Sequence[Entry], erased: set[bytes]) -> None:
    """`DataError` when the source of an entry is among those that were erased."""
    names = [os.fsdecode(entry.source) for entry in entries if entry.source_hash in erased]
    if names:
        raise DataError(
            f"{len(names)} of {len(entries)} pictures were erased from this gallery and may not "
            f"come back, such as {names[0]}: leave them out"
        )
