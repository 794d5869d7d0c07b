"""The non-local block: its published width, and the two orders of its product."""

import pytest
import torch

from reid_attn import attention


def test_default_width_is_the_published_slip() -> None:
    assert attention.parameter_count("non_local", 1024, (16, 8)) == 7171
    assert attention.parameter_count("non_local", 1024, (16, 8), inner=None) == 2_101_760


@pytest.mark.parametrize("mode", ["dot", "softmax"])
@pytest.mark.parametrize("size", [(2, 3), (9, 7)])  # fewer positions than embeddings, and more
def test_output_is_the_sum_over_the_affinities(mode: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = attention.build("non_local", channels=32, size=size, inner=None, mode=mode).double()
    x = torch.randn(2, 32, *size, dtype=torch.float64)
    theta, phi, g = block._embedded(x)
    found = block._attend(theta, phi, g).unflatten(2, size)
    values = g.unflatten(2, size)
    for row, column in ((0, 0), (size[0] - 1, 1)):
        weights = block.affinity(x, row, column)[:, None]
        expected = (weights * values).sum(dim=(2, 3))
        torch.testing.assert_close(found[:, :, row, column], expected, rtol=1e-9, atol=1e-10)
