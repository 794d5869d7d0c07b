"""Batch norm over the pictures of all processes: torch's own on a GPU, and one for CPUs."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from .processes import Processes


def synchronise(network: nn.Module, processes: Processes) -> None:
    """Let every batch norm of `network` use the statistics of the batches of all processes.

    Parameters, buffers and names stay as they are.
    """
    if next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm):
            network.set_submodule(name, _replacement(module, processes))


class ProcessBatchNorm(_BatchNorm):
    """Batch norm (Ioffe and Szegedy, ICML 2015) of (N, C, …), N over all processes.

    Each process must have as many values of a channel as any other. Mean and variance are averaged
    over processes one after the other, so that nothing cancels, and gradients flow through both.
    """

    def __init__(self, like: _BatchNorm, processes: Processes) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine)
        self.processes = processes

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) -> the same shape and type; statistics at least in float32."""
        if not self.training:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [0, *range(2, x.dim())]
        mean = self._average(values.mean(over, keepdim=True))
        centred = values - mean
        variance = self._average(centred.square().mean(over, keepdim=True))
        self._remember(mean, variance, self.processes.size * x.numel() // x.shape[1])
        y = centred * torch.rsqrt(variance + self.eps)
        if self.affine:
            y = y * self.weight.view_as(mean) + self.bias.view_as(mean)
        return y.to(x.dtype)

    def _average(self, statistics: Tensor) -> Tensor:
        return self.processes.sum(statistics) / self.processes.size

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Torch's running statistics: the variance is the unbiased one."""
        if self.running_mean is None or self.running_var is None:
            return
        seen = cast(Tensor, self.num_batches_tracked).add_(1)
        factor = 1 / float(seen) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.flatten(), factor)
        self.running_var.lerp_(variance.flatten() * count / max(count - 1, 1), factor)


def _replacement(module: _BatchNorm, processes: Processes) -> ProcessBatchNorm:
    new = ProcessBatchNorm(module, processes)
    for name, parameter in module.named_parameters(recurse=False):
        setattr(new, name, parameter)
    for name, buffer in module.named_buffers(recurse=False):
        setattr(new, name, buffer)
    return new.train(module.training)
