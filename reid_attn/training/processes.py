"""Several processes that train one network together, as `torchrun` starts them.

Each has its share of every batch. What is computed over pictures of all of them goes through two
sums, each its own transpose: `sum` for statistics and gradients, and `gather`, a sum of rows that
are zero elsewhere. Small things (a signal, an error, a loss) travel between CPUs.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import ReidError, UsageError

TIMEOUT = timedelta(minutes=10)
"""How long one process waits for another one: for a batch, an evaluation, a checkpoint."""

_TOLD = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What `torchrun` tells a process in its environment, beside WORLD_SIZE; LOCAL_RANK on GPUs."""

_Result = TypeVar("_Result")


@contextmanager
def join_processes() -> Iterator["Processes"]:
    """The processes that `torchrun` started, this one among them; without it this one alone."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    gpus = torch.cuda.device_count()
    _refuse_half_started(gpus)
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with _talking():
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=TIMEOUT)
    yield Processes(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error, when there may be nobody left to talk to


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; every method must be called by all of them.

    `ReidError` from any of them: another process is gone.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def together(self, action: Callable[[], _Result]) -> _Result:
        """`action()` here; when it is refused in any process, all end with the first refusal."""
        if self.size == 1:
            return action()
        result, error = _attempt(action)
        if self.highest(int(error is not None)):
            raise self.refusal(next(told for told in self._exchange(error) if told is not None))
        return result[0]

    def on_first(self, action: Callable[[], None]) -> None:
        """`action()` in the first process, while the others wait."""
        self.together(lambda: action() if self.first else None)

    def from_first(self, action: Callable[[], _Result]) -> _Result:
        """What `action()` returns in the first process, in all of them."""
        values = [self.together(lambda: action() if self.first else None)]
        if self.size > 1:
            with _talking():
                dist.broadcast_object_list(values)
        return cast(_Result, values[0])

    def to_first(self, value: _Result) -> list[_Result]:
        """Each process's `value`, in order, in the first one; in the others an empty list."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        with _talking():
            dist.gather_object(value, values)
        return values or []

    def refusal(self, error: ReidError) -> BaseException:
        """What to raise for an error that all processes know: only the first one tells it."""
        return error if self.first else SystemExit(error.exit_code)

    def highest(self, number: int) -> int:
        """The largest `number` of any process."""
        if self.size == 1:
            return number
        found = torch.tensor(number)
        with _talking():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def average(self, values: Mapping[str, float]) -> dict[str, float]:
        """The means over processes, name by name."""
        if self.size == 1:
            return dict(values)
        sums = torch.tensor(list(values.values()), dtype=torch.float64)
        with _talking():
            dist.all_reduce(sums)
        return dict(zip(values, (sums / self.size).tolist(), strict=True))

    def share(self, items: Sequence[_Result]) -> Sequence[_Result]:
        """This process's part of `items`: all parts in order make the whole."""
        bounds = [len(items) * rank // self.size for rank in (self.rank, self.rank + 1)]
        return items[slice(*bounds)]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes; a gradient is summed over processes on its way back."""
        return values if self.size == 1 else cast(Tensor, _Sum.apply(values))

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, (n, …) -> (n · size, …), process by process."""
        if self.size == 1:
            return rows
        own = torch.zeros(self.size, dtype=torch.bool, device=rows.device)
        own[self.rank] = True
        own = own.view(-1, *[1] * rows.dim())
        return self.sum(torch.where(own, rows, torch.zeros_like(rows))).flatten(0, 1)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over processes, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        together = torch.cat([gradient.flatten() for gradient in gradients])
        with _talking():
            dist.all_reduce(together)
        together /= self.size
        parts = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite `tensors` by those of the first process."""
        if self.size > 1:
            with _talking():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def _exchange(self, error: ReidError | None) -> list[ReidError | None]:
        told: list[Any] = [None] * self.size
        with _talking():
            dist.all_gather_object(told, error and (str(error), error.exit_code))
        return [error if rank == self.rank else _retold(t) for rank, t in enumerate(told)]


ALONE = Processes()


class _Sum(torch.autograd.Function):
    """The sum over processes is its own transpose."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with _talking():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(_, gradient)


def _refuse_half_started(gpus: int) -> None:
    """`UsageError` when a process lacks what `torchrun` tells it, or a GPU of its own."""
    needed = (*_TOLD, "LOCAL_RANK") if gpus else _TOLD
    lacking = [name for name in needed if name not in os.environ]
    if lacking:
        raise UsageError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {', '.join(lacking)} is not set: start "
            "several processes with torchrun, or take WORLD_SIZE out of the environment"
        )
    if gpus and int(os.environ["LOCAL_RANK"]) >= gpus:
        number = int(os.environ["LOCAL_RANK"]) + 1
        raise UsageError(
            f"this is process {number} of this machine, whose GPUs are for {gpus}: start fewer, or "
            "set CUDA_VISIBLE_DEVICES to nothing to train on CPUs"
        )


def _attempt(action: Callable[[], _Result]) -> tuple[list[_Result], ReidError | None]:
    try:
        return [action()], None
    except ReidError as error:
        return [], error


def _retold(told: tuple[str, int] | None) -> ReidError | None:
    """Another process's error; only its sentence and its exit code matter here."""
    if told is None:
        return None
    error = ReidError(told[0])
    error.exit_code = told[1]
    return error


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ReidError(
            f"another process of this training is gone, or was silent for {TIMEOUT.seconds // 60} "
            "minutes: the last checkpoint is sound; look at what the others say, then go on with "
            f"--resume ({reason})"
        ) from error
