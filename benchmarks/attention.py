"""Our blocks and the published formulas written out, side by side: time and memory kept.

    scripts/bench attention [--blocks rga,polarized] [--runs 15] [--device cpu|cuda]
        [--precision fp32|bf16] [--compile] [--table docs/results/attention_speed.md]

Both forms have the same weights and the same input, and take turns run by run, so that whatever
else the machine does befalls both. A ratio is the published form's time over ours, the median over
the pairs: above 1, ours is faster. On a CPU one thread is timed by what the process used of it; on
a GPU, CUDA events. Blocks whose two codes would be the same have no published form and no line.
"""

import argparse
import importlib
import pkgutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks import published
from reid_attn import attention, storage
from reid_attn.models.cost import Cost, measure

STAGES = {1: (256, 64, 32), 2: (512, 32, 16), 3: (1024, 16, 8), 4: (2048, 16, 8)}
"""(C, H, W) after each stage of a ResNet-50 at 256×128 with last stride 1."""
IDENTITIES = 751


class Case(NamedTuple):
    """One block with options, on one map."""

    name: str
    options: Mapping[str, Any]
    stage: int

    @property
    def title(self) -> str:
        """For example `rga channel=false`."""
        words = [f"{key}={value}".lower() for key, value in self.options.items()]
        return " ".join([self.name, *words])


class Times(NamedTuple):
    """Seconds of the published form and of ours, run by run in turn."""

    published: list[float]
    ours: list[float]

    @property
    def ratio(self) -> float:
        """Median over the pairs."""
        return statistics.median(a / b for a, b in zip(self.published, self.ours, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile of the pairs' ratios."""
        ratios = [a / b for a, b in zip(self.published, self.ours, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        return low, high


class Line(NamedTuple):
    """What was measured of one case."""

    case: Case
    forward: Times
    both: Times
    """Forward and backward."""
    costs: tuple[Cost, Cost]
    """Of the published form and of ours."""


def main() -> int:
    """Measure, print, and write the table."""
    arguments = _parse()
    torch.set_num_threads(1)
    names = [m.name for m in pkgutil.iter_modules(published.__path__)]
    wanted = arguments.blocks.split(",") if arguments.blocks else names
    console, lines = Console(), []
    for case in _cases(wanted, arguments.stages):
        line = _measure(case, arguments)
        console.print(_row(line), highlight=False)
        lines.append(line)
        if arguments.table:
            storage.write_text(arguments.table, _table(lines, arguments))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench attention", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--blocks", help="names with commas between; all of them when left out")
    parser.add_argument("--stages", type=int, nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true", help="both through torch.compile")
    parser.add_argument("--table", type=Path, help="also write a Markdown table")
    return parser.parse_args()


def _cases(names: Iterable[str], stages: Iterable[int]) -> Iterator[Case]:
    for name in names:
        form = importlib.import_module(f"benchmarks.published.{name}")
        last_map_only = set(attention.block_class(name).slots) <= {"head", "classifier"}
        for options in getattr(form, "TIMED", ({},)):
            for stage in stages:
                if stage == max(STAGES) or not last_map_only:
                    yield Case(name, options, stage)


def _forms(case: Case, device: str) -> tuple[nn.Module, nn.Module]:
    """The published form and ours with the same weights."""
    torch.manual_seed(0)
    channels, *size = STAGES[case.stage]
    options = dict(case.options)
    if attention.block_class(case.name).kind == "classifier":
        options["identities"] = IDENTITIES
    form = importlib.import_module(f"benchmarks.published.{case.name}").Published
    theirs = form(channels, tuple(size), **options)
    for parameter in theirs.parameters():  # no gate sits at a start that hides its work
        nn.init.normal_(parameter, std=0.02 if parameter.ndim > 1 else 0.5)
    ours = attention.build(case.name, channels, (size[0], size[1]), **options)
    ours.load_state_dict(ours.convert_official(theirs.state_dict()))
    return theirs.to(device), ours.to(device)


def _measure(case: Case, arguments: argparse.Namespace) -> Line:
    shape = STAGES[case.stage]
    costs = [measure(form, shape) for form in _forms(case, "cpu")]
    forms = _forms(case, arguments.device)
    if arguments.compile:
        forms = tuple(torch.compile(form) for form in forms)  # type: ignore[assignment]
    x = torch.randn(arguments.batch, *shape, device=arguments.device)
    enabled = arguments.precision == "bf16"

    def forward(form: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled):
                form.eval()(x)

        return run

    def both(form: nn.Module) -> Callable[[], None]:
        own = x.clone().requires_grad_()

        def run() -> None:
            form.zero_grad(set_to_none=True)
            own.grad = None
            with torch.autocast(x.device.type, torch.bfloat16, enabled):
                y: Tensor = form.train()(own)
            y.backward(torch.ones_like(y))

        return run

    clock = _cuda_seconds if arguments.device == "cuda" else _cpu_seconds
    return Line(
        case,
        _in_turn([forward(form) for form in forms], arguments.runs, clock),
        _in_turn([both(form) for form in forms], arguments.runs, clock),
        (costs[0], costs[1]),
    )


def _in_turn(
    works: list[Callable[[], None]], runs: int, clock: Callable[[Callable[[], None]], float]
) -> Times:
    for work in works * 2:  # buffers, kernels and caches are there before the first counted run
        work()
    times = [[clock(work) for work in works] for _ in range(runs)]
    return Times([pair[0] for pair in times], [pair[1] for pair in times])


def _cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _cuda_seconds(work: Callable[[], None]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


HEAD = (
    "block",
    "map",
    "forward",
    "forward + backward",
    "quartiles",
    "GFLOP published → ours",
    "kept MiB published → ours",
)


def _cells(line: Line) -> tuple[str, ...]:
    theirs, ours = line.costs
    low, high = line.both.spread
    return (
        line.case.title,
        "×".join(map(str, STAGES[line.case.stage])),
        f"{line.forward.ratio:.2f}",
        f"{line.both.ratio:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{theirs.gflop:.3f} → {ours.gflop:.3f}",
        f"{theirs.kept_mib:.2f} → {ours.kept_mib:.2f}",
    )


def _row(line: Line) -> str:
    return "  ".join(f"{cell:<20}" for cell in _cells(line))


def _table(lines: list[Line], arguments: argparse.Namespace) -> str:
    how = "compiled" if arguments.compile else "eager"
    rows = [HEAD, tuple("---" for _ in HEAD), *(_cells(line) for line in lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    words = " ".join(sys.argv[1:])
    return (
        "# Blocks beside the published formulas\n\n"
        f"Time of the published form over ours, the median of {arguments.runs} pairs in turn "
        f"(above 1, ours is faster); {arguments.device}, {arguments.precision}, {how}, batch "
        f"{arguments.batch}, torch {torch.__version__}"
        + (", one thread, process time" if arguments.device == "cpu" else "")
        + ". The quartiles are of forward + backward. GFLOP (2 × multiply-add, forward) and MiB "
        "kept for backward are for one picture in float32.\n\n"
        f"{table}\n\nMade by `scripts/bench attention {words}`.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
