"""Coordinate attention: its activation and its least width."""

import pytest
import torch
from reference import CASES, Reference
from torch.nn import functional

from reid_attn import attention
from reid_attn.errors import UsageError


def test_another_activation_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = (case for case in CASES if case["case"] == "coordatt")
    block = attention.build("coordinate", case["channels"], case["size"], **case["options"])
    reference = Reference(case, block, block.convert_official)
    monkeypatch.setattr(functional, "hardswish", torch.relu)
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


@pytest.mark.parametrize(("channels", "hidden"), [(16, 8), (256, 8), (512, 16)])
def test_at_least_eight_channels_stay(channels: int, hidden: int) -> None:
    assert attention.build("coordinate", channels, (8, 4)).reduce.out_channels == hidden


def test_a_reduction_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="reduction"):
        attention.build("coordinate", 16, (4, 4), reduction=0)
