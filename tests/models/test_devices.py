"""Without a GPU: each network as on one, with tensors that have a device and no content.

An operation that takes one tensor of the CPU and one of the GPU is refused as it would be there.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from reid_attn import attention
from reid_attn.data.finish import Finish
from reid_attn.models import build_network
from reid_attn.settings import resolve

GPU = torch.device("cuda", 0)
NETWORKS: dict[str, dict[str, Any]] = {
    "ibn": {"backbone": "resnet50_ibn_a", "stem": "no_relu", "checkpoint_activations": True},
    "parts": {"parts": 2, "pooling": "gem"},
    "timm": {"backbone": "timm/resnet18"},
    **{name: {"attention": [{"name": name}]} for name in attention.names()},
}


@pytest.fixture(autouse=True)
def _no_content() -> Iterator[None]:
    with FakeTensorMode():
        yield


def test_a_tensor_that_was_left_on_the_cpu_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device=GPU) + torch.ones(2)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_leaves_nothing_on_the_cpu(name: str) -> None:
    settings = resolve({"model": NETWORKS[name], "data": {"height": 128, "width": 64}}, "test")
    with GPU:
        network = build_network(settings, 6)
    images = torch.empty(4, 3, 128, 64, device=GPU)
    for training in (True, False):
        output = network.train(training)(images)
        assert {x.device for x in output if x is not None} == {GPU}


@pytest.mark.parametrize("recoloured", [False, True])
def test_pictures_are_finished_where_they_are(recoloured: bool) -> None:
    mirrored, erased = torch.ones(4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.int64)
    tones = torch.ones(4, 3) if recoloured else None
    finish = Finish(mirrored, erased, tones, "imagenet", (0.0, 0.0, 0.0))
    assert finish(torch.ones(4, 8, 4, 3, dtype=torch.uint8, device=GPU)).device == GPU
