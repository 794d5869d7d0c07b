"""What is said on stdout and stderr, and what it means that nobody can take it."""

import contextlib
import errno
import io
import os
import signal
import sys
from typing import TextIO

from ..errors import DiskError, UsageError

CLOSED = 128 + signal.SIGPIPE
"""The exit code of a command whose reader has gone, such as `head`: that of a signal."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_any_character() -> None:
    r"""Let both streams write `\u00e9` for what their encoding lacks, instead of failing.

    By then the work is done, and only a name cannot be shown.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def harmless(text: str) -> str:
    """`text` of any number of lines with its control characters spelt out."""
    from ..reports.ranked_lists import printable

    return "\n".join(map(printable, text.split("\n")))


def complain(sentence: str) -> None:
    """Say it on stderr, if anybody listens."""
    try:
        print(harmless(sentence), file=sys.stderr, flush=True)
    except OSError:
        _let_go(sys.stderr)


def flush() -> None:
    """Write what was printed now, when a failure can still be told; `OSError` if it cannot be."""
    if sys.stdout is not None:  # as it is without a descriptor 1
        sys.stdout.flush()


def fail(error: OSError) -> int:
    """End after an error of the system that nobody explained; returns the exit code.

    It is told of a named file, and is wrong use where no disk takes the name. A full disk without a
    name is that of a stream, since `storage` explains what happens to files; anything else is a
    fault of ours, and raised.
    """
    if isinstance(error, BrokenPipeError):
        _let_go(sys.stdout)
        _let_go(sys.stderr)
        return CLOSED
    if isinstance(error.filename, str | bytes | os.PathLike):  # and no number of a descriptor
        complain(
            f"error: could not use {os.fsdecode(error.filename)} ({error.strerror}): check its "
            "name, its permissions and the space that is left"
        )
        if error.errno == errno.ENAMETOOLONG:
            return UsageError.exit_code
    elif error.errno in _FULL:
        _let_go(sys.stdout)
        complain(f"error: could not print the results ({error.strerror}): free some space")
    else:
        raise error
    return DiskError.exit_code


def _let_go(stream: TextIO | None) -> None:
    """Close it if it holds what it cannot write, which Python would try again at its end."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):  # closed all the same
            stream.close()
