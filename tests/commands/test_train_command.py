"""`sample` and `train`, as they are called."""

import json
import shutil
from pathlib import Path

import pytest

from reid_attn import settings
from reid_attn.commands import main
from reid_attn.reports import evaluation
from reid_attn.settings import Settings, dump
from reid_attn.training import read_log, step_times


@pytest.fixture
def config(tiny: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump(tiny))
    return path


def test_training_ends_with_scores_and_a_report(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the features of the last evaluation: nothing is extracted twice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(evaluation, "extract_set")
    assert main(["train", str(config), "training.epochs=1"]) == 0
    run = tmp_path / "runs" / "tiny"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["queries"] == 18
    assert metrics["mAP"] == read_log(run)[-1]["mAP"]
    assert "<html" in (run / "report.html").read_text()
    assert settings.load(run / "settings.yaml").training.epochs == 1


def test_settings_may_stand_on_both_sides_of_an_option(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", str(config), "seed=3", "-o", str(run), "training.epochs=1", "batch.persons=2"]
    assert main(words) == 0
    stored = settings.load(run / "settings.yaml")
    assert (stored.seed, stored.training.epochs, stored.batch.persons) == (3, 1, 2)


def test_a_trained_run_is_not_trained_over_by_accident(
    config: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in trained.iterdir())
    assert main(["train", str(config), "-o", str(trained)]) == 2
    error = capsys.readouterr().err
    assert f"--resume {trained}" in error
    assert "--overwrite" in error
    assert sorted(path.name for path in trained.iterdir()) == before


def test_overwrite_starts_a_run_afresh(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", str(config), "-o", str(run), "training.epochs=1"]
    assert main(words) == 0
    first = json.loads((run / "metrics.json").read_text())
    (run / "old").touch()
    assert main([*words, "--overwrite"]) == 0
    second = json.loads((run / "metrics.json").read_text())
    assert second["mAP"] == first["mAP"]
    assert not (run / "old").exists()


@pytest.mark.parametrize(
    ("kept", "content"),
    [("only copy.jpg", ""), ("settings.yaml", "brightness: 3\n"), ("settings.yaml", "[")],
)
def test_overwrite_leaves_other_folders_alone(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: str, content: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / kept).write_text(content)
    words = ["train", str(config), "-o", str(tmp_path / "photos"), "--overwrite"]
    assert main(words) == 2
    assert "photos is not a folder that training wrote" in capsys.readouterr().err
    assert (tmp_path / "photos" / kept).read_text() == content


@pytest.mark.parametrize(
    "file", ["people/gallery.sqlite", "kept/people/gallery.sqlite", "people.db/part"]
)
def test_overwrite_leaves_a_run_with_a_gallery_alone(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    run, kept = tmp_path / "run", tmp_path / "run" / file
    kept.parent.mkdir(parents=True)
    kept.touch()
    shutil.copy(config, run / "settings.yaml")
    assert main(["train", str(config), "-o", str(run), "--overwrite"]) == 2
    assert f"{kept.parent} is a gallery" in capsys.readouterr().err
    assert kept.exists()


def test_a_misspelt_setting_is_refused_before_anything_is_written(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config), "-o", str(tmp_path / "run"), "training.epoch=1"]) == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_finished_run_can_be_resumed_and_only_evaluates(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "CURRENT").read_bytes() == (trained / "CURRENT").read_bytes()
    assert (run / "report.html").exists()


def test_what_was_measured_of_a_finished_run_stays(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless it is of another epoch, or its report is missing."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert main(["evaluate", str(run), "--baselines"]) == 0
    measured = (run / "metrics.json").read_bytes()
    assert main(["train", "--resume", str(run)]) == 0
    assert "is finished and measured" in capsys.readouterr().out
    assert (run / "metrics.json").read_bytes() == measured
    (run / "metrics.json").write_bytes(measured.replace(b'"epoch": "2"', b'"epoch": "1"'))
    assert main(["train", "--resume", str(run)]) == 0
    assert json.loads((run / "metrics.json").read_text())["provenance"]["epoch"] == "2"
    (run / "report.html").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "report.html").exists()


@pytest.mark.parametrize(("more", "code"), [([], 3), (["data.bad_pictures=skip"], 0)])
def test_pictures_that_cannot_be_decoded_are_told_before_the_training(
    config: Path,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(sample, data)
    bad = [sorted((data / split).glob("*.jpg"))[0] for split in ("query", "bounding_box_train")]
    for path in bad:
        path.write_bytes(path.read_bytes()[:400])
    words = [f"data.source=market1501:{data}", "training.epochs=1", "-o", str(run), *more]
    assert main(["train", str(config), *words]) == code
    told = capsys.readouterr()
    assert all(path.name in told.out + told.err for path in bad)
    assert run.exists() == (code == 0)
    assert ("data.bad_pictures=skip" in told.err) == (code == 3)
    assert ("epoch 1: loss" in told.out) == (code == 0)


def test_the_profile_says_where_time_goes_and_leaves_no_run(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step_times, "STEPS", 1)
    assert main(["train", str(config), "--profile"]) == 0
    told = capsys.readouterr().out
    assert "backward" in told
    assert "pictures/s" in told
    assert not (tmp_path / "runs").exists()
    assert main(["train", str(config), "--profile", "-o", "run"]) == 2
    assert "writes no run" in capsys.readouterr().err


def test_the_sample_command_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(tmp_path), "--persons", "4", "--cameras", "2", "--pictures", "2"]
    assert main(words) == 0
    assert "8 pictures to train on, 4 queries" in capsys.readouterr().out


def test_one_training_person_too_few_is_a_sentence(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(config), "-o", str(tmp_path / "run"), "batch.persons=7"]
    assert main(words) in (2, 3)
    assert "batch.persons" in capsys.readouterr().err
