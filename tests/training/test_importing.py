"""Networks that torchreid itself trained and saved, as runs: the same features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from reid_attn import Embedder, storage
from reid_attn.commands import main
from reid_attn.data.batches import evaluation_batches
from reid_attn.models.weights import load_trained, read_state_dict
from reid_attn.settings import resolve

models = pytest.importorskip("torchreid.reid.models")
SIZE = {"height": 64, "width": 32}
NETWORKS = {
    "osnet_x0_25": {"backbone": "torchreid/osnet_x0_25"},
    "resnet50": {"last_stride": 2},
}


def saved_by_torchreid(name: str, folder: Path) -> tuple[nn.Module, Path]:
    """A network and the checkpoint that torchreid writes of it, its rank-1 a numpy number."""
    from torchreid.reid.utils import save_checkpoint

    torch.manual_seed(0)
    network = models.build_model(name, num_classes=7, pretrained=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    for _ in range(3):  # the norms learn statistics, without which features would be zero
        network(torch.randn(4, 3, 64, 32)).square().sum().backward()
        optimizer.step()
    state = {
        "state_dict": nn.DataParallel(network).state_dict(),
        "epoch": 3,
        "rank1": np.float32(0.5),
        "optimizer": optimizer.state_dict(),
    }
    save_checkpoint(state, str(folder))
    return network.eval(), folder / "model.pth.tar-3"


@pytest.fixture(scope="module")
def osnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of OSNet."""
    return saved_by_torchreid("osnet_x0_25", tmp_path_factory.mktemp("osnet"))[1]


def configuration(folder: Path, **model: Any) -> Path:
    path = folder / "network.yaml"
    path.write_text(yaml.safe_dump({"data": SIZE, "model": {"neck": "none", **model}}))
    return path


@pytest.mark.parametrize("case", ["osnet_x0_25", pytest.param("resnet50", marks=pytest.mark.full)])
def test_a_checkpoint_of_torchreid_gives_the_same_features(
    case: str, tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, file = saved_by_torchreid(case, tmp_path)
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(file, weights_only=True)
    config, run = configuration(tmp_path, **NETWORKS[case]), tmp_path / "run"
    assert main(["import", str(file), str(config), "-o", str(run)]) == 0
    assert "named as by torchreid" in capsys.readouterr().out
    embedder = Embedder(run)
    paths = sorted((sample / "query").glob("*.jpg"))[:3]
    data = resolve({"data": SIZE}, "the test").data
    (images,) = evaluation_batches(paths, data, 3)
    with torch.no_grad():
        expected = theirs(images).numpy()
    assert expected.std(axis=0).max() > 1e-3
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder(paths), expected, rtol=0, atol=1e-5)
    report = storage.read_json(run / "imported.json")
    assert {*report["loaded"], *report["left_out"]} == {*read_state_dict(file)}
    assert {*report["left_out"]} == {"classifier.weight", "classifier.bias"}
    assert report["kept"] == ["classifier.weight"]
    assert load_trained(run).state["identities"] == 7


def test_an_imported_run_serves_every_command_but_training(
    osnet: Path, tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = configuration(tmp_path, backbone="torchreid/osnet_x0_25"), tmp_path / "run"
    source = f"data.source=market1501:{sample}"
    assert main(["import", str(osnet), str(config), source, "-o", str(run)]) == 0
    assert main(["evaluate", str(run), "-o", str(tmp_path / "scores")]) == 0
    assert storage.read_json(tmp_path / "scores/metrics.json")["provenance"]["epoch"] == "0"
    query, gallery = str(sample / "query"), str(sample / "bounding_box_test")
    assert main(["retrieve", str(run), "--query", query, "--gallery", gallery, "-k", "2"]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", str(run)]) == 2
    assert f"model.weights={osnet}" in capsys.readouterr().err
    assert main(["import", str(osnet), str(config), "-o", str(run)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_network_that_does_not_fit_writes_nothing(
    osnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path, width=8, neck="batch_norm")
    assert main(["import", str(osnet), str(config), "-o", str(tmp_path / "run")]) == 5
    assert "does not fit the network" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
