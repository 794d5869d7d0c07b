"""From the state dict of a published implementation to ours, with nothing lost on the way."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import MismatchError

Sources = Mapping[str, Sequence[str]]


def convert(
    own: Mapping[str, Tensor], official: Mapping[str, Tensor], sources: Sources
) -> dict[str, Tensor]:
    """Tensors of `official` under the names and shapes of `own`.

    `sources` names, for each key of `own`, the official tensors that make it up; several are
    stacked along the first dimension. 1×1 convolutions and linear maps hold the same numbers, so
    trailing dimensions of size 1 may come and go.

    Raises:
        MismatchError: a tensor is missing, unknown, or of another shape.
    """
    wanted = {key for keys in sources.values() for key in keys}
    _refuse("lacks", wanted - official.keys())
    _refuse("has the unknown", official.keys() - wanted)
    return {key: _assemble(key, own[key], [official[k] for k in sources[key]]) for key in own}


def renamed(own: Iterable[str], modules: Mapping[str, str | Sequence[str]]) -> Sources:
    """`Sources` for state dicts that differ in the names of modules and not in those of tensors.

    `modules` names, for each module of ours, the published module or, in the order of stacking,
    several; "" is the block itself.
    """
    sources = {}
    for key in own:
        module, _, tensor = key.rpartition(".")
        names = modules[module]
        official = [names] if isinstance(names, str) else names
        sources[key] = [f"{name}.{tensor}" if name else tensor for name in official]
    return sources


def _assemble(key: str, own: Tensor, parts: Sequence[Tensor]) -> Tensor:
    if own.ndim == 0:  # BatchNorm's counter: branches that were fused have counted the same batches
        same = all(torch.equal(part, parts[0]) for part in parts)
    else:
        rows = sum(len(part) for part in parts)
        same = rows == len(own) and all(_inner(part) == _inner(own) for part in parts)
    if not same:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise MismatchError(
            f"the published weights for '{key}' have shape {shapes} where "
            f"{tuple(own.shape)} is needed: build the block with the channels, size and ratios "
            "that the weights were trained with"
        )
    return parts[0] if own.ndim == 0 else torch.cat(list(parts)).reshape(own.shape)


def _inner(tensor: Tensor) -> tuple[int, ...]:
    """The shape after the first dimension, without the trailing ones of a 1×1 kernel."""
    shape = list(tensor.shape[1:])
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _refuse(verb: str, keys: set[str]) -> None:
    if keys:
        listed = ", ".join(sorted(keys)[:5]) + (" …" if len(keys) > 5 else "")
        raise MismatchError(f"the published state dict {verb} {len(keys)} tensor(s): {listed}")
