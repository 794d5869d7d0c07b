"""CBAM: its start, its further pools, its ties, and the mistakes that shapes do not show."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import CASES, Reference, close
from torch import Tensor, nn

from benchmarks.published.cbam import Published
from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_starts_with_a_spatial_gate_of_one_half_and_without_biases() -> None:
    block = attention.build("cbam", 64, (8, 4))
    x = double(2, 64, 8, 4).float()
    close(block.spatial(x), torch.full((2, 1, 8, 4), 0.5))
    assert block.spatial.norm.momentum == 0.01
    assert not [key for key, p in block.named_parameters() if key.endswith("bias") and p.any()]
    spread = attention.build("cbam", 64, (8, 4), kernel=31).spatial.conv.weight.std().item()
    assert spread == pytest.approx(2**0.5 / 31, rel=0.1)  # He, fan-out 31²


@pytest.mark.parametrize("pools", [("lp",), ("lse",), ("avg", "max", "lp", "lse")])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_further_pools_equal_the_literal_form(pools: tuple[str, ...], mode: str) -> None:
    form = Published(64, (9, 7), pools=pools).double()
    for parameter in form.parameters():
        nn.init.normal_(parameter, std=0.3)
    ours = attention.build("cbam", 64, (9, 7), pools=pools).double()
    ours.load_state_dict(ours.convert_official(form.state_dict()))
    results = []
    for block in (form.train(mode == "train"), ours.train(mode == "train")):
        x = double(3, 64, 9, 7).requires_grad_()
        y = block(x)
        y.square().sum().backward()
        results.append((y, x.grad))
    for expected, found in zip(*results, strict=True):
        close(found, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_of_equal_maxima_gets_the_gradient(layout: torch.memory_format) -> None:
    form = Published(16, (4, 3)).double()
    ours = attention.build("cbam", 16, (4, 3)).double()
    nn.init.ones_(form.SpatialGate.spatial.bn.weight)
    ours.load_state_dict(ours.convert_official(form.state_dict()))
    gradients = []
    for block in (form, ours):
        x = torch.zeros(2, 16, 4, 3, dtype=torch.float64).to(memory_format=layout).requires_grad_()
        (block(x) * double(2, 16, 4, 3)).sum().backward()
        gradients.append(x.grad)
    close(gradients[1], gradients[0])


def test_maxima_are_the_same_with_and_without_gradients() -> None:
    block = attention.build("cbam", 64, (8, 4)).double().eval()
    x = double(2, 64, 8, 4)
    close(block(x), block(x.clone().requires_grad_()))


def test_both_gates_in_one() -> None:
    block = attention.build("cbam", 64, (8, 4)).double().eval()
    x = double(2, 64, 8, 4)
    close(x * block.gate(x), block(x))


def swapped(block: attention.Block, x: Tensor) -> Tensor:
    block.spatial.conv.weight.data = block.spatial.conv.weight.data.flip(1)
    return block(x)


@pytest.mark.parametrize("mistake", [swapped, lambda block, x: block(x) + x])
def test_mistakes_are_seen(mistake: Callable[[attention.Block, Tensor], Tensor]) -> None:
    case = next(case for case in CASES if case["case"] == "cbam")
    block = attention.build("cbam", case["channels"], case["size"], **case["options"])
    reference = Reference(case, block, block.convert_official)
    wrong = mistake(block.eval(), reference.tensor("x"))
    assert (wrong - reference.tensor("y_eval")).abs().max() > 0.1


def test_a_single_position_is_refused_in_training_and_changes_nothing() -> None:
    block = attention.build("cbam", 64, (1, 1))
    with pytest.raises(MismatchError, match="cbam has one value"):
        block(torch.randn(1, 64, 1, 1))
    assert block.spatial.norm.num_batches_tracked == 0
    assert attention.build("cbam", 64, (1, 1), no_spatial=True)(torch.randn(1, 64, 1, 1)).any()


@pytest.mark.parametrize("options", [{"kernel": 4}, {"pools": ()}, {"pools": ("median",)}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cbam cannot"):
        attention.build("cbam", 64, (8, 4), **options)
