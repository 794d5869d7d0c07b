"""A stopped training goes on bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from reid_attn import storage
from reid_attn.data import load
from reid_attn.errors import DamagedError, Interrupted, LockedError, MismatchError
from reid_attn.models import build_network
from reid_attn.models.weights import WEIGHTS, from_bytes, load_trained, to_bytes
from reid_attn.settings import Settings, dump, resolve
from reid_attn.training import evaluation, loop, read_log, train
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


BATCHES = 4  # of each evaluation of the tiny settings


def struck_at(monkeypatch: pytest.MonkeyPatch, batch: int, blow: Callable[[], object]) -> None:
    """`blow()` in the `batch`-th batch of the evaluations of this process."""
    original, numbers = evaluation.extract, count(1)

    def extract(network: Any, paths: Any, settings: Settings, progress: Any) -> Any:
        def struck(pictures: int) -> None:
            if next(numbers) == batch:
                blow()
            progress(pictures)

        return original(network, paths, settings, struck)

    monkeypatch.setattr(evaluation, "extract", extract)


@pytest.mark.parametrize("batch", [1, BATCHES, BATCHES + 1, 2 * BATCHES])
def test_stopped_in_an_evaluation(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """It ends between two batches, and the resumed training evaluates that epoch first."""
    run, dataset = tmp_path / "run", load(tiny.data.source)
    epoch = 1 + (batch > BATCHES)
    with monkeypatch.context() as patch:
        struck_at(patch, batch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted, match=f"in the evaluation after epoch {epoch}") as stopped:
            train(tiny, dataset, run, QUIET)
    assert stopped.value.exit_code == 143
    assert read_log(run)[-1]["kind"] == "train"
    features = train(tiny, dataset, run, QUIET)
    assert features is not None
    assert equal(weights(run), weights(trained))
    assert without_clock(run) == without_clock(trained)
    assert best(run) == best(trained)


def best(run: Path) -> int:
    return int(load_trained(run, "best").state["position"]["epoch"])


class Killed(BaseException):
    """Nobody expects it, so what is on the disk is what kill -9 leaves."""


def test_killed_in_an_evaluation_loses_none_of_the_epochs_before_it(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, values = tmp_path / "run", tiny.model_dump(mode="json")
    values["training"] |= {"evaluate_every": 2, "save_every": 50}
    settings, dataset = resolve(values, "test"), load(tiny.data.source)

    def kill() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        struck_at(patch, 1, kill)
        with pytest.raises(Killed):
            train(settings, dataset, run, QUIET)
    assert load_trained(run).state["position"]["epoch"] == 2
    assert equal(weights(run), weights(trained))
    train(settings, dataset, run, QUIET)
    assert without_clock(run)[-1] == without_clock(trained)[-1]


def test_stopped_while_the_last_scores_are_computed(
    tiny: Settings, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a signal after the last step of the last epoch is heeded."""
    run, dataset = tmp_path / "run", load(tiny.data.source)
    original, numbers = loop._Training._rank, count(1)

    def rank(self: Any, features: Any) -> None:
        if next(numbers) == tiny.training.epochs:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, features)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Training, "_rank", rank)
        with pytest.raises(Interrupted, match="after epoch 2, batch 0, and saved"):
            train(tiny, dataset, run, QUIET)
    assert without_clock(run) == without_clock(trained)
    assert train(tiny, dataset, run, QUIET) is None
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
