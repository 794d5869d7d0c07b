"""CUHK03 by the new protocol: its file, the archive of pictures, and what can be wrong."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from reid_attn import data
from reid_attn.data import cuhk03
from reid_attn.data.images import Pixels, decode
from reid_attn.errors import DataError, MissingExtra

NAMES = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_02.png", "1_002_2_10.png", "5_001_2_07.png"]
PROTOCOL = {
    "filelist": NAMES,
    "labels": [1, 1, 2, 2, 2],
    "train_idx": [2, 1],
    "query_idx": [3],
    "gallery_idx": [4, 5],
}
ARCHIVE = "cuhk03_release/cuhk-03.mat"


def protocol(folder: Path, boxes: str = "labeled", **changes: Any) -> Path:
    values = PROTOCOL | changes
    cells = np.empty((len(values["filelist"]), 1), object)
    cells[:, 0] = values["filelist"]
    columns = {
        key: np.array(value, float).reshape(-1, 1)
        for key, value in values.items()
        if key != "filelist"
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cuhk03_new_protocol_config_{boxes}.mat"
    scipy.io.savemat(path, {"filelist": cells, **columns})
    return folder


def picture(name: str) -> Pixels:
    """Another one for each name, and higher than it is wide."""
    return np.random.default_rng(list(name.encode())).integers(0, 256, (9, 4, 3), np.uint8)


def pictures(folder: Path, boxes: str = "labeled", names: list[str] = NAMES) -> Path:
    inside = folder / f"images_{boxes}"
    inside.mkdir(parents=True)
    for name in names:
        (inside / name).write_bytes(b"x")
    return folder


def archive(folder: Path, boxes: str = "labeled", names: list[str] = NAMES) -> Path:
    """As MATLAB's -v7.3 stores cells in cells: references, and axes in the other order."""
    h5py = pytest.importorskip("h5py")
    path = folder / ARCHIVE
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        pairs = file.create_dataset(boxes, (1, 5), h5py.ref_dtype)
        for pair in range(5):
            persons = file.create_dataset(f"#refs#/{boxes}{pair}", (10, 2), h5py.ref_dtype)
            for person in range(2):
                for number in range(10):
                    name = f"{pair + 1}_{person + 1:03d}_{1 + number // 5}_{number + 1:02d}.png"
                    cell = picture(name).T if name in names else np.zeros(2, np.uint64)
                    stored = file.create_dataset(f"#refs#/{boxes}{name}", data=cell)
                    persons[number, person] = stored.ref
            pairs[0, pair] = persons.ref
    return folder


def numbers(dataset: data.Dataset) -> list[list[tuple[str, int, int]]]:
    return [
        [(p.path.name, p.person, p.camera) for p in split] for split in dataset.splits().values()
    ]


EXPECTED = [
    [(NAMES[1], 1, 2), (NAMES[0], 1, 1)],
    [(NAMES[2], 2, 1)],
    [(NAMES[3], 2, 2), (NAMES[4], 2, 2)],
]


@pytest.mark.parametrize("place", cuhk03.PLACES)
@pytest.mark.parametrize(("form", "boxes"), [("labelled", "labeled"), ("detected", "detected")])
def test_pictures_that_are_there_need_no_archive(
    tmp_path: Path, place: str, form: str, boxes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    pictures(protocol(tmp_path / place, boxes), boxes)
    dataset = data.load(f"cuhk03-{form}:{tmp_path}")
    assert numbers(dataset) == EXPECTED
    assert dataset.train[0].path == tmp_path / place / f"images_{boxes}" / NAMES[1]


def test_pictures_are_taken_out_of_the_archive_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(protocol(tmp_path))
    dataset = data.load(f"cuhk03-labelled:{tmp_path}")
    assert numbers(dataset) == EXPECTED
    inside = tmp_path / "images_labeled"
    assert sorted(path.name for path in inside.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert np.array_equal(decode(inside / name), picture(name))
    (tmp_path / ARCHIVE).unlink()
    assert data.load(f"cuhk03-labelled:{tmp_path}") == dataset


def test_an_interrupted_extraction_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(protocol(tmp_path))
    write, written = cuhk03.write_png, []

    def interrupted(path: Path, pixels: Pixels) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, pixels)

    monkeypatch.setattr(cuhk03, "write_png", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load(f"cuhk03-labelled:{tmp_path}")
    again: list[str] = []
    monkeypatch.setattr(
        cuhk03, "write_png", lambda path, pixels: (again.append(path.name), write(path, pixels))
    )
    assert numbers(data.load(f"cuhk03-labelled:{tmp_path}")) == EXPECTED
    assert sorted(written + again) == sorted(NAMES)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol(tmp_path)
    (tmp_path / "cuhk-03.mat").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"h5py is not installed.*reid-attn\[cuhk03\]"):
        data.load(f"cuhk03-labelled:{tmp_path}")


def test_no_archive_and_pictures_missing(tmp_path: Path) -> None:
    pictures(protocol(tmp_path), names=NAMES[1:])
    with pytest.raises(DataError) as caught:
        data.load(f"cuhk03-labelled:{tmp_path}")
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        f"there is no {ARCHIVE}, to take 1 picture out of",
        f"images_labeled/{NAMES[0]} cannot be read (No such file or directory)",
    ]


