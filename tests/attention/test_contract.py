"""What every block keeps, held over `names()`: a new block needs no new test file."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid_attn import attention
from reid_attn.errors import ReidError, UsageError

CHANNELS, SIZE = 64, (8, 4)
IDENTITIES = 7


def build(
    name: str, size: tuple[int, int] = SIZE, options: Mapping[str, Any] | None = None
) -> attention.Block:
    """The block from the same random numbers each time."""
    torch.manual_seed(0)
    classifier = attention.block_class(name).kind == "classifier"
    needed = {"identities": IDENTITIES} if classifier else {}
    return attention.build(name, CHANNELS, size, **needed, **(options or {}))


def picture(batch: int = 4, size: tuple[int, int] = SIZE, dtype: Any = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, CHANNELS, *size, generator=generator, dtype=dtype)


def randomise(block: nn.Module) -> None:
    """As the published numbers were made: no parameter sits at a start that hides a part."""
    torch.manual_seed(2)
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    for module in block.modules():
        for name, tensor in module.named_parameters(recurse=False):
            if name == "weight" and isinstance(module, norms):
                nn.init.uniform_(tensor, 0.5, 1.5)
            elif name == "weight" and tensor.ndim > 1:
                nn.init.normal_(tensor, std=tensor[0].numel() ** -0.5)
            else:
                nn.init.normal_(tensor, std=0.3)
        if isinstance(module, norms[0]):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def backward(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output and input gradient, each of the same weighted sum."""
    x = x.clone().requires_grad_()
    y = block(x)
    (
        y * torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=y.dtype)
    ).sum().backward()
    assert x.grad is not None
    return y.detach(), x.grad


def every_set_of_options() -> Iterator[Any]:
    for name in attention.names():
        for number, options in enumerate(({}, *attention.block_class(name).variants)):
            yield pytest.param(name, options, id=f"{name}-{number}")


every_block = pytest.mark.parametrize("name", attention.names())
every_variant = pytest.mark.parametrize(("name", "options"), list(every_set_of_options()))


