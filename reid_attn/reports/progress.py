"""A bar for work that is counted in pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def counted(console: Console, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar with the time left; yields what to call with each number of finished pictures.

    Without a `total` the bar only moves. It is on stderr, so that stdout holds results alone, and
    not there when `console` is quiet.
    """
    bars = Console(stderr=True, quiet=console.quiet)
    with Progress(*Progress.get_default_columns(), console=bars, transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda count: progress.advance(bar, count)
