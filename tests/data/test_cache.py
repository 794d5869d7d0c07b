import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reid_attn import storage
from reid_attn.data import Dataset, Picture, cache
from reid_attn.data.cache import Cache, open_cache
from reid_attn.data.images import decode, encode_jpeg
from reid_attn.errors import DamagedError, DataError, DiskError
from reid_attn.settings import AugmentSettings, DataSettings, Settings

SIZE, LARGER = (32, 40), (36, 45)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PART", 3)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Eight pictures of noise, one with a name that is not UTF-8."""
    generator = np.random.default_rng(0)
    pictures = []
    for i, name in enumerate([*(f"{i}.jpg" for i in range(7)), os.fsdecode(b"\xff.jpg")]):
        pixels = generator.integers(0, 256, (40, 20 + i, 3), dtype=np.uint8)
        (tmp_path / name).write_bytes(encode_jpeg(pixels))
        pictures.append(Picture(tmp_path / name, i, 0))
    return Dataset("test", tuple(pictures), (), ())


def settings(folder: Path, crop: str = "pad", interpolation: str = "bilinear") -> Settings:
    data = {"height": SIZE[0], "width": SIZE[1], "interpolation": interpolation}
    return Settings(
        data=DataSettings(cache=str(folder), **data), augment=AugmentSettings(crop=crop)
    )


def opened(dataset: Dataset, chosen: Settings) -> Cache:
    found = open_cache(dataset, chosen)
    assert found is not None
    return found


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in folder.rglob("*") if path.name[0] != "."}


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_it_gives_what_decoding_gives(dataset: Dataset, tmp_path: Path, interpolation: str) -> None:
    chosen = settings(tmp_path / "cache", "enlarge", interpolation)
    for found in (opened(dataset, chosen), opened(dataset, chosen)):
        for index, picture in enumerate(dataset.train):
            for size in (SIZE, LARGER):
                pixels = found.read(index, size)
                np.testing.assert_array_equal(pixels, decode(picture.path, size, interpolation))
                assert not pixels.flags.writeable
                assert not pixels.flags.owndata


def test_without_a_folder_there_is_none(dataset: Dataset) -> None:
    assert open_cache(dataset, Settings()) is None


def test_it_is_made_once(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(tmp_path / "cache")
    opened(dataset, chosen)
    made = files(tmp_path / "cache")
    assert len(made) == 1 + 3 + 1  # a folder, parts of three pictures, a manifest
    monkeypatch.setattr(cache, "decode", None)
    opened(dataset, chosen)
    assert files(tmp_path / "cache") == made


def test_others_have_their_own(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    opened(dataset, settings(folder))
    made = files(folder)
    opened(Dataset("other", dataset.train[1:], (), ()), settings(folder))
    opened(dataset, settings(folder, interpolation="bicubic"))
    opened(dataset, settings(folder, crop="enlarge"))
    assert len(list(folder.iterdir())) == 4
    assert made.items() <= files(folder).items()


def test_a_changed_picture_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    chosen = settings(tmp_path / "cache")
    before = opened(dataset, chosen)
    path = dataset.train[4].path
    path.write_bytes(encode_jpeg(np.zeros((50, 30, 3), np.uint8)))
    after = opened(dataset, chosen)
    assert before.read(4, SIZE).any()  # who has the old files open goes on with them
    assert not after.read(4, SIZE).any()
    np.testing.assert_array_equal(before.read(5, SIZE), after.read(5, SIZE))
    os.utime(path, ns=(0, 0))
    made = files(tmp_path / "cache")
    opened(dataset, chosen)
    assert files(tmp_path / "cache") != made
    path.unlink()
    with pytest.raises(DataError, match=r"4\.jpg .*check the path"):
        open_cache(dataset, chosen)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: path.write_bytes(b"[1]")])
@pytest.mark.parametrize("name", ["00001.pixels", "manifest.json"])
def test_what_is_not_whole_is_made_anew(
    dataset: Dataset, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    chosen = settings(tmp_path / "cache")
    opened(dataset, chosen)
    (path,) = (tmp_path / "cache").rglob(name)
    whole = path.read_bytes()
    damage(path)
    opened(dataset, chosen)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("sums", [None, 5, [1, 2]])
def test_a_manifest_of_another_form_is_made_anew(
    dataset: Dataset, tmp_path: Path, sums: object
) -> None:
    chosen = settings(tmp_path / "cache")
    opened(dataset, chosen)
    (path,) = (tmp_path / "cache").rglob("manifest.json")
    whole = storage.read_json(path)
    storage.write_json(path, {**whole, "sums": sums})
    opened(dataset, chosen)
    assert storage.read_json(path) == whole


def test_any_flipped_bit_is_noticed_by_who_reads_it(dataset: Dataset, tmp_path: Path) -> None:
    chosen = settings(tmp_path / "cache")
    opened(dataset, chosen)
    (path,) = (tmp_path / "cache").rglob("00001.pixels")
    whole = path.read_bytes()
    length = len(whole) // 3
    for place in np.random.default_rng(0).integers(len(whole), size=40).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = opened(dataset, chosen)
        hit = 3 + place // length
        for index in {3, 4, 5} - {hit}:
            found.read(index, SIZE)
        with pytest.raises(DamagedError, match=r"00001\.pixels is damaged: remove the folder"):
            found.read(hit, SIZE)


@pytest.mark.parametrize("failing", range(4))  # three parts and the manifest
def test_a_full_disk_leaves_nothing_behind(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    chosen, write = settings(tmp_path / "cache"), storage.write_bytes
    written = []

    def fill_up(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > failing:
            raise DiskError("full")
        write(path, data)

    with monkeypatch.context() as patch:
        for place in (storage, storage.files):  # of the parts, and of the manifest
            patch.setattr(place, "write_bytes", fill_up)
        with pytest.raises(DiskError, match="full"):
            open_cache(dataset, chosen)
    assert len(written) == failing + 1
    assert not [path for path in files(tmp_path / "cache") if path.is_file()]
    opened(dataset, chosen)


def test_a_picture_that_cannot_be_decoded_is_named(dataset: Dataset, tmp_path: Path) -> None:
    cut(dataset.train[5].path)
    with pytest.raises(DataError, match=r"5\.jpg cannot be decoded"):
        open_cache(dataset, settings(tmp_path / "cache"))


def test_several_processes_make_one_cache(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, make = tmp_path / "made.jsonl", cache._make

    def logged(*arguments: object) -> None:
        storage.append_line(log, {"by": os.getpid()})
        make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "_make", logged)
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0.01)
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)

    def work() -> None:
        start.wait(60)
        found = opened(dataset, settings(tmp_path / "cache"))
        for index in range(len(dataset.train)):
            found.read(index, SIZE)

    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1
