"""`training.compile`: the network through torch's compiler, where there is one."""

from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console

from ..models import Network


def compiled(network: Network, console: Console) -> Callable[..., Any]:
    """`network`, compiled at its first call; itself, with a sentence, where nothing compiles.

    The weights stay those of `network`.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=next(network.parameters()).device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        console.print(f"not compiled: torch finds no working compiler here ({reason})")
        return network
    return torch.compile(network)


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x + 1
