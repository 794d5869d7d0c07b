"""Sets that torchreid reads: the same pictures as it has, in our numbers, and never a download."""

import json
import random
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from reid_attn import data
from reid_attn.data import torchreid_sets
from reid_attn.data.extraction import read_bitmap
from reid_attn.data.images import Pixels, decode
from reid_attn.errors import DataError, MissingExtra, UsageError
from reid_attn.settings import DataSettings

pytest.importorskip("torchreid.reid.data.datasets")
PERSONS = 8


def bitmap(pixels: Pixels, upside_down: bool = True) -> bytes:
    """24 bits a pixel, lines from the bottom up and filled to 4 bytes."""
    height, width, _ = pixels.shape
    line = bytes(-3 * width % 4)
    rows = [row[:, ::-1].tobytes() + line for row in (pixels[::-1] if upside_down else pixels)]
    body = b"".join(rows)
    sign = 1 if upside_down else -1
    header = struct.pack("<IiiHHIIiiII", 40, width, sign * height, 1, 24, 0, len(body), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54) + header + body


def drawn(seed: int, width: int = 5) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (6, width, 3), np.uint8)


@pytest.fixture
def viper(tmp_path: Path) -> Path:
    for number, camera in enumerate(("cam_a", "cam_b")):
        folder = tmp_path / "viper/VIPeR" / camera
        folder.mkdir(parents=True)
        for person in range(PERSONS):
            (folder / f"{person:03d}_45.bmp").write_bytes(bitmap(drawn(2 * person + number)))
    return tmp_path


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchreid.reid.data.datasets import dataset

    def refused(*arguments: object) -> None:
        raise AssertionError(f"torchreid was about to download {arguments}")

    monkeypatch.setattr(dataset, "download_url", refused)


