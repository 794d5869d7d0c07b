"""What is RGA's alone: its exact form, its start, its size, its ablations."""

from typing import Any

import pytest
import torch
from reference import CASES, Reference, close
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from reid_attn import attention
from reid_attn.attention import parameter_count
from reid_attn.errors import MismatchError, UsageError


@pytest.fixture(params=[c for c in CASES if c["block"] == "rga"], ids=lambda case: case["file"])
def reference(request: pytest.FixtureRequest) -> Reference:
    case = request.param
    block = attention.build("rga", case["channels"], case["size"], **case["options"])
    return Reference(case, block, block.convert_official)


def test_swapped_relation_halves_are_seen(reference: Reference) -> None:
    """The mistake that shapes cannot show: [G(:,i); G(i,:)] instead of [G(i,:); G(:,i)]."""
    for gate in reference.block.children():
        weight = gate.relate.weight
        weight.data = torch.cat(list(reversed(weight.data.chunk(2, dim=1))), dim=1)
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 1e-3


def test_no_tensor_is_as_large_as_the_affinities() -> None:
    block = attention.build("rga", channels=64, size=(32, 16))
    positions, largest = 32 * 16, 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    x = torch.randn(1, 64, 32, 16)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(x)
    assert 0 < largest < positions * positions // 2


class Copies(TorchDispatchMode):
    """How many whole maps of `values` numbers are copied."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values, self.found = values, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copying = func in (torch.ops.aten.clone.default, torch.ops.aten.copy_.default)
        self.found += copying and args[0].numel() == self.values
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("order", ["sc", "cs", "parallel"])
def test_one_map_is_copied_and_the_layout_stays(order: str, layout: torch.memory_format) -> None:
    """For one of the gates the tokens lie as they are needed; both ways, once and for all."""
    block = attention.build("rga", channels=16, size=(12, 6), order=order)
    x = torch.randn(3, 16, 12, 6).contiguous(memory_format=layout).requires_grad_()
    with Copies(x.numel()) as copies:
        y = block(x)
        y.backward(torch.ones_like(y))
    assert copies.found == 1
    assert x.grad is not None
    assert y.stride() == x.grad.stride() == x.stride()


@pytest.mark.parametrize("order", ["sc", "parallel"])
def test_compiles_as_one_graph(order: str) -> None:
    block, x = built(order=order)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), block(x))


@pytest.mark.parametrize(
    ("channels", "size", "count"),
    [
        (256, (64, 32), 2_673_172),
        (512, (32, 16), 329_796),
        (1024, (16, 8), 668_908),
        (2048, (16, 8), 2_642_220),
    ],
)
def test_parameter_count_of_the_paper_sizes(
    channels: int, size: tuple[int, int], count: int
) -> None:
    assert parameter_count("rga", channels, size) == count


def test_published_start_quarters_the_map_and_identity_start_keeps_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 8)
    published = attention.build("rga", channels=64, size=(16, 8))(x)
    assert 0.15 < published.norm() / x.norm() < 0.35
    kept = attention.build("rga", channels=64, size=(16, 8), identity_start=True)(x)
    torch.testing.assert_close(kept, x)


def test_a_map_of_another_size_is_refused_even_with_as_many_positions() -> None:
    block = attention.build("rga", channels=16, size=(8, 4))
    with pytest.raises(MismatchError, match="8×4 and got 4×8"):
        block(torch.randn(2, 16, 4, 8))


@pytest.mark.parametrize("off", [("spatial", "channel"), ("relation", "original")], ids=str)
def test_nothing_left_is_refused(off: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="rga needs"):
        attention.build("rga", 16, (8, 4), **dict.fromkeys(off, False))


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(UsageError, match="one of sc, cs, parallel, not 'ss'"):
        attention.build("rga", 16, (8, 4), order="ss")


def built(**options: Any) -> tuple[attention.Block, Tensor]:
    torch.manual_seed(0)
    block = attention.build("rga", channels=16, size=(8, 4), **options).double().eval()
    return block, torch.randn(2, 16, 8, 4, dtype=torch.float64)


def test_the_orders_are_what_they_say() -> None:
    block, x = built()
    positions = block.spatial(x.flatten(2)).unflatten(2, (8, 4))
    channels = block.channel(x.flatten(2).mT).mT[..., None]
    close(built(order="parallel")[0](x), x * positions * channels)
    gated = x * channels
    close(built(order="cs")[0](x), gated * block.spatial(gated.flatten(2)).unflatten(2, (8, 4)))


@pytest.mark.parametrize("order", ["sc", "cs", "parallel"])
def test_the_gate_is_what_the_map_was_multiplied_by(order: str) -> None:
    block, x = built(order=order)
    close(x * block.gate(x), block(x))


def test_affinity_is_the_row_that_the_exact_form_leaves_out() -> None:
    block, x = built()
    embedded = block.spatial._embed(x.flatten(2))
    _, theta, phi = embedded.transpose(0, 1).chunk(3, dim=1)  # (N, d, n) each
    close(block.affinity(x, 3, 1), (theta.mT @ phi)[:, 3 * 4 + 1].unflatten(1, (8, 4)))


class TestWeightsOfAnotherSize:
    """`trained_size`: resampled when asked for, refused when not."""

    def official(self) -> dict[str, Tensor]:
        from benchmarks.published.rga import Published

        torch.manual_seed(0)
        return Published(64, (16, 8)).state_dict()

    def test_refused_without_the_option(self) -> None:
        block = attention.build("rga", 64, (8, 4))
        with pytest.raises(MismatchError, match="size and ratios"):
            block.convert_official(self.official())

    def test_refused_when_it_is_not_that_size(self) -> None:
        block = attention.build("rga", 64, (8, 4), trained_size=(12, 8))
        with pytest.raises(MismatchError, match="trained_size 12×8"):
            block.convert_official(self.official())

    def test_sums_over_positions_are_kept(self) -> None:
        block = attention.build("rga", 64, (8, 4), trained_size=(16, 8))
        own = block.convert_official(self.official())
        block.load_state_dict(own)
        theirs = self.official()["gg_spatial.0.weight"].flatten(1).unflatten(1, (2, 128))
        found = own["spatial.relate.weight"].unflatten(1, (2, 32))
        torch.testing.assert_close(found.sum(2), theirs.sum(2), rtol=1e-4, atol=1e-5)

    def test_smooth_maps_get_nearly_the_same_gates(self) -> None:
        """On a map that says the same at both sizes."""
        state = self.official()
        trained = attention.build("rga", 64, (16, 8)).eval()
        trained.load_state_dict(trained.convert_official(state))
        other = attention.build("rga", 64, (8, 4), trained_size=(16, 8)).eval()
        other.load_state_dict(other.convert_official(state))
        flat = torch.randn(2, 64, 1, 1)
        gate = trained.gate(flat.expand(-1, -1, 16, 8))
        torch.testing.assert_close(
            other.gate(flat.expand(-1, -1, 8, 4))[..., :1, :1], gate[..., :1, :1]
        )
