"""Triplet attention: which axes each gate sees, and what it keeps."""

import pytest
import torch
from reference import CASES, Reference

from reid_attn import attention
from reid_attn.attention.triplet import _extremes
from reid_attn.errors import MismatchError, UsageError
from reid_attn.models.cost import measure


@pytest.fixture(params=[c for c in CASES if c["block"] == "triplet"], ids=lambda c: c["case"])
def reference(request: pytest.FixtureRequest) -> Reference:
    case = request.param
    block = attention.build("triplet", case["channels"], case["size"], **case["options"])
    return Reference(case, block, block.convert_official)


def test_exchanged_gates_are_seen(reference: Reference) -> None:
    block = reference.block
    block.by_width, block.by_height = block.by_height, block.by_width
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


def test_a_rotated_kernel_is_seen(reference: Reference) -> None:
    weight = reference.block.by_height.convolution.weight
    weight.data = weight.data.mT.contiguous()
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


def test_without_a_gradient_the_numbers_are_the_same(reference: Reference) -> None:
    y, _ = reference.run("eval")
    with torch.no_grad():
        assert torch.equal(reference.block(reference.tensor("x")), y)


def test_one_of_several_equal_maxima_gets_the_gradient() -> None:
    x = torch.zeros(2, 3, 4, 2, requires_grad=True)
    _extremes(x, 2)[:, 0].sum().backward()
    assert torch.equal(x.grad.sum(dim=2), torch.ones(2, 3, 2))
    assert x.grad.unique().tolist() == [0.0, 1.0]


def test_keeps_little_more_than_the_factor() -> None:
    """At 256×64×32: 2 MiB for the factor, the rest pooled maps and indices."""
    assert measure(attention.build("triplet", 256, (64, 32)), (256, 64, 32)).kept_mib < 2.7


def test_a_lone_value_is_refused_before_anything_changes() -> None:
    block = attention.build("triplet", 8, (1, 1))
    with pytest.raises(MismatchError, match="triplet"):
        block(torch.randn(1, 8, 1, 1))
    assert block.by_width.norm.num_batches_tracked == 0
    assert attention.build("triplet", 8, (1, 1), no_spatial=True)(torch.randn(1, 8, 1, 1)).ndim == 4


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(UsageError, match="odd"):
        attention.build("triplet", 8, (4, 4), kernel=4)
