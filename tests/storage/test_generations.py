"""Several files that belong together: the old ones or the new ones, never a mixture."""

import itertools
import os
import shutil
import subprocess
import sys
from errno import EIO
from pathlib import Path

import pytest
from disk import Disk, Killed

from reid_attn import storage
from reid_attn.errors import DamagedError, DataError, DiskError

FILES = {"weights.bin": b"weights", "state.json": b"{}"}


def current(folder: Path) -> dict[str, bytes]:
    return storage.read_generation(folder, storage.current_generation(folder))


def test_generations_count_up(tmp_path: Path) -> None:
    assert storage.generations(tmp_path) == []
    for number in (1, 2, 3):
        files = {**FILES, "extra": b"%d" % number}
        assert storage.write_generation(tmp_path, files) == number
        assert storage.current_generation(tmp_path) == number
        assert current(tmp_path) == files
    assert storage.read_generation(tmp_path, 1) == {**FILES, "extra": b"1"}
    assert storage.generations(tmp_path) == [1, 2, 3]


def test_generations_beyond_six_digits(run: Path) -> None:
    (run / "gen-000003").rename(run / "gen-999999")
    assert storage.write_generation(run, FILES) == 1_000_000
    assert storage.write_generation(run, FILES) == 1_000_001
    assert storage.generations(run) == [1, 2, 999_999, 1_000_000, 1_000_001]
    assert current(run) == FILES


def test_another_pointer_is_independent(run: Path) -> None:
    storage.point_to(run, 1, "BEST")
    assert storage.current_generation(run, "BEST") == 1
    assert storage.current_generation(run) == 3
    with pytest.raises(DataError, match="gen-000007"):
        storage.point_to(run, 7)
    assert storage.current_generation(run) == 3


def test_dropping_keeps_what_is_named(run: Path) -> None:
    storage.drop_generations(run, keep={1, 3, 9})
    assert storage.generations(run) == [1, 3]
    assert not (run / "gen-000002").exists()


def test_a_generation_is_on_the_disk_before_the_pointer(tmp_path: Path, disk: Disk) -> None:
    with disk.watch() as calls:
        storage.write_generation(tmp_path, FILES)
    pointer = calls.index("replace CURRENT")
    assert calls.index(f"fsync {tmp_path.name}") < pointer, "the new folder's name"
    names = [*FILES, storage.MANIFEST]
    assert [call for call in calls if call.startswith("replace")][:-1] == [
        f"replace {name}" for name in names
    ]
    assert calls[:pointer].count("fsync gen-000001") == len(names)


@pytest.mark.parametrize(
    ("error", "calls_that_fail"),
    [(OSError(EIO, "EIO"), 1), (OSError(EIO, "EIO"), 1000), (Killed(), 1)],
)
def test_no_failing_call_loses_a_generation(
    tmp_path: Path,
    disk: Disk,
    dead: int,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    calls_that_fail: int,
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: dead)  # so that what is left is swept
    disk.error = error
    old, new = {"weights": b"old", "state": b"1"}, {"weights": b"new", "state": b"2"}
    refused = 0
    for number in itertools.count(1):
        run = tmp_path / str(number)
        storage.write_generation(run, old)
        try:
            with disk.watch(range(number, number + calls_that_fail)) as calls:
                storage.write_generation(run, new)
            assert current(run) == new
        except (DiskError, Killed):
            assert current(run) == (new if "replace CURRENT" in calls[:-1] else old)
            refused += 1
        storage.sweep(run)
        assert not list(run.rglob("*.tmp"))
        storage.write_generation(run, new)
        assert current(run) == new
        if number > len(calls):
            break
    assert refused > 20, "too few calls have failed"


def test_a_generation_that_reads_back_otherwise_is_not_made_current(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = current(run), os.replace

    def corrupt(source: Path, target: Path) -> None:
        if target.name == "weights.bin":
            source.write_bytes(b"w3ights")
        replace(source, target)

    monkeypatch.setattr(os, "replace", corrupt)
    with pytest.raises(DamagedError, match=r"gen-000004/weights\.bin is damaged"):
        storage.write_generation(run, FILES)
    assert current(run) == before


def test_no_interruption_leaves_half_a_generation(tmp_path: Path, disk: Disk) -> None:
    disk.error = Killed()
    for number in itertools.count(1):
        run = tmp_path / str(number)
        for _ in range(3):
            storage.write_generation(run, FILES)
        try:
            with disk.watch(range(number, 1000)):
                storage.drop_generations(run, keep={3})
        except Killed:
            for left in storage.generations(run):
                assert storage.read_generation(run, left) == FILES
            storage.sweep(run)
            assert 3 in storage.generations(run)
        else:
            break
    assert number > 6, "too few calls have failed"


FILL = """
import sys
from pathlib import Path
from reid_attn import storage
from reid_attn.errors import DiskError

run = Path(sys.argv[1], "run")
old = {"weights": bytes(300_000)}
storage.write_generation(run, old)
sizes = (*range(610_000, 720_000, 1_000), 2_000_000)
refused = 0
for size in sizes:
    try:
        storage.write_generation(run, {"weights": bytes(size)})
    except DiskError as error:
        assert "No space left" in str(error), error
        refused += 1
    else:
        assert storage.current_generation(run) == 2
        storage.point_to(run, 1)
        storage.drop_generations(run, {1})
    assert storage.read_generation(run, storage.current_generation(run)) == old
    storage.sweep(run)
assert 0 < refused < len(sizes), refused
storage.write_generation(run, {"weights": b"small"})
"""


def test_a_full_disk_keeps_the_old_generation(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    prefix = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path)]
    if (
        not shutil.which("unshare")
        or subprocess.run([*prefix, "true"], capture_output=True).returncode
    ):
        pytest.skip("this system does not let a user mount a disk of his own (unshare -rm)")
    command = [*prefix, sys.executable, "-c", FILL, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
