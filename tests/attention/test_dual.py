"""DANet: its start, the sign of its channel affinities, and what can be drawn."""

import pytest
import torch

from reid_attn import attention
from reid_attn.errors import UsageError


@pytest.mark.parametrize(("branches", "times"), [("position", 1), ("channel", 1), ("both", 2)])
def test_starts_as_its_input_once_for_each_branch(branches: str, times: int) -> None:
    x = torch.randn(2, 32, 4, 3)
    block = attention.build("dual", channels=32, size=(4, 3), branches=branches)
    torch.testing.assert_close(block(x), times * x)


@pytest.mark.parametrize(("channels", "size"), [(24, (3, 2)), (6, (5, 4))])  # both kernels
def test_channels_attend_to_the_most_unlike(channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, channels, *size, dtype=torch.float64)
    tokens = x.flatten(2)
    for energy, sign in (("minus", -1), ("plus", 1)):
        block = attention.build(
            "dual", channels, size, branches="channel", energy=energy, gamma=False
        )
        weights = torch.softmax(sign * tokens @ tokens.mT, dim=2)
        torch.testing.assert_close(block(x), x + (weights @ tokens).view(x.shape))


def test_affinity_adds_up_to_one_and_needs_positions() -> None:
    x = torch.randn(2, 16, 4, 3)
    drawn = attention.build("dual", channels=16, size=(4, 3)).affinity(x, 1, 2)
    torch.testing.assert_close(drawn.sum(dim=(1, 2)), torch.ones(2))
    with pytest.raises(UsageError, match="compares no positions"):
        attention.build("dual", channels=16, size=(4, 3), branches="channel").affinity(x, 0, 0)
