"""`ablate`, as it is called: whole, stopped, repeated, refused."""

import json
import os
import signal
from pathlib import Path

import pytest

from reid_attn.commands import main
from reid_attn.settings import Settings, dump
from reid_attn.training import loop


@pytest.fixture(scope="module")
def config(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(dump(tiny))
    return path


SMALL = ["model.attention=[]", "training.epochs=1", "training.evaluate_every=0"]


def words(config: Path, output: Path, *more: str) -> list[str]:
    return ["ablate", str(config), *SMALL, "--folds", "2", "-o", str(output), *more]


@pytest.fixture(scope="module")
def done(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation that was stopped in its second run and then repeated."""
    output = tmp_path_factory.mktemp("ablation") / "out"
    original, steps = loop._Training._step, 0

    def stepping(self, batch):
        nonlocal steps
        steps += 1
        if self.run.name.startswith("rga") and steps > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Training, "_step", stepping)
        assert main(words(config, output, "--blocks", "rga")) == 143
    table = (output / "table.md").read_text()
    assert "1 of 2" in table
    assert "| rga (stage 1–4) | *not run* |" in table
    assert main(words(config, output, "--blocks", "rga")) == 0
    return output


def test_a_repeated_command_finishes(done: Path) -> None:
    metrics = json.loads((done / "metrics.json").read_text())
    for rows in metrics["tables"].values():
        assert [(row["block"], row["runs"]) for row in rows] == [("baseline", 2), ("rga", 2)]
        assert rows[1]["mAP"]["difference_low"] <= rows[1]["mAP"]["difference_high"]
        assert rows[1]["gflop"] > rows[0]["gflop"]
    assert "not run" not in (done / "table.md").read_text()
    assert "<svg" in (done / "ablation.html").read_text()


def test_finished_runs_are_kept(config: Path, done: Path) -> None:
    files = sorted((done / "runs").rglob("*"))
    before = [path.stat().st_mtime_ns for path in files]
    assert main(words(config, done, "--blocks", "rga")) == 0
    assert [path.stat().st_mtime_ns for path in files] == before


def test_other_settings_are_refused(
    config: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (done / "plan.json").read_bytes()
    assert main(words(config, done, "--blocks", "rga", "batch.persons=2")) == 2
    assert "batch.persons: 3, now 2" in capsys.readouterr().err
    assert (done / "plan.json").read_bytes() == before


def test_blocks_and_seeds_may_be_added(
    config: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--blocks", "rga,eca", "--seeds", "2", "--dry-run")
    assert main(words(config, done, *more)) == 0
    assert "16 runs, 4 of them done" in capsys.readouterr().out.replace("\n", " ")


def test_a_folder_of_something_else_is_left_alone(
    config: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    assert main(words(config, tmp_path, "--blocks", "rga")) == 2
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "metrics.json").read_text() == "{}"


def test_a_run_that_fails_is_told_and_the_others_go_on(config: Path, tmp_path: Path) -> None:
    options = tmp_path / "options.yaml"
    options.write_text("rga: {order: xx}\n")
    output = tmp_path / "out"
    more = ("--blocks", "rga,eca", "--place", "published", "--options", str(options))
    assert main(words(config, output, *more)) == 0
    table = (output / "table.md").read_text()
    assert "failed: order of the block 'rga' is one of sc, cs, parallel" in table
    assert "eca (residual 1–4) | *not run*" not in table


def test_a_dry_run_writes_nothing(config: Path, tmp_path: Path) -> None:
    assert main(words(config, tmp_path / "out", "--blocks", "all", "--dry-run")) == 0
    assert not (tmp_path / "out").exists()
