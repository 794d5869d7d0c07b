"""Mixed pooling: the sizes of its pools, and its resizing."""

from typing import Any

import pytest
import torch
from reference import CASES, Reference
from torch.nn import functional as F

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError


def output(pool: Any) -> torch.Tensor:
    torch.manual_seed(0)
    return attention.build("mixed_pooling", 16, (16, 8), pool=pool)(torch.randn(2, 16, 16, 8))


def test_a_number_is_a_square_and_lists_are_taken() -> None:
    assert torch.equal(output((4, 2)), output([[4, 4], [2, 2]]))
    assert not torch.equal(output((4, 2)), output([[8, 4], [4, 2]]))


@pytest.mark.parametrize("pool", [4, (4,), (4, 2, 1), (4, 0), (4, 2.5), ((4, 2, 1), 2), "42"])
def test_what_is_not_two_sizes_is_refused(pool: Any) -> None:
    with pytest.raises(UsageError, match="two pool sizes"):
        attention.build("mixed_pooling", 16, (8, 4), pool=pool)


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 4 channels"):
        attention.build("mixed_pooling", 3, (8, 4))


@pytest.mark.parametrize(("pool", "size"), [((4, 2), (8, 1)), ((4, 1), (8, 4))])
def test_one_value_per_channel_is_refused_before_anything_changes(
    pool: Any, size: tuple[int, int]
) -> None:
    block = attention.build("mixed_pooling", 16, size, pool=pool)
    before = {key: tensor.clone() for key, tensor in block.state_dict().items()}
    with pytest.raises(MismatchError, match="one value a channel"):
        block(torch.randn(1, 16, *size))
    assert all(torch.equal(tensor, before[key]) for key, tensor in block.state_dict().items())


@pytest.mark.parametrize("case", [c for c in CASES if c["case"] == "mpm_4_2"])
def test_corners_that_are_not_aligned_are_seen(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = attention.build(case["block"], case["channels"], case["size"], **case["options"])
    reference = Reference(case, block, block.convert_official)
    resize = F.interpolate
    monkeypatch.setattr(
        F, "interpolate", lambda *a, **k: resize(*a, **k | {"align_corners": False})
    )
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1
