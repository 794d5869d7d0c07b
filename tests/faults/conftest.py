"""Programs that are killed, raced and starved. They are separate programs, never forks: a forked
child inherits SQLite's notion of the locks and would prove nothing."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reid_attn.gallery import Gallery

DIMENSION = 64

COMMON = f"""
import hashlib, sys
import numpy as np
from reid_attn.gallery import Gallery

def vector(name, dimension={DIMENSION}):
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dimension)

def add(gallery, name, dimension={DIMENSION}):
    digest = hashlib.sha256(name.encode()).digest()
    gallery.add_vectors([vector(name, dimension)], [name], [1], [name + ".jpg"], [digest])
    print(name, flush=True)  # the change is acknowledged

"""
"""What every program can do: draw the vector of a name, and add it."""

Program = subprocess.Popen[str]


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Starts `body` as a Python program, after `COMMON`, under `prefix`; killed at the end."""
    programs: list[Program] = []

    def run(body: str, *arguments: object, prefix: tuple[str, ...] = ()) -> Program:
        command = [*prefix, sys.executable, "-c", COMMON + body, *map(str, arguments)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        programs.append(subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **pipes))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()
        program.communicate()


@pytest.fixture
def finish(start: Callable[..., Program]) -> Callable[..., list[str]]:
    """Runs `body` to its end, which must be a good one; returns the lines that it printed."""

    def run(body: str, *arguments: object, prefix: tuple[str, ...] = ()) -> list[str]:
        program = start(body, *arguments, prefix=prefix)
        output, problems = program.communicate()  # the test's own time limit kills it
        assert program.returncode == 0, problems
        return output.splitlines()

    return run


@pytest.fixture
def vector() -> Callable[..., Any]:
    """The vector that the programs draw for a name."""
    scope: dict[str, Any] = {}
    exec(COMMON, scope)
    return scope["vector"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty gallery for vectors of `DIMENSION`."""
    Gallery.create(tmp_path / "people", fingerprint="model-a", dimension=DIMENSION)
    return tmp_path / "people"
