"""A gallery on a disk that is full, fails, forbids, or loses its power."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reid_attn.gallery import Gallery

FILL = """
import warnings
from pathlib import Path
from reid_attn.errors import DiskError

folder, dimension = Path(sys.argv[1], "people"), 2048
ballast = Path(sys.argv[1], "ballast")
ballast.write_bytes(bytes(200_000))
Gallery.create(folder, fingerprint="model-a", dimension=dimension)
names = []
try:
    with Gallery.open(folder) as gallery:
        while True:
            name = f"person {len(names)}"
            add(gallery, name, dimension)
            names.append(name)
except DiskError as error:
    assert error.exit_code == 6 and "full" in str(error), error
with Gallery.open(folder) as gallery, warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert gallery.verify() == len(names) > 3
    assert gallery.search(vector(names[-1], dimension), 1)[0].person == names[-1]
    gallery.close()
assert "will be built again" in str(told[0].message), told
ballast.unlink()
with Gallery.open(folder) as gallery:
    add(gallery, "and on", dimension)
    assert len(gallery) == len(names) + 1 == gallery.verify()
"""

FORGET = """
import os
from pathlib import Path
from reid_attn.errors import DiskError

folder, dimension = Path(sys.argv[1], "people"), 2048
Gallery.create(folder, fingerprint="model-a", dimension=dimension)
with Gallery.open(folder) as gallery:
    names = [f"person {number}" for number in range(60)]
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    vectors = [vector(name, dimension) for name in names]
    gallery.add_vectors(vectors, names, [1] * len(names), names, digests)
ballast, free = Path(sys.argv[1], "ballast"), os.statvfs(sys.argv[1])
ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 300_000))
with Gallery.open(folder) as gallery:
    try:
        gallery.forget(names[7])
    except DiskError as error:
        print(error)
    assert gallery.verify() == len(names) - 1
    ballast.unlink()
    gallery.expire()
    assert gallery.forget(names[9])["pieces_found_after"] == 0
assert digests[7] not in (folder / "gallery.sqlite").read_bytes()
"""

READ_ONLY = """
from reid_attn.errors import DiskError

for use in (lambda: Gallery.open(sys.argv[1]),
            lambda: Gallery.create(sys.argv[1] + "/new", fingerprint="a", dimension=4)):
    try:
        use()
    except DiskError as error:
        print(error)
"""

ADD_ONE = """
from reid_attn.errors import DiskError

try:
    with Gallery.open(sys.argv[1]) as gallery:
        add(gallery, "anna")
except DiskError as error:
    assert error.exit_code == 6
    print("refused")
"""


@pytest.fixture
def disk(tmp_path):
    """Makes a small disk of its own: `disk(script)` is a prefix for a program run on `$DISK`."""
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this system does not let a user mount a disk of his own (unshare -rm)")
    place = tmp_path / "disk"
    place.mkdir()

    def prefix(mount):
        script = f'set -e; DISK="{place}"; {mount}; exec "$@"'
        return ("unshare", "-rm", "sh", "-c", script, "sh")

    return place, prefix


@pytest.fixture
def strace(tmp_path):
    """`strace(option, …)` is a prefix that watches or disturbs a program; the log's path."""
    log = tmp_path / "calls.txt"
    probe = ["strace", "-o", str(log), "true"]
    if not shutil.which("strace") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("strace is not here or not allowed")
    return log, lambda *options: ("strace", "-f", "-y", "-o", str(log), *options)


def test_a_full_disk_loses_nothing(disk, finish):
    place, prefix = disk
    finish(FILL, place, prefix=prefix('mount -t tmpfs -o size=1m none "$DISK"'))


def test_on_a_full_disk_a_person_is_deleted_and_erased_when_there_is_room(disk, finish):
    place, prefix = disk
    (refusal,) = finish(FORGET, place, prefix=prefix('mount -t tmpfs -o size=9m none "$DISK"'))
    assert re.search(r"deleted, not yet erased: .*full.* and run `gallery expire`$", refusal)


def test_a_disk_that_forbids_writing_is_named(disk, folder, finish):
    place, prefix = disk
    mount = f'mount -t tmpfs none "$DISK"; cp -r "{folder}"/* "$DISK"; mount -o remount,ro "$DISK"'
    refusals = finish(READ_ONLY, place, prefix=prefix(mount))
    assert len(refusals) == 2
    assert all("permissions" in text or "could not make" in text for text in refusals)


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=1",
        "pwrite64:error=ENOSPC:when=2+",
        *(
            pytest.param(f"{call}:error={error}:when={n}+", marks=pytest.mark.full)
            for call, error in (("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"))
            for n in range(1, 12)
        ),
    ],
)
def test_a_call_that_fails_leaves_the_old_state(folder, finish, strace, fault):
    _, prefix = strace
    finish("with Gallery.open(sys.argv[1]) as gallery: add(gallery, 'before')", folder)
    options = ("-e", "trace=pwrite64,fdatasync", "-e", f"inject={fault}")
    (outcome,) = finish(ADD_ONE, folder, prefix=prefix(*options))
    with Gallery.open(folder) as gallery:
        rows = gallery.verify()
    assert rows == 2 if outcome == "anna" else rows in (1, 2)


def test_a_change_is_on_the_disk_before_it_is_acknowledged(folder, finish, strace):
    log, prefix = strace
    finish(ADD_ONE, folder, prefix=prefix("-e", "trace=pwrite64,write,fsync,fdatasync"))
    calls = Path(log).read_text().splitlines()
    acknowledged = next(n for n, call in enumerate(calls) if re.search(r'write\(1.*"anna', call))
    written = [n for n, c in enumerate(calls[:acknowledged]) if re.search(r"pwrite64.*-wal>", c)]
    synced = [n for n, c in enumerate(calls[:acknowledged]) if re.search(r"sync\(.*-wal>", c)]
    assert written
    assert max(synced) > max(written)
