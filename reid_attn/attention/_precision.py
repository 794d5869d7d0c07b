"""Sums of products that leave the range of float16 are taken in float32 at least."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which mixed precision is off for the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


def widened(x: Tensor) -> Tensor:
    """`x` in float32 if it is narrower, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
