"""Several processes against one: the same numbers, and an end for all when one ends."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

from reid_attn import storage
from reid_attn.commands import main
from reid_attn.data import load
from reid_attn.data.batches import Batch
from reid_attn.data.sampling import Shard, plan_epoch
from reid_attn.errors import UsageError
from reid_attn.models import build_network
from reid_attn.models.weights import WEIGHTS, from_bytes
from reid_attn.reports import evaluation
from reid_attn.settings import Settings, dump, resolve
from reid_attn.training import evaluation as training_evaluation
from reid_attn.training import join_processes
from reid_attn.training.learner import Learner
from reid_attn.training.processes import Processes

QUIET = Console(quiet=True)
STEPS = 3
PRELOADED = ["reid_attn.training", "reid_attn.reports.evaluation", "torch._dynamo"]


def run_processes(size: int, target: Callable[[], None]) -> list[int]:
    """The exit codes of `size` processes that call `target`, joined as `torchrun` joins them.

    They are forked from a server that has torch imported: milliseconds each, instead of seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [
        context.Process(target=_child, args=(rank, size, port, target)) for rank in range(size)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def _child(rank: int, size: int, port: int, target: Callable[[], None]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    target()


# ---- the same numbers


def exact_settings() -> Settings:
    """Every term of the loss, attention with norms of its own, and a clipped gradient."""
    between = ("circle", "multi_similarity", "supervised_contrastive")
    return resolve(
        {
            "data": {"height": 64, "width": 32},
            "batch": {"persons": 4, "images": 4},
            "model": {"width": 8, "pooling": "gem", "attention": [{"name": "rga", "stages": [3]}]},
            "loss": {"center": 0.01, **dict.fromkeys(between, 0.1)},
            "optimizer": {"clip": 5.0},
            "training": {"device": "cpu", "sync_batch_norm": True},
        },
        "test",
    )


def take_steps(folder: Path) -> None:
    """Three steps in float64; the first one's gradient and batch statistics go into a file."""
    with join_processes() as processes:
        found = steps_in_double(processes)
        if processes.first:
            save_file(found, folder / f"{processes.size}.safetensors")


def steps_in_double(processes: Processes) -> dict[str, Tensor]:
    settings = exact_settings()
    torch.manual_seed(0)
    network = build_network(settings, 6).double()
    learner = Learner(network, settings, 6, processes, QUIET)
    part = Shard(processes.rank, processes.size).places(settings.batch)
    labels = torch.arange(4).repeat_interleave(4)
    pictures = torch.Generator().manual_seed(1)
    found, losses = {}, []
    for step in range(STEPS):
        images = torch.randn(16, 3, 64, 32, dtype=torch.float64, generator=pictures)
        learner.begin(step)
        values = learner.backward(Batch(images[part], labels[part], []), 1.0)
        norm = learner.reduce()
        if step == 0:
            found |= {
                f"gradient.{k}": p.grad.clone()
                for k, p in network.named_parameters()
                if p.grad is not None
            }
            found |= {
                f"center.{n}": p.grad.clone()
                for n, p in enumerate(learner.objective.center_parameters())
            }
            found |= {f"buffer.{k}": b.clone() for k, b in network.named_buffers()}
        learner.update(1e-3, norm, step)
        losses.append(processes.average(values)["total"])
    return found | {"losses": torch.tensor(losses, dtype=torch.float64)}


def test_1_2_and_4_processes_take_the_same_steps(tmp_path: Path) -> None:
    for size in (1, 2, 4):
        assert run_processes(size, partial(take_steps, tmp_path)) == [0] * size
    alone, *others = (load_file(tmp_path / f"{size}.safetensors") for size in (1, 2, 4))
    assert sum(key.startswith("gradient.") for key in alone) > 150
    assert sum(key.endswith("running_var") for key in alone) > 50
    assert alone["gradient.backbone.conv1.weight"].norm() > 1e-3
    for other in others:
        assert other.keys() == alone.keys()
        for key, expected in alone.items():
            tolerance = 1e-6 if key == "losses" else 1e-9
            torch.testing.assert_close(other[key], expected, rtol=tolerance, atol=1e-12, msg=key)
        torch.testing.assert_close(other["losses"][0], alone["losses"][0], rtol=1e-9, atol=0)


# ---- an end for all


def small_settings(sample: Path) -> Settings:
    return resolve(
        {
            "data": {"source": f"market1501:{sample}", "height": 32, "width": 32},
            "batch": {"persons": 4, "images": 2},
            "augment": {"padding": 2},
            "model": {"width": 8},
            "training": {"epochs": 3, "device": "cpu", "evaluate_every": 0},
        },
        "test",
    )


def command(
    arguments: list[str], fault: tuple[int, int | None, int] | None = None, report: bool = False
) -> None:
    """`reid-attn ARGUMENTS`, what it says in a file for each process; `fault`: rank, step, signal.

    The signal reaches that process in the middle of that step, counted from 0 in this call, or for
    None in the evaluation. Without `report` the report at the end, which takes longer than the
    training, is left out.
    """
    if not report:
        evaluation.evaluate_run = lambda *_, **__: None
    rank = int(os.environ["RANK"])
    told = os.open(f"{arguments[-1]}.{rank}.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(told, stream)
    if fault and fault[0] == rank:
        interrupt(*fault[1:])
    raise SystemExit(main(arguments))


def interrupt(step: int | None, number: int) -> None:
    place: Any = Learner if step is not None else training_evaluation
    name = "backward" if step is not None else "extract"
    original, calls = getattr(place, name), iter(range(1000))

    def struck(*arguments: Any) -> Any:
        if next(calls) == (step or 0):
            os.kill(os.getpid(), number)
        return original(*arguments)

    setattr(place, name, struck)


def said(run: Path, size: int = 2) -> list[str]:
    return [Path(f"{run}.{rank}.txt").read_text() for rank in range(size)]


@pytest.fixture(scope="module")
def config(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(dump(small_settings(sample)))
    return path


@pytest.fixture(scope="module")
def unbroken(config: Path) -> dict[str, Tensor]:
    """The weights of two processes that nobody disturbed."""
    run = config.parent / "run"
    assert run_processes(
        2, partial(command, ["train", str(config), "-o", str(run)], report=True)
    ) == [0, 0]
    first, other = said(run)
    assert f"{run}/report.html" in first.replace("\n", "")
    assert other == ""
    return weights(run)


def weights(run: Path) -> dict[str, Tensor]:
    return from_bytes(storage.read_generation(run, storage.current_generation(run))[WEIGHTS], "")


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.full), 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on(
    config: Path, unbroken: dict[str, Tensor], tmp_path: Path, victim: int
) -> None:
    """Killed in its fifth step, then stopped by SIGTERM in its second: the end is the same."""
    run = tmp_path / "run"
    fresh = ["train", str(config), "-o", str(run)]
    codes = run_processes(2, partial(command, fresh, (victim, 4, signal.SIGKILL)))
    assert (codes[victim], codes[1 - victim]) == (-signal.SIGKILL, 1)
    survivor = said(run)[1 - victim]
    assert survivor.count("error: another process of this training is gone") == 1
    assert "Traceback" not in survivor

    resume = ["train", "--resume", str(run)]
    stopped = partial(command, resume, (1 - victim, 1, signal.SIGTERM))
    assert run_processes(2, stopped) == [143, 143]
    first, other = said(run)
    assert f"--resume {run}" in first.replace("\n", "")
    assert other == ""

    assert run_processes(2, partial(command, resume)) == [0, 0]
    for key, expected in unbroken.items():
        assert torch.equal(weights(run)[key], expected), key


@pytest.mark.parametrize("struck", [0, pytest.param(1, marks=pytest.mark.full)])
def test_a_signal_to_one_process_ends_the_evaluation_of_all(
    config: Path, unbroken: dict[str, Tensor], tmp_path: Path, struck: int
) -> None:
    run = tmp_path / "run"
    stopped = partial(
        command, ["train", str(config), "-o", str(run)], (struck, None, signal.SIGTERM)
    )
    assert run_processes(2, stopped) == [143, 143]
    first, other = said(run)
    assert "stopped in the evaluation after epoch 3" in first
    assert other == ""
    assert run_processes(2, partial(command, ["train", "--resume", str(run)])) == [0, 0]
    for key, expected in unbroken.items():
        assert torch.equal(weights(run)[key], expected), key
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    assert [row["kind"] for row in rows].count("evaluation") == 1


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["total"] for line in lines if line["kind"] == "train"]


def test_a_run_goes_on_with_another_number_of_processes(config: Path, tmp_path: Path) -> None:
    """With statistics over the whole batch, two processes and one train alike but for rounding."""
    alone, changed = tmp_path / "alone", tmp_path / "changed"
    fresh = ["train", str(config), "training.sync_batch_norm=true", "-o"]
    assert run_processes(1, partial(command, [*fresh, str(alone)])) == [0]
    stopped = partial(command, [*fresh, str(changed)], (1, 1, signal.SIGTERM))
    assert run_processes(2, stopped) == [143, 143]
    assert run_processes(1, partial(command, ["train", "--resume", str(changed)])) == [0]
    assert len(losses(changed)) == 3
    assert losses(changed) == pytest.approx(losses(alone), rel=1e-3)


def test_a_bad_picture_in_one_process_ends_all_with_one_sentence(
    sample: Path, config: Path, tmp_path: Path
) -> None:
    data = tmp_path / "sample"
    shutil.copytree(sample, data)
    settings, run = small_settings(data), tmp_path / "run"
    second = plan_epoch(load(settings.data.source), settings, 0)[0][-1]  # the second process's
    bad = load(settings.data.source).train[second].path
    bad.write_bytes(b"no picture")
    words = ["train", str(config), f"data.source=market1501:{data}", "-o", str(run)]
    assert run_processes(2, partial(command, words)) == [3, 3]
    first, other = said(run)
    assert bad.name in first
    assert (first.count("error:"), other) == (1, "")


def test_persons_that_cannot_be_shared_are_refused(config: Path, tmp_path: Path) -> None:
    words = ["train", str(config), "batch.persons=3", "-o", str(tmp_path / "run")]
    assert run_processes(2, partial(command, words)) == [2, 2]
    first, other = said(tmp_path / "run")
    assert "a multiple of 2" in first
    assert other == ""


@pytest.mark.parametrize(
    ("told", "gpus", "complaint"),
    [
        ({"RANK": "0"}, 0, "WORLD_SIZE is 2, but MASTER_ADDR, MASTER_PORT is not set"),
        (dict.fromkeys(("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"), "1"), 1, "process 2"),
    ],
)
def test_a_process_that_was_not_started_as_one_of_several_gets_a_sentence(
    told: dict[str, str], gpus: int, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **told}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=complaint), join_processes():
        pass
