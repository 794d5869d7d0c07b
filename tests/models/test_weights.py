"""Reading weights: ours, foreign ones, hostile ones."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from reid_attn import storage
from reid_attn.errors import DamagedError, DataError, MismatchError, UsageError
from reid_attn.models import build_network, load_weights
from reid_attn.models.weights import initialise, load_trained, read_state_dict, to_bytes
from reid_attn.settings import Settings, resolve

SMALL = resolve({"data": {"height": 32, "width": 32}, "model": {"width": 8}}, "test")
RGA = {"width": 8, "attention": [{"name": "rga", "stages": [4]}]}


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """A file as torchvision publishes it, half of it in float16."""
    state = build_network(SMALL, 5).backbone.state_dict()
    state = {key: v.half() if "conv" in key else v for key, v in state.items()}
    path = tmp_path / "resnet.pth"
    torch.save(state | {"fc.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)}, path)
    return path


def test_backbone_weights_leave_attention_at_its_start(imagenet: Path) -> None:
    settings = resolve({"data": {"height": 32, "width": 32}, "model": RGA}, "test")
    network = build_network(settings, 5)
    attention = network.backbone.stage_attention[3].state_dict()
    initialise(network, str(imagenet), stride_in_1x1=False)
    expected = read_state_dict(imagenet)
    assert torch.equal(network.backbone.conv1.weight, expected["conv1.weight"].float())
    for key, tensor in network.backbone.stage_attention[3].state_dict().items():
        assert torch.equal(tensor, attention[key])


@pytest.mark.parametrize("change", ["missing", "unknown", "misshaped", "not finite"])
def test_weights_that_do_not_fit_are_refused(imagenet: Path, change: str) -> None:
    network = build_network(SMALL, 5)
    state = torch.load(imagenet, weights_only=True)
    if change == "missing":
        del state["layer1.0.conv1.weight"]
    elif change == "unknown":
        state["layer9.weight"] = torch.zeros(1)
    elif change == "misshaped":
        state["conv1.weight"] = state["conv1.weight"][:, :1]
    else:
        state["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, imagenet)
    before = network.backbone.conv1.weight.clone()
    with pytest.raises((MismatchError, DataError), match=str(imagenet)):
        initialise(network, str(imagenet), stride_in_1x1=False)
    assert torch.equal(network.backbone.conv1.weight, before)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "evil.pth"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    path.write_bytes(pickle.dumps({"conv1.weight": Evil()}))
    with pytest.raises(DataError, match="refused by the safe reader"):
        read_state_dict(path)
    torch.save({"conv1.weight": Evil()}, path)
    with pytest.raises(DataError, match="refused by the safe reader"):
        read_state_dict(path)
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_nonsense_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.pth"):
        read_state_dict(tmp_path / "x.pth")
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(DamagedError, match=r"x\.safetensors"):
        read_state_dict(tmp_path / "x.safetensors")


def test_a_torchreid_checkpoint_is_read(tmp_path: Path) -> None:
    """A dictionary around the weights, names from DataParallel, the score as a numpy number."""
    inner = {"module.conv.weight": torch.ones(2)}
    torch.save(
        {"state_dict": inner, "rank1": np.float32(0.5), "epoch": 3}, tmp_path / "m.pth.tar-3"
    )
    state = read_state_dict(tmp_path / "m.pth.tar-3")
    assert list(state) == ["conv.weight"]


def test_a_checkpoint_from_the_days_of_numpy_1_is_read(tmp_path: Path) -> None:
    """The published files of torchreid: numpy 2 has moved the function that makes its numbers."""
    torch.save({"state_dict": {"w": torch.ones(2)}, "rank1": np.float32(0.5)}, tmp_path / "new")
    with zipfile.ZipFile(tmp_path / "new") as new, zipfile.ZipFile(tmp_path / "old", "w") as old:
        for name in new.namelist():
            data = new.read(name)
            old.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
            changed = b"numpy.core.multiarray" in data or b"numpy._core.multiarray" in data
            assert changed == name.endswith("data.pkl")
    assert list(read_state_dict(tmp_path / "old")) == ["w"]


def test_tied_weights_are_read_under_both_names(tmp_path: Path) -> None:
    tied = torch.ones(2)
    torch.save({"a": tied, "b": tied}, tmp_path / "tied.pth")
    assert sorted(read_state_dict(tmp_path / "tied.pth")) == ["a", "b"]


def test_names_from_dataparallel_are_those_of_the_network_in_any_file(tmp_path: Path) -> None:
    state = {"module.conv.weight": torch.ones(2)}
    torch.save(state, tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_bytes(to_bytes(state))
    for name in ("w.pth", "w.safetensors"):
        assert list(read_state_dict(tmp_path / name)) == ["conv.weight"]


def test_a_weights_file_can_stand_in_for_the_checkpoint(trained: Path, tmp_path: Path) -> None:
    weights = load_trained(trained).network.state_dict()
    changed = {k: v + 1 if k == "neck.weight" else v for k, v in weights.items()}
    (tmp_path / "w.safetensors").write_bytes(to_bytes(changed))
    network = load_trained(trained, str(tmp_path / "w.safetensors")).network
    assert torch.equal(network.neck.weight, weights["neck.weight"] + 1)


def test_a_generation_folder_can_be_named(trained: Path) -> None:
    first = min(storage.generations(trained))
    state = load_trained(trained, str(trained / f"gen-{first:06d}")).state
    assert state["position"]["epoch"] == 1


@pytest.mark.parametrize("name", ["latest", "gen-000099", "nothing.pth"])
def test_a_wrong_checkpoint_is_a_clear_error(trained: Path, name: str) -> None:
    with pytest.raises(UsageError, match="use last, best"):
        load_trained(trained, name)


def test_a_folder_that_only_begins_like_a_generation(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "gen-new").mkdir()
    with pytest.raises(UsageError, match="use last, best"):
        load_trained(trained, str(tmp_path / "gen-new"))


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished checkpoint"):
        load_trained(tmp_path)


def test_a_published_name_does_not_go_with_the_older_layout() -> None:
    with pytest.raises(MismatchError, match="stride_in_1x1=false"):
        initialise(build_network(SMALL, 5), "IMAGENET1K_V2", stride_in_1x1=True)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'IMAGENET1K_V2'"):
        initialise(build_network(SMALL, 5), "IMAGENET1K_V3x", stride_in_1x1=False)


def test_a_wrong_download_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("reid_attn.models.published._fetch", lambda url: b"other bytes")
    with pytest.raises(DamagedError, match="SHA-256"):
        initialise(build_network(SMALL, 5), "IMAGENET1K_V2", stride_in_1x1=False)
    assert not list(tmp_path.rglob("*.pth"))


def test_the_given_imagenet_weights_load(shared: Path) -> None:
    full: Settings = resolve({"model": {"stride_in_1x1": True}}, "test")
    network = build_network(full, 5)
    path = shared / "weights" / "resnet50_imagenet_stride_in_1x1.pth"
    initialise(network, str(path), stride_in_1x1=True)
    assert network.backbone.bn1.running_var.mean() != 1


def test_loading_reports_every_kind_of_problem_in_one_sentence() -> None:
    network = build_network(SMALL, 5)
    with pytest.raises(MismatchError, match=r"the file does not fit.*'a' is unknown.*in all\)"):
        load_weights(network, {"a": torch.zeros(1)}, "the file")


@pytest.mark.parametrize(
    ("weights", "told"), [("random", ""), ("", ""), ("IMAGENET1K_V3", r" \(did you mean .*\?\)")]
)
def test_weights_that_are_no_file_are_told_with_the_way_to_have_none(
    weights: str, told: str
) -> None:
    network = build_network(SMALL, 5)
    with pytest.raises(UsageError, match=rf"there is no file '{weights}'{told}; none begins"):
        initialise(network, weights, stride_in_1x1=False)
