"""`extract` and `retrieve`, as they are called."""

import contextlib
import csv
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reid_attn.commands import main
from reid_attn.data.images import find
from reid_attn.data.market1501 import parse_name
from reid_attn.features import Embedder, parts


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "ranked.csv").open() as file:
        return list(csv.DictReader(file))


def retrieve(run: Path, query: Path, gallery: Path, out: Path, *more: str) -> int:
    command = ["retrieve", str(run), "--query", str(query), "--gallery", str(gallery)]
    return main([*command, "-o", str(out), *more])


def test_a_market_folder_is_judged_and_its_junk_left_out(
    trained: Path, sample: Path, tmp_path: Path
) -> None:
    gallery = sample / "bounding_box_test"
    assert retrieve(trained, sample / "query", gallery, tmp_path, "-k", "1000") == 0
    found = rows(tmp_path)
    kept = [p for p in find(gallery) if not p.name.startswith("-1")]
    for query in find(sample / "query"):
        person, camera = parse_name(query.name)
        answers = [row for row in found if row["query"] == str(query)]
        junk = sum(parse_name(p.name) == (person, camera) for p in kept)
        assert len(answers) == len(kept) - junk
        assert [int(row["rank"]) for row in answers] == list(range(1, len(answers) + 1))
        scores = [float(row["score"]) for row in answers]
        assert scores == sorted(scores, reverse=True)
        for row in answers:
            assert (row["correct"] == "1") == (int(row["person"]) == person)
            assert (int(row["person"]), int(row["camera"])) != (person, camera)
    page = (tmp_path / "ranked.html").read_text()
    distractors = sum(parse_name(p.name)[0] == 0 for p in kept)
    assert "✓" in page
    assert page.count('class="tile distractor"') == distractors * len(find(sample / "query")) > 0


def test_a_features_file_gives_the_same_lists(trained: Path, sample: Path, tmp_path: Path) -> None:
    gallery, file = sample / "bounding_box_test", tmp_path / "gallery.npz"
    assert main(["extract", str(trained), str(gallery), "-o", str(file)]) == 0
    retrieve(trained, sample / "query", gallery, tmp_path / "a")
    retrieve(trained, sample / "query", file, tmp_path / "b")
    assert rows(tmp_path / "a")
    for a, b in zip(rows(tmp_path / "a"), rows(tmp_path / "b"), strict=True):
        assert float(a.pop("score")) == pytest.approx(float(b.pop("score")), abs=2e-6)
        assert a == b


