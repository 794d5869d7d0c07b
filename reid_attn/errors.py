"""The one family of errors: each message says what happened, to which file, and what to do next.

Every class carries the exit code that the command line returns for it.
"""

import difflib
import os
import signal
from collections.abc import Iterable

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""


class ReidError(Exception):
    """Anything that `reid_attn` refuses to do, told in one sentence."""

    exit_code = 1


class UsageError(ReidError):
    """A wrong option, setting, or command line."""

    exit_code = 2


class MissingExtra(UsageError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed: install the extra with pip install 'reid-attn[{extra}]'"
        )


class DataError(ReidError):
    """Input that cannot be used: a picture, a folder of pictures, a features file."""

    exit_code = 3


class DamagedError(ReidError):
    """An artefact of ours whose checksum does not agree with its content."""

    exit_code = 4


class MismatchError(ReidError):
    """Two sound artefacts that do not belong together."""

    exit_code = 5


class DiskError(ReidError):
    """The disk is full, missing, or forbids the operation."""

    exit_code = 6


class LockedError(ReidError):
    """Somebody else is writing to the same folder."""

    exit_code = 7


class Interrupted(ReidError):
    """A signal asked for an end; the work was saved first. `exit_code` is 128 + the signal."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


def refuse_single(**lists: object) -> None:
    """`UsageError` for a text, path or content where a list belongs: it would go letter by letter.

    The lists are given under their names.
    """
    for name, values in lists.items():
        if isinstance(values, str | bytes | os.PathLike):
            raise UsageError(
                f"{name} is a single {type(values).__name__}: give a list, even of one"
            )


def nearest(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` when one of `choices` is spelt like `word`, else an empty text."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
