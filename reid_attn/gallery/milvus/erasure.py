"""Deleting from Milvus, and what can be said about it.

Milvus marks rows as deleted and leaves their bytes where they are until it compacts the segments;
files that are no longer needed are collected later. None of that can be looked into from outside,
so that the receipt counts and asks, and says what is not proven.
"""

import time
from collections.abc import Sequence
from typing import Any

from ...errors import LockedError, ReidError
from .link import Link
from .rows import Rows

COMPACT_SECONDS = 60

UNREACHABLE = (
    "bytes of the deleted rows in the server's segments: a deletion is a mark until compaction, "
    "and that compaction removed them is the server's word, not proven here",
    "files that compaction replaced, until the server's garbage collection removes them",
    "the server's message queue, logs, replicas, snapshots and caches",
    "backups and copies of the gallery that were made before",
    "vectors and pictures that were exported or sent elsewhere",
    "blocks of the disks that the file systems have given up, and their snapshots",
    "weights of a network that was trained with pictures of this person",
    "the same picture with other bytes: the block-list knows the content that was added",
)


def compact(link: Link, rows: Rows, numbers: Sequence[int]) -> dict[str, Any]:
    """Flush and compact; returns what the receipt says of `numbers`, which were deleted.

    `LockedError` when the server does not flush: the rows are deleted, and the call can be
    repeated without them.
    """
    name = link.address.name
    try:
        with link.explained():
            link.client.flush(name, timeout=COMPACT_SECONDS)
            job = link.client.compact(name, timeout=COMPACT_SECONDS)
    except ReidError as error:
        raise LockedError(
            f"the rows are deleted, not yet compacted: {error}; run the command again"
        ) from error
    return {
        "rows_found_after": rows.count(numbers),
        "compaction": _wait(link, job),
        "proof": "none: see not_reached",
    }


def _wait(link: Link, job: int) -> str:
    limit = time.monotonic() + COMPACT_SECONDS
    with link.explained():
        while str(link.client.get_compaction_state(job)) != "Completed":
            if time.monotonic() > limit:
                return f"not finished after {COMPACT_SECONDS} s"
            time.sleep(0.2)
    return "reported as completed by the server"
