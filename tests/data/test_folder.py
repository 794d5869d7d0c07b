import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn import data
from reid_attn.data import folder
from reid_attn.errors import DataError, UsageError


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def shown(root: Path, dataset: data.Dataset) -> dict[str, list[tuple[str, str, int]]]:
    return {
        name: [
            (p.path.relative_to(root).as_posix(), dataset.describe(p.person), p.camera)
            for p in getattr(dataset, name)
        ]
        for name in folder.SPLITS
    }


def test_split_folders(tmp_path: Path) -> None:
    write(tmp_path, "train/ben/cam1.jpg", "train/ada/x_c2.png", "query/eve/c1.jpg")
    write(tmp_path, "gallery/eve/c2/pic_c2.jpg", "gallery/zoe/c12_b.jpeg", "gallery/eve/notes.txt")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.people == {1: "ada", 2: "ben", 3: "eve", 4: "zoe"}
    assert shown(tmp_path, dataset) == {
        "train": [("train/ada/x_c2.png", "ada", 2), ("train/ben/cam1.jpg", "ben", 1)],
        "query": [("query/eve/c1.jpg", "eve", 1)],
        "gallery": [("gallery/eve/c2/pic_c2.jpg", "eve", 2), ("gallery/zoe/c12_b.jpeg", "zoe", 12)],
    }
    assert dataset.labels() == {1: 0, 2: 1}


def test_flat_folders_are_divided(tmp_path: Path) -> None:
    write(tmp_path, "a/1_c1.jpg", "a/2_c1.jpg", "c/1_c9.jpg", "e/1_c1.jpg")
    write(tmp_path, "b/1_c1.jpg", "b/2_c1.jpg", "b/3_c2.jpg", "d/1_c4.jpg", "d/2_c3.jpg")
    write(tmp_path, "f/1_c1.jpg", "f/2_c1.jpg")  # one camera: nothing to ask for
    dataset = data.load(f"folder:{tmp_path}")
    paths = {split: [row[0] for row in rows] for split, rows in shown(tmp_path, dataset).items()}
    assert paths == {
        "train": ["a/1_c1.jpg", "a/2_c1.jpg", "c/1_c9.jpg", "e/1_c1.jpg"],
        "query": ["b/1_c1.jpg", "d/2_c3.jpg"],
        "gallery": ["b/2_c1.jpg", "b/3_c2.jpg", "d/1_c4.jpg", "f/1_c1.jpg", "f/2_c1.jpg"],
    }


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 4)), max_size=30))
def test_dividing_keeps_all_and_each_query_has_a_match(drawn: list[tuple[str, int]]) -> None:
    entries = [folder._Entry(Path(str(i)), p, c, "") for i, (p, c) in enumerate(drawn)]
    divided = folder._divide(entries)
    assert sorted(entry.path for entry in divided) == sorted(entry.path for entry in entries)
    people = sorted({entry.person for entry in entries})
    trained = {entry.person for entry in divided if entry.split == "train"}
    assert trained == set(people[::2])
    gallery = {(entry.person, entry.camera) for entry in divided if entry.split == "gallery"}
    asked = [(entry.person, entry.camera) for entry in divided if entry.split == "query"]
    assert len(set(asked)) == len(asked)
    for person, camera in asked:
        assert any(p == person and c != camera for p, c in gallery)
    for person in set(people) - trained:
        if len({c for p, c in drawn if p == person}) > 1:
            assert person in {p for p, _ in asked}


def test_one_name_in_two_unicode_forms_is_one_person(tmp_path: Path) -> None:
    name = "Zoé\n李"
    write(tmp_path, "train/x/c1.jpg", f"query/{unicodedata.normalize('NFC', name)}/c1.jpg")
    write(tmp_path, f"gallery/{unicodedata.normalize('NFD', name)}/c2.jpg")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.query[0].person == dataset.gallery[0].person
    assert dataset.people == {1: unicodedata.normalize("NFC", name), 2: "x"}


