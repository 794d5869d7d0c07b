"""A new block is one new file: one is added to a copy of the project, nothing else is edited."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEW = '''
"""Halves a map by a learnt number for each channel; a block of the tests."""

import torch
from torch import Tensor, nn

from ._block import Block, Place


class Halving(Block):
    """x · σ(a), with a = 0 at the start."""

    published = (Place("residual", stages=(3, 4)),)
    variants = ({"start": 1.0},)

    def __init__(self, channels: int, start: float = 0.0) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.full((channels, 1, 1), start))

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.a)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def parameter_count(channels: int, size: tuple[int, int]) -> int:
    return channels
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and of the tests that find blocks by themselves, and the new file."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("reid_attn", "tests/attention", "tests/models"):
        ignored = shutil.ignore_patterns("__pycache__", "fixtures")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "reid_attn/attention/halving.py").write_text(NEW)
    return folder


def run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_come_by_themselves_and_pass(project: Path) -> None:
    places = "tests/models/test_slots.py"
    options = ("-q", "-p", "no:cacheprovider", "-k", "halving")
    said = run(project, "pytest", *options, "tests/attention/test_contract.py", places)
    passed = int(said.rsplit(" passed", 1)[0].rsplit(maxsplit=1)[-1])
    assert passed >= 30


def test_the_table_of_costs_lists_it(project: Path) -> None:
    said = run(project, "reid_attn", "blocks", "--names", "halving", "--format", "csv")
    lines = [line for line in said.splitlines() if line.startswith("halving,")]
    assert len(lines) == 6
    assert ",1024,16,8,1024," in said


def test_nobody_needs_to_name_it(project: Path) -> None:
    """It is among all blocks of `blocks` and `ablate` too."""
    names = "from reid_attn import attention; print(*attention.names())"
    done = subprocess.run(
        [sys.executable, "-c", names], cwd=project, capture_output=True, text=True, check=True
    )
    assert "halving" in done.stdout.split()
