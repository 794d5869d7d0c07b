"""Self-calibrated convolutions: the part in our bottleneck, the start, the maps they refuse."""

from typing import Any

import pytest
import torch
from reference import CASES, Reference, close
from torch import Tensor, nn
from torch.nn import functional as F

from reid_attn import attention
from reid_attn.errors import MismatchError, UsageError
from reid_attn.models.resnet import ResNet50


def place(
    slot: str, stage: int, channels: int, size: tuple[int, int], **given: Any
) -> nn.Module | None:
    """As in SCNet, in each bottleneck."""
    if slot != "replace":
        return None
    block = attention.build(
        "self_calibrated", channels, size, part="replace", stride=given["stride"]
    )
    return nn.Sequential(block)


def network() -> ResNet50:
    torch.manual_seed(0)
    return ResNet50((64, 64), width=8, place=place)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_our_bottleneck_with_it_is_the_published_bottleneck(mode: str) -> None:
    ours = network().layer2[1].double()
    published = attention.build("self_calibrated", 64, (8, 8), part="bottleneck").double()
    state = ours.state_dict()
    pairs = {"reduce.0": "conv1", "reduce.1": "bn1", "expand.0": "conv3", "expand.1": "bn3"}
    renamed = {
        f"body.{theirs}.{key.rpartition('.')[2]}": state[key]
        for theirs, module in pairs.items()
        for key in state
        if key.startswith(f"{module}.")
    }
    renamed |= {
        key.replace("conv2.0.body", "body.branches"): tensor
        for key, tensor in state.items()
        if key.startswith("conv2.")
    }
    renamed["body.expand.1.weight"].fill_(0.7)  # else the whole branch starts at 0
    published.load_state_dict(renamed)
    x = torch.randn(3, 64, 8, 8, dtype=torch.float64)
    close(ours.train(mode == "train")(x), published.train(mode == "train")(x))


def test_a_network_of_them_trains_through_the_in_place_relu() -> None:
    backbone = network()
    y: Tensor = backbone(torch.randn(2, 3, 64, 64))
    assert y.shape == (2, 256, 4, 4)
    y.square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_bilinear_upsampling_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = (case for case in CASES if case["file"] == "scconv_s1__2x32x16x8.npz")
    block = attention.build(case["block"], case["channels"], case["size"], **case["options"])
    reference = Reference(case, block, block.convert_official)
    resize = F.interpolate
    monkeypatch.setattr(F, "interpolate", lambda x, size, mode: resize(x, size, mode="bilinear"))
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 0.1


def test_starts_as_published() -> None:
    torch.manual_seed(0)
    block = attention.build("self_calibrated", 128, (8, 4))
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("size", [(3, 8), (8, 3)])
def test_a_map_below_the_pool_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(MismatchError, match=f"4×4 windows and got a map of {size[0]}×{size[1]}"):
        attention.build("self_calibrated", 8, size).eval()(torch.randn(2, 8, *size))


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, (7, 5)), ({"pooling_r": 1, "stride": 2}, (2, 2)), ({"part": "bottleneck"}, (4, 4))],
)
def test_one_value_per_channel_is_refused_before_anything_changes(
    options: dict[str, Any], size: tuple[int, int]
) -> None:
    block = attention.build("self_calibrated", 16, size, **options)
    before = {key: tensor.clone() for key, tensor in block.state_dict().items()}
    with pytest.raises(MismatchError, match="one value a channel"):
        block(torch.randn(1, 16, *size))
    assert all(torch.equal(tensor, before[key]) for key, tensor in block.state_dict().items())


def test_a_strided_bottleneck_takes_multiples_of_four() -> None:
    block = attention.build("self_calibrated", 12, (8, 4), part="bottleneck", stride=2)
    assert block(torch.randn(2, 12, 8, 4)).shape == (2, 24, 4, 2)


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (8, {"part": "replaced"}, "did you mean 'replace'"),
        (8, {"stride": 3}, "one of 1, 2, not 3"),
        (8, {"pooling_r": 0}, "pooling_r"),
        (12, {"part": "bottleneck"}, "multiples of 8"),
        (7, {"part": "replace"}, "multiples of 2"),
    ],
)
def test_what_cannot_be_built_is_refused(
    channels: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        attention.build("self_calibrated", channels, (8, 4), **options)
