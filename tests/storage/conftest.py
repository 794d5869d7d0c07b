"""What the tests of the writer share."""

import subprocess
from pathlib import Path

import pytest
from disk import Disk

from reid_attn import storage


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with the generations 1 to 3, the last one current."""
    for number in (1, 2, 3):
        storage.write_generation(
            tmp_path, {"weights.bin": b"weights " * 3, "state.json": b"%d" % number}
        )
    return tmp_path
