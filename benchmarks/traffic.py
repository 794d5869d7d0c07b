"""Memory traffic of eager work: what its operations read and write, counted and not run."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def traffic(build: Callable[[], nn.Module], shape: tuple[int, ...], bf16: bool) -> int:
    """Bytes that forward and backward of a channels_last input of `shape` (N, C, H, W) move.

    Each operation of torch reads its inputs and writes its outputs once, views move nothing, and
    what broadcasts is read once. Layouts that a library's kernel makes for itself are not seen.
    """
    with FakeTensorMode():
        module = build().train()
        x = torch.empty(shape, memory_format=torch.channels_last)
        counter = _Counter()
        with counter:
            with torch.autocast("cpu", torch.bfloat16, bf16):
                outputs = [y.float().sum() for y in tree_leaves(module(x)) if y is not None]
            torch.stack(outputs).sum().backward()
    return counter.moved


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        touches = not (func.is_view or "empty" in name or name in ("detach", "_unsafe_view"))
        if func.namespace == "aten" and touches:
            self.moved += sum(_bytes(tensor) for tensor in _tensors((args, kwargs, result)))
        return result


def _tensors(values: Any) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _bytes(tensor: Tensor) -> int:
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count
