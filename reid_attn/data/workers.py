"""Work that is done ahead of time in other processes, and handed over in order."""

import multiprocessing
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch.utils import data as torch_data

from ..errors import ReidError

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
    items = iter(loader)
    while True:
        try:
            item = next(items, None)
        except RuntimeError as error:
            if not workers:
                raise
            raise ReidError(
                f"a decoding worker stopped ({error}): free some memory or lower data.workers"
            ) from error
        if item is None:
            return
        if isinstance(item, ReidError):
            raise item
        yield item


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
