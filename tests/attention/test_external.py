"""External attention against its formula, word for word."""

import pytest
import torch

from reid_attn import attention


@pytest.mark.parametrize("residual", [False, True])
def test_equals_the_formula(residual: bool) -> None:
    torch.manual_seed(0)
    block = attention.build("external", channels=12, size=(5, 3), memories=4, residual=residual)
    block.double()
    torch.nn.init.normal_(block.mk.weight)
    torch.nn.init.normal_(block.mv.weight)
    x = torch.randn(2, 12, 5, 3, dtype=torch.float64)
    tokens = x.flatten(2).mT  # (N, H·W, C)
    shares = torch.softmax(tokens @ block.mk.weight.flatten(1).T, dim=1)
    shares = shares / shares.sum(dim=2, keepdim=True)
    out = (shares @ block.mv.weight.flatten(1).T).mT.reshape(x.shape)
    torch.testing.assert_close(block(x), out + x if residual else out, rtol=1e-9, atol=1e-10)


def test_starts_small() -> None:
    block = attention.build("external", channels=256, size=(5, 3))
    for weight in (block.mk.weight, block.mv.weight):
        assert 0.0009 < weight.std() < 0.0011
