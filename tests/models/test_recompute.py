"""Computing stages again: the same bits, less memory, and no second trace."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid_attn.models import Network, build_network
from reid_attn.models.recompute import recomputed
from reid_attn.settings import resolve

RGA = [{"name": "rga", "stages": [2]}, {"name": "cbam", "stages": [3]}]


def network(recompute: bool, **model: Any) -> Network:
    model = {"width": 8, **model, "checkpoint_activations": recompute}
    torch.manual_seed(0)
    return build_network(
        resolve({"data": {"height": 64, "width": 32}, "model": model}, "the test"), 5
    ).double()


def step(net: Network) -> tuple[Tensor, int]:
    """The logits of one step, and the bytes of what autograd kept for it."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 64, 32, generator=generator, dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = net(images)
        held = sum(kept.values())
    (output.logits.square().sum() + output.before_neck.square().sum()).backward()
    return output.logits.detach(), held


@pytest.mark.parametrize(
    "model", [{}, {"attention": RGA}, {"backbone": "resnet50_ibn_a", "parts": 2}]
)
def test_values_gradients_and_statistics_are_the_same_bits(model: dict[str, Any]) -> None:
    plain, again = network(False, **model), network(True, **model)
    for _ in range(2):
        (logits, held), (same, less) = step(plain), step(again)
        assert torch.equal(logits, same)
        assert less < held / 2
    for (name, p), q in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        assert p.grad is None or torch.equal(p.grad, q.grad), name
    for (name, p), q in zip(plain.named_buffers(), again.buffers(), strict=True):
        assert torch.equal(p, q), name
    assert again.backbone.layer4[2].bn3.num_batches_tracked == 2


def test_nothing_is_kept_without_gradients() -> None:
    plain, again = network(False).eval(), network(True).eval()
    x = torch.randn(2, 3, 64, 32, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(plain(x).after_neck, again(x).after_neck)


def test_random_draws_are_repeated() -> None:
    parts = (nn.Linear(6, 6).double(), nn.Dropout(0.5))
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    y = recomputed(parts, x)
    torch.rand(5)
    y.sum().backward()
    kept = (y != 0).double()
    expected = kept @ parts[0].weight.detach() * 2
    torch.testing.assert_close(x.grad, expected)
