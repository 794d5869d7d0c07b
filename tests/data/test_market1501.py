import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn import data
from reid_attn.data import market1501
from reid_attn.data.dataset import SHOWN
from reid_attn.errors import DataError, UsageError

SMALL = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000451_03.jpg", "0007_c1_x.jpg"],
    "query": ["0001_c1s1_001051_00.jpg"],
    "bounding_box_test": ["0001_c2s1_1_01.jpg", "0000_c3s1_1_01.jpg", "-1_c3s1_1_02.jpg"],
}


def write(root: Path, folders: dict[str, list[str]]) -> Path:
    for folder, names in folders.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(b"x")
    return root


def change(**folders: list[str]) -> dict[str, list[str]]:
    return {**SMALL, **folders}


def test_a_small_set(tmp_path: Path) -> None:
    dataset = data.load(f"market1501:{write(tmp_path, SMALL)}")
    assert [(p.person, p.camera) for p in dataset.train] == [(2, 1), (2, 2), (7, 1)]
    assert [(p.person, p.camera) for p in dataset.query] == [(1, 1)]
    assert [(p.person, p.camera) for p in dataset.gallery] == [(0, 3), (1, 2)]
    assert dataset.junk == 1
    assert dataset.labels() == {2: 0, 7: 1}
    assert dataset.train[0].path == tmp_path / "bounding_box_train/0002_c1s1_000451_03.jpg"


@pytest.mark.parametrize("place", [p for p in market1501.PLACES if market1501.RELEASE not in p])
def test_every_usual_place_is_found(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, SMALL)
    dataset = data.load(f"market1501:{tmp_path}")
    assert dataset.train[0].path.is_relative_to(tmp_path / place)


def test_other_files_are_no_pictures(tmp_path: Path) -> None:
    root = write(
        tmp_path, change(query=[*SMALL["query"], "Thumbs.db", "notes.txt", "._0001_c1.jpg"])
    )
    write(root, {"gt_bbox": ["anything.jpg"], "gt_query": ["0001_c1s1_001051_00_good.mat"]})
    assert len(market1501.read(root).query) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0001_c6s1_009601_00.jpg", (1, 6)),
        ("-1_c1s1_000401_03.jpg", (-1, 1)),
        ("0000_c2s3.PNG", (0, 2)),
        ("0005_c2_f0046985.jpg", (5, 2)),
        ("12_c15.jpeg", (12, 15)),
        ("0001_c1s1_000001_00.jpg.jpg", (1, 1)),
        ("copy of 0001_c6s1_009601_00.jpg", None),
        ("--1_c1s1_1_1.jpg", None),
        ("-2_c1s1_1_1.jpg", None),
        ("0001_c.jpg", None),
        ("0001_c6x_1.jpg", None),
        ("٣_c1s1_1_1.jpg", None),
        ("0001_c6s1_009601_00", None),
    ],
)
def test_names(name: str, expected: tuple[int, int] | None) -> None:
    assert market1501.parse_name(name) == expected


@given(st.integers(-1, 999_999_999), st.integers(0, 999), st.text(st.characters(codec="utf-8")))
def test_a_written_name_is_read_back(person: int, camera: int, rest: str) -> None:
    number = f"{person:04d}" if person >= 0 else "-1"
    assert market1501.parse_name(f"{number}_c{camera}_{rest}.jpg") == (person, camera)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "bounding_box_train": ["0002_c1_a.jpg", "0001_c1_b.jpg", "0000_c1_c.jpg", "odd.jpg"],
            "query": ["0001_c1_q.jpg", "-1_c1_r.jpg"],
            "bounding_box_test": ["0001_c1_q.jpg", "0001_c2_e.jpg"],
        },
    )
    (root / "bounding_box_test/0001_c2_e.jpg").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        market1501.read(root)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{root} cannot be used, 6 problems:"
    assert sorted(line.strip() for line in lines[1:]) == [
        "bounding_box_test/0001_c1_q.jpg: a picture of this name is also in query",
        "bounding_box_test/0001_c2_e.jpg is empty",
        "bounding_box_train/0000_c1_c.jpg: only the gallery may hold distractors (0000) "
        "and junk (-1)",
        "bounding_box_train/odd.jpg: the name is not like 0002_c1s1_000451_03.jpg",
        "person 1 is in train and in the test",
        "query/-1_c1_r.jpg: only the gallery may hold distractors (0000) and junk (-1)",
    ]


def test_a_missing_split_and_an_empty_one(tmp_path: Path) -> None:
    root = write(tmp_path, {"bounding_box_train": SMALL["bounding_box_train"], "query": []})
    with pytest.raises(
        DataError, match=r"(?s)bounding_box_test: .*cannot.*query: no .*gallery: no"
    ):
        market1501.read(root)


def test_a_link_to_nothing_is_reported(tmp_path: Path) -> None:
    root = write(tmp_path, SMALL)
    (root / "query/0001_c3s1_1_1.jpg").symlink_to(root / "gone.jpg")
    with pytest.raises(DataError, match=r"query/0001_c3s1_1_1\.jpg cannot be read"):
        market1501.read(root)


def test_a_folder_without_the_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bounding_box_train, query, bounding_box_test"):
        market1501.read(tmp_path)


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    names = [f"odd{i}.jpg" for i in range(SHOWN + 5)]
    with pytest.raises(DataError, match="… and 6 more") as caught:
        market1501.build(tmp_path, {"train": names, "query": ["1_c1.jpg"], "gallery": ["1_c2.jpg"]})
    assert len(str(caught.value).splitlines()) == SHOWN + 2


@pytest.fixture
def real_names(shared: Path) -> dict[str, list[str]]:
    lists = {"train": "train", "query": "query", "gallery": "test"}
    names = {}
    for split, file in lists.items():
        with (shared / f"data/market1501-lists/market1501_{file}.csv").open() as lines:
            names[split] = [Path(path).name for _, path in csv.reader(lines)]
    return names


def test_the_real_names(real_names: dict[str, list[str]]) -> None:
    dataset = market1501.build(Path("anywhere"), real_names)
    counts = len(dataset.train), len(dataset.query), len(dataset.gallery), dataset.junk
    assert counts == (12_936, 3_368, 15_913, 3_819)
    assert len(dataset.labels()) == 751
    assert sum(picture.person == 0 for picture in dataset.gallery) == 2_798
    assert {picture.camera for picture in dataset.gallery} == {1, 2, 3, 4, 5, 6}


def test_an_incomplete_real_set_is_noticed(real_names: dict[str, list[str]]) -> None:
    fewer = {**real_names, "gallery": real_names["gallery"][1:]}
    with pytest.raises(DataError, match="junk: 3,818 pictures instead of the 3,819"):
        market1501.build(Path("anywhere"), fewer)


@pytest.mark.parametrize("place", [p for p in market1501.PLACES if market1501.RELEASE in p])
def test_the_release_folder_must_hold_the_release(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, SMALL)
    with pytest.raises(DataError, match="train: 3 pictures instead of the 12,936 of Market-1501"):
        market1501.read(tmp_path)


@pytest.mark.parametrize("source", ["market1501", "market1501:", "data/market1501"])
def test_a_source_needs_format_and_path(source: str) -> None:
    with pytest.raises(UsageError, match="FORMAT:PATH"):
        data.load(source)


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'market1501'"):
        data.load(f"market:{tmp_path}")
