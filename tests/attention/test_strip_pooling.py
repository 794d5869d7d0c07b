"""Strip pooling: the map it refuses, and where its paper puts it."""

import pytest
import torch

from reid_attn import attention
from reid_attn.errors import MismatchError


@pytest.mark.parametrize("size", [(1, 4), (4, 1)])
def test_one_value_per_channel_is_refused_before_anything_changes(size: tuple[int, int]) -> None:
    block = attention.build("strip_pooling", 8, size)
    before = {key: tensor.clone() for key, tensor in block.state_dict().items()}
    with pytest.raises(MismatchError, match="one value a channel"):
        block(torch.randn(1, 8, *size))
    assert all(torch.equal(tensor, before[key]) for key, tensor in block.state_dict().items())


def test_stands_in_the_last_bottleneck_and_in_each_of_the_last_stage() -> None:
    places = attention.block_class("strip_pooling").published
    assert [(place.slot, place.stages, place.blocks) for place in places] == [
        ("bn2", (1, 2, 3), "last"),
        ("bn2", (4,), "all"),
    ]


def test_each_position_depends_on_its_row_and_column_only() -> None:
    """Beyond the three rows and columns that the convolutions see."""
    torch.manual_seed(0)
    block = attention.build("strip_pooling", 8, (9, 9)).eval()
    x = torch.randn(1, 8, 9, 9, requires_grad=True)
    block.gate(x)[0, 0, 4, 4].backward()
    seen = x.grad[0].abs().amax(0) > 0
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[3:6] = expected[:, 3:6] = True
    assert torch.equal(seen, expected)
