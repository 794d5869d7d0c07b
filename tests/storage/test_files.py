"""One file at a time: nothing half written, nothing of the dead left, nobody's file removed."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk import Disk

from reid_attn import storage
from reid_attn.errors import DamagedError, DataError, DiskError, UsageError

OLD, NEW = b"old" * 50_000, b"new" * 60_000


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    for data in (OLD, NEW, b""):
        storage.write_bytes(path, data)
        assert contents(path.parent) == {"a.bin": data}
        assert storage.read_bytes(path) == data


def test_pieces_make_one_file_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    storage.write_pieces(path, (piece for piece in (b"one ", memoryview(b"two"), b"")))
    assert contents(tmp_path) == {"a": b"one two"}

    def failing() -> Iterator[bytes]:
        yield NEW
        raise DamagedError("the source is damaged")

    with pytest.raises(DamagedError, match="the source"):
        storage.write_pieces(path, failing())
    assert contents(tmp_path) == {"a": b"one two"}


def test_the_disk_has_the_content_before_the_name(tmp_path: Path, disk: Disk) -> None:
    with disk.watch() as calls:
        storage.write_bytes(tmp_path / "a", b"content")
    *_, write, fsync, replace, open_folder, fsync_folder = calls
    assert write == "write " + fsync.removeprefix("fsync ")
    assert fsync.startswith("fsync .a.")
    assert [replace, open_folder] == ["replace a", f"open {tmp_path.name}"]
    assert fsync_folder == f"fsync {tmp_path.name}"


@pytest.mark.parametrize("lasting", [False, True])
def test_no_failing_call_half_writes_a_file(tmp_path: Path, disk: Disk, lasting: bool) -> None:
    path, refused = tmp_path / "a", 0
    for number in itertools.count(1):
        path.write_bytes(OLD)
        try:
            with disk.watch(range(number, 1000 if lasting else number + 1)) as calls:
                storage.write_bytes(path, NEW)
            expected = NEW
        except DiskError as error:
            assert f"could not write {path} (No space left on device): nothing is" in str(error)
            expected = NEW if "replace a" in calls[:-1] else OLD
            refused += 1
        assert contents(tmp_path) == {"a": expected}
        if number > len(calls):
            break
    assert refused >= 5, "too few calls have failed"


def test_a_disk_that_forgets_is_noticed_by_the_length(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "a"
    path.write_bytes(OLD)
    with (
        pytest.raises(DiskError, match=r"\(90000 of 180000 bytes written\)"),
        disk.watch(forgets=True),
    ):
        storage.write_bytes(path, NEW)
    assert contents(tmp_path) == {"a": OLD}


@pytest.mark.parametrize(
    "name", [b"a" * 255, "人".encode() * 85, "👩".encode() * 63, b"\xff" * 255, b"-rf", b"a\n\t'\""]
)
def test_a_name_may_be_anything_that_the_disk_takes(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    storage.write_bytes(path, OLD)
    storage.write_bytes(path, NEW)
    assert os.listdir(os.fsencode(tmp_path)) == [name]
    assert storage.read_bytes(path) == NEW


def test_a_name_that_is_too_long_leaves_nothing(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 256)
    for act in (
        lambda: storage.write_bytes(long, NEW),
        lambda: storage.append_line(long, {}),
        lambda: storage.make_folder(long / "b"),
        lambda: storage.target_folder(long / "b").__enter__(),
        lambda: storage.locked(long / "b").__enter__(),
    ):
        with pytest.raises(UsageError, match=r"File name too long\): choose a shorter name"):
            act()
    assert not contents(tmp_path)


def test_a_new_folder_is_whole_or_not_there(tmp_path: Path, dead: int) -> None:
    folder, link = tmp_path / "new", tmp_path / "link"
    left = tmp_path / f".new.{dead}.tmp"
    left.mkdir()
    with pytest.raises(DamagedError), storage.new_folder(folder) as unfinished:
        storage.write_bytes(unfinished / "a", NEW)
        assert not left.exists()
        raise DamagedError("the source is damaged")
    assert not any(tmp_path.iterdir())
    with storage.new_folder(folder) as unfinished:
        storage.write_bytes(unfinished / "a", NEW)
        assert not folder.exists()
    link.symlink_to("nowhere")
    for there in (folder, link):
        with pytest.raises(UsageError, match="exists already"), storage.new_folder(there):
            pass
    assert contents(folder) == {"a": NEW}
    assert link.is_symlink()


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OLD)
    with pytest.raises(DiskError, match="could not write"):
        storage.write_bytes(tmp_path / "a" / "b", NEW)
    with pytest.raises(DiskError, match="could not make the folder"):
        storage.make_folder(tmp_path / "a")
    assert contents(tmp_path) == {"a": OLD}


def test_a_text_keeps_the_bytes_of_a_file_name(tmp_path: Path) -> None:
    storage.write_text(tmp_path / "a", os.fsdecode(b"\xff") + "é\r\n")
    assert contents(tmp_path) == {"a": b"\xff\xc3\xa9\r\n"}


def test_half_a_character_is_spelt_out(tmp_path: Path) -> None:
    storage.write_text(tmp_path / "file", "a\ud800b\udc80c\udfff")
    assert (tmp_path / "file").read_bytes() == b"a\\ud800b\x80c\\udfff"


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_json(path, {"mAP": 0.5, "name": "é"})
    assert path.read_text() == '{\n  "mAP": 0.5,\n  "name": "\\u00e9"\n}\n'
    assert storage.read_json(path) == {"mAP": 0.5, "name": "é"}
    with pytest.raises(ValueError, match="Out of range"):
        storage.write_json(path, {"mAP": float("nan")})
    assert storage.read_json(path)["mAP"] == 0.5


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1}x'])
def test_json_that_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DamagedError, match=r"a\.json is not readable as JSON"):
        storage.read_json(tmp_path / "a.json")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not read a.b \(embedded null byte\)"):
        storage.read_bytes(Path("a\0b"))
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(DataError, match=f"could not read {path} "):
            storage.read_bytes(path)


def test_lines_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for epoch in (1, 2):
        storage.append_line(log, {"epoch": epoch})
    assert log.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    with pytest.raises(DiskError, match="could not append to"):
        storage.append_line(tmp_path / "missing" / "log", {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_line_for_a_full_disk() -> None:
    with pytest.raises(DiskError, match=r"/dev/full \(No space left on device\)"):
        storage.append_line(Path("/dev/full"), {"epoch": 1})


def test_a_new_folder_is_synced_into_its_parent(tmp_path: Path, disk: Disk) -> None:
    with disk.watch() as calls:
        assert storage.make_folder(tmp_path / "a") == storage.make_folder(tmp_path / "a")
    synced = [call for call in calls if call != "mkdir a"]
    assert synced == [f"open {tmp_path.name}", f"fsync {tmp_path.name}"]


def test_removing(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for name in ("link", "folder", "missing"):
        storage.remove(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]
    with pytest.raises(DiskError, match="could not remove"), disk.watch(range(1, 100)):
        storage.remove(tmp_path / "kept")


def test_only_what_the_dead_left_is_swept(run: Path, dead: int) -> None:
    living = {f".a.{os.getpid()}.tmp", f".a.{os.getppid()}.tmp", f".a.{10**20}.tmp", ".a.tmp"}
    others = {f"a.{dead}.tmp", f".a.{dead}.txt", "b"}
    for name in living | others | {f".a.{dead}.tmp", f".b.c.{dead}.tmp"}:
        (run / name).touch()
    (run / "gen-000004").mkdir()
    (run / "gen-000004" / "weights.bin").touch()
    (run / "gen-x").mkdir()
    storage.sweep(run)
    assert set(contents(run)) == living | others | {"CURRENT"}
    folders = sorted(path.name for path in run.iterdir() if path.is_dir())
    assert folders == ["gen-000001", "gen-000002", "gen-000003", "gen-x"]


def test_a_process_of_somebody_else_is_alive(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError

    (tmp_path / f".a.{dead}.tmp").touch()
    monkeypatch.setattr(os, "kill", forbidden)
    storage.sweep(tmp_path)
    assert set(contents(tmp_path)) == {f".a.{dead}.tmp"}


def test_a_target_is_made_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with storage.target_folder(target) as made:
        assert made == target and list(target.iterdir()) == []
    with storage.target_folder(target):
        pass
    assert target.is_dir()


def test_of_a_failed_work_no_empty_target_is_left(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for target in ("old", "old/a/b", "new"):
        with pytest.raises(KeyboardInterrupt), storage.target_folder(tmp_path / target):
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    with pytest.raises(ValueError, match="late"), storage.target_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").write_text("")
        raise ValueError("late")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "kept", "old"]


def test_a_target_that_takes_no_file(tmp_path: Path, disk: Disk) -> None:
    with (
        pytest.raises(DiskError, match="could not write"),
        disk.watch(range(1, 9)),
        storage.target_folder(tmp_path),
    ):
        pytest.fail("the work began")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DiskError, match="could not make the folder"),
        storage.target_folder(tmp_path / "file" / "a"),
    ):
        pytest.fail("the work began")
