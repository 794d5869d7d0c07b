"""scSE: its gates, and the fusion that has no published code."""

from typing import Any

import pytest
import torch
from reference import close

from reid_attn import attention
from reid_attn.errors import UsageError

OPTIONS: list[dict[str, Any]] = [
    {"mode": "channel"},
    {"mode": "spatial"},
    {"fusion": "max"},
    {"fusion": "add"},
    {"fusion": "mul"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_gate_is_what_the_map_is_multiplied_by(options: dict[str, Any]) -> None:
    block = attention.build("scse", 64, (8, 4), **options).double()
    x = torch.randn(2, 64, 8, 4, dtype=torch.float64)
    close(x * block.gate(x), block(x))


def test_concat_mixes_both_gated_maps_and_has_no_gate() -> None:
    torch.manual_seed(0)
    block = attention.build("scse", 64, (8, 4), fusion="concat").double()
    both = attention.build("scse", 64, (8, 4), fusion="add").double()
    both.load_state_dict(block.state_dict(), strict=False)
    block.mix.weight.data = torch.eye(64, dtype=torch.float64).repeat(1, 2)[..., None, None]
    x = torch.randn(2, 64, 8, 4, dtype=torch.float64)
    close(block(x), both(x))
    with pytest.raises(UsageError, match="no gate"):
        block.gate(x)


def test_a_sum_of_gates_lies_like_the_map() -> None:
    block = attention.build("scse", 64, (8, 4), fusion="add")
    x = torch.randn(2, 64, 8, 4).contiguous(memory_format=torch.channels_last)
    assert block.gate(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("options", [{"mode": "none"}, {"fusion": "sum"}, {"reduction": 0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        attention.build("scse", 64, (8, 4), **options)
