"""A training step of the bare ResNet-50, of RGA-SC as it is here, and of RGA-SC as published.

    scripts/bench training [model.width=64 …] [--batches 16 32] [--precisions fp32 bf16]
        [--forms bare,ours,published] [--rounds 5] [--compile] [--table FILE]
    scripts/bench training --market [data.workers=8 training.precision=bf16 …] [--epochs 120]

A step is that of the training loop: forward, loss, backward, the gradient's norm, optimizer. The
forms take turns step by step, so that whatever else the machine does befalls them all; times are
medians, a ratio is the median over the turns. On a CPU one thread works, and the ratio is of
processor time. bf16 is measured where the hardware multiplies it, unless asked for. Then the
pictures that a core makes ready are set beside those that are trained; and the memory traffic and
the operations of each form are counted, which no machine changes. `--market` trains a set of
Market-1501's size end to end instead.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console

from benchmarks import data
from benchmarks.forms import FORMS, Form, gflop, moved_mib, settings_of, write_out
from benchmarks.market import PERSONS, PICTURES, market
from reid_attn import storage
from reid_attn.data import load
from reid_attn.data.batches import Batch
from reid_attn.data.synthetic import write_sample
from reid_attn.models.cost import IDENTITIES
from reid_attn.models.hardware import choose_device, choose_precision
from reid_attn.settings import Settings
from reid_attn.training.learner import Learner, first_network
from reid_attn.training.processes import ALONE

IMAGES = 4
"""Pictures of a person in a batch."""
WARMUP = 2
"""Steps that are not counted: kernels, buffers and caches are there afterwards."""
HEAD = ("form", "batch", "precision", "seconds", "processor's", "× bare", "pictures/s", "on a GPU")

Seconds = tuple[float, float]
"""That pass, and of the processor."""


class Line(NamedTuple):
    """What was measured of one form, at one batch size and precision; medians."""

    form: Form
    batch: int
    precision: str
    seconds: Seconds
    ratio: float
    gpu: str
    """GiB at the peak and the share of the matrix rate; empty on a CPU."""

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.batch / self.seconds[0]

    def cells(self) -> tuple[str, ...]:
        """As `HEAD` names them."""
        times = (*(f"{seconds:.3f}" for seconds in self.seconds), f"{self.ratio:.2f}")
        return (self.form, str(self.batch), self.precision, *times, f"{self.rate:.1f}", self.gpu)


def main() -> int:
    """Measure, print, and write the table."""
    options, console = _parse(), Console(soft_wrap=True, highlight=False)
    if options.device.type == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        text = (_market if options.market else _steps)(options, Path(folder), console)
    console.print(text)
    if options.table:
        storage.write_text(options.table, text)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench training", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("overrides", nargs="*", help="key=value, of the settings")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"])
    parser.add_argument("--forms", type=lambda words: words.split(","), default=FORMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--compile", action="store_true", help="all through torch.compile")
    parser.add_argument("--table", type=Path, help="also write what is printed")
    parser.add_argument("--market", action="store_true", help="a whole run instead")
    parser.add_argument("--epochs", type=int, default=120, help="of the whole run")
    parser.add_argument("--persons", type=int, default=PERSONS, help="of the whole run")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of the whole run")
    options = parser.parse_args()
    options.device = choose_device(options.device)
    if not options.precisions:
        fast = choose_precision("auto", options.device)
        options.precisions = sorted({"fp32", fast}, reverse=True)
    return options


def _market(options: argparse.Namespace, folder: Path, console: Console) -> str:
    overrides = [f"training.epochs={options.epochs}", *options.overrides]
    run = market(folder, options.persons, options.pictures, overrides, console)
    return (
        f"{run.epochs} epochs of {run.pictures} pictures of {run.persons} persons in "
        f"{run.seconds / 60:.1f} minutes, {options.device}\n"
    )


def _steps(options: argparse.Namespace, folder: Path, _: Console) -> str:
    lines = [
        line
        for precision in options.precisions
        for batch in options.batches
        for line in _measure(options, batch, precision)
    ]
    rows = [HEAD, tuple("---" for _ in HEAD), *(line.cells() for line in lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    fastest = max(line.rate for line in lines)
    return f"{table}\n\n{_counted(options)}\n\n{_made_ready(options, folder, fastest)}\n"


def _settings(
    options: argparse.Namespace, form: Form, batch: int = 16, precision: str = "fp32"
) -> Settings:
    training = {
        "device": options.device.type,
        "precision": precision,
        "compile": options.compile,
    }
    persons = {"persons": batch // IMAGES, "images": IMAGES}
    return settings_of(form, options.overrides, batch=persons, training=training)


def _measure(options: argparse.Namespace, batch: int, precision: str) -> list[Line]:
    works: dict[Form, Callable[[], None]] = {}
    peaks: dict[Form, int] = {}
    for form in options.forms:
        works[form] = _work(_settings(options, form, batch, precision), form, batch)
        peaks[form] = _peak(options.device, works[form])
    turns = [
        {form: _clock(options.device, work) for form, work in works.items()}
        for _ in range(options.rounds)
    ]
    counts = 0 if options.device.type == "cuda" else 1
    rate = _matrix_rate(options.device) if options.device.type == "cuda" else None
    lines = []
    for form in works:
        wall, processor = (statistics.median(turn[form][kind] for turn in turns) for kind in (0, 1))
        ratio = statistics.median(
            turn[form][counts] / turn[options.forms[0]][counts] for turn in turns
        )
        gpu = ""
        if rate:  # backward costs twice what forward does
            share = 3e9 * gflop(form, _settings(options, form)) * batch / wall / rate
            gpu = f"{peaks[form] / 2**30:.1f} GiB, {share:.0%}"
        lines.append(Line(form, batch, precision, (wall, processor), ratio, gpu))
    return lines


def _work(settings: Settings, form: Form, batch: int) -> Callable[[], None]:
    """One step of the training, on the same pictures each time."""
    network, _ = first_network(settings, IDENTITIES, ALONE, fresh=True)
    if form == "published":
        write_out(network)
    device = choose_device(settings.training.device)
    network.to(device, memory_format=torch.channels_last)
    learner = Learner(network, settings, IDENTITIES, ALONE, Console())
    images = torch.randn(batch, 3, settings.data.height, settings.data.width)
    pictures = Batch(images, torch.arange(batch) // IMAGES, list(range(batch)))

    def step() -> None:
        learner.begin(0)
        learner.backward(pictures, 1.0)
        learner.update(1e-6, learner.reduce(), 0)

    return step


def _clock(device: torch.device, work: Callable[[], object]) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor


def _peak(device: torch.device, work: Callable[[], None]) -> int:
    """Bytes of a GPU at the peak of the uncounted steps."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARMUP):
        work()
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def _matrix_rate(device: torch.device, size: int = 8192) -> float:
    """Floating-point operations a second of a large bf16 product, the best of ten."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / min(_clock(device, partial(torch.mm, a, a))[0] for _ in range(10))


def _counted(options: argparse.Namespace) -> str:
    """Operations and memory traffic beside those of the first form."""
    forms: list[tuple[Form, Settings]] = [(f, _settings(options, f)) for f in options.forms]
    return (
        f"GFLOP of a forward pass: {_compared({f: gflop(f, s) for f, s in forms})}. MiB that a "
        "picture moves forward and backward, in fp32: "
        f"{_compared({f: moved_mib(f, s, bf16=False) for f, s in forms})}; in bf16: "
        f"{_compared({f: moved_mib(f, s, bf16=True) for f, s in forms})}."
    )


def _compared(values: dict[Form, float]) -> str:
    first = next(iter(values.values()))
    return ", ".join(f"{form} {v:.1f} ({v / first:.2f} ×)" for form, v in values.items())


def _made_ready(options: argparse.Namespace, folder: Path, trained: float) -> str:
    """What a core makes ready, in time of the processor, beside pictures trained a second."""
    write_sample(folder, persons=16, cameras=4, seed=0)
    cost = data.cost(load(f"market1501:{folder}"), _settings(options, "bare"), batches=5)
    made = 1 / (cost.host + cost.device)
    return (
        f"One core makes {made:.0f} pictures/s ready, the fastest form trains {trained:.1f}: "
        f"{made / trained:.1f} ×. Three times the rate takes {3 * trained / made:.2g} cores."
    )


if __name__ == "__main__":
    sys.exit(main())