def test_a_folder_for_each_camera_or_track(tmp_path: Path) -> None:
    """The name comes first, then the innermost folder that has a number."""
    write(tmp_path, "train/ada/cam3/1.jpg", "train/ada/c4_track7/c5.jpg", "train/ada/c6/day1/1.jpg")
    write(tmp_path, "train/ada/c7/c8_2/1.jpg", "query/c9/cam1/1.jpg", "gallery/c9/cam2/1.jpg")
    dataset = data.load(f"folder:{tmp_path}")
    assert sorted(picture.camera for picture in dataset.train) == [3, 5, 6, 8]
    assert [picture.camera for picture in dataset.query + dataset.gallery] == [1, 2]
    write(tmp_path, "train/c1/1.jpg")  # a person's folder tells no camera
    with pytest.raises(DataError, match=r"1 problem:\n.*train/c1/1\.jpg: no camera number"):
        data.load(f"folder:{tmp_path}")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "train/ada/c1.jpg", "train/ada/front.jpg", "train/stray_c1.jpg")
    write(tmp_path, "gallery/ada/c1.jpg", "gallery/eve/c3.jpg")
    (tmp_path / "gallery/eve/c3.jpg").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data.load(f"folder:{tmp_path}")
    message = str(caught.value)
    assert "6 problems" in message
    assert "query: the folder is missing" in message
    assert "front.jpg: no camera number by the pattern" in message
    assert "set data.camera_pattern" in message
    assert "stray_c1.jpg: the picture is not in a person's folder" in message
    assert "c3.jpg is empty" in message
    assert "person ada is in train and in the test" in message
    assert "query: no usable picture" in message


def test_the_camera_pattern(tmp_path: Path) -> None:
    write(tmp_path, *(f"{split}/{split[:1]}/front-7.jpg" for split in folder.SPLITS))
    assert data.load(f"folder:{tmp_path}", r"front-(\d)").query[0].camera == 7
    with pytest.raises(DataError, match="6 problems"):
        data.load(f"folder:{tmp_path}", r"(front)")


@pytest.mark.parametrize(("pattern", "reason"), [("(", "is wrong"), (r"c\d", "has no group")])
def test_a_wrong_pattern(tmp_path: Path, pattern: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        data.load(f"folder:{tmp_path}", pattern)


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file is not a folder"):
        data.load(f"folder:{tmp_path / 'file'}")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train: no usable picture"):
        data.load(f"folder:{tmp_path}")


def table(root: Path, *lines: str) -> str:
    (root / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"csv:{root / 'list.csv'}"


def test_a_table_with_splits(tmp_path: Path) -> None:
    write(tmp_path, "p/1.jpg", "p/2.jpg", "p/3, b.jpg")
    source = table(
        tmp_path,
        "\ufeffcamera, split ,path,note,person",
        "1,train,p/1.jpg,first,Ann",
        "2,query,p/2.jpg,,李",
        f'3,gallery,"{tmp_path}/p/3, b.jpg",,李,more,cells',
    )
    dataset = data.load(source)
    assert shown(tmp_path, dataset) == {
        "train": [("p/1.jpg", "Ann", 1)],
        "query": [("p/2.jpg", "李", 2)],
        "gallery": [("p/3, b.jpg", "李", 3)],
    }


def test_a_table_without_splits(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    source = table(tmp_path, "path,person,camera", "3.jpg,b,2", "2.jpg,b,1", "1.jpg,a,1")
    dataset = data.load(source)
    assert [len(getattr(dataset, name)) for name in folder.SPLITS] == [1, 1, 1]
    assert dataset.query[0].path.name == "2.jpg"


def test_all_problems_of_a_table_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    source = table(
        tmp_path,
        "path,person,camera,split",
        "1.jpg,a,1,train",
        "2.jpg,b,1,query",
        "3.jpg,b,2,gallery",
        "none.jpg,a,1,train",
        "./1.jpg,a,1,train",
        "2.jpg,,left,test",
        "3.jpg",
    )
    with pytest.raises(DataError) as caught:
        data.load(source)
    message = str(caught.value)
    assert "8 problems" in message
    assert "none.jpg cannot be read (No such file" in message
    assert "line 6: " in message
    assert "is already on line 2" in message
    assert "line 7: the person is missing" in message
    assert "line 7: the camera 'left' is not a number" in message
    assert "line 7: the split 'test' is not one of train, query, gallery" in message
    assert "line 8: the split '' is not one of" in message


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("path,Person", "s person, camera; its head is 'path, Person': let its first line"),
        ("Path, Person,camera", "s path, person; its head is .*: write the names in small"),
        ("path;person;camera", "its head is 'path;person;camera': separate the columns by commas"),
        ("path\tperson,camera", r"person; its head is 'path\\tperson, camera': separate the col"),
        ("x" * 999, "s path, person, camera; its head is 'x{200}…': let its first line"),
        ("", "s path, person, camera; its head is ''"),
    ],
)
def test_missing_columns(tmp_path: Path, head: str, told: str) -> None:
    with pytest.raises(DataError, match=rf"list\.csv has no column.*{told}"):
        data.load(table(tmp_path, head))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"path,person,camera\n\xe9.jpg,a,1\n", "not UTF-8"), (b'path\n"a"b', "not a CSV table")],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        data.load(f"csv:{tmp_path / 'list.csv'}")