def test_pictures_without_labels_are_not_judged_and_not_found_as_themselves(
    trained: Path, sample: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number, path in enumerate(find(sample / "query")):
        shutil.copy(path, folder / f"picture {number}.jpg")
    query = folder / "picture 3.jpg"
    assert retrieve(trained, query, folder, tmp_path / "out", "-k", "99") == 0
    found = rows(tmp_path / "out")
    assert len(found) == len(find(folder)) - 1
    assert str(query) not in {row["picture"] for row in found}
    assert {row["correct"] for row in found} == {""}
    assert not list(folder.glob("*.npz"))


def test_features_of_another_network_are_refused(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ones = {"features": np.ones((2, 256), np.float32), "ids": np.ones(2, int)}
    ones["cams"] = ones["ids"]
    np.savez(tmp_path / "other.npz", **ones, fingerprint="0" * 64)
    assert retrieve(trained, sample / "query", tmp_path / "other.npz", tmp_path / "out") == 5
    assert "extracted with another network" in capsys.readouterr().err
    ones["features"] = np.ones((2, 7), np.float32)
    np.savez(tmp_path / "other.npz", **ones)
    assert retrieve(trained, sample / "query", tmp_path / "other.npz", tmp_path / "out") == 5
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("broken", "message"), [("query", r"broken.jpg"), ("gallery", r"broken.jpg")]
)
def test_an_unreadable_picture_is_named(
    trained: Path,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: str,
    message: str,
) -> None:
    places = {}
    for name in ("query", "gallery"):
        places[name] = tmp_path / name
        places[name].mkdir()
        shutil.copy(find(sample / "query")[0], places[name] / "sound.jpg")
    (places[broken] / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert retrieve(trained, places["query"], places["gallery"], tmp_path / "out") == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_files_are_there_even_when_nothing_can_be_printed(
    trained: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.suppress(OSError), open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        query = find(sample / "query")[0]
        assert retrieve(trained, query, sample / "query", tmp_path) == 6
    assert len(rows(tmp_path)) == 10
    assert (tmp_path / "ranked.html").exists()


@pytest.mark.parametrize(
    ("k", "code", "message"), [("0", 2, "at least 1"), ("-3", 2, "at least 1")]
)
def test_k_must_be_positive(
    trained: Path,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    k: str,
    code: int,
    message: str,
) -> None:
    query = sample / "query"
    assert retrieve(trained, query, query, tmp_path, f"-k={k}") == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["", ".", "{}/", "{}/features", "{}/features.csv", "{}/folder.npz"]
)
def test_extract_writes_what_retrieve_reads_or_refuses_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "folder.npz").mkdir()
    output = name.format(tmp_path)
    assert main(["extract", "no run", "no pictures", "-o", output]) == 2
    assert "name one that ends in .npz" in capsys.readouterr().err


def test_an_extraction_that_is_stopped_goes_on(
    trained: Path,
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(parts, "UNIT", 16)  # a batch of this network's evaluation
    pictures = sample / "bounding_box_test"
    words = ["extract", str(trained), str(pictures), "-o"]
    whole, stopped = tmp_path / "whole.npz", tmp_path / "stopped.npz"
    assert main([*words, str(whole)]) == 0
    original, calls = Embedder.__call__, []

    def stop(self: Embedder, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "__call__", stop)
        assert main([*words, str(stopped)]) == 130
        told = capsys.readouterr().err.replace("\n", "")
        assert f"{stopped}.parts: the same command again goes on" in told
        assert not stopped.exists()
        assert main([*words, str(stopped)]) == 0
    again = [path for pictures, *_ in calls[2:] for path in pictures]
    assert again == [p for p in find(pictures) if not p.name.startswith("-1")][16:]
    assert stopped.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stopped.npz", "whole.npz"]


def test_a_features_file_with_names_that_no_file_has(
    trained: Path, sample: Path, tmp_path: Path
) -> None:
    query, file = find(sample / "query")[0], tmp_path / "gallery.NPZ"
    assert main(["extract", str(trained), str(query), "-o", str(file)]) == 0
    with np.load(file) as found:
        stored = dict(found)
    stored["names"] = np.array(["a\0b", "a\ud800b", str(query)])
    for key in ("features", "ids", "cams"):
        stored[key] = np.repeat(stored[key], 3, axis=0)
    stored["cams"] += 1
    with file.open("wb") as opened:
        np.savez(opened, **stored)
    assert retrieve(trained, query, file, tmp_path / "out") == 0
    text = (tmp_path / "out" / "ranked.csv").read_bytes().decode()
    assert "a\0b," in text and "a\\ud800b," in text
    assert str(query) not in [row["picture"] for row in rows(tmp_path / "out")]


def test_queries_that_are_all_junk(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk").mkdir()
    shutil.copy(find(sample / "query")[0], tmp_path / "junk" / "-1_c1s1_000001_00.jpg")
    assert retrieve(trained, tmp_path / "junk", sample / "query", tmp_path / "out") == 3
    assert f"no picture is left at {tmp_path / 'junk'}" in capsys.readouterr().err


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture may be embedded."""
    monkeypatch.setattr(Embedder, "__call__", None)


def test_all_undecodable_pictures_are_named_at_once(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = Path(shutil.copytree(sample / "bounding_box_test", tmp_path / "gallery"))
    broken = [*find(gallery)[::2], find(sample / "query")[0]]
    for path in broken[:-1]:
        path.write_bytes(b"\xff\xd8\xff nothing")
    query = tmp_path / "query.png"
    query.write_bytes(b"")
    assert retrieve(trained, query, gallery, tmp_path / "out") == 3
    told = capsys.readouterr().err
    kept = [path for path in find(gallery) if not path.name.startswith("-1")]
    bad = [path for path in kept if path in broken]
    assert f"{len(bad) + 1} pictures of {len(kept) + 1} cannot be decoded:" in told
    assert f"{query} is empty\n" in told
    assert sum(f"  {path} is neither JPEG" in told for path in bad) == min(len(bad), 19)
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    assert main(["extract", str(trained), str(gallery), "-o", str(tmp_path / "new/f.npz")]) == 3
    assert f"{len(bad)} pictures of {len(kept)} cannot be decoded" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_interrupted_look_at_the_other_pictures_keeps_the_first_name(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.jpg").write_bytes(b"text")
    (tmp_path / "b.jpg").write_bytes(b"text")
    monkeypatch.setattr("reid_attn.reports.progress.undecodable", stop)
    assert retrieve(trained, tmp_path, tmp_path, tmp_path / "out") == 3
    assert "a.jpg is neither JPEG nor PNG" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gallery", "code", "message"),
    [
        ("empty", 3, "there is no picture at"),
        ("other.npz", 5, "extracted with another network"),
        ("none.npz", 3, "holds no features"),
    ],
)
def test_a_gallery_of_no_use_is_told_before_the_queries_are_embedded(
    trained: Path,
    sample: Path,
    tmp_path: Path,
    unread: None,
    capsys: pytest.CaptureFixture[str],
    gallery: str,
    code: int,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    print_of, dimension = Embedder(trained).fingerprint, Embedder(trained).dimension
    for name, rows, fingerprint in (("other", 1, "0" * 64), ("none", 0, print_of)):
        labels = np.ones(rows, int)
        vectors = np.ones((rows, dimension), np.float32)
        np.savez(
            tmp_path / name, features=vectors, ids=labels, cams=labels, fingerprint=fingerprint
        )
    assert retrieve(trained, sample / "query", tmp_path / gallery, tmp_path / "out") == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["retrieve", "extract"])
def test_a_place_where_nothing_can_be_written_is_told_first(
    trained: Path,
    sample: Path,
    tmp_path: Path,
    unread: None,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    (tmp_path / "file").write_text("kept")
    query = sample / "query"
    if command == "retrieve":
        code = retrieve(trained, query, query, tmp_path / "file")
    else:
        code = main(["extract", str(trained), str(query), "-o", str(tmp_path / "file/f.npz")])
    assert code == 6
    assert f"could not make the folder {tmp_path / 'file'}" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_one_name_of_another_kind_is_told(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = Path(shutil.copytree(sample / "bounding_box_test", tmp_path / "gallery"))
    find(gallery)[-1].rename(gallery / "holiday.jpg")
    note = f"1 of {len(find(gallery))} gallery pictures without a name like 0002_c1s1_000451_03.jpg"
    assert retrieve(trained, sample / "query", gallery, tmp_path / "out") == 0
    assert f"answers are not judged, and the query's own camera is not left out: {note}" in (
        capsys.readouterr().out
    )
    assert note in (tmp_path / "out" / "ranked.html").read_text()
    file = tmp_path / "gallery.npz"
    assert main(["extract", str(trained), str(gallery), "-o", str(file)]) == 0
    assert note.replace("gallery pictures", "pictures") in capsys.readouterr().err
    assert retrieve(trained, sample / "query", file, tmp_path / "out") == 0
    count = len(find(gallery))
    assert f"{count} of {count} gallery features without person" in capsys.readouterr().out
    assert retrieve(trained, gallery / "holiday.jpg", sample / "query", tmp_path / "out") == 0
    assert "1 of 1 queries without a name" in capsys.readouterr().out


def test_judged_lists_have_no_such_note(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrieve(trained, sample / "query", sample / "query", tmp_path) == 0
    assert "not judged" not in capsys.readouterr().out
    assert "not judged" not in (tmp_path / "ranked.html").read_text()


def test_more_answers_than_there_are(
    trained: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = find(sample / "query")
    for number, path in enumerate(pictures):
        shutil.copy(path, tmp_path / f"{number}.jpg")
    some = len(pictures)
    for k, told in ((some, True), (some - 1, False)):
        assert retrieve(trained, tmp_path, tmp_path, tmp_path / "out", "-k", str(k)) == 0
        note = f"the longest list has {some - 1} of the gallery's {some} pictures"
        assert (note in capsys.readouterr().out) == told


def test_persons_are_called_as_the_names_write_them(
    trained: Path, sample: Path, tmp_path: Path
) -> None:
    gallery = sample / "bounding_box_test"
    assert retrieve(trained, sample / "query", gallery, tmp_path) == 0
    for row in rows(tmp_path):
        assert Path(row["picture"]).name.startswith(f"{row['person']}_")
    assert '<span class="who">00' in (tmp_path / "ranked.html").read_text()
