"""Bars for work that is counted in pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ..data.screening import refuse_bad, undecodable
from ..errors import DataError


@contextmanager
def counted(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with the time left; yields what to call with each number of finished pictures.

    It is on stderr, so that stdout holds results alone, and not there when `console` is quiet.
    """
    bars = Console(stderr=True, quiet=console.quiet)
    with Progress(*Progress.get_default_columns(), console=bars, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda count: progress.advance(bar, count)


@contextmanager
def features_of(console: Console, paths: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """`counted` for pictures that the block embeds in this order.

    Where it meets one that cannot be decoded, those that are left are looked through, so that one
    `DataError` names all that are to be repaired.
    """
    finished = 0

    def advance(count: int) -> None:
        nonlocal finished
        finished += count
        show(count)

    try:
        with counted(console, "features", len(paths)) as show:
            yield advance
    except DataError as error:
        _name_all(console, list(dict.fromkeys(paths[finished:])), len(set(paths)), error)
        raise


def _name_all(console: Console, left: Sequence[Path], pictures: int, error: DataError) -> None:
    """Raise an error that names all of `left` that cannot be decoded, if they are more than one."""
    try:
        with counted(console, "other pictures that cannot be decoded", len(left)) as progress:
            bad = undecodable(left, progress)
    except KeyboardInterrupt:
        raise error from None  # which names the one that was met
    if len(bad) > 1:
        refuse_bad(bad, str(pictures), "leave them out")
