"""Every block in every slot it declares, in a whole ResNet-50; and where papers put theirs."""

from typing import Any

import pytest
import torch
from torch import nn

from reid_attn import attention
from reid_attn.errors import UsageError
from reid_attn.losses import Objective
from reid_attn.models import build_network
from reid_attn.models.network import Network
from reid_attn.models.weights import initialise
from reid_attn.settings import LossSettings, resolve

IDENTITIES = 2


def network(width: int, **block: Any) -> Network:
    model = {"width": width, "attention": [block] if block else []}
    values = {"data": {"height": 128, "width": 64}, "model": model}
    torch.manual_seed(0)
    return build_network(resolve(values, "the test"), IDENTITIES)


def every_place() -> list[Any]:
    return [
        pytest.param(name, slot, id=f"{name}-{slot or 'published'}")
        for name in attention.names()
        for slot in (None, *attention.block_class(name).slots)
    ]


@pytest.mark.parametrize(("name", "slot"), every_place())
def test_trains_one_step(name: str, slot: str | None) -> None:
    """In its published place, and in every stage of each slot, of half the usual width.

    Slot `block` gets the map of `residual`, so few bottlenecks will do there.
    """
    few = {"blocks": "last"} if slot == "block" else {}
    net = network(32, name=name, slot=slot, **few)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    labels = torch.tensor([0, 0, 1, 1])
    output = net.train()(torch.randn(4, 3, 128, 64))
    losses = Objective(LossSettings(), IDENTITIES, net.dimension)(*output, labels)
    losses.total.backward()
    unused = [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    optimizer.step()
    assert all(p.isfinite().all() for p in net.parameters())
    blocks = [m for m in net.modules() if isinstance(m, attention.Block)]
    assert blocks


def test_with_nothing_but_its_name_a_block_stands_where_its_paper_puts_it() -> None:
    net = network(8, name="strip_pooling")
    placed = [name for name, m in net.named_modules() if isinstance(m, attention.Block)]
    assert placed == [
        f"backbone.layer{layer}.{block}.bn2_attention.0"
        for layer, block in ((1, 2), (2, 3), (3, 5), (4, 0), (4, 1), (4, 2))
    ]


def test_stages_narrow_the_published_place() -> None:
    net = network(8, name="rga", stages=[2, 3])
    kinds = [type(slot) for slot in net.backbone.stage_attention]
    assert kinds == [nn.Identity, nn.Sequential, nn.Sequential, nn.Identity]


def test_the_last_bottleneck_alone() -> None:
    net = network(8, name="rga", slot="residual", stages=[1], blocks="last")
    layer = net.backbone.layer1
    kinds = [type(bottleneck.residual_attention) for bottleneck in layer]
    assert kinds == [nn.Identity, nn.Identity, nn.Sequential]


@pytest.mark.parametrize(("blocks", "expected"), [(1, 1), (2, 2), (3, 3), (9, 3), ("last", 1)])
def test_the_last_n_bottlenecks(blocks: Any, expected: int) -> None:
    layer = network(8, name="simam", slot="block", stages=[1], blocks=blocks).backbone.layer1
    kinds = [type(bottleneck.block_attention) for bottleneck in layer]
    assert kinds == [nn.Identity] * (3 - expected) + [nn.Sequential] * expected


def test_a_block_that_stands_for_the_3x3_takes_imagenet_weights_for_the_rest(tmp_path) -> None:
    plain, replaced = network(8), network(8, name="self_calibrated")
    torch.manual_seed(1)
    for parameter in plain.backbone.parameters():
        nn.init.normal_(parameter)
    torch.save(plain.backbone.state_dict(), tmp_path / "weights.pth")
    before = {k: v.clone() for k, v in replaced.backbone.state_dict().items()}
    initialise(replaced, str(tmp_path / "weights.pth"), stride_in_1x1=False)
    after, given = replaced.backbone.state_dict(), plain.backbone.state_dict()
    assert all(torch.equal(after[key], given[key]) for key in after.keys() & given.keys())
    own = [key for key in after if key not in given]
    assert own
    assert all(".conv2." in key and torch.equal(after[key], before[key]) for key in own)


def test_blocks_narrow_the_published_place() -> None:
    net = network(8, name="squeeze_excite", stages=[1], blocks="last")
    kinds = [type(bottleneck.residual_attention) for bottleneck in net.backbone.layer1]
    assert kinds == [nn.Identity, nn.Identity, nn.Sequential]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "large_kernel", "stages": [3, 4]}, "would stand nowhere"),
        ({"name": "residual", "stages": [4]}, "would stand nowhere"),
        ({"name": "rga", "stages": []}, "would stand nowhere"),
        ({"name": "simam", "slot": "conv2", "stages": []}, "would stand nowhere"),
        ({"name": "rga", "blocks": "last"}, "slot 'stage', which has no blocks"),
        ({"name": "rga", "slot": "head", "blocks": 2}, "slot 'head', which has no blocks"),
        ({"name": "dual", "stages": [4]}, "slot 'head', which has no stages"),
        ({"name": "csra", "stages": [1]}, "slot 'classifier', which has no stages"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        network(8, **options)


def test_a_network_has_one_classifier() -> None:
    model = {"width": 8, "attention": [{"name": "csra"}, {"name": "csra"}]}
    with pytest.raises(UsageError, match="one classifier"):
        build_network(resolve({"model": model}, "the test"), IDENTITIES)


def test_a_classifier_that_reads_the_map_fits_the_losses() -> None:
    model = {"width": 8, "attention": [{"name": "csra"}]}
    for feature, trained in (("before_neck", False), ("after_neck", True)):
        values = {"model": model, "loss": {"metric_feature": feature}}
        built = build_network(resolve(values, "the test"), IDENTITIES)
        assert built.neck.weight.requires_grad == trained
        assert not built.neck.bias.requires_grad
    margins = {"model": model | {"classifier": "cosine"}, "loss": {"identity_kind": "arcface"}}
    with pytest.raises(UsageError, match="puts a margin on cosines"):
        build_network(resolve(margins, "the test"), IDENTITIES)
