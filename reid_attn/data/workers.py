"""Work that is done ahead of time in other processes, and handed over in order."""

import atexit
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.process import BaseProcess
from typing import TypeVar

import torch
from torch.utils import data as torch_data

from ..errors import ENDING, ReidError

HANG_SECONDS = 300
"""A worker that gives nothing for so long is taken for dead."""

_Item = TypeVar("_Item")


def in_order(
    prepare: Callable[[int], _Item], steps: range, workers: int, pin: bool = False
) -> Iterator[_Item]:
    """`prepare(step)` for each step, in order, in this process or ahead of time in `workers`.

    With `pin`, tensors and what has a method `pin_memory` come in pinned memory.
    """
    workers = min(workers, len(steps))
    loader = torch_data.DataLoader(
        _Work(prepare),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        # Forked workers start in milliseconds, which matters as every epoch starts its own.
        multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
        generator=torch.Generator(),  # so that nothing is drawn from torch's global one
        timeout=HANG_SECONDS if workers else 0,
        pin_memory=pin,
    )
    others = set(multiprocessing.active_children())
    with _signals_held():
        items = iter(loader)
    end = partial(_kill, set(multiprocessing.active_children()) - others)
    atexit.register(end)  # where somebody still holds this generator, and nobody ends it
    try:
        while (item := _next(items, workers)) is not None:
            yield item
    finally:
        del items  # which tells its workers to leave
        end()
        atexit.unregister(end)


def _next(items: Iterator[_Item | ReidError], workers: int) -> _Item | None:
    try:
        item = next(items, None)
    except RuntimeError as error:
        if not workers:
            raise
        raise ReidError(
            f"a decoding worker stopped ({error}): free some memory or lower data.workers"
        ) from error
    if isinstance(item, ReidError):
        raise item
    return item


@contextmanager
def _signals_held() -> Iterator[None]:
    """Processes that start meanwhile never get the signals that ask for an end.

    A scheduler sends them to every process of a job, but what ends, and after which step, is for
    this one to decide: a worker that went first would cost the training what it has to save.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(workers: set[BaseProcess]) -> None:
    """For one that hangs nothing less will do, and the end of this process would wait for it."""
    while workers:
        worker = workers.pop()
        with suppress(RuntimeError):  # torch tells of a killed one wherever we happen to be
            worker.kill()
            worker.join()


class _Work(torch_data.Dataset[_Item | ReidError]):
    """What the workers run: one step, one item. A refusal is handed over as a value.

    Raised in a worker it would come back wrapped in that worker's traceback.
    """

    def __init__(self, prepare: Callable[[int], _Item]) -> None:
        self.prepare = prepare

    def __getitem__(self, step: int) -> _Item | ReidError:
        try:
            return self.prepare(step)
        except ReidError as error:
            return error
