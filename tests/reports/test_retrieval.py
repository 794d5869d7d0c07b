"""One-shot retrieval: which answers are left out, and what is written."""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from reid_attn.commands import main
from reid_attn.features import Features
from reid_attn.features.file import load
from reid_attn.reports import retrieval
from reid_attn.reports.retrieval import rank, retrieve


class Network:
    """Embeds every picture as nearly the same."""

    dimension, fingerprint = 2, "a"

    def __init__(self, *_: object) -> None:
        pass

    def __call__(
        self, paths: Sequence[Path], progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        progress(len(paths))
        return features(list(paths)).vectors


@pytest.fixture
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "Embedder", Network)
    monkeypatch.setattr("reid_attn.features.Embedder", Network)


def features(names: list[Path]) -> Features:
    """One feature a name, the first most like itself and then each less than the one before."""
    angles = np.linspace(0, 1, len(names), dtype=np.float32)
    unknown = np.full(len(names), -1)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Features(vectors, unknown, unknown, tuple(map(str, names)))


def test_links_to_the_query_leave_no_answer_out(tmp_path: Path) -> None:
    me, others = tmp_path / "me.jpg", [tmp_path / f"{number}.jpg" for number in range(20)]
    links = [tmp_path / f"link{number}.jpg" for number in range(5)]
    me.touch()
    for link in links:
        os.symlink(me, link)
    found = rank(features([me]), features([me, *links, *others]), 10)
    assert [hit.picture for hit in found[0].hits] == others[:10]
    found = rank(features([me]), features([me, *links, *others[:7]]), 10)
    assert [hit.picture for hit in found[0].hits] == others[:7]


def search(query: Path, gallery: Path, output: Path) -> list[dict[str, str]]:
    retrieve(Path("run"), "last", query, gallery, 10, output, Console(quiet=True))
    with (output / "ranked.csv").open(errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("_network")
def test_a_file_name_is_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [b"+1.jpg", b"-2+3.jpg", b"=1+1.jpg", b"@SUM(1).jpg", b"a=1.jpg", b"=b\nc\xff.jpg"]
    for name in names:
        Path(os.fsdecode(name)).touch()
    found = {os.fsencode(row["picture"]) for row in search(Path(), Path(), tmp_path / "out")}
    assert found == {name if name[:1] == b"a" else b"'" + name for name in names}
    assert {os.fsencode(row["query"]) for row in search(Path(), Path(), tmp_path / "out")} == found


@pytest.mark.usefixtures("_network")
def test_no_page_of_an_older_search_beside_a_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first.jpg", "second.jpg", "third.jpg"):
        (tmp_path / name).touch()
    search(tmp_path / "first.jpg", tmp_path, tmp_path / "out")
    assert "first.jpg in" in (tmp_path / "out" / "ranked.html").read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retrieval, "write_ranked_page", killed)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "second.jpg", tmp_path, tmp_path / "out")
    assert "second.jpg" in (tmp_path / "out" / "ranked.csv").read_text()
    assert not (tmp_path / "out" / "ranked.html").exists()


@pytest.mark.usefixtures("_network")
def test_a_query_is_not_found_as_itself_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    pictures.mkdir()
    elsewhere.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (2, 2)).save(pictures / name)
    monkeypatch.chdir(tmp_path)
    assert main(["extract", "run", "pictures", "-o", "features.npz"]) == 0
    assert load(tmp_path / "features.npz").names == (f"{pictures}/a.png", f"{pictures}/b.png")
    monkeypatch.chdir(elsewhere)
    found = search(Path("../pictures/a.png"), Path("../features.npz"), elsewhere / "out")
    assert [row["picture"] for row in found] == [f"{pictures}/b.png"]
    assert (elsewhere / "out" / "ranked.html").read_text().count("data:image/jpeg") == 2
