"""Backbones of timm and torchreid: their own maps and features, and what they do not have."""

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from reid_attn.attention import Block
from reid_attn.data import load
from reid_attn.errors import MissingExtra, UsageError
from reid_attn.models import Network, build_network, fingerprint, load_trained
from reid_attn.models.adoption import adopt
from reid_attn.settings import Settings, resolve
from reid_attn.training import train

SIZE = (64, 32)
OSNET = "torchreid/osnet_x0_25"


@pytest.fixture(params=[OSNET, "timm/resnet18", "timm/vit_tiny_patch16_224"])
def backbone(request: pytest.FixtureRequest) -> str:
    return need(request.param)


def need(name: str) -> str:
    """`name`, or the test is skipped without its library."""
    pytest.importorskip(name.partition("/")[0])
    return name


def settings(size: tuple[int, int] = SIZE, **model: Any) -> Settings:
    return resolve({"data": {"height": size[0], "width": size[1]}, "model": model}, "the test")


def network(size: tuple[int, int] = SIZE, **model: Any) -> Network:
    torch.manual_seed(0)
    return build_network(settings(size, **model), 5)


def test_trains_and_evaluates_like_any_other(backbone: str) -> None:
    net = network(backbone=backbone, attention=[{"name": "eca", "slot": "head"}], parts=2)
    (block,) = (module for module in net.modules() if isinstance(module, Block))
    assert net.backbone.head_attention[0] is block
    images = torch.randn(3, 3, *SIZE)
    x = net.backbone(images)
    assert tuple(x.shape) == (3, net.backbone.channels, *net.backbone.map_size)
    assert net.backbone.map_size == (4, 2)
    output = net(images)
    assert output.logits.shape == (3, 3, 5)
    (output.logits.square().sum() + output.before_neck.square().sum()).backward()
    assert not [k for k, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert net.eval()(images).after_neck.shape == (3, net.dimension)
    assert len(fingerprint(net, settings(backbone=backbone))) == 64


def test_the_map_of_a_transformer_is_that_of_its_patches() -> None:
    need("timm/x")
    net = network(backbone="timm/vit_tiny_patch16_224").eval()
    body, images = net.backbone.body, torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        tokens, x = body.forward_features(images), net.backbone(images)
    assert tokens.shape == (2, 1 + 4 * 2, 192)
    for row in range(4):
        for column in range(2):
            assert torch.equal(x[:, :, row, column], tokens[:, 1 + 2 * row + column])


def test_a_map_with_channels_last_is_turned() -> None:
    need("timm/x")
    net = network((128, 64), backbone="timm/swin_tiny_patch4_window7_224", last_stride=2).eval()
    images = torch.randn(1, 3, 128, 64)
    with torch.no_grad():
        expected = net.backbone.body.forward_features(images).permute(0, 3, 1, 2)
        assert torch.equal(net.backbone(images), expected)
    assert tuple(expected.shape) == (1, 768, 4, 2)


def test_last_stride_asks_for_the_finer_map_where_there_is_one() -> None:
    need("timm/x")
    assert network(backbone="timm/resnet18").backbone.map_size == (4, 2)
    assert network(backbone="timm/resnet18", last_stride=2).backbone.map_size == (2, 1)
    with pytest.raises(UsageError, match=r"2×1 and cannot be made finer: set model\.last_stride=2"):
        network(backbone="timm/mobilenetv3_small_050")


def test_what_the_map_does_not_need_stands_still() -> None:
    need("timm/x")
    net = network(backbone="timm/convnext_atto")
    still = [name for name, p in net.backbone.named_parameters() if not p.requires_grad]
    assert still == ["body.head.norm.weight", "body.head.norm.bias"]


@pytest.mark.parametrize("name", ["osnet_x0_25", "resnet50"])
def test_features_are_those_of_torchreid_itself(name: str) -> None:
    need(OSNET)
    from torchreid.reid import models

    torch.manual_seed(0)
    theirs = models.build_model(name, num_classes=5, pretrained=False)
    with torch.no_grad():
        for _ in range(5):  # the norms learn statistics, without which features would be zero
            theirs(torch.randn(8, 3, *SIZE))
    theirs.eval()
    net = network(backbone=f"torchreid/{name}", neck="none", last_stride=2).eval()
    state = theirs.state_dict()
    own = {key: key.removeprefix("body.") for key in net.backbone.state_dict()}
    net.backbone.load_state_dict({ours: state[key] for ours, key in own.items()})
    net.embedding.load_state_dict({key: state[f"fc.{key}"] for key in net.embedding.state_dict()})
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        expected, found = theirs(images), net(images).before_neck
    assert found.shape[1] == net.dimension
    assert expected.std(dim=0).max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [OSNET, "timm/resnet18"])
