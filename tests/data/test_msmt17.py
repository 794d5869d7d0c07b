"""MSMT17's lists: lines, places, versions, persons of two numberings, and all that can be wrong."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn import data
from reid_attn.data import msmt17
from reid_attn.data.dataset import Dataset
from reid_attn.errors import DataError

LISTS = {
    "list_train.txt": [
        "0000/0000_000_01_0303morning_0015_0.jpg 0",
        "0001/0001_000_14_0114noon_1_2.jpg 1",
    ],
    "list_val.txt": ["0001/0001_001_15_0114noon_0001_2.jpg 1"],
    "list_query.txt": ["0000/0000_000_05_0303morning_0038_0_ex.jpg 0"],
    "list_gallery.txt": ["0000/0000_001_06_0113noon_0100_0.jpg 0", "0007/0007_000_05_0_1_0.jpg 7"],
}
TEST_LISTS = ("list_query.txt", "list_gallery.txt")


def write(
    folder: Path, lists: dict[str, list[str]] = LISTS, parts: tuple[str, str] = ("train", "test")
) -> Path:
    """The lists, and a file for each sound line."""
    for name, lines in lists.items():
        inside = folder / parts[name in TEST_LISTS]
        for line in filter(msmt17.parse_line, lines):
            picture = inside / line.split()[0]
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(b"x")
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def persons(dataset: Dataset) -> list[list[tuple[str, int]]]:
    return [
        [(dataset.describe(picture.person), picture.camera) for picture in split]
        for split in (dataset.train, dataset.query, dataset.gallery)
    ]


def test_a_small_set(tmp_path: Path) -> None:
    dataset = data.load(f"msmt17:{write(tmp_path)}")
    assert persons(dataset) == [
        [("train/0000", 1), ("train/0001", 14)],
        [("test/0000", 5)],
        [("test/0000", 6), ("test/0007", 5)],
    ]
    assert dataset.query[0].person == dataset.gallery[0].person == 1
    assert dataset.labels() == {9: 0, 10: 1}  # after test/0007, which is person 8
    assert dataset.train[0].path == tmp_path / "train" / LISTS["list_train.txt"][0].split()[0]


def test_with_the_validation_pictures(tmp_path: Path) -> None:
    dataset = data.load(f"msmt17-trainval:{write(tmp_path)}")
    assert persons(dataset)[0] == [("train/0000", 1), ("train/0001", 14), ("train/0001", 15)]
    assert persons(dataset)[1:] == persons(data.load(f"msmt17:{tmp_path}"))[1:]


@pytest.mark.parametrize("place", [place for place in msmt17.PLACES if "V1" not in place])
def test_every_usual_place_is_found(tmp_path: Path, place: str) -> None:
    parts = ("mask_train_v2", "mask_test_v2") if "V2" in place else ("train", "test")
    write(tmp_path / place, parts=parts)
    dataset = data.load(f"msmt17:{tmp_path}")
    assert dataset.train[0].path.is_relative_to(tmp_path / place / parts[0])
    assert dataset.query[0].path.is_relative_to(tmp_path / place / parts[1])


@pytest.mark.parametrize("place", ["MSMT17_V1", "msmt17/MSMT17_V1"])
@pytest.mark.parametrize(
    ("form", "train"), [("msmt17", r"2 .* the 30,248"), ("msmt17-trainval", r"3 .* the 32,621")]
)
def test_the_release_must_be_whole(tmp_path: Path, place: str, form: str, train: str) -> None:
    write(tmp_path / place)
    with pytest.raises(DataError) as caught:
        data.load(f"{form}:{tmp_path}")
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 3
    for line, counts in zip(lines, (train, "1 .* the 11,659", "2 .* the 82,161"), strict=True):
        assert re.search(f"{counts} of MSMT17", line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "0000/0000_000_01_0303morning_0015_0.jpg",
        "0000_000_01_0303morning_0015_0.jpg 0",
        "0000/0000_000_01_0303morning_0015_0.jpg -1",
        "0000/0000_000_c1_0303morning_0015_0.jpg 0",
        "0000/../0000_000_01_0303morning_0015_0.jpg 0",
        "/0000/0000_000_01_0303morning_0015_0.jpg 0",
        "0000/0000_000_01_a/b.jpg 0",
        "0000/0000_000_01_0303 morning.jpg 0",
        "٠٠٠٠/٠٠٠٠_٠٠٠_٠١_a.jpg ٠",
    ],
)
def test_lines_that_are_not_like_the_release(line: str) -> None:
    assert msmt17.parse_line(line) is None


@given(
    st.integers(0, 999_999_999),
    st.integers(0, 999_999_999),
    st.from_regex(r"[A-Za-z0-9_-]{0,40}", fullmatch=True),
)
def test_a_written_line_is_read_back(person: int, camera: int, rest: str) -> None:
    path = f"{person:04d}/{person:04d}_000_{camera:02d}_{rest}.jpg"
    assert msmt17.parse_line(f"{path} {person}") == (path, person, camera)


def test_white_space_at_an_end_is_passed_over(tmp_path: Path) -> None:
    plain = data.load(f"msmt17:{write(tmp_path)}")
    for path in tmp_path.glob("list_*.txt"):
        path.write_text(path.read_text().replace("\n", " \t\r\n") + "\n \n")
    assert data.load(f"msmt17:{tmp_path}") == plain


@given(st.text())
def test_no_line_leaves_the_folder(line: str) -> None:
    parsed = msmt17.parse_line(line)
    assert parsed is None or ".." not in Path(parsed[0]).parts


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    query = LISTS["list_query.txt"]
    lists = LISTS | {"list_gallery.txt": [*query, "nonsense", "0003/0003_000_01_gone.jpg 3"]}
    write(tmp_path, lists)
    (tmp_path / "test/0003/0003_000_01_gone.jpg").unlink()
    (tmp_path / "train" / LISTS["list_train.txt"][0].split()[0]).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data.load(f"msmt17:{tmp_path}")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines == [
        f"{tmp_path} cannot be used, 5 problems:",
        "list_train.txt, line 1: train/0000/0000_000_01_0303morning_0015_0.jpg is empty",
        f"list_gallery.txt, line 1: test/{query[0].split()[0]} is on list_query.txt, line 1 too",
        "list_gallery.txt, line 2: 'nonsense' is not like "
        "'0000/0000_000_01_0303morning_0015_0.jpg 0'",
        "list_gallery.txt, line 3: test/0003/0003_000_01_gone.jpg cannot be read "
        "(No such file or directory)",
        "gallery: no usable picture",
    ]


def test_a_missing_list_and_one_that_is_no_text(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "list_query.txt").unlink()
    (tmp_path / "list_gallery.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"(?s)list_query.txt \(No such.*list_gallery.txt is not p"):
        data.load(f"msmt17:{tmp_path}")


def test_a_folder_without_the_set(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no list_train\.txt, list_query\.txt, list_gallery\.txt in"
    ):
        data.load(f"msmt17:{tmp_path}")
