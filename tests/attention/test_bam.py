"""BAM: what it refuses, and its layout."""

from typing import Any

import pytest
import torch

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError


def test_one_picture_is_refused_in_training_and_changes_nothing() -> None:
    block = attention.build("bam", 64, (8, 4))
    before = {key: tensor.clone() for key, tensor in block.state_dict().items()}
    x = torch.randn(1, 64, 8, 4)
    with pytest.raises(MismatchError, match="bam has one value"):
        block(x)
    assert all(torch.equal(before[key], tensor) for key, tensor in block.state_dict().items())
    assert block.eval()(x).shape == x.shape


@pytest.mark.parametrize("fusion", ["sum", "mul"])
def test_the_gate_lies_between_one_and_two_in_the_layout_of_the_map(fusion: str) -> None:
    block = attention.build("bam", 64, (8, 4), fusion=fusion)
    x = torch.randn(2, 64, 8, 4).contiguous(memory_format=torch.channels_last)
    gate = block.gate(x)
    assert 1 < gate.min() < gate.max() < 2
    assert gate.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("options", [{"fusion": "max"}, {"dilation": 0}, {"reduction": 0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        attention.build("bam", 64, (8, 4), **options)
