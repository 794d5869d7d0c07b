"""A stopped training goes on bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from reid_attn import storage
from reid_attn.data import load
from reid_attn.errors import DamagedError, Interrupted, LockedError, MismatchError
from reid_attn.models import build_network
from reid_attn.models.weights import WEIGHTS, from_bytes, to_bytes
from reid_attn.settings import Settings, dump, resolve
from reid_attn.training import loop, read_log, train
from reid_attn.training.checkpoint import TENSORS

QUIET = Console(quiet=True)


def weights(run: Path, name: str = WEIGHTS) -> dict[str, Tensor]:
    files = storage.read_generation(run, storage.current_generation(run))
    return from_bytes(files[name], "test")


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def without_clock(run: Path) -> list[dict]:
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in read_log(run)]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int) -> None:
    """A signal arrives during the `step`-th step of this process."""
    original, done = loop._Training._step, 0

    def stepping(self, batch):
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), number)
        return original(self, batch)

    monkeypatch.setattr(loop._Training, "_step", stepping)


STEPS = 10  # of the tiny settings: two epochs of five


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_stopped_at_any_step(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    run, dataset = tmp_path / "run", load(tiny.data.source)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step, signal.SIGINT)
        with pytest.raises(Interrupted, match=f"--resume {run}") as stopped:
            train(tiny, dataset, run, QUIET)
    assert stopped.value.exit_code == 130
    assert not equal(weights(run), weights(trained)) or step == STEPS
    torch.manual_seed(999)  # another process starts with another random state
    train(tiny, dataset, run, QUIET)
    assert equal(weights(run), weights(trained))
    assert without_clock(run) == without_clock(trained)


EVERYTHING = {
    "loss": {"center": 0.01},
    "optimizer": {"ema": 0.9, "accumulate": 2, "clip": 1.0, "layer_decay": 0.8, "bias_factor": 2.0},
    "schedule": {"per": "epoch", "warmup_steps": 3, "flat_epochs": 1, "freeze_steps": 2},
}


def with_everything(tiny: Settings) -> Settings:
    values = tiny.model_dump(mode="json")
    for group, changes in EVERYTHING.items():
        values[group] |= changes
    return resolve(values, "test")


def test_stopped_with_averages_accumulation_freezing_and_centers(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two epochs of five batches are 2 · 3 steps; one is stopped in its first four, one never."""
    settings = with_everything(tiny)
    dataset = load(settings.data.source)
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    train(settings, dataset, whole, QUIET)
    for _ in range(4):
        with monkeypatch.context() as patch:
            interrupt_at(patch, 1, signal.SIGTERM)
            with pytest.raises(Interrupted):
                train(settings, dataset, broken, QUIET)
    train(settings, dataset, broken, QUIET)
    assert equal(weights(broken), weights(whole))
    assert equal(weights(broken, TENSORS), weights(whole, TENSORS))
    assert without_clock(broken) == without_clock(whole)
    raw = weights(whole, TENSORS)["raw.classifier.weight"]
    assert not torch.equal(raw, weights(whole)["classifier.weight"])


def test_an_optimizer_that_was_stored_by_number_goes_on(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first version wrote it: the parameters that learn, counted in their order."""
    run, dataset = tmp_path / "run", load(tiny.data.source)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6, signal.SIGINT)
        with pytest.raises(Interrupted):
            train(tiny, dataset, run, QUIET)
    files = storage.read_generation(run, storage.current_generation(run))
    network = build_network(tiny, 6)
    numbers = {
        n: i for i, (n, p) in enumerate(x for x in network.named_parameters() if x[1].requires_grad)
    }
    tensors = {}
    for key, tensor in from_bytes(files[TENSORS], "test").items():
        name, _, entry = key.removeprefix("optimizer.").rpartition(".")
        tensors[f"optimizer.{numbers[name]}.{entry}" if name in numbers else key] = tensor
    assert "optimizer.0.exp_avg" in tensors
    storage.write_generation(run, files | {TENSORS: to_bytes(tensors)})
    train(tiny, dataset, run, QUIET)
    assert equal(weights(run), weights(trained))


def test_an_optimizer_of_another_network_is_refused(
    tiny: Settings, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    files = storage.read_generation(run, storage.current_generation(run))
    tensors = from_bytes(files[TENSORS], "test") | {"optimizer.lost.exp_avg": torch.zeros(1)}
    storage.write_generation(run, files | {TENSORS: to_bytes(tensors)})
    with pytest.raises(DamagedError, match=r"'lost\.exp_avg' is unknown"):
        train(tiny, load(tiny.data.source), run, QUIET)


def test_every_step_twice_interrupted(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = tmp_path / "run", load(tiny.data.source)
    for _ in range(STEPS):
        with monkeypatch.context() as patch:
            interrupt_at(patch, 1, signal.SIGTERM)
            with pytest.raises(Interrupted) as stopped:
                train(tiny, dataset, run, QUIET)
        assert stopped.value.exit_code == 143
    train(tiny, dataset, run, QUIET)
    assert equal(weights(run), weights(trained))


def test_killed_in_the_middle_goes_on_from_the_last_checkpoint(
    tiny: Settings, trained: Path, tmp_path: Path
) -> None:
    """kill -9 after the first epoch's checkpoint: nothing is unreadable, the end is the same."""
    run, config = tmp_path / "run", tmp_path / "tiny.yaml"
    config.write_text(dump(tiny))
    command = [sys.executable, "-m", "reid_attn", "train", str(config), "-o", str(run)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while not (run / storage.POINTER).exists():
        assert child.poll() is None
    child.kill()
    child.wait()
    train(tiny, load(tiny.data.source), run, QUIET)
    assert equal(weights(run), weights(trained))
    assert without_clock(run) == without_clock(trained)


def test_a_damaged_checkpoint_is_refused(tiny: Settings, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    path = run / f"gen-{storage.current_generation(run):06d}" / WEIGHTS
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=WEIGHTS):
        train(tiny, load(tiny.data.source), run, QUIET)


def test_two_trainings_of_one_run_are_kept_apart(tiny: Settings, tmp_path: Path) -> None:
    holder = "import sys; from pathlib import Path; from reid_attn import storage\n"
    holder += "with storage.locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=-1, stdout=-1, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=str(child.pid)):
        train(tiny, load(tiny.data.source), tmp_path, QUIET)
    child.communicate("")


@pytest.mark.parametrize("change", ["one more", "another one"])
def test_other_persons_than_those_of_the_checkpoint_are_refused(
    tiny: Settings, trained: Path, change: str
) -> None:
    """The classifier's rows belong to persons, also where their number is the same."""
    dataset = load(tiny.data.source)
    last = dataset.train[-1].person
    new = tuple(replace(p, person=9999) for p in dataset.train if p.person == last)
    kept = tuple(p for p in dataset.train if p.person != last or change == "one more")
    persons, before = len(dataset.labels()), weights(trained)
    now = persons + 1 if change == "one more" else f"{persons}, not the same ones"
    with pytest.raises(MismatchError, match=f"with {persons} persons.*show {now}"):
        train(tiny, replace(dataset, train=kept + new), trained, QUIET)
    assert equal(weights(trained), before)
