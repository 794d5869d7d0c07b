"""Residual attention: what the published numbers, made for three levels only, cannot hold."""

from typing import Any

import pytest
import torch
from reference import CASES, Reference, close
from torch import Tensor
from torch.nn import functional as F

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError

(CASE,) = (case for case in CASES if case["block"] == "residual")


@pytest.fixture
def reference() -> Reference:
    block = attention.build("residual", CASE["channels"], CASE["size"], **CASE["options"])
    return Reference(CASE, block, block.convert_official)


def up(x: Tensor, target: Tensor) -> Tensor:
    return F.interpolate(x, target.shape[2:], mode="bilinear", align_corners=True)


def written_out(block: Any, x: Tensor) -> Tensor:
    """The graph for one and two levels, line by line."""
    z = block.first(x)
    if block.levels == 1:
        u1 = block.bottom(F.max_pool2d(z, 3, 2, 1))
    else:
        d1 = block.down[0](F.max_pool2d(z, 3, 2, 1))
        d2 = block.bottom(F.max_pool2d(d1, 3, 2, 1))
        u1 = block.up[0](up(d2, d1) + block.skip[0](d1))
    trunk = block.trunk(z)
    return block.last((1 + torch.sigmoid(block.head(up(u1, trunk)))) * trunk)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("size", [(7, 5), (16, 8), (1, 3)])
def test_fewer_levels_are_the_graph_written_out(levels: int, size: tuple[int, int]) -> None:
    block = attention.build("residual", 16, size, levels=levels).double()
    x = torch.randn(3, 16, *size, dtype=torch.float64)
    close(block(x), written_out(block, x))


@pytest.mark.parametrize(("levels", "units"), [(3, 12), (2, 9), (1, 6)])
def test_each_level_has_its_units_and_the_names_of_the_port(levels: int, units: int) -> None:
    block = attention.build("residual", 16, (8, 4), levels=levels)
    names = set(block.official_modules().values())
    assert sum(name.endswith("conv3") for name in names) == units
    assert f"softmax{2 * levels}_blocks.5" in names
    assert f"softmax{levels}_blocks.1.bn1" in names


def test_corners_that_are_not_aligned_are_seen(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize = F.interpolate
    monkeypatch.setattr(
        F, "interpolate", lambda *a, **k: resize(*a, **k | {"align_corners": False})
    )
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


def test_only_the_unused_shortcuts_are_ignored(reference: Reference) -> None:
    official = reference.official()
    unused = [key for key in official if "conv4" in key]
    assert len(unused) == 12
    without = {key: tensor for key, tensor in official.items() if key not in unused}
    assert reference.convert(without).keys() == reference.convert(official).keys()
    for foreign in ("conv4.weight", "softmax6_blocks.conv4.weight", "last_blocks.conv4.bias"):
        with pytest.raises(MismatchError, match="unknown"):
            reference.convert(official | {foreign: torch.zeros(1)})


def test_one_value_per_channel_is_refused_before_anything_changes() -> None:
    block = attention.build("residual", 16, (8, 4))
    before = {key: tensor.clone() for key, tensor in block.state_dict().items()}
    with pytest.raises(MismatchError, match="residual has one value"):
        block(torch.randn(1, 16, 8, 8))
    assert all(torch.equal(tensor, before[key]) for key, tensor in block.state_dict().items())
    assert block(torch.randn(1, 16, 9, 8)).isfinite().all()  # 2×1 values at the bottom


def test_the_gate_lies_between_one_and_two() -> None:
    gate = attention.build("residual", 16, (8, 4)).gate(torch.randn(2, 16, 8, 4))
    assert gate.shape == (2, 16, 8, 4)
    assert 1 < gate.min() < gate.max() < 2


@pytest.mark.parametrize(("channels", "levels"), [(18, 3), (16, 4), (16, 0)])
def test_what_cannot_be_built_is_refused(channels: int, levels: int) -> None:
    with pytest.raises(UsageError, match="residual"):
        attention.build("residual", channels, (8, 4), levels=levels)
