"""Parts of a network that are computed again in the backward pass instead of being kept.

Chen et al. 2016, arXiv 1604.06174. Only the input of each part is kept; the price is a second
forward pass. That pass must leave no trace: a batch norm would count its batch twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(parts: Sequence[nn.Module], x: Tensor) -> Tensor:
    """`parts` one after another, computed again as one piece; values and gradients are the same.

    Random draws are repeated, and buffers such as running statistics change in the first pass only.
    """

    def run(x: Tensor) -> Tensor:
        for part in parts:
            x = part(x)
        return x

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _same_buffers_after(parts)

    out: Tensor = checkpoint(run, x, use_reentrant=False, context_fn=contexts)
    return out


@contextmanager
def _same_buffers_after(parts: Sequence[nn.Module]) -> Iterator[None]:
    buffers = [(buffer, buffer.clone()) for part in parts for buffer in part.buffers()]
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.data.copy_(before)  # by .data: autograd has saved the buffer itself
