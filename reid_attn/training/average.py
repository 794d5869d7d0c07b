"""The exponential moving average of the weights, which generalises better than the last ones.

Polyak and Juditsky (SIAM J. Control Optim. 1992), with decay as in Mean Teacher (Tarvainen and
Valpola, NeurIPS 2017, arXiv 1703.01780); the decay rises from 0.1 as TensorFlow's
`ExponentialMovingAverage(num_updates)` has it, so that the first weights are soon forgotten.
"""

import copy

import torch
from torch import Tensor

from ..models import Network


class WeightAverage:
    """`network` is a second network: a ← d·a + (1 − d)·w after each step, its buffers are copied.

    d = min(decay, (1 + t)/(10 + t)) at step t, counted from 0 over the whole training.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights of `network` after step number `step` of the training."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.network.parameters())
        weights: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