def test_viper(viper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = data.load(f"torchreid/viper:{viper}")
    assert capsys.readouterr().out == ""
    split = json.loads((viper / "viper/splits.json").read_text())[0]
    ours = [
        [(p.path.with_suffix(".bmp").as_posix(), p.camera - 1) for p in part]
        for part in dataset.splits().values()
    ]
    theirs = [
        [(path, camera) for path, _, camera in split[key]] for key in ("train", "query", "gallery")
    ]
    assert ours == theirs
    assert [p.person for p in dataset.query] == [person + 1 for _, person, _ in split["query"]]
    assert len(dataset.labels()) == PERSONS // 2
    for picture in dataset.train:
        person = int(picture.path.name[:3])
        assert np.array_equal(decode(picture.path), drawn(2 * person + picture.camera - 1))


def test_a_split_is_drawn_once_and_alike_and_not_from_our_generators(viper: Path) -> None:
    ours = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first = data.load(f"torchreid/viper:{viper}")
    assert (np.random.get_state()[1].tolist(), random.getstate()) == ours  # noqa: NPY002
    assert data.load(f"torchreid/viper:{viper}") == first
    (viper / "viper/splits.json").unlink()
    assert data.load(f"torchreid/viper:{viper}") == first


def market(root: Path, place: str) -> Path:
    names = {
        "bounding_box_train": ["0007_c1s1_1.jpg", "0002_c2s1_1.jpg", "0007_c3s1_1.jpg"],
        "query": ["0001_c1s1_1.jpg", "0003_c1s1_1.jpg"],
        "bounding_box_test": [
            "0001_c2s1_1.jpg",
            "0003_c2s1_1.jpg",
            "0000_c6s1_1.jpg",
            "-1_c1_1.jpg",
        ],
    }
    for folder, inside in names.items():
        (root / place / folder).mkdir(parents=True)
        for name in inside:
            (root / place / folder / name).write_bytes(b"x")
    return root


def test_junk_is_a_distractor_and_persons_are_numbered_together(tmp_path: Path) -> None:
    """The same set through torchreid and through our own reader."""
    market(tmp_path, "market1501/Market-1501-v15.09.15")
    theirs = data.load(f"torchreid/market1501:{tmp_path}")
    found = {p.path.name: (p.person, p.camera) for split in theirs.splits().values() for p in split}
    assert found["0000_c6s1_1.jpg"] == (0, 6)
    assert found["0001_c1s1_1.jpg"] == (2, 1)
    assert found["0001_c2s1_1.jpg"] == (2, 2)
    assert found["0003_c1s1_1.jpg"] == (4, 1)
    assert "-1_c1_1.jpg" not in found
    assert {p.person for p in theirs.train} == {5, 6}
    assert found["0007_c1s1_1.jpg"][0] == found["0007_c3s1_1.jpg"][0]


def test_a_set_for_training_only(tmp_path: Path) -> None:
    folder = tmp_path / "cuhksysu/cropped_images"
    folder.mkdir(parents=True)
    for name in ("p1_s1.jpg", "p1_s2.jpg", "p2_s1.jpg"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"2 problems:\n  query: no .*\n  gallery: no"):
        data.load(f"torchreid/cuhksysu:{tmp_path}")
    market(tmp_path, "own")
    settings = DataSettings(
        source=f"torchreid/cuhksysu:{tmp_path}", test=f"market1501:{tmp_path / 'own'}"
    )
    dataset = data.load_settings(settings)
    assert [len(split) for split in dataset.splits().values()] == [3, 2, 3]
    assert len(dataset.labels()) == 2


def test_a_set_for_testing_only(tmp_path: Path) -> None:
    for folder, names in {
        "test_probe": ["1_0", "2_0"],
        "test_gallery": ["1_1", "2_1", "3_1"],
    }.items():
        inside = tmp_path / "sensereid/SenseReID" / folder
        inside.mkdir(parents=True)
        for name in names:
            (inside / f"{name}.jpg").write_bytes(b"x")
    settings = DataSettings(source=f"torchreid/sensereid:{tmp_path}")
    with pytest.raises(DataError, match="train: no usable picture"):
        data.load_settings(settings)
    dataset = data.load_settings(settings, data.TEST)
    assert [len(split) for split in dataset.splits().values()] == [0, 2, 3]
    assert {p.camera for p in dataset.query} == {1}


def test_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no image set 'vipr'.*grid.*did you mean 'viper'"):
        data.load(f"torchreid/vipr:{tmp_path}")
    with pytest.raises(UsageError, match="no image set 'mars'"):  # of videos
        data.load(f"torchreid/mars:{tmp_path}")


@pytest.mark.parametrize("name", ["viper", "dukemtmcreid", "university1652", "cuhk02", "msmt17"])
def test_a_missing_folder_is_not_downloaded(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"there is no .*, where torchreid expects {name}"):
        data.load(f"torchreid/{name}:{tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_what_torchreid_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "viper").mkdir()
    with pytest.raises(DataError, match=r'cannot read viper in .*cam_a" is not found\)$'):
        data.load(f"torchreid/viper:{tmp_path}")
    (tmp_path / "msmt17").mkdir()
    with pytest.raises(DataError, match="Dataset folder not found"):
        data.load(f"torchreid/msmt17:{tmp_path}")


def test_without_torchreid_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchreid.reid.data", None)
    with pytest.raises(MissingExtra, match=r"torchreid is not installed.*reid-attn\[torchreid\]"):
        data.load(f"torchreid/viper:{tmp_path}")


def test_bad_pictures_are_named(viper: Path) -> None:
    cut, empty = (viper / "viper/VIPeR/cam_a" / f"{name}_45.bmp" for name in ("000", "001"))
    cut.write_bytes(cut.read_bytes()[:-30])
    empty.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data.load(f"torchreid/viper:{viper}")
    assert f"{empty} is empty" in str(caught.value)
    assert f"{cut} cannot be decoded (it is cut short)" in str(caught.value)
    settings = DataSettings(source=f"torchreid/viper:{viper}", bad_pictures="skip")
    assert {bad.path for bad in data.load_settings(settings).bad} == {cut, empty}


@pytest.mark.parametrize("upside_down", [True, False])
@pytest.mark.parametrize("width", [1, 4, 5, 6, 7])
def test_bitmaps(width: int, upside_down: bool) -> None:
    pixels = drawn(0, width)
    assert np.array_equal(read_bitmap(bitmap(pixels, upside_down)), pixels)


def test_every_other_bitmap_is_refused() -> None:
    whole = bytearray(bitmap(drawn(0)))
    for end in range(len(whole) - 1):
        with pytest.raises(ValueError, match=r"no bitmap|cut short"):
            read_bitmap(bytes(whole[:end]))
    for place, value in {14: 12, 28: 8, 30: 1, 18: 255, 21: 128, 22: 255, 25: 127}.items():
        changed = bytearray(whole)
        changed[place] = value
        with pytest.raises(ValueError, match=r"24 bits|too many|cut short"):
            read_bitmap(bytes(changed))


def test_the_module_names_the_version_it_was_written_for() -> None:
    from importlib.metadata import version

    assert version("torchreid") in (torchreid_sets.__doc__ or "")
