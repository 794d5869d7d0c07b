"""Weights of other code bases: every name of theirs, and the account of every tensor."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from reid_attn.errors import MismatchError
from reid_attn.models import Network, build_network
from reid_attn.models.adoption import adopt, identities_of
from reid_attn.settings import resolve

NON_LOCAL = [
    {"name": "non_local", "slot": "block", "stages": [2], "blocks": 2},
    {"name": "non_local", "slot": "block", "stages": [3], "blocks": 3},
]
State = dict[str, Tensor]


def network(seed: int = 0, **model: Any) -> Network:
    values = {"data": {"height": 32, "width": 32}, "model": {"width": 8, **model}}
    torch.manual_seed(seed)
    built = build_network(resolve(values, "the test"), 5)
    for tensor in built.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return built


def renamed(state: Mapping[str, Tensor], *pairs: tuple[str, str]) -> State:
    """Names that begin like the first of a pair begin like its second one."""
    out = {}
    for name, tensor in state.items():
        for ours, theirs in pairs:
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
                break
        out[name] = tensor
    return out


def with_non_local(state: Mapping[str, Tensor], beginning: str) -> State:
    """Our names of Non-local as AGW and fast-reid have them, written independently."""
    places = {(2, 2): 0, (2, 3): 1, (3, 3): 0, (3, 4): 1, (3, 5): 2}
    modules = {"project": "W.0", "norm": "W.1"}
    out = {}
    for name, tensor in state.items():
        if ".block_attention." not in name:
            out[name] = tensor
            continue
        _, layer, bottleneck, _, _, module, kind = name.split(".")
        number = places[int(layer[-1]), int(bottleneck)]
        start = f"{beginning}NL_{layer[-1]}.{number}."
        if module == "embed":
            for part, piece in zip(("theta", "phi", "g"), tensor.chunk(3), strict=True):
                out[f"{start}{part}.{kind}"] = piece
        else:
            out[f"{start}{modules[module]}.{kind}"] = tensor
    return out


def fast_reid(state: State) -> State:
    out = with_non_local(
        renamed(
            state,
            ("neck.", "heads.bottleneck.0."),
            ("classifier.weight", "heads.weight"),
            ("pooling.exponent", "heads.pool_layer.p"),
        ),
        "backbone.",
    )
    out["heads.pool_layer.p"] = out["heads.pool_layer.p"].reshape(1)
    return out | {name: torch.ones(1, 3, 1, 1) for name in ("pixel_mean", "pixel_std")}


def old_fast_reid(state: State) -> State:
    return renamed(state, ("neck.", "heads.bnneck."), ("classifier.", "heads.classifier."))


def agw(state: State) -> State:
    out = with_non_local(
        renamed(
            state,
            ("backbone.", "base."),
            ("neck.", "bottleneck."),
            ("pooling.exponent", "global_pool.p"),
        ),
        "base.",
    )
    out["global_pool.p"] = out["global_pool.p"].reshape(1)
    return out


def bag_of_tricks(state: State) -> State:
    return renamed(state, ("backbone.", "base."), ("neck.", "bottleneck."))


def official_rga(state: State) -> State:
    """Written independently of the block's own conversion."""
    branches = {"embed": ("gx", "theta", "phi"), "relate": ("gg",), "head": ("W",)}
    out = {}
    for key, tensor in renamed(state, ("neck.", "feat_bn."), ("classifier.", "cls.")).items():
        parts = key.split(".")
        if "stage_attention" not in key:
            out[key] = tensor
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


WHOLE: dict[str, tuple[Callable[[State], State], dict[str, Any]]] = {
    "reid_attn": (dict, {}),
    "fast-reid": (fast_reid, {"pooling": "gem", "attention": NON_LOCAL, "stem": "unpadded"}),
    "fast-reid, older": (old_fast_reid, {"stem": "unpadded"}),
    "fast-reid, IBN": (old_fast_reid, {"backbone": "resnet50_ibn_a", "stem": "unpadded"}),
    "BoT or AGW": (bag_of_tricks, {"stem": "no_relu"}),
    "BoT or AGW, AGW": (agw, {"pooling": "gem", "attention": NON_LOCAL, "stem": "no_relu"}),
    "RGA": (official_rga, {"attention": [{"name": "rga"}]}),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_network_is_adopted_bit_for_bit(case: str) -> None:
    convert, model = WHOLE[case]
    theirs = network(0, **model)
    state = convert(theirs.state_dict())
    ours = network(1, **model)
    report = adopt(ours, state, "the file")
    assert report.style == case.partition(",")[0]
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], tensor), key
    assert report.loaded.keys() | report.left_out.keys() == state.keys()
    assert {*report.loaded.values()} | {*report.kept} == ours.state_dict().keys()
    assert set(report.left_out) <= {"pixel_mean", "pixel_std"}
    assert (report.kept, report.note) == ((), "")
    assert identities_of(state) == 5


