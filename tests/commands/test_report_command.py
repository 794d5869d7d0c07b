"""`report`, as it is called: one run, several runs, and what it says of runs that are not there."""

import json
import shutil
from pathlib import Path

import pytest

from reid_attn.commands import main


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with its scores."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "tiny"))
    assert main(["evaluate", str(run)]) == 0
    return run


def test_one_run(evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(evaluated), "-o", str(tmp_path / "page")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page' / 'report.html'}\n"
    score = json.loads((evaluated / "metrics.json").read_text())["mAP"]
    for name in ("table.csv", "table.md", "table.tex"):
        assert f"{100 * score:.1f}" in (tmp_path / "page" / name).read_text()


@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_the_page_of_the_working_folder_has_its_title(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(evaluated)
    assert main([command, "."]) == 0
    assert "<h1>tiny</h1>" in (evaluated / "report.html").read_text()


def test_two_runs(evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(evaluated, tmp_path / "other")
    out = tmp_path / "compared"
    assert main(["report", str(evaluated), str(other), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'compare.html'}\n"
    first, second = json.loads((out / "metrics.json").read_text())["runs"]
    assert (first["run"], second["run"]) == ("tiny", "other")
    assert second["differences"]["mAP"]["mean"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 3, "run `reid-attn evaluate nowhere` first"),
        (["nowhere", "there", "-o", "out"], 3, "could not read nowhere/metrics.json"),
        (["nowhere", "there"], 2, "name -o DIR"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert not list(tmp_path.iterdir())


def test_the_help_has_an_example_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    text = capsys.readouterr().out
    assert "reid-attn report runs/quickstart -o page" in text
    assert "reid-attn report runs/baseline runs/rga -o compared" in text
