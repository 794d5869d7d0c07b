"""`scripts/reproduce`: which data it takes, what it refuses, and what it writes in the end."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reproduce
from benchmarks.recipes import EXPECTED, PUBLISHED
from reid_attn.data import Picture
from reid_attn.data.market1501 import COUNTS
from reid_attn.settings import load


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["reproduce", *map(str, words)])
    return reproduce.main()


def test_a_dry_run_ends_with_a_result_to_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(reproduce, "DRAWN_PERSONS", 16)
    quick = ["training.epochs=1", "batch.persons=8", "batch.images=2", "data.height=32"]
    words = ["market1501", "bot", "--dry-run", "-o", run, *quick]
    assert command(monkeypatch, *words) == 0
    result = json.loads((run / "reproduction.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert result["dry_run"]
    assert result["published"] is None
    assert result["difference"] == {}
    assert result["measured"]["mAP_trapezoid"] == metrics["mAP_trapezoid"]
    assert result["before_the_neck"]["mAP"] > 0
    assert result["data"]["train_persons"] == 8
    assert result["settings"]["loss"]["center"] == 5e-4
    # a finished run is not what another command asks for
    assert command(monkeypatch, *words, "seed=7", "optimizer.clip=1") == 2
    complaint = capsys.readouterr().err
    assert "was begun with other settings of seed, optimizer: give the command" in complaint
    assert json.loads((run / "reproduction.json").read_text()) == result


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["market", "bot"], "no recipes for 'market' (did you mean 'market1501'?)"),
        (["market1501", "bots", "--dry-run"], "no recipe 'bots' for market1501 (did you mean"),
        (["market1501", "zebra", "--dry-run"], "use one of agw, bot"),
        (["market1501", "bot"], "say where the pictures lie: --data DIR"),
        (["market1501", "bot", "--data", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_a_wrong_command_gets_a_sentence(
    words: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, *words) in (2, 3)
    assert complaint in capsys.readouterr().err


def test_another_set_than_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce.write_sample(tmp_path / "sample", persons=8, cameras=2, seed=0)
    words = ["market1501", "bot", "--data", tmp_path / "sample", "-o", tmp_path / "run"]
    assert command(monkeypatch, *words) == 3
    assert "is not the published set (" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_names_of_the_real_set_have_the_stored_hash(shared: Path) -> None:
    pictures = []
    for split in ("train", "query", "test"):
        with (shared / f"data/market1501-lists/market1501_{split}.csv").open() as lines:
            rows = [row for row in csv.reader(lines) if row[0] != "-1"]
        pictures += [Picture(Path("root", name), int(person), 1) for person, name in rows]
    expected = EXPECTED["market1501"]
    assert reproduce._names(pictures) == expected.names
    assert {name: getattr(expected, name) for name in ("train", "query", "gallery")}.items() <= (
        COUNTS.items()
    )


def test_every_recipe_has_its_published_score_in_its_head() -> None:
    for (dataset, recipe), published in PUBLISHED.items():
        config = reproduce._config(dataset, recipe)
        head = config.read_text()
        assert f"rank-1 {published.rank1}, mAP {published.mAP}" in head
        assert f"scripts/reproduce {dataset} {recipe} --data" in head
        settings = load(config)
        assert settings.name == f"{dataset}-{recipe}"
        source: Any = settings.data.source.partition(":")[0]
        assert source == EXPECTED[dataset].source
