"""EMA: the map that is never made, and how channels may be grouped."""

import pytest
import torch
from reference import close

from benchmarks.published.ema import Published
from reid_attn import attention
from reid_attn.attention.ema import _means_under_taps
from reid_attn.errors import UsageError
from reid_attn.models.cost import measure


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (7, 5)])
def test_the_mean_of_the_local_map_comes_without_it(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = attention.build("ema", 12, size, groups=2).double()
    groups = torch.randn(3, 6, *size, dtype=torch.float64)
    expected = block.local(groups).mean(dim=(2, 3)).softmax(dim=1)
    close(block._weights_of_local(_means_under_taps(groups, 2)), expected)


@pytest.mark.parametrize(("groups", "size"), [(32, (1, 3)), (4, (9, 7)), (1, (2, 2))])
def test_equals_the_folded_form(groups: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    published = Published(32, size, groups).double()
    for parameter in published.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    block = attention.build("ema", 32, size, groups=groups).double()
    block.load_state_dict(block.convert_official(published.state_dict()))
    x = torch.randn(2, 32, *size, dtype=torch.float64)
    close(block(x), published(x))
    close(x * block.gate(x), published(x))


def test_keeps_less_than_the_folded_form() -> None:
    shape = (256, 16, 8)
    ours, published = attention.build("ema", 256, (16, 8)), Published(256, (16, 8))
    assert measure(ours, shape).kept_mib < measure(published, shape).kept_mib


def test_one_group_of_a_single_position_is_its_own_mean() -> None:
    assert attention.build("ema", 8, (1, 1), groups=1)(torch.randn(1, 8, 1, 1)).isfinite().all()


@pytest.mark.parametrize("groups", [0, 5, 64])
def test_groups_that_do_not_divide_the_channels_are_refused(groups: int) -> None:
    with pytest.raises(UsageError, match="divisor"):
        attention.build("ema", 32, (4, 4), groups=groups)
