"""What the loop guards and records."""

import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from reid_attn import storage
from reid_attn.data import load, load_settings
from reid_attn.errors import DataError
from reid_attn.models.resnet import ResNet50
from reid_attn.models.weights import load_trained, to_bytes
from reid_attn.settings import Settings, resolve
from reid_attn.training import read_log, train
from reid_attn.training.learner import Learner
from reid_attn.training.log import MetricLog

QUIET = Console(quiet=True)


def changed(settings: Settings, **groups: dict) -> Settings:
    values = settings.model_dump(mode="json")
    for group, changes in groups.items():
        values[group] |= changes
    return resolve(values, "test")


def test_the_log_has_a_row_an_epoch_and_an_evaluation(trained: Path, tiny: Settings) -> None:
    rows = read_log(trained)
    assert [(row["kind"], row["epoch"]) for row in rows] == [
        ("train", 1),
        ("evaluation", 1),
        ("train", 2),
        ("evaluation", 2),
    ]
    first = rows[0]
    assert first["total"] == pytest.approx(first["identity"] + first["triplet"])
    assert first["identity"] == pytest.approx(math.log(6), abs=1)
    assert 0 <= rows[1]["mAP_trapezoid"] <= rows[1]["mAP"] <= 1


def test_best_and_last_can_be_loaded(trained: Path) -> None:
    last, best = load_trained(trained, "last"), load_trained(trained, "best")
    scores = {row["epoch"]: row["mAP"] for row in read_log(trained) if row["kind"] == "evaluation"}
    assert last.state["position"]["epoch"] == 2
    assert best.state["position"]["epoch"] == max(scores, key=lambda epoch: scores[epoch])
    assert not last.network.training


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_non_finite_step_updates_nothing(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The seventh step turns bad: the run stops before it, and the epoch before is kept."""
    original, calls, seen = Learner.backward, 0, {}

    def poisoned(self, batch, share):
        nonlocal calls
        calls += 1
        if calls == 7:
            seen["before"] = {k: p.clone() for k, p in self.network.named_parameters()}
            seen["network"] = self.network
            if what == "loss":
                batch.images[0, 0, 0, 0] = math.nan
            else:
                parameter = self.network.classifier.weight
                parameter.register_hook(lambda gradient: gradient * math.nan)
        return original(self, batch, share)

    monkeypatch.setattr(Learner, "backward", poisoned)
    with pytest.raises(DataError, match=rf"the {what} is nan in epoch 2, batch 2.*\.jpg"):
        train(tiny, load(tiny.data.source), tmp_path, QUIET)
    for key, parameter in seen["network"].named_parameters():
        assert torch.equal(parameter, seen["before"][key])
    kept = load_trained(tmp_path)
    assert kept.state["position"]["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in kept.network.state_dict().values())


def test_an_evaluation_that_fails_keeps_the_epochs_before_it(
    tiny: Settings, sample: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    picture = load(f"market1501:{data}").gallery[0].path
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    settings = changed(
        tiny,
        training={"epochs": 4, "evaluate_every": 2, "save_every": 50},
        data={"source": f"market1501:{data}"},
    )
    with pytest.raises(DataError, match=picture.name):
        train(settings, load(settings.data.source), tmp_path / "run", QUIET)
    assert load_trained(tmp_path / "run").state["position"]["epoch"] == 2
    picture.write_bytes(whole)
    train(settings, load(settings.data.source), tmp_path / "run", QUIET)
    assert load_trained(tmp_path / "run").state["position"]["epoch"] == 4


def test_a_test_without_a_match_is_refused_before_the_training(
    tiny: Settings, tmp_path: Path
) -> None:
    """As of pictures of one camera: each `--resume` would begin with that evaluation, and end."""
    dataset = load(tiny.data.source)
    query, gallery = (
        tuple(replace(picture, camera=1) for picture in side)
        for side in (dataset.query, dataset.gallery)
    )
    with pytest.raises(DataError, match=r"none of the 18 queries has a match"):
        train(tiny, replace(dataset, query=query, gallery=gallery), tmp_path, Console(quiet=True))
    assert [path.name for path in tmp_path.iterdir()] == [storage.LOCK]


def test_bfloat16_trains(tiny: Settings, tmp_path: Path) -> None:
    settings = changed(tiny, training={"precision": "bf16", "epochs": 1})
    train(settings, load(settings.data.source), tmp_path, QUIET)
    assert math.isfinite(read_log(tmp_path)[0]["total"])
    dtypes = {tensor.dtype for tensor in load_trained(tmp_path).network.parameters()}
    assert dtypes == {torch.float32}


def test_workers_change_nothing(tiny: Settings, trained: Path, tmp_path: Path) -> None:
    settings = changed(tiny, data={"workers": 2})
    train(settings, load(settings.data.source), tmp_path, QUIET)
    found, expected = load_trained(tmp_path).network, load_trained(trained).network
    for key, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor), key


def test_bad_pictures_are_told_and_listed(tiny: Settings, sample: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(sample, data)
    bad = max((data / "bounding_box_test").iterdir())
    bad.write_bytes(b"no picture")
    source = {"source": f"market1501:{data}", "bad_pictures": "skip"}
    settings = changed(tiny, data=source, training={"epochs": 1})
    console = Console(file=io.StringIO(), width=300)
    train(settings, load_settings(settings.data), run, console)
    assert "1 picture left out" in console.file.getvalue()
    assert bad.name in (run / "bad_pictures.txt").read_text()


def test_weights_that_were_put_in_are_reported_tensor_by_tensor(
    tiny: Settings, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    weights, run = tmp_path / "weights.safetensors", tmp_path / "run"
    weights.write_bytes(to_bytes(ResNet50((32, 32), 8).state_dict()))
    settings = changed(tiny, model={"weights": str(weights)}, training={"epochs": 1})
    console = Console(file=io.StringIO(), width=300)
    train(settings, load(settings.data.source), run, console)
    assert "tensors loaded" in console.file.getvalue()
    report = json.loads((run / "weights.json").read_text())
    assert report["loaded"]["layer1.0.conv1.weight"].endswith("layer1.0.conv1.weight")


def test_old_checkpoints_are_dropped(tiny: Settings, tmp_path: Path) -> None:
    settings = changed(tiny, training={"epochs": 4, "evaluate_every": 0})
    train(settings, load(settings.data.source), tmp_path, QUIET)
    assert storage.generations(tmp_path) == [3, 5]  # 4 had the last epoch without its scores


def test_a_log_line_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    log = MetricLog(tmp_path, tensorboard=False)
    log.add("train", 1, {"total": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    assert len(read_log(tmp_path)) == 1


def test_tensorboard_shows_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    MetricLog(tmp_path, tensorboard=True).add("train", 1, {"total": 1.0})
    assert list((tmp_path / "tensorboard").glob("events*"))
