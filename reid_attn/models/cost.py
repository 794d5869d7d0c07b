"""What blocks and networks cost: parameters, operations, and the memory that training keeps.

Everything is counted on tensors that have a shape and no values: the numbers are those of real
ones on a CPU, and a ResNet-50 takes a second and no memory.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from .. import attention
from ..errors import ReidError
from ..settings import resolve
from .network import build_network
from .resnet import ResNet50

IDENTITIES = 751
"""Training persons of Market-1501: what a classifier is built for."""
STAGES = (1, 2, 3, 4)

_Shape = tuple[int, ...]


class Cost(NamedTuple):
    """What a module costs for one picture."""

    parameters: int
    """Trainable ones."""
    gflop: float
    """Of a forward pass in evaluation, 10⁹; a multiplication with its addition counts as 2."""
    kept_mib: float
    """What autograd keeps for the backward pass in float32, 2²⁰ bytes; neither the input nor the
    parameters and buffers are counted, nor what does not grow with the batch."""

    def beyond(self, other: "Cost") -> "Cost":
        """By how much this is more than `other`."""
        return Cost(
            self.parameters - other.parameters,
            self.gflop - other.gflop,
            self.kept_mib - other.kept_mib,
        )


class Entry(NamedTuple):
    """One line of the table of costs."""

    block: str
    """Empty for the network without one."""
    place: str
    shape: _Shape
    """Of the input for one picture: (C, H, W)."""
    cost: Cost | None
    """None where the block cannot stand; then `note` says why."""
    note: str = ""


def measure(
    module: nn.Module, shape: _Shape, layout: torch.memory_format = torch.contiguous_format
) -> Cost:
    """The cost of `module` for one input of `shape` (C, H, W), in float32.

    The module's values are neither read nor changed, so it may stand on the meta device. What a
    custom `autograd.Function` keeps is seen if it uses `save_for_backward`.
    """
    training = module.training
    with FakeTensorMode():
        state = {name: _without_values(tensor) for name, tensor in _state(module)}

        def forward(pictures: int) -> tuple[Tensor, Any]:
            x = torch.empty(pictures, *shape).to(memory_format=layout)
            x.requires_grad_(torch.is_grad_enabled())
            return x, functional_call(module, state, x)

        try:
            module.eval()
            flops = _flops(lambda: forward(1))
            module.train()
            kept = _kept(lambda: forward(3), state) - _kept(lambda: forward(2), state)
        finally:
            module.train(training)
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Cost(trained, flops / 1e9, kept / 2**20)


def table(names: Sequence[str], size: tuple[int, int]) -> Iterator[list[Entry]]:
    """The plain network's lines, then those of each block, for pictures of `size` (H, W)."""
    maps = _maps(size)
    whole = (3, *size)
    plain = _network("", size)
    yield [Entry("", "network", whole, plain)]
    for name in names:
        entries = [_at_stage(name, stage, maps) for stage in STAGES]
        network, note = _attempt(partial(_network, name, size))
        entries.append(Entry(name, "network", whole, network, note))
        if network is not None:
            entries.append(Entry(name, "beyond ResNet-50", whole, network.beyond(plain)))
        yield entries


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())


def _without_values(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, requires_grad=tensor.requires_grad)


def _flops(forward: Callable[[], Any]) -> int:
    counter = FlopCounterMode(display=False, custom_mapping=_vector_products())
    with counter, torch.no_grad():
        forward()
    return int(counter.get_total_flops())


def _vector_products() -> dict[Any, Callable[..., int]]:
    """torch counts products of matrices only; here those with a vector, 2 for each of its values.

    Each function gets the shapes of the arguments; the matrix is `mv`'s first, `addmv`'s second.
    """

    def first(values: _Shape, *_: _Shape, **__: Any) -> int:
        return 2 * math.prod(values)

    def second(_: _Shape, *values: _Shape, **__: Any) -> int:
        return first(*values)

    aten = torch.ops.aten
    return {aten.mv: first, aten.dot: first, aten.addmv: second}


def _kept(forward: Callable[[], tuple[Tensor, Any]], state: dict[str, Tensor]) -> int:
    """Bytes of the distinct storages that autograd holds after `forward`."""
    held: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        return held.setdefault(_storage(tensor), tensor)

    with saved_tensors_hooks(note, lambda tensor: tensor):
        x, output = forward()
    for known in (x, *state.values()):
        held.pop(_storage(known), None)
    del output  # until here it has kept the graph, and so every storage apart from the others
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


def _storage(tensor: Tensor) -> int:
    """What views of the same memory have in common; an address is 0 without values."""
    return int(tensor.untyped_storage()._cdata)


def _maps(size: tuple[int, int]) -> dict[tuple[str, int], _Shape]:
    """(slot, stage) -> (C, H, W) of the map that comes to it in a ResNet-50."""
    maps: dict[tuple[str, int], _Shape] = {}

    def note(slot: str, stage: int, channels: int, size: tuple[int, int], **_: Any) -> None:
        maps[slot, stage] = (channels, *size)

    with torch.device("meta"):
        ResNet50(size, place=note)
    return maps


def _at_stage(name: str, stage: int, maps: dict[tuple[str, int], _Shape]) -> Entry:
    """The block alone, on the map of the slot that its paper gives it."""
    published = attention.block_class(name).published
    place = next((place for place in published if stage in place.stages), published[0])
    shape = maps.get((place.slot, stage), maps["stage", stage])
    cost, note = _attempt(partial(_block, name, shape, place))
    inside = "" if place.slot == "stage" else f" {place.slot}"
    return Entry(name, f"stage {stage}{inside}", shape, cost, note)


def _block(name: str, shape: _Shape, place: attention.Place) -> Cost:
    channels, height, width = shape
    needed = {"replace": {"stride": 1}, "classifier": {"identities": IDENTITIES}}
    options = {**place.options, **needed.get(place.slot, {})}
    with torch.device("meta"):
        block = attention.build(name, channels, (height, width), **options)
    return measure(_OnPooled(block) if block.kind == "classifier" else block, shape)


class _OnPooled(nn.Module):
    """Hands a classifier the map and its mean."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Any:
        return self.classifier(x, x.mean(dim=(2, 3)))


def _network(name: str, size: tuple[int, int]) -> Cost:
    """The whole network with the block, if one is named, where its paper puts it."""
    model = {"attention": [{"name": name}]} if name else {}
    values = {"data": {"height": size[0], "width": size[1]}, "model": model}
    with torch.device("meta"):
        network = build_network(resolve(values, "the network"), IDENTITIES)
    return measure(network, (3, *size))


def _attempt(count: Callable[[], Cost]) -> tuple[Cost | None, str]:
    """The cost, or None and why there is none: a block may refuse a size, and so may torch."""
    try:
        return count(), ""
    except (ReidError, RuntimeError) as error:
        return None, " ".join(str(error).split()) or type(error).__name__
