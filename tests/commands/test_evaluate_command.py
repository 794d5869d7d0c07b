"""`evaluate` and `report`, as they are called."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reid_attn.commands import main
from reid_attn.data import Picture
from reid_attn.data.images import find
from reid_attn.features import Embedder, Features, FeatureSet
from reid_attn.features.file import save_set


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run that a test may write to."""
    return Path(shutil.copytree(trained, tmp_path / "tiny"))


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("name", ["mgn_150x500", "sketch_50x100"])
def test_known_features_give_the_known_scores(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "data" / "features"
    assert main(["evaluate", "--features", f"{source / name}.npz", "-o", str(tmp_path)]) == 0
    found = metrics(tmp_path)
    expected = json.loads((source / "expected.json").read_text())[f"{name}.npz"]
    for key in ("rank1", "rank5", "rank10", "mAP", "mAP_trapezoid"):
        assert found[key] == pytest.approx(expected[key], abs=5e-5), key
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_a_run_is_measured_and_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--baselines", "--feature", "both", "--flip"]) == 0
    found = metrics(run)
    printed = capsys.readouterr().out
    assert f"mAP: {found['mAP']:.1%}\n" in printed
    assert f"CMC curve, Rank-1  :{found['rank1']:.1%}\n" in printed
    assert set(found["baselines"]) == {"untrained network", "colour histogram"}
    assert found["comparisons"]["before the neck"]["mAP"] != found["mAP"]
    assert found["provenance"]["mirrored picture averaged"] == "yes"
    assert found["provenance"]["fingerprint"] != Embedder(run).fingerprint  # flip is part of it
    low, high = found["intervals"]["rank1"]
    assert low <= found["rank1"] <= high
    page = (run / "report.html").read_text()
    assert page.count("data:image/jpeg") > 50
    queries = json.loads((run / "queries.json").read_text())
    assert np.nanmean(np.array(queries["average_precision"], float)) == pytest.approx(found["mAP"])


def test_other_data_and_another_folder(run: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores" / "other"
    data = f"market1501:{sample}"
    assert main(["evaluate", str(run), "--data", data, "-o", str(out)]) == 0
    assert metrics(out)["queries"] == 18
    assert not (run / "metrics.json").exists()


def test_the_report_is_written_again_without_measuring(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["evaluate", str(run)])
    before = (run / "report.html").read_text()
    monkeypatch.setattr("reid_attn.reports.evaluation.load_trained", None)
    assert main(["report", str(run), "-o", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "report.html").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate"], 2, "name either a RUN or --features"),
        (["evaluate", "nowhere"], 3, "holds no finished checkpoint"),
        (["evaluate", "--features", "none.npz", "-o", "out"], 3, "there is no features file"),
        (["evaluate", "--features", "none.npz"], 2, "needs -o DIR"),
        (["evaluate", "--features", "f.npz", "-o", "out", "--flip"], 2, "ranked as it is"),
        (["report", "nowhere"], 3, "could not read"),
        (["train"], 2, "name a CONFIG"),
        (["train", "none.yaml"], 2, "could not read the settings"),
        (["train", "--resume", "nowhere"], 3, "holds no finished checkpoint"),
        (["sample", "out", "--persons", "1"], 2, "persons"),
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
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not list(tmp_path.iterdir())


def test_what_was_asked_for_is_printed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--baselines", "--feature", "both", "--rerank", "--expand"]
    assert main(["evaluate", str(run), *more, "-o", str(tmp_path)]) == 0
    found = metrics(tmp_path)
    printed = capsys.readouterr().out.splitlines()
    asked = found["comparisons"] | found["baselines"]
    assert len(asked) == 7
    for name, scores in asked.items():
        assert f"{name}: mAP {scores['mAP']:.1%}, Rank-1 {scores['rank1']:.1%}" in printed
    assert [line for line in printed if line.startswith("mAP: ")] == [f"mAP: {found['mAP']:.1%}"]


def test_all_undecodable_pictures_of_a_set_are_named(
    run: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(sample, tmp_path / "set"))
    bad = [find(copy / "query")[3], *find(copy / "bounding_box_test")[-2:]]
    for path in bad:
        path.write_bytes(b"\xff\xd8\xff nothing")
    out = tmp_path / "new" / "scores"
    assert main(["evaluate", str(run), "--data", f"market1501:{copy}", "-o", str(out)]) == 3
    told = capsys.readouterr().err
    assert "error: 3 pictures of " in told
    assert "replace them by JPEG or PNG pictures, or leave them out" in told
    assert all(f"\n  {path} is neither JPEG" in told for path in bad)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["run", "features"])
def test_a_place_for_no_scores_is_told_first(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: str,
) -> None:
    (tmp_path / "file").write_text("kept")
    for name in ("_extract", "_measure", "_variants"):
        monkeypatch.setattr(f"reid_attn.reports.evaluation.{name}", None)
    source = [str(run)]
    if what == "features":
        one = Features.of(np.ones((1, 2), np.float32), [Picture(Path("a.jpg"), 1, 1)])
        save_set(tmp_path / "f.npz", FeatureSet(one, one))
        source = ["--features", str(tmp_path / "f.npz")]
    assert main(["evaluate", *source, "-o", str(tmp_path / "file")]) == 6
    assert f"could not make the folder {tmp_path / 'file'}" in capsys.readouterr().err
