"""The network: sizes, slots, cost, the published layout, the fingerprint."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from reid_attn.errors import MismatchError, UsageError
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


def official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under the published network's names, written independently of ours."""
    branches = {"embed": ("gx", "theta", "phi"), "relate": ("gg",), "head": ("W",)}
    out = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if "stage_attention" not in key:
            renamed = key.replace("neck.", "feat_bn.").replace("classifier.", "cls.")
            out[renamed] = tensor
            continue
        stage, branch, module, rest = int(parts[2]) + 1, parts[4], parts[5], parts[6:]
        group = module.removesuffix("_norm")
        index = [rest[0]] if group == "head" else ["1" if module.endswith("_norm") else "0"]
        names = branches[group]
        chunks = tensor.chunk(len(names)) if tensor.ndim else [tensor] * len(names)
        for name, chunk in zip(names, chunks, strict=True):
            shaped = chunk.reshape(*chunk.shape[:2], 1, 1) if chunk.ndim > 1 else chunk
            target = ".".join([f"{name}_{branch}", *index, rest[-1]])
            out[f"backbone.rga_att{stage}.{target}"] = shaped
    return out


def test_the_published_whole_network_can_be_converted() -> None:
    torch.manual_seed(0)
    network = build_network(settings(**RGA, width=8), 7)
    published = official(network.state_dict())
    assert "backbone.rga_att1.theta_spatial.0.weight" in published
    other = build_network(settings(**RGA, width=8), 7)
    other.load_state_dict(other.convert_official(published))
    for key, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor), key
    del published["cls.weight"]
    with pytest.raises(MismatchError, match=r"'classifier\.weight' is missing"):
        other.convert_official(published)


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