@every_block
@pytest.mark.parametrize("size", [(7, 5), (5, 9), (1, 1), (16, 8)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_keeps_the_shape_or_says_why_not(
    name: str, size: tuple[int, int], batch: int, mode: str
) -> None:
    try:
        block = build(name, size).train(mode == "train")
        y = block(picture(batch, size))
    except ReidError as error:
        assert min(size) < 4 or batch == 1, error  # any other map can be a stage's
        assert len(str(error)) > 30
        return
    expected = (batch, IDENTITIES) if block.kind == "classifier" else (batch, CHANNELS, *size)
    assert y.shape == expected
    assert y.isfinite().all()


@every_variant
@pytest.mark.parametrize("value", [0.0, 1e4])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_stays_finite(name: str, options: dict[str, Any], value: float, mode: str) -> None:
    block = build(name, options=options).train(mode == "train")
    x = torch.full((2, CHANNELS, *SIZE), value)
    assert block(x).isfinite().all()
    # A row of norms without variance multiplies rounding noise beyond float32.
    _, gradient = backward(block.double(), x.double())
    assert gradient.isfinite().all()


@every_variant
def test_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options).double()
    randomise(block)
    backward(block, picture(dtype=torch.float64))
    largest = {key: p.grad.abs().max().item() for key, p in block.named_parameters()}
    vanishing = {key for key, value in largest.items() if value < 1e-10}
    assert vanishing <= set(block.without_gradient)


@every_block
def test_what_is_said_to_have_no_gradient_has_none(name: str) -> None:
    unfound = set(attention.block_class(name).without_gradient)
    for options in ({}, *attention.block_class(name).variants):
        block = build(name, options=options).double()
        randomise(block)
        backward(block, picture(dtype=torch.float64))
        unfound -= {k for k, p in block.named_parameters() if p.grad.abs().max() < 1e-10}
    assert not unfound


@every_variant
def test_no_parameter_is_unused_at_the_start(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options)
    backward(block, picture())
    assert not [key for key, parameter in block.named_parameters() if parameter.grad is None]


def every_option() -> Iterator[Any]:
    for name in attention.names():
        declared = set(inspect.signature(attention.block_class(name)).parameters)
        for option in sorted(declared - {"self", "channels", "size", "identities"}):
            yield pytest.param(name, option, id=f"{name}-{option}")


@pytest.mark.parametrize(("name", "option"), list(every_option()))
def test_every_option_does_something(name: str, option: str) -> None:
    sets = [o for o in attention.block_class(name).variants if option in o]
    assert sets, f"no set of `variants` holds '{option}'"
    assert any(differ(name, o, {k: v for k, v in o.items() if k != option}) for o in sets)


def differ(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two sets of options differ in parameters, output, gradient, or memory kept."""
    results = []
    for options in (first, second):
        block = build(name, options=options)
        started = backward(block, picture())
        randomise(block)
        shapes = [(key, tuple(p.shape)) for key, p in block.named_parameters()]
        kept = kept_for_backward(block)
        results.append((shapes, kept, *started, *backward(block, picture())))
    (shapes, kept, *tensors), (other_shapes, other_kept, *others) = results
    same = all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))
    return shapes != other_shapes or kept != other_kept or not same


def kept_for_backward(block: nn.Module) -> int:
    """Elements of all tensors that autograd holds."""
    held: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(picture())
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


@every_variant
def test_parameter_count_is_the_closed_form(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options)
    count = sum(p.numel() for p in block.parameters() if p.requires_grad)
    needed = {"identities": IDENTITIES} if block.kind == "classifier" else {}
    assert count == attention.parameter_count(name, CHANNELS, SIZE, **needed, **options)


@every_variant
def test_half_precision_is_close(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options).eval()
    expected = block(picture())
    with torch.autocast("cpu", torch.bfloat16):
        found = block(picture()).float()
    assert (found - expected).norm() <= 0.03 * expected.norm()


@every_variant
def test_evaluation_repeats_and_survives_saving(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options).eval()
    randomise(block)
    again = build(name, options=options).eval()
    again.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(picture()), block(picture()), rtol=0, atol=0)
    torch.testing.assert_close(again(picture()), block(picture()), rtol=0, atol=0)


@every_variant
def test_layouts_agree(name: str, options: dict[str, Any]) -> None:
    block = build(name, options=options).double().eval()
    x = picture(dtype=torch.float64)
    torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), block(x))


@every_block
def test_starts_as_it_says(name: str) -> None:
    block = build(name)
    if block.kind == "classifier":
        return
    same = [torch.allclose(block.train(mode)(picture()), picture()) for mode in (True, False)]
    assert same == [block.starts_as_identity] * 2


@every_block
def test_a_gate_is_what_the_map_is_multiplied_by(name: str) -> None:
    block = build(name).eval()
    if not hasattr(block, "gate"):
        return
    gate = block.gate(picture())
    assert torch.broadcast_shapes(gate.shape, picture().shape) == picture().shape
    assert gate.isfinite().all()


@every_block
def test_affinity_is_a_map_of_one_position(name: str) -> None:
    block = build(name).eval()
    if hasattr(block, "affinity"):
        with torch.no_grad():
            found = block.affinity(picture(), 3, 1)
        assert found.shape == (4, *SIZE)
        assert found.isfinite().all()


@every_block
def test_declares_its_place(name: str) -> None:
    block = attention.block_class(name)
    assert block.kind in ("map", "classifier")
    assert {place.slot for place in block.published} <= set(block.slots)
    assert (block.kind == "classifier") == ("classifier" in block.slots)


@pytest.mark.parametrize("bad", ["../rga", "os", "rga.evil", "__init__", "_published", "", "rgb"])
def test_only_block_files_can_be_named(bad: str) -> None:
    with pytest.raises(UsageError, match="there is no attention block"):
        attention.build(bad, channels=8, size=(4, 4))


def test_a_misspelt_option_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'spatial'"):
        attention.build("rga", channels=8, size=(4, 4), spatal=True)
