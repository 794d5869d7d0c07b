"""Bad pictures: refused as ever, or left out, named and counted."""

from pathlib import Path

import numpy as np
import pytest

from reid_attn import data
from reid_attn.data.dataset import SHOWN, BadPicture
from reid_attn.data.images import encode_jpeg
from reid_attn.data.screening import listing, summary
from reid_attn.errors import DataError
from reid_attn.settings import DataSettings

GOOD = encode_jpeg(np.full((8, 4, 3), 99, np.uint8))
NAMES = ("train/ada/c1.jpg", "train/ben/c1.jpg", "query/eve/c1.jpg", "gallery/eve/c2.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in (*NAMES, "train/ada/c2.jpg", "gallery/eve/c3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(GOOD)
    return tmp_path


def settings(photos: Path, **others: str) -> DataSettings:
    return DataSettings(source=f"folder:{photos}", bad_pictures="skip", **others)


def test_without_bad_pictures_nothing_changes(photos: Path) -> None:
    assert data.load_settings(settings(photos)) == data.load(f"folder:{photos}")
    assert summary(()) == listing(()) == ""


def test_bad_pictures_are_left_out_and_named(photos: Path) -> None:
    (photos / "train/ada/c2.jpg").write_bytes(GOOD[:-9])
    (photos / "gallery/eve/c3.jpg").write_bytes(b"")
    (photos / "train/ben/c7\n.png").symlink_to(photos / "gone")
    counted: list[int] = []
    dataset = data.load_settings(settings(photos), progress=counted.append)
    expected = [photos / name for name in NAMES]
    assert [p.path for split in dataset.splits().values() for p in split] == expected
    assert sum(counted) == 7
    reasons = {bad.path.relative_to(photos).as_posix(): bad.reason for bad in dataset.bad}
    assert list(reasons) == ["gallery/eve/c3.jpg", "train/ada/c2.jpg", "train/ben/c7\n.png"]
    assert reasons["gallery/eve/c3.jpg"].startswith("is empty")
    assert reasons["train/ada/c2.jpg"].startswith("cannot be decoded")
    assert reasons["train/ben/c7\n.png"].startswith("cannot be read (No such file")
    lines = listing(dataset.bad).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith(f"{photos}/train/ben/c7\\n.png cannot be read")
    assert summary(dataset.bad).splitlines()[0] == "3 pictures left out that cannot be decoded:"


def test_they_are_refused_unless_asked(photos: Path) -> None:
    (photos / "gallery/eve/c3.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 problem:\n.*c3\.jpg is empty"):
        data.load_settings(DataSettings(source=f"folder:{photos}"))


def test_other_problems_are_refused_all_the_same(photos: Path) -> None:
    (photos / "train/ada/front.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 problem:\n.*front\.jpg: no camera number"):
        data.load_settings(settings(photos))


def test_nothing_left_is_refused(photos: Path) -> None:
    (photos / "query/eve/c1.jpg").write_bytes(b"text")
    with pytest.raises(DataError, match=r"1 problem:\n  query: no usable picture"):
        data.load_settings(settings(photos))


def test_only_the_needed_splits_are_decoded(photos: Path) -> None:
    (photos / "train/ada/c2.jpg").write_bytes(b"text")
    counted: list[int] = []
    dataset = data.load_settings(settings(photos), data.TEST, counted.append)
    assert (sum(counted), dataset.bad) == (3, ())
    assert len(data.load_settings(settings(photos)).bad) == 1


def test_of_all_sets(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for name in ("query/0001_c1_q.jpg", "bounding_box_test/0001_c2_g.jpg"):
        (other / name).parent.mkdir()
        (other / name).write_bytes(GOOD)
    (other / "bounding_box_test/0001_c3_g.jpg").write_bytes(b"text")
    (photos / "train/ada/c1.jpg").write_bytes(b"text")
    dataset = data.load_settings(settings(photos, test=f"market1501:{other}"))
    assert {bad.path.name for bad in dataset.bad} == {"0001_c3_g.jpg", "c1.jpg"}
    assert [len(split) for split in dataset.splits().values()] == [2, 1, 1]


def test_a_long_list_is_cut_on_the_screen_only() -> None:
    bad = [BadPicture(Path(f"{number}.jpg"), "is empty") for number in range(SHOWN + 5)]
    assert len(listing(bad).splitlines()) == SHOWN + 5
    lines = summary(bad).splitlines()
    assert lines[0] == f"{SHOWN + 5} pictures left out that cannot be decoded:"
    assert (len(lines), lines[-1]) == (SHOWN + 2, "  … and 5 more")
    assert summary(bad[:1]) == "1 picture left out that cannot be decoded:\n  0.jpg is empty"


def test_an_interruption_does_not_wait_for_the_rest(photos: Path) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.load_settings(settings(photos), progress=stop)
