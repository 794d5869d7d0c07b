"""What every block keeps, held over `names()`: a new block needs no new test file."""

import pytest
import torch

from reid_attn import attention
from reid_attn.errors import UsageError

CHANNELS = 32


@pytest.fixture(params=attention.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("size", [(7, 5), (1, 1), (16, 8)])
@pytest.mark.parametrize("batch", [1, 3])
def test_keeps_the_shape(name: str, size: tuple[int, int], batch: int) -> None:
    block = attention.build(name, channels=CHANNELS, size=size).eval()
    x = torch.randn(batch, CHANNELS, *size)
    assert block(x).shape == x.shape


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_stays_finite(name: str, value: float) -> None:
    block = attention.build(name, channels=CHANNELS, size=(8, 4))
    assert block(torch.full((2, CHANNELS, 8, 4), value)).isfinite().all()


def test_half_precision(name: str) -> None:
    block = attention.build(name, channels=CHANNELS, size=(8, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert block(torch.randn(4, CHANNELS, 8, 4)).isfinite().all()


def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    block = attention.build(name, channels=CHANNELS, size=(8, 4))
    y = block(torch.randn(4, CHANNELS, 8, 4))
    (y * torch.randn_like(y)).sum().backward()
    dead = [key for key, p in block.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


def test_evaluation_repeats_and_survives_saving(name: str) -> None:
    torch.manual_seed(0)
    block = attention.build(name, channels=CHANNELS, size=(8, 4)).eval()
    x = torch.randn(2, CHANNELS, 8, 4)
    again = attention.build(name, channels=CHANNELS, size=(8, 4)).eval()
    again.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(x), block(x), rtol=0, atol=0)
    torch.testing.assert_close(again(x), block(x), rtol=0, atol=0)


def test_layouts_agree(name: str) -> None:
    torch.manual_seed(0)
    block = attention.build(name, channels=CHANNELS, size=(8, 4)).double().eval()
    x = torch.randn(2, CHANNELS, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), block(x))


def test_declares_its_place(name: str) -> None:
    block = attention.block_class(name)
    assert block.kind in ("map", "classifier")
    assert block.slots


@pytest.mark.parametrize("bad", ["../rga", "os", "rga.evil", "__init__", "_published", "", "rgb"])
def test_only_block_files_can_be_named(bad: str) -> None:
    with pytest.raises(UsageError, match="there is no attention block"):
        attention.build(bad, channels=8, size=(4, 4))


def test_a_misspelt_option_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'spatial'"):
        attention.build("rga", channels=8, size=(4, 4), spatal=True)
