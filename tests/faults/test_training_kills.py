"""A training that is killed again and again ends where one that was left alone ends."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from reid_attn import storage
from reid_attn.data import load
from reid_attn.models.weights import load_trained
from reid_attn.settings import Settings, dump, resolve
from reid_attn.training import read_log, train


def train_and_kill(run: Path, config: Path, delay: float, saved: bool) -> None:
    """Train, or go on, and die `delay` seconds after the start, or after the next checkpoint."""
    before = latest(run)
    words = ["--resume", str(run)] if before else [str(config), "-o", str(run)]
    command = [sys.executable, "-m", "reid_attn", "train", *words]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # or the last bits would differ
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | threads)
    wait(child, lambda: latest(run) > before if saved else owner(run) == str(child.pid))
    time.sleep(delay)
    child.kill()
    child.wait()


def wait(child: "subprocess.Popen[bytes]", until: Callable[[], bool]) -> None:
    """Until the child has done something, or come to its end."""
    while child.poll() is None and not until():
        time.sleep(0.005)


def owner(run: Path) -> str:
    """The process that trains."""
    lock = run / ".lock"
    return lock.read_text() if lock.exists() else ""


def latest(run: Path) -> int:
    """The number of the last checkpoint; 0 without one."""
    return storage.current_generation(run) if (run / storage.POINTER).exists() else 0


def scores(run: Path) -> list[dict[str, float]]:
    """The log without what a clock decides."""
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in read_log(run)]


@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.full)])
def test_killed_again_and_again(tiny: Settings, tmp_path: Path, kills: int) -> None:
    """kill -9 at any moment: each checkpoint can be read, and the end is the same, bit for bit."""
    values = tiny.model_dump(mode="json")
    values["training"] |= {"epochs": 2 + kills // 2}
    settings = resolve(values, "test")
    config, broken, whole = (tmp_path / name for name in ("tiny.yaml", "broken", "whole"))
    config.write_text(dump(settings))
    moments, epochs = random.Random(0), []
    for number in range(kills):
        # every second one has saved something: most would die before they have
        train_and_kill(broken, config, moments.uniform(0, 0.5), saved=number % 2 == 0)
        if latest(broken):
            epochs.append(load_trained(broken).state["position"]["epoch"])
    sys.stderr.write(f"epochs finished at each kill: {epochs}\n")
    assert epochs == sorted(epochs)
    for run in (broken, whole):
        train(settings, load(tiny.data.source), run, Console(quiet=True))
    trained = [load_trained(run).network.state_dict() for run in (broken, whole)]
    for key, expected in trained[1].items():
        assert torch.equal(trained[0][key], expected), key
    assert scores(broken) == scores(whole)