@pytest.mark.parametrize("case", [case for case in WHOLE if case != "reid_attn"])
def test_of_a_whole_network_the_backbone_can_be_taken_alone(case: str) -> None:
    convert, model = WHOLE[case]
    model = {key: value for key, value in model.items() if key not in ("attention", "pooling")}
    theirs, ours = network(0, **model), network(1, **model)
    head = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    report = adopt(ours, convert_plain(convert, theirs.state_dict()), "the file", whole=False)
    for key, tensor in ours.state_dict().items():
        expected = theirs.state_dict() if key.startswith("backbone.") else head
        assert torch.equal(tensor, expected[key]), key
    assert set(report.left_out.values()) <= {
        "not of the backbone",
        "its normalisation; here data.normalisation",
    }


def convert_plain(convert: Callable[[State], State], state: State) -> State:
    """Conversions of networks with GeM want its exponent."""
    out = convert(state | {"pooling.exponent": torch.ones(())})
    return {name: tensor for name, tensor in out.items() if name != "pooling.exponent"}


FOREIGN_BACKBONES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torchvision": ("", ("fc.weight", "fc.bias")),
    "MoCo": ("encoder_q.", ("encoder_q.fc.0.weight", "encoder_k.conv1.weight", "queue")),
    "MoCo v3": ("base_encoder.", ("base_encoder.fc.0.weight", "momentum_encoder.x", "predictor.0")),
    "torchreid": ("", ("classifier.weight", "classifier.bias")),
}


@pytest.mark.parametrize("style", FOREIGN_BACKBONES)
@pytest.mark.parametrize("backbone", ["resnet50", "resnet50_ibn_a"])
def test_a_pretrained_backbone(style: str, backbone: str) -> None:
    start, unused = FOREIGN_BACKBONES[style]
    theirs, ours = network(0, backbone=backbone), network(1, backbone=backbone)
    state = {start + key: tensor for key, tensor in theirs.backbone.state_dict().items()}
    report = adopt(
        ours, state | {name: torch.zeros(3, 3) for name in unused}, "the file", whole=False
    )
    assert report.style == style
    assert set(report.left_out) == set(unused)
    assert report.loaded == {start + key: f"backbone.{key}" for key in theirs.backbone.state_dict()}
    for key, tensor in theirs.backbone.state_dict().items():
        assert torch.equal(ours.backbone.state_dict()[key], tensor)


def test_every_name_of_torchvision_has_its_place() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.resnet50().state_dict()
    found = {key: torch.zeros(tensor.shape) for key, tensor in theirs.items()}
    report = adopt(network(width=64), found, "the file", whole=False)
    assert len(report.loaded) == 318
    assert set(report.left_out) == {"fc.weight", "fc.bias"}
    assert "318 tensors loaded, 2 left out" in report.summary()


def test_the_stem_is_what_names_cannot_tell() -> None:
    state = bag_of_tricks(network().state_dict())
    note = adopt(network(1), state, "the file").note
    assert "model.stem=no_relu" in note
    assert note in adopt(network(1), state, "the file").summary()


@pytest.mark.parametrize("change", ["missing", "unknown", "misshaped", "no neck", "no block"])
def test_what_does_not_fit_is_refused_and_nothing_loaded(change: str) -> None:
    model = {"pooling": "gem", "attention": NON_LOCAL}
    state = fast_reid(network(0, **model).state_dict())
    ours = network(1, **(model if change != "no block" else {"pooling": "gem"}))
    if change == "missing":
        del state["backbone.layer4.2.bn3.running_var"]
    elif change == "unknown":
        state["backbone.se.weight"] = torch.zeros(1)
    elif change == "misshaped":
        state["backbone.NL_2.0.g.weight"] = torch.zeros(3, 64, 1, 1)
    elif change == "no neck":
        state = {k: v for k, v in state.items() if not k.startswith("heads.bottleneck")}
    before = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    with pytest.raises(MismatchError, match=r"fit|shape"):
        adopt(ours, state, "the file")
    assert all(torch.equal(tensor, before[key]) for key, tensor in ours.state_dict().items())


def test_ibn_weights_do_not_fit_a_plain_resnet() -> None:
    state = network(backbone="resnet50_ibn_a").backbone.state_dict()
    with pytest.raises(MismatchError, match=r"bn1\.BN\.bias' is unknown"):
        adopt(network(), state, "the file", whole=False)
