"""Features in parts: nothing is computed twice, and nothing that is no longer so is taken up."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reid_attn import storage
from reid_attn.errors import DataError, LockedError
from reid_attn.features import parts
from reid_attn.features.parts import discard, embed_in_parts


class Network:
    """Embeds a picture as its number, and remembers whom it was asked for."""

    dimension = 3

    def __init__(self, fingerprint: str = "a", fail_at: int | None = None) -> None:
        self.fingerprint, self.fail_at = fingerprint, fail_at
        self.asked: list[int] = []

    def __call__(
        self, paths: Sequence[Path], progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        numbers = [int(path.read_text()) for path in paths]
        if self.fail_at in numbers:
            raise DataError("a bad picture")
        self.asked += numbers
        progress(len(numbers))
        return np.array(numbers, np.float32)[:, None].repeat(3, 1)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "UNIT", 4)
    monkeypatch.setattr(parts, "SECONDS", 0)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{number}.jpg" for number in range(10)]
    for number, path in enumerate(found):
        path.write_text(str(number))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out.npz.parts"


def embed(network: Any, paths: list[Path], folder: Path) -> tuple[list[float], int]:
    """The first number of each feature, and how many pictures the bar has counted."""
    seen: list[int] = []
    vectors = embed_in_parts(network, paths, folder, seen.append)
    assert vectors.dtype == np.float32
    return vectors[:, 0].tolist(), sum(seen)


def test_few_pictures_leave_nothing_behind(paths: list[Path], folder: Path) -> None:
    assert embed(Network(), paths[:4], folder) == ([0, 1, 2, 3], 4)
    assert not folder.exists()


def test_what_is_finished_is_not_computed_again(paths: list[Path], folder: Path) -> None:
    with pytest.raises(DataError):
        embed(Network(fail_at=9), paths, folder)
    second = Network()
    assert embed(second, paths, folder) == (list(range(10)), 10)
    assert second.asked == [8, 9]
    third = Network()
    assert embed(third, paths, folder) == (list(range(10)), 10)
    assert third.asked == []
    discard(folder)
    assert not folder.exists()


@pytest.mark.parametrize("what", ["content", "time", "order", "network", "bytes", "cut", "name"])
def test_what_is_no_longer_so_is_computed_again(paths: list[Path], folder: Path, what: str) -> None:
    embed(Network(), paths, folder)
    (second,) = folder.glob("4-*.f32")
    content = second.read_bytes()
    if what == "content":
        paths[5].write_text("55")
    elif what == "time":
        os.utime(paths[5], (1, 1))
    elif what == "order":
        paths[5], paths[6] = paths[6], paths[5]
    elif what == "bytes":
        second.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif what == "cut":
        second.write_bytes(content[: len(content) // 2])
    elif what == "name":
        second.rename(folder / "4-4-x.f32")
    again = Network("b" if what == "network" else "a")
    expected = [int(path.read_text()) for path in paths]
    assert embed(again, paths, folder) == (expected, 10)
    assert again.asked == (expected if what == "network" else expected[4:8])


def test_parts_grow_with_the_speed_of_the_network(
    paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SECONDS", 1000)
    embed(Network(), paths, folder)
    assert sorted(path.name.split("-")[:2] for path in folder.glob("*.f32")) == [
        ["0", "4"],
        ["4", "6"],
    ]


def test_two_do_not_work_at_the_same_parts(paths: list[Path], folder: Path) -> None:
    with storage.locked(folder), pytest.raises(LockedError):
        embed(Network(), paths, folder)


def test_a_folder_with_something_else_is_left_alone(paths: list[Path], folder: Path) -> None:
    embed(Network(), paths, folder)
    (folder / "mine.f32").write_text("mine")
    before = sorted(folder.iterdir())
    discard(folder)
    assert sorted(folder.iterdir()) == before


def test_nothing_to_discard(folder: Path) -> None:
    discard(folder)
    assert not folder.exists()
