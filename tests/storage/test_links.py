"""A folder may come from anywhere: a link in it never leads a writer to a file of the user."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reid_attn import storage
from reid_attn.errors import DiskError
from reid_attn.storage import files, system

PRECIOUS = b"precious data\n" * 5


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.txt"
    path.write_bytes(PRECIOUS)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return storage.make_folder(tmp_path / "foreign")


def append(folder: Path) -> None:
    storage.append_after(folder / "log", folder / "head", lambda last, witness: b"line", True)


def lock(folder: Path) -> None:
    with storage.locked(folder):
        pass


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "log": ("log", append),
    "witness": ("head", append),
    "lock": (storage.LOCK, lock),
    "lines": ("lines", lambda folder: storage.append_line(folder / "lines", {})),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written_through_a_link(victim: Path, folder: Path, writer: str) -> None:
    name, write = WRITERS[writer]
    (folder / name).symlink_to(victim)
    told = rf"could not .*: .*{name} is a symbolic link.*; remove it, or put what it leads to"
    with pytest.raises(DiskError, match=told):
        write(folder)
    assert victim.read_bytes() == PRECIOUS
    (folder / name).unlink(missing_ok=True)
    write(folder)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_may_be_written_where_links_cannot_be_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    monkeypatch.setattr(system, "_NO_FOLLOW", 0)
    WRITERS[writer][1](folder)


def test_what_is_made_is_as_open_as_ever(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        append(folder)
        storage.write_bytes(folder / "a", b"")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


def test_a_ring_of_links_is_told_as_the_system_does(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "a")
    with pytest.raises(DiskError, match="Too many levels"):
        storage.append_line(folder / "a" / "lines", {})


def test_a_link_by_the_name_of_our_temporary_file_gives_way(victim: Path, folder: Path) -> None:
    (folder / f".a.{os.getpid()}.tmp").symlink_to(victim)
    storage.write_bytes(folder / "a", b"new")
    assert victim.read_bytes() == PRECIOUS
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("a", b"new")]


def test_a_link_that_comes_later_is_refused(
    victim: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "forget", lambda path: None)
    (folder / f".a.{os.getpid()}.tmp").symlink_to(victim)
    with pytest.raises(DiskError, match="is a symbolic link"):
        storage.write_bytes(folder / "a", b"new")
    assert victim.read_bytes() == PRECIOUS


def test_a_new_folder_is_not_filled_where_a_link_leads(victim: Path, folder: Path) -> None:
    theirs = storage.make_folder(victim.parent / "theirs")
    (folder / f".new.{os.getpid()}.tmp").symlink_to(theirs)
    with storage.new_folder(folder / "new") as unfinished:
        storage.write_bytes(unfinished / "a", b"")
    assert not list(theirs.iterdir())
    assert [path.name for path in (folder / "new").iterdir()] == ["a"]
    assert not (folder / "new").is_symlink()


def test_what_a_dead_process_of_our_number_left_is_not_taken_over(folder: Path) -> None:
    storage.make_folder(folder / f".new.{os.getpid()}.tmp" / "half")
    with storage.new_folder(folder / "new") as unfinished:
        assert not list(unfinished.iterdir())
