"""`attend`, as it is called, and the maps in a run's report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from reid_attn.commands import main
from reid_attn.data import load
from reid_attn.data.images import decode, find
from reid_attn.settings import Settings
from reid_attn.training import train


@pytest.fixture
def picture(sample: Path) -> Path:
    return find(sample / "query")[0]


def test_every_block_is_drawn(trained: Path, picture: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in trained.iterdir())
    assert main(["attend", str(trained), str(picture), "-o", str(tmp_path / "maps")]) == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "01-rga-stage-2-gate.png",
        "02-rga-stage-2-affinity.png",
        "03-rga-stage-4-gate.png",
        "04-rga-stage-4-affinity.png",
        "attention.html",
    ]
    assert decode(tmp_path / "maps" / "01-rga-stage-2-gate.png").shape == (384, 384, 3)
    page = (tmp_path / "maps" / "attention.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 5
    assert "rga, stage 4" in page and "affinity of cell" in page and "http:" not in page
    assert sorted(path.name for path in trained.iterdir()) == before


def test_the_position_is_a_pixel_of_the_picture(
    trained: Path, picture: Path, tmp_path: Path
) -> None:
    height, width, _ = decode(picture).shape
    for place, cell in (("0,0", "0,0"), (f"{height - 1},{width - 1}", "3,3")):
        assert main(["attend", str(trained), str(picture), "-o", str(tmp_path), "--at", place]) == 0
        page = (tmp_path / "attention.html").read_text()
        assert f"affinity of cell {cell}" in page  # of the 4×4 map of stage 2
        assert f"pixel {place}" in page


@pytest.mark.parametrize("at", ["5", "5,", "a,b", "-1,2", "1,2,3", "1.5,2", "100000,0", "0,100000"])
def test_a_wrong_position_is_one_sentence(
    trained: Path, picture: Path, tmp_path: Path, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["attend", str(trained), str(picture), "-o", str(tmp_path / "maps"), f"--at={at}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --at ") and error.count("\n") == 1
    assert not (tmp_path / "maps").exists()


def test_a_network_without_maps_says_so(
    tiny: Settings, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny.model_copy(
        update={
            "model": tiny.model.model_copy(update={"attention": ()}),
            "training": tiny.training.model_copy(update={"epochs": 1}),
        }
    )
    run = tmp_path / "plain"
    train(settings, load(settings.data.source), run, Console(quiet=True))
    assert main(["attend", str(run), str(picture)]) == 2
    assert "has no block with a gate or an affinity" in capsys.readouterr().err
    assert main(["evaluate", str(run)]) == 0
    assert "Where the network looks" not in (run / "report.html").read_text()


def test_a_missing_picture_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attend", str(trained), str(tmp_path / "none.jpg")]) == 3
    assert "none.jpg" in capsys.readouterr().err


def test_the_report_shows_the_gates_of_extreme_queries(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "tiny"))
    assert main(["evaluate", str(run)]) == 0
    looks = json.loads((run / "queries.json").read_text())["attended"]
    assert len(looks) == 4 * 3  # a query and two answers
    assert [(one["place"], np.shape(one["values"])) for one in looks[0]["maps"]] == [
        ("stage 2", (4, 4)),
        ("stage 4", (2, 2)),
    ]
    page = (run / "report.html").read_text()
    section = page[page.index(">Where the network looks</h2>") :]
    section = section[: section.index("</section>")]
    assert section.count("data:image/jpeg;base64,") == 4 * 3 * 3
    assert main(["report", str(run), "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "report.html").read_text() == page
