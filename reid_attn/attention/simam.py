"""SimAM, attention without parameters (Yang et al., ICML 2021, PMLR v139).

For each channel of each picture, with the mean μ over its H·W positions and n = H·W − 1:

    d = (x − μ)²,   v = Σ d / n   (the unbiased variance)
    y = x · σ(d / (4(v + λ)) + 1/2)

Cost: no parameters, a few passes over the map. Place: in every bottleneck on the 3×3's output,
before bn2.
Differences: the same mathematics as the published code. Autograd keeps three maps for it; here x
alone is kept, with two numbers a channel, and the derivative is written out. With k = 1/(4(v + λ)),
g = σ(kd + 1/2), c = x − μ, u = ∂L/∂y and h = u x g (1 − g):

    ∂L/∂x = u g + 2k (c h − mean(c h)) − (8k²/n) c Σ(c² h)

A map of one position (n = 0, where the published code returns NaN) is multiplied by σ(1/2).
Doubts: the gate is never under σ(1/2) = 0.62, so it re-scales at the start, and the reason given
for it (an energy from neuroscience) is no proof. The authors train ImageNet with λ = 0.1.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import UsageError
from ._block import Block, Place
from ._precision import widened


class SimAM(Block):
    """Gates each value by how far it lies from the mean of its channel.

    Differentiable once: a second derivative is a RuntimeError of torch.

    Args:
        channels: C of the map; any, there are no weights.
        e_lambda: λ, added to the variance.

    Raises:
        UsageError: λ is not above 0, so that a constant channel would be 0/0.
    """

    published = (Place("conv2"),)
    variants = ({"e_lambda": 0.1},)

    def __init__(self, channels: int, e_lambda: float = 1e-4) -> None:
        super().__init__()
        del channels
        if not e_lambda > 0:
            raise UsageError(f"simam cannot divide by an e_lambda of {e_lambda}: give one above 0")
        self.e_lambda = e_lambda

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if torch.is_grad_enabled() and x.requires_grad:
            out: Tensor = _Gated.apply(x, self.e_lambda)
            return out
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), each from σ(1/2) to 1."""
        squares, _, sharpness = _deviations(x, self.e_lambda)
        return _gate(squares, sharpness).to(x.dtype)


class _Gated(torch.autograd.Function):
    """x · gate, keeping x and two numbers a channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, e_lambda: float) -> Tensor:
        squares, mean, sharpness = _deviations(x, e_lambda)
        ctx.save_for_backward(x, mean, sharpness)
        return _gate(squares, sharpness).mul_(x).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        x, mean, sharpness = ctx.saved_tensors
        centred = widened(x) - mean
        gate = _gate(centred.square(), sharpness)
        gradient = upstream * gate
        pull = torch.addcmul(gradient, gradient, gate, value=-1).mul_(x).mul_(centred)  # c h
        moment = torch.mul(pull, centred, out=gate).sum(dim=(2, 3), keepdim=True)  # Σ c² h
        pull.sub_(pull.mean(dim=(2, 3), keepdim=True))
        gradient.addcmul_(pull, 2 * sharpness)
        gradient.addcmul_(centred, moment * sharpness.square() * (-8 / _freedom(x)))
        return gradient.to(x.dtype), None


def _deviations(x: Tensor, e_lambda: float) -> tuple[Tensor, Tensor, Tensor]:
    """d (N, C, H, W), and the mean and k = 1/(4(v + λ)) of each channel, (N, C, 1, 1)."""
    x = widened(x)
    mean = x.mean(dim=(2, 3), keepdim=True)
    squares = (x - mean).square_()
    variance = squares.sum(dim=(2, 3), keepdim=True) / _freedom(x)
    return squares, mean, 0.25 / (variance + e_lambda)


def _gate(squares: Tensor, sharpness: Tensor) -> Tensor:
    """σ(k d + 1/2), written over `squares`."""
    return squares.mul_(sharpness).add_(0.5).sigmoid_()


def _freedom(x: Tensor) -> int:
    """H·W − 1, and 1 for a single position, whose deviation is 0 whatever divides it."""
    return max(x.shape[2] * x.shape[3] - 1, 1)


def parameter_count(channels: int, size: tuple[int, int]) -> int:
    """Trainable parameters: none."""
    del channels, size
    return 0