def test_its_library_s_own_weights_are_taken_but_for_the_classifier(name: str) -> None:
    need(name)
    net = network(backbone=name)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    state = {key.removeprefix("body."): t + 1 for key, t in net.backbone.state_dict().items()}
    state |= {f"fc.{key}": t + 1 for key, t in net.embedding.state_dict().items()}
    classifier = "classifier" if name == OSNET else "fc"
    state |= {f"{classifier}.{part}": torch.zeros(3, 3) for part in ("weight", "bias")}
    report = adopt(net, state, "the file", whole=False)
    assert set(report.left_out) == {f"{classifier}.weight", f"{classifier}.bias"}
    for key, tensor in net.state_dict().items():
        added = int(key.startswith(("backbone.", "embedding.")))
        assert torch.equal(tensor, before[key] + added), key


def test_osnet_trains_as_a_run(tiny: Settings, tmp_path: Path) -> None:
    model = {"backbone": need(OSNET), "classifier_deviation": 0.01, "parts": 1}
    values = tiny.model_dump(mode="json")
    values |= {"model": model, "training": values["training"] | {"epochs": 1}}
    small = resolve(values, "the test")
    train(small, load(small.data.source), tmp_path / "run", Console(quiet=True))
    network, _, state = load_trained(tmp_path / "run")
    assert state["position"]["epoch"] == 1
    assert network.dimension == 512 + 256


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({"backbone": "torchreid/osnet_x0_2"}, "did you mean 'osnet_x0_25'"),
        ({"backbone": "torchreid/mlfn"}, "does not tell where its last map is"),
        ({"backbone": OSNET, "width": 32}, r"model\.width is for our own ResNet-50"),
        ({"backbone": OSNET, "stem": "no_relu"}, r"model\.stem is for"),
        ({"backbone": OSNET, "stride_in_1x1": True}, r"model\.stride_in_1x1 is for"),
        ({"backbone": OSNET, "checkpoint_activations": True}, "without batch norm"),
        ({"backbone": OSNET, "attention": [{"name": "rga"}]}, r"slot 'stage', which torchreid/os"),
        ({"backbone": OSNET, "parts": 9}, "4 rows only"),
        ({"backbone": "timm/resnet18x"}, "timm has no network 'resnet18x' .did you mean 'resnet18"),
        ({"backbone": "timm/vit_small_patch14_dinov2"}, "patches of 14×14 do not fill them"),
        ({"backbone": "timm/xcit_nano_12_p16_224"}, "tokens of unknown positions"),
    ],
)
def test_what_a_network_cannot_do_is_said(model: dict[str, Any], complaint: str) -> None:
    need(model["backbone"])
    with pytest.raises(UsageError, match=complaint):
        network(**model)


def test_a_transformer_of_timm_can_be_computed_again() -> None:
    need("timm/x")
    images, gradients = torch.randn(2, 3, *SIZE), []
    for again in (False, True):
        net = network(backbone="timm/vit_tiny_patch16_224", checkpoint_activations=again)
        net(images).before_neck.square().sum().backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    assert all(torch.equal(p, q) for p, q in zip(*gradients, strict=True))


@pytest.mark.parametrize(("library", "extra"), [("timm", "zoo"), ("torchreid", "torchreid")])
def test_a_missing_library_is_named_with_its_extra(
    library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=rf"reid-attn\[{extra}\]"):
        network(backbone=f"{library}/resnet18")
