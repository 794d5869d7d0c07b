"""A network and all that changes with it: one step of the optimizer, in its parts."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from ..data.batches import Batch, finish
from ..errors import UsageError
from ..losses import Objective
from ..models import Network, build_network
from ..models.adoption import Report
from ..models.hardware import choose_device, choose_precision
from ..models.weights import initialise
from ..settings import Settings
from .average import WeightAverage
from .batch_norm import synchronise
from .compiler import compiled
from .freezing import Freezer
from .optimizer import build_optimizer, set_rate
from .processes import Processes

Phase = Callable[[str], AbstractContextManager[Any]]
"""Entered around each part of a step, with its name: who wants to know takes the time."""


def first_network(
    settings: Settings, identities: int, processes: Processes, *, fresh: bool
) -> tuple[Network, Report | None]:
    """The network at the start of a training, the same in every process.

    `fresh`: with `model.weights` in it, and a report of each tensor; a training
    that goes on has weights of its own.
    """
    network = processes.together(lambda: _random_network(settings, identities))
    model, report = settings.model, None
    if fresh:
        report = processes.from_first(
            lambda: initialise(network, model.weights, model.stride_in_1x1)
        )
    processes.spread(list(network.state_dict().values()))
    return network, report


def _random_network(settings: Settings, identities: int) -> Network:
    torch.manual_seed(settings.seed)
    network = build_network(settings, identities)
    network.to(choose_device(settings.training.device))
    if settings.training.channels_last:
        network.to(memory_format=torch.channels_last)
    return network


class Learner:
    """One step is `begin`, `backward` for each of its batches, `reduce`, `update`."""

    def __init__(
        self,
        network: Network,
        settings: Settings,
        identities: int,
        processes: Processes,
        console: Console,
    ) -> None:
        training, optimizer = settings.training, settings.optimizer
        self.network, self.settings, self.processes = network, settings, processes
        self.device = next(network.parameters()).device
        self.precision = choose_precision(training.precision, self.device)
        if training.sync_batch_norm and processes.size > 1:
            synchronise(network, processes)
        objective = Objective(settings.loss, identities, network.dimension)
        self.objective = objective.to(next(network.parameters()))
        self.average = WeightAverage(network, optimizer.ema) if optimizer.ema else None
        self.optimizers = [build_optimizer(network, optimizer)]
        if centers := self.objective.center_parameters():
            self.optimizers.append(torch.optim.SGD(centers, settings.loss.center_rate))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.phase: Phase = nullcontext
        self._forward = compiled(network, console) if training.compile else network
        self._freezer = Freezer(network)
        if not processes.first:
            torch.manual_seed(settings.seed + processes.rank)  # what a layer drops is drawn apart

    @property
    def result(self) -> Network:
        """The network that is evaluated and saved: the average, or the one that learns."""
        return self.average.network if self.average else self.network

    def begin(self, step: int) -> None:
        """Get ready for step number `step` of the training."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.network.train()
        self._freezer.set(step < self.settings.schedule.freeze_steps)

    def backward(self, batch: Batch, share: float) -> dict[str, float]:
        """Add `share` of the batch's gradient; returns the loss, its terms and the accuracy."""
        with self.phase("transfer"):
            images = finish(batch, self.device)
            if self.settings.training.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            labels = batch.labels.to(self.device, non_blocking=True)
        with self.phase("forward"), self._autocast():
            output = self._forward(images)
        with self.phase("loss"):
            losses = self.objective(*output, labels, self.processes.gather)
        with self.phase("backward"):
            if losses.total.requires_grad:
                self.scaler.scale(losses.total * share).backward()
            self._refuse_standstill()
        accuracy = (output.logits.argmax(-1) == labels).to(losses.total.dtype).mean()
        values = {"total": losses.total, **losses.terms, "accuracy": accuracy}
        with self.phase("backward"):  # what was launched above is waited for here
            numbers = torch.stack(list(values.values())).tolist()
        return dict(zip(values, numbers, strict=True))

    def reduce(self) -> float:
        """Average the gradients over processes, and over batches; returns the whole one's norm."""
        with self.phase("exchange"):
            self.processes.average_gradients([*self._parameters(), *self.objective.parameters()])
        with self.phase("optimizer"):
            for optimizer in self.optimizers:
                self.scaler.unscale_(optimizer)
            return float(torch.nn.utils.get_total_norm(self._gradients()))

    def skips(self, norm: float) -> bool:
        """Whether `update` will leave everything as it is, for a gradient that fp16 cannot hold.

        The scale is halved each time; a gradient that is not finite below a scale of 1 is not
        finite without fp16 either.
        """
        overflow = self.scaler.is_enabled() and not math.isfinite(norm)
        return overflow and self.scaler.get_scale() >= 1

    def update(self, rate: float, norm: float, step: int) -> None:
        """Step number `step` of the training, at learning rate `rate`, with gradients of `norm`."""
        with self.phase("optimizer"):
            if self.skips(norm):  # the scaler would skip the network alone, without the centers
                self.scaler.update()
                return
            if limit := self.settings.optimizer.clip:
                size = torch.tensor(norm, device=self.device)
                torch.nn.utils.clip_grads_with_norm_(self._parameters(), limit, size)
            set_rate(self.optimizers[0], rate)
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
            self.scaler.update()
            if self.average:
                self.average.update(self.network, step)

    def _parameters(self) -> list[nn.Parameter]:
        return list(self.network.parameters())

    def _refuse_standstill(self) -> None:
        """`UsageError` where no loss reaches a weight that learns, as with a frozen backbone."""
        if all(parameter.grad is None for parameter in self._parameters()):
            raise UsageError(
                "no loss reaches anything that learns: with schedule.freeze_steps the backbone "
                "stands still, so give loss.identity more than 0, or add a block"
            )

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self._parameters() if p.grad is not None]

    def _autocast(self) -> torch.autocast:
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")
