"""Where the time of a training step goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from .. import attention
from ..data import Dataset
from ..data.batches import Batch, train_batches
from ..data.cache import open_cache
from ..data.sampling import Shard
from ..models import Network
from ..settings import Settings
from .learner import Learner, first_network
from .processes import ALONE, Processes

WARMUP, STEPS = 3, 10
"""Steps that are not counted, and steps of each of the two measurements."""
OTHER = "other"


def profile(
    settings: Settings, dataset: Dataset, console: Console, processes: Processes = ALONE
) -> None:
    """Train some steps from random weights, print where their time goes, and keep nothing.

    The speed is measured first, and then the parts, which a GPU is waited for at each boundary of:
    on a GPU they add up to more than a step takes without being watched.
    """
    network, _ = first_network(settings, len(dataset.labels()), processes, fresh=False)
    learner = processes.together(
        lambda: Learner(network, settings, len(dataset.labels()), processes, console)
    )
    batches = _endless(settings, dataset, learner)
    _steps(learner, batches, WARMUP)
    started = time.perf_counter()
    _steps(learner, batches, STEPS)
    seconds = time.perf_counter() - started
    watch = Stopwatch(learner.device)
    learner.phase = watch
    if not settings.training.compile:  # what is compiled has no parts left
        _watch_parts(network, watch)
    with watch(OTHER):
        _steps(learner, batches, STEPS)
    if processes.first:
        pictures = settings.batch.persons * settings.batch.images * settings.optimizer.accumulate
        console.print(table(watch.seconds, STEPS))
        console.print(
            f"{seconds / STEPS * 1000:.0f} ms a step and {pictures * STEPS / seconds:.1f} "
            f"pictures/s when nothing is watched; {learner.device}, {learner.precision}"
        )


class Stopwatch:
    """Seconds by name: of each part without the parts inside it."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._inside, self._since = device, list[str](), 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what runs inside for `name`."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """From now on, until `leave`, time is that of `name`."""
        self._settle()
        self._inside.append(name)

    def leave(self) -> None:
        """Time is that of the part around again."""
        self._settle()
        self._inside.pop()

    def _settle(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now


def table(seconds: dict[str, float], steps: int) -> Table:
    """One row a part, in the order in which a step reaches them, with milliseconds and share."""
    whole = sum(seconds.values())
    rows = sorted(seconds.items(), key=lambda row: row[0] == OTHER)
    shown = Table(title=f"a step, mean of {steps}", show_footer=True)
    shown.add_column("part", "all")
    shown.add_column("ms", f"{whole / steps * 1000:.1f}", justify="right")
    shown.add_column("share", "100 %", justify="right")
    for name, value in rows:
        shown.add_row(name, f"{value / steps * 1000:.1f}", f"{value / whole:.0%}")
    return shown


def _steps(learner: Learner, batches: Iterator[Batch], number: int) -> None:
    """`number` steps as the training takes them, without its log and its refusals."""
    accumulate, rate = learner.settings.optimizer.accumulate, 1e-6
    for step in range(number):
        learner.begin(learner.settings.schedule.freeze_steps + step)
        for _ in range(accumulate):
            with learner.phase("data"):
                batch = next(batches)
            learner.backward(batch, 1 / accumulate)
        learner.update(rate, learner.reduce(), step)
    if learner.device.type == "cuda":
        torch.cuda.synchronize(learner.device)


def _endless(settings: Settings, dataset: Dataset, learner: Learner) -> Iterator[Batch]:
    processes = learner.processes
    cache = processes.together(lambda: open_cache(dataset, settings))
    for epoch in count():
        yield from train_batches(
            dataset,
            settings,
            epoch,
            shard=Shard(processes.rank, processes.size),
            pin=learner.device.type == "cuda",
            cache=cache,
        )


def _watch_parts(network: Network, watch: Stopwatch) -> None:
    for name, module in network.named_modules():
        if part := _part(name, module):
            module.register_forward_pre_hook(partial(_enter, watch, f"forward: {part}"))
            # Also where it is left early: a second forward pass ends once it has what it is for.
            module.register_forward_hook(partial(_leave, watch), always_call=True)


def _part(name: str, module: nn.Module) -> str:
    """The name under which a module is counted; empty for one that belongs to what is around it."""
    if isinstance(module, attention.Block):
        return "attention"
    where, _, inner = name.partition(".")
    if where != "backbone":
        return "head" if where and not inner else ""
    if not inner:
        return "stem" if hasattr(module, "layer1") else "backbone"
    return f"stage {inner[5:]}" if inner in ("layer1", "layer2", "layer3", "layer4") else ""


def _enter(watch: Stopwatch, name: str, *_: object) -> None:
    watch.enter(name)


def _leave(watch: Stopwatch, *_: object) -> None:
    watch.leave()
