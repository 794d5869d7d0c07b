"""The network: sizes, slots, cost, stems and norms, the fingerprint."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from reid_attn.errors import UsageError
from reid_attn.models import build_network, fingerprint
from reid_attn.models.cost import measure
from reid_attn.models.pooling import GeMPooling
from reid_attn.models.resnet import ResNet50
from reid_attn.settings import Settings, resolve

RGA = {"attention": [{"name": "rga"}]}


def settings(size: tuple[int, int] = (64, 32), **model: object) -> Settings:
    return resolve({"data": {"height": size[0], "width": size[1]}, "model": model}, "test")


def test_equals_torchvision_with_its_weights() -> None:
    theirs = torchvision.models.resnet50().eval()
    ours = ResNet50((64, 32), last_stride=2).eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        expected = nn.Sequential(*list(theirs.children())[:-2])(x)
        torch.testing.assert_close(ours(x), expected)


def test_every_bottleneck_starts_as_the_identity() -> None:
    backbone = ResNet50((64, 32), width=8).eval()
    x = torch.rand(2, 32, 16, 8)
    torch.testing.assert_close(backbone.layer1[1](x), x)


def test_stride_in_the_1x1_is_another_network_with_the_same_weights() -> None:
    torch.manual_seed(0)
    early, late = (ResNet50((64, 32), width=8, stride_in_1x1=flag).eval() for flag in (True, False))
    for name, tensor in early.state_dict().items():
        if name.endswith("bn3.weight"):
            tensor.fill_(1)  # as trained weights have it; at the start no bottleneck is heard
    late.load_state_dict(early.state_dict())
    x = torch.randn(2, 3, 64, 32)
    assert early(x).shape == late(x).shape
    assert not torch.allclose(early(x), late(x))
    assert early.layer2[0].conv1.stride == (2, 2)
    assert early.layer2[0].conv2.stride == (1, 1)


@pytest.mark.parametrize("size", [(256, 128), (65, 33), (50, 47)])
@pytest.mark.parametrize("last_stride", [1, 2])
def test_announced_map_size_is_the_real_one(size: tuple[int, int], last_stride: int) -> None:
    backbone = ResNet50(size, width=8, last_stride=last_stride).eval()
    assert tuple(backbone(torch.randn(1, 3, *size)).shape) == (1, 256, *backbone.map_size)


class Recorder(nn.Module):
    """Notes the shape that comes to its slot."""

    def __init__(self, expected: tuple[int, tuple[int, int]]) -> None:
        super().__init__()
        self.expected, self.calls = expected, 0

    def forward(self, x: Tensor) -> Tensor:
        assert (x.shape[1], tuple(x.shape[2:])) == self.expected
        self.calls += 1
        return x


@pytest.mark.parametrize(
    ("slot", "count"),
    [("stage", 4), ("residual", 16), ("conv2", 16), ("bn2", 16), ("block", 16), ("head", 1)],
)
@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_every_slot_announces_the_map_it_gets(slot: str, count: int, stride_in_1x1: bool) -> None:
    placed = []

    def place(name: str, stage: int, channels: int, size: tuple[int, int], **_: object):
        if name != slot:
            return None
        placed.append(Recorder((channels, size)))
        return placed[-1]

    backbone = ResNet50((64, 32), width=8, stride_in_1x1=stride_in_1x1, place=place)
    backbone(torch.randn(2, 3, 64, 32))
    assert [recorder.calls for recorder in placed] == [1] * count


def test_replace_stands_for_the_3x3_and_its_norm() -> None:
    def place(name: str, stage: int, channels: int, size: tuple[int, int], **options: int):
        if name != "replace":
            return None
        return nn.Conv2d(channels, channels, 1, stride=options["stride"])

    backbone = ResNet50((64, 32), width=8, place=place)
    assert backbone(torch.randn(2, 3, 64, 32)).shape == (2, 256, 4, 2)
    assert "layer1.0.bn2.weight" not in backbone.state_dict()
    assert backbone.layer1[0].conv2.kernel_size == (1, 1)


def test_whole_network_cost_is_that_of_the_exact_form() -> None:
    """At most 10.2 GFLOP forward, and 95 MiB kept for backward per picture, at 256×128."""
    cost = measure(build_network(settings((256, 128), **RGA), 10).backbone, (3, 256, 128))
    assert cost.gflop <= 10.2
    assert 60 < cost.kept_mib <= 95


def test_training_scores_and_evaluation_does_not() -> None:
    network = build_network(settings(width=8), 5)
    output = network(torch.randn(2, 3, 64, 32))
    assert output.logits.shape == (2, 5)
    assert not torch.equal(output.before_neck, output.after_neck)
    assert network.eval()(torch.randn(1, 3, 64, 32)).logits is None
    assert not network.neck.bias.requires_grad


def test_without_a_neck_both_features_are_one() -> None:
    output = build_network(settings(neck="none", width=8), 5)(torch.randn(2, 3, 64, 32))
    assert torch.equal(output.before_neck, output.after_neck)


def test_gem_with_exponent_one_is_the_mean_and_a_large_one_the_maximum() -> None:
    x = torch.rand(2, 4, 5, 3) + 0.1
    torch.testing.assert_close(GeMPooling(1.0)(x), x.mean(dim=(2, 3)))
    torch.testing.assert_close(GeMPooling(80.0)(x), x.amax(dim=(2, 3)), rtol=0.05, atol=0)


def test_a_slot_that_the_block_does_not_know_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit slot 'replace'"):
        build_network(settings(attention=[{"name": "rga", "slot": "replace"}]), 5)


def test_a_fingerprint_sees_what_decides_a_feature_and_nothing_else() -> None:
    torch.manual_seed(0)
    base = settings(width=8)
    network = build_network(base, 5)
    first = fingerprint(network, base)
    network.classifier.weight.data += 1
    assert fingerprint(network, base) == first
    flipped = base.model_copy(
        update={"evaluation": base.evaluation.model_copy(update={"flip": True})}
    )
    assert fingerprint(network, flipped) != first
    network.backbone.layer4[2].bn3.running_var[3] += 1e-6
    assert fingerprint(network, base) != first


OLD_FINGERPRINTS = [  # of version 0.1, before the options `backbone`, `stem`, `parts` and others
    ({"width": 8}, "5d374a0ab43edb0b3bfd36ee016b374fe96d7d55e384ef405f0ceca1632d9d64"),
    (
        {
            "width": 8,
            "last_stride": 2,
            "pooling": "gem",
            "neck": "none",
            "attention": [
                {"name": "rga", "stages": [4]},
                {"name": "simam", "slot": "bn2", "blocks": "last"},
            ],
        },
        "6c6f4d18bcfe6e9128801e75ffdc77a4cfa5153e7ab18435e5bfca3999a9fdf3",
    ),
]


@pytest.mark.parametrize(("model", "expected"), OLD_FINGERPRINTS)
def test_fingerprints_of_older_runs_stay(model: dict[str, Any], expected: str) -> None:
    base = settings((32, 32), **model)
    network = build_network(base, 5)
    for number, tensor in enumerate(network.state_dict().values()):
        values = torch.arange(tensor.numel()).reshape(tensor.shape) % (number + 7)
        tensor.copy_(values.to(tensor.dtype) / 8)
    assert fingerprint(network, base) == expected


@pytest.mark.parametrize(
    ("option", "seen"),
    [
        ({"checkpoint_activations": True}, False),
        ({"classifier_deviation": 0.01}, False),
        ({"weights": "IMAGENET1K_V2"}, False),
        ({"stem": "unpadded"}, True),
        ({"last_stride": 2}, True),
    ],
)
def test_of_the_options_those_that_shape_a_feature_are_seen(
    option: dict[str, Any], seen: bool
) -> None:
    network = build_network(settings(width=8), 5)
    plain, other = settings(width=8), settings(width=8, **option)
    assert (fingerprint(network, plain) != fingerprint(network, other)) == seen


def test_the_classifiers_of_parts_are_not_seen() -> None:
    base = settings(width=8, parts=2)
    network = build_network(base, 5)
    first = fingerprint(network, base)
    network.parts[1].classifier.weight.data += 1
    assert fingerprint(network, base) == first
    network.parts[1].reduce.weight.data += 1
    assert fingerprint(network, base) != first


def test_preprocessing_is_seen() -> None:
    base = settings(width=8)
    network = build_network(base, 5)
    data = base.data.model_copy(update={"normalisation": "half"})
    assert fingerprint(network, base) != fingerprint(
        network, base.model_copy(update={"data": data})
    )


@pytest.mark.parametrize("size", [(64, 32), (65, 33), (50, 47), (36, 32)])
def test_a_pool_without_padding_leaves_the_announced_size(size: tuple[int, int]) -> None:
    backbone = ResNet50(size, width=8, stem="unpadded").eval()
    assert tuple(backbone(torch.randn(1, 3, *size)).shape) == (1, 256, *backbone.map_size)


def test_stems_differ_in_the_relu_and_in_the_padding() -> None:
    torch.manual_seed(0)
    stems = [ResNet50((64, 32), width=8, stem=stem) for stem in ("resnet", "no_relu", "unpadded")]
    x = torch.randn(1, 8, 32, 16)
    padded, negative, unpadded = (net.maxpool(net.relu(x.clone())) for net in stems)
    pooled = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
    assert torch.equal(padded, pooled.relu())
    assert torch.equal(negative, pooled)
    outside = nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(unpadded, nn.functional.max_pool2d(outside, 3, stride=2).relu())


def test_instance_norms_stand_where_ibn_a_has_them() -> None:
    network = build_network(settings(backbone="resnet50_ibn_a", width=8), 5)
    kinds = {
        name.removeprefix("backbone.").partition(".")[0]
        for name, module in network.named_modules()
        if isinstance(module, nn.InstanceNorm2d)
    }
    assert kinds == {"layer1", "layer2", "layer3"}
    names = set(network.backbone.state_dict())
    assert {f"layer1.0.bn1.{part}" for part in ("IN.weight", "IN.bias", "BN.running_var")} <= names
    x = torch.randn(2, 8, 6, 5)
    norm = network.backbone.layer1[0].bn1.eval()
    nn.init.uniform_(norm.IN.weight)
    nn.init.uniform_(norm.BN.running_var, 0.5, 2.0)
    found = norm(x)
    for channel in range(4):
        for picture in range(2):
            plane = x[picture, channel]
            deviation = (plane.var(unbiased=False) + 1e-5).sqrt()
            expected = (plane - plane.mean()) / deviation * norm.IN.weight[channel]
            torch.testing.assert_close(found[picture, channel], expected)
    expected = x[:, 4:] / (norm.BN.running_var.view(4, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(found[:, 4:], expected)
