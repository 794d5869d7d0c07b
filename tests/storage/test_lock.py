"""One writer at a time, and a lock that nobody has to remove."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from errno import ENOLCK
from pathlib import Path
from typing import Any

import pytest
from disk import Disk

from reid_attn import storage
from reid_attn.errors import DiskError, LockedError

HOLD = """
import sys
from pathlib import Path
from reid_attn import storage

with storage.locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `tmp_path / "run"`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    told = f"in use by process {holder.pid}: wait for it to end"
    with pytest.raises(LockedError, match=told), storage.locked(tmp_path / "run"):
        pytest.fail("it let two in")


def test_a_lock_dies_with_its_holder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with storage.locked(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="from inside"), storage.locked(tmp_path):
        raise OSError("from inside")
    with storage.locked(tmp_path):
        (tmp_path / ".lock").write_bytes(b"")
        with pytest.raises(LockedError, match="process unknown"), storage.locked(tmp_path):
            pass
    with storage.locked(tmp_path):
        pass


def test_a_lock_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    with (
        pytest.raises(DiskError, match=r"could not lock .+ \(No space left"),
        disk.watch(range(2, 9)),  # the first opens the file
        storage.locked(tmp_path),
    ):
        pytest.fail("it went on without its number in the file")
    with storage.locked(tmp_path):
        pass


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(ENOLCK, os.strerror(ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DiskError, match="could not lock"), storage.locked(tmp_path):
        pass


def test_a_block_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), storage.locked(tmp_path / "runs" / "new"):
        raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="late"), storage.locked(tmp_path / "run"):
        (tmp_path / "run" / "kept").write_text("")
        raise ValueError("late")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "kept"]


def test_a_lock_that_its_holder_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(*_: Any) -> None:
        (tmp_path / ".lock").replace(tmp_path / "gone")
        (tmp_path / ".lock").write_text("77")

    monkeypatch.setattr(fcntl, "flock", remove)
    with pytest.raises(LockedError), storage.locked(tmp_path):
        pytest.fail("it let two in")
