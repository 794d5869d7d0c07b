"""MCA: the form without fixture, its kernels, its start, the deviation of one value."""

import pytest
import torch
from reference import close

from benchmarks.published.mca import Published
from reid_attn import attention
from reid_attn.attention import parameter_count


@pytest.mark.parametrize("size", [(9, 7), (1, 3), (16, 8)])
@pytest.mark.parametrize("no_spatial", [False, True])
def test_equals_the_three_gated_copies(size: tuple[int, int], no_spatial: bool) -> None:
    torch.manual_seed(0)
    published = Published(64, size, no_spatial).double()
    block = attention.build("mca", 64, size, no_spatial=no_spatial).double()
    block.load_state_dict(block.convert_official(published.state_dict()))
    x = torch.randn(3, 64, *size, dtype=torch.float64)
    close(block(x), published(x))


def test_no_spatial_drops_the_gate_along_the_channels() -> None:
    gate = attention.build("mca", 32, (7, 5), no_spatial=True).gate(torch.randn(2, 32, 7, 5))
    assert gate.shape == (2, 1, 7, 5)


@pytest.mark.parametrize(("channels", "kernel"), [(2, 1), (32, 3), (64, 3), (256, 5), (2048, 7)])
def test_the_kernel_along_the_channels_follows_their_number(channels: int, kernel: int) -> None:
    block = attention.build("mca", channels, (8, 4))
    assert block.along_channels.conv.kernel_size == (1, kernel)
    assert parameter_count("mca", channels, (8, 4)) == 12 + kernel


def test_the_scalars_start_between_zero_and_one() -> None:
    torch.manual_seed(0)
    scalars = torch.stack([attention.build("mca", 8, (8, 4)).along_width.weight for _ in range(99)])
    assert scalars.min() >= 0
    assert scalars.max() <= 1
    assert scalars.mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_single_value_deviates_by_nothing() -> None:
    x = torch.randn(2, 32, 1, 1, requires_grad=True)
    y = attention.build("mca", 32, (1, 1))(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