def test_a_picture_that_the_archive_lacks(tmp_path: Path) -> None:
    archive(protocol(tmp_path), names=NAMES[1:])
    with pytest.raises(DataError, match=rf"1 problem:\n  images_labeled/{NAMES[0]} cannot be read"):
        data.load(f"cuhk03-labelled:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(64), b"nonsense" * 99])
def test_a_damaged_archive(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("h5py")
    protocol(tmp_path)
    (tmp_path / "cuhk-03.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"cuhk-03\.mat cannot be read .* unpack it again"):
        data.load(f"cuhk03-labelled:{tmp_path}")


def test_an_archive_of_other_boxes_or_of_no_pictures(tmp_path: Path) -> None:
    archive(protocol(tmp_path), "detected")
    with pytest.raises(DataError, match=r"cuhk-03\.mat cannot be read"):
        data.load(f"cuhk03-labelled:{tmp_path}")
    import h5py

    with h5py.File(tmp_path / ARCHIVE, "a") as file:
        cell = f"#refs#/detected{NAMES[0]}"
        del file[cell]
        file[cell] = np.zeros((4, 3, 3), np.uint8)  # the reference now leads nowhere
    protocol(tmp_path, "detected")
    with pytest.raises(DataError, match=r"cuhk-03\.mat cannot be read"):
        data.load(f"cuhk03-detected:{tmp_path}")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": [1, 2]}, "labels: they must be 5 numbers from 1 on"),
        ({"labels": [0, 0, 2, 2, 2]}, "labels: they must be 5 numbers from 1 on"),
        ({"train_idx": [0, 1]}, "train_idx: it must hold numbers from 1 to 5"),
        ({"query_idx": [6]}, "query_idx: it must hold numbers from 1 to 5"),
        ({"query_idx": []}, "query_idx: it must hold numbers from 1 to 5"),
        ({"gallery_idx": [4, 4]}, "train_idx, query_idx, gallery_idx: they hold a number twice"),
        ({"gallery_idx": [3, 4]}, "train_idx, query_idx, gallery_idx: they hold a number twice"),
        ({"filelist": [NAMES[1], *NAMES[1:]]}, "filelist: a name is there twice"),
        ({"filelist": ["../evil.png", *NAMES[1:]]}, "filelist: '../evil.png' is not like 1_001"),
        ({"labels": [1, 1, 1, 2, 2]}, "person 1 is in train and in the test"),
    ],
)
def test_a_wrong_protocol(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    pictures(protocol(tmp_path, **changes))
    with pytest.raises(DataError) as caught:
        data.load(f"cuhk03-labelled:{tmp_path}")
    assert f"\n  {problem}" in str(caught.value)


@pytest.mark.parametrize(
    ("form", "boxes", "counts"),
    [("labelled", "labeled", "7,368 1,400 5,328"), ("detected", "detected", "7,365 1,400 5,332")],
)
def test_the_published_persons_come_with_published_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, boxes: str, counts: str
) -> None:
    assert cuhk03.TRAIN_PERSONS == 767
    monkeypatch.setattr(cuhk03, "TRAIN_PERSONS", 1)
    pictures(protocol(tmp_path, boxes), boxes)
    with pytest.raises(DataError) as caught:
        data.load(f"cuhk03-{form}:{tmp_path}")
    assert [line.split(" (for")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        f"{split}: {len(rows)} pictures instead of the {count} of CUHK03 ({boxes})"
        for split, rows, count in zip(data.SPLITS, EXPECTED, counts.split(), strict=True)
    ]


@given(st.integers(0, 9), st.integers(0, 999), st.integers(1, 2), st.integers(0, 99))
def test_a_written_name_is_read_back(pair: int, person: int, view: int, number: int) -> None:
    assert cuhk03.parse_name(f"{pair}_{person:03d}_{view}_{number:02d}.png") == view


@given(st.text())
def test_other_names_are_refused(name: str) -> None:
    assert cuhk03.parse_name(name) is None
