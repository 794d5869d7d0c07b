"""The non-local block: its published width, and the two orders of its product."""

import pytest
import torch
from torch import Tensor, nn

from reid_attn import attention
from reid_attn.models import build_network
from reid_attn.settings import resolve


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


AGW = [
    {"name": "non_local", "slot": "block", "stages": [2], "blocks": 2},
    {"name": "non_local", "slot": "block", "stages": [3], "blocks": 3},
]


def test_agw_stands_after_the_sum_and_relu_of_the_last_bottlenecks() -> None:
    size = {"height": 64, "width": 32}
    torch.manual_seed(0)
    network = build_network(
        resolve({"data": size, "model": {"width": 8, "attention": AGW}}, "the test"), 5
    ).eval()
    places = [name for name, m in network.named_modules() if isinstance(m, attention.Block)]
    assert places == [
        f"backbone.layer{layer}.{bottleneck}.block_attention.0"
        for layer, bottleneck in ((2, 2), (2, 3), (3, 3), (3, 4), (3, 5))
    ]
    bottleneck = network.backbone.layer2[3]
    block = bottleneck.block_attention[0]
    nn.init.normal_(block.norm.weight)
    seen: list[Tensor] = []
    block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(2, 64, 8, 4)
    found = bottleneck(x)
    bottleneck.block_attention = nn.Identity()
    torch.testing.assert_close(seen[0], bottleneck(x))
    torch.testing.assert_close(found, block(seen[0]))
    assert not torch.allclose(found, seen[0])
