"""Global context: its start, the simplified non-local form, one map for all positions."""

from typing import Any

import pytest
import torch
from reference import CASES, Reference, close
from torch import nn

from reid_attn import attention
from reid_attn.errors import UsageError


@pytest.mark.parametrize("form", ["gc", "snl"])
@pytest.mark.parametrize("pooling", ["att", "avg"])
def test_starts_as_the_identity_and_as_half_of_it(form: str, pooling: str) -> None:
    x = torch.randn(2, 64, 8, 4)
    options = {"form": form, "pooling": pooling}
    assert torch.equal(attention.build("global_context", 64, (8, 4), **options)(x), x)
    gated = attention.build("global_context", 64, (8, 4), fusions=["mul"], **options)(x)
    assert torch.equal(gated, x / 2)


def test_the_simplified_form_is_the_sum_of_the_paper() -> None:
    """x_i + Σ_j softmax(w·x_j) W_v x_j, with the projection inside the sum."""
    torch.manual_seed(0)
    block = attention.build("global_context", 16, (5, 3), form="snl").double()
    nn.init.normal_(block.add.weight)
    x = torch.randn(2, 16, 5, 3, dtype=torch.float64)
    tokens = x.flatten(2)
    energies = block.energy.weight.flatten(1) @ tokens  # (N, 1, H·W)
    context = (block.add.weight.flatten(1) @ tokens * energies.softmax(dim=2)).sum(dim=2)
    close(block(x), x + context[..., None, None])


@pytest.mark.parametrize("pooling", ["att", "avg"])
def test_affinity_is_one_distribution_for_all_positions(pooling: str) -> None:
    block = attention.build("global_context", 16, (5, 3), pooling=pooling)
    x = torch.randn(2, 16, 5, 3)
    found = block.affinity(x, 4, 2)
    assert torch.equal(found, block.affinity(x, 0, 0))
    close_to_one = torch.ones(2)
    torch.testing.assert_close(found.sum(dim=(1, 2)), close_to_one)
    context = (x * found[:, None]).sum(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(block._context(x), context)


def test_a_missing_layer_norm_is_seen() -> None:
    (case,) = (case for case in CASES if case["case"] == "gc_att_add_r4")
    block = attention.build("global_context", case["channels"], case["size"], **case["options"])
    reference = Reference(case, block, block.convert_official)
    block.add[1] = nn.Identity()
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


def test_energies_do_not_leave_the_range_of_half_precision() -> None:
    block = attention.build("global_context", 64, (8, 4)).half()
    nn.init.constant_(block.energy.weight, 8.0)
    weights = block.affinity(torch.full((1, 64, 8, 4), 1000.0, dtype=torch.float16), 0, 0)
    torch.testing.assert_close(weights, torch.full((1, 8, 4), 1 / 32))


@pytest.mark.parametrize(
    "options",
    [
        {"ratio": 0.0},
        {"pooling": "max"},
        {"fusions": []},
        {"fusions": ["add", "add"]},
        {"fusions": ["sum"]},
        {"form": "nl"},
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="global_context"):
        attention.build("global_context", 16, (4, 4), **options)
