"""The evaluator beside the bare matrix product, and beside torchreid's Python evaluator.

    scripts/bench evaluation [--lists ../shared/data/market1501-lists] [--dimension 2048]

Features are synthetic; with `--lists` the persons and cameras are those of Market-1501. Time from
features is compared with that of the float32 product alone, in turn in one process, as medians.
Torchreid's `evaluate_rank` gets the distances of the first `--torchreid` queries, and ours the
same ones. Memory is what a fresh process needs beyond the features, read from `/proc`.
"""

import argparse
import csv
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_attn.data.market1501 import JUNK, parse_name
from reid_attn.evaluation import evaluate, evaluate_distances

Arrays = tuple[NDArray[Any], ...]


def synthetic(options: argparse.Namespace) -> Arrays:
    """Features, persons and cameras of both sides; `--noise` times as much noise as person."""
    generator = np.random.default_rng(0)
    if options.lists is None:
        persons = max(2, options.gallery // 20)
        labels = [
            (generator.integers(0, persons, n), generator.integers(0, 6, n))
            for n in (options.queries, options.gallery)
        ]
    else:
        labels = [market(options.lists / f"market1501_{part}.csv") for part in ("query", "test")]
    people, index = np.unique(np.concatenate([ids for ids, _ in labels]), return_inverse=True)
    centres = generator.standard_normal((len(people), options.dimension), dtype=np.float32)
    arrays: list[NDArray[Any]] = []
    for (ids, cams), rows in zip(labels, np.split(index, [len(labels[0][0])]), strict=True):
        noise = generator.standard_normal((len(ids), options.dimension), dtype=np.float32)
        noise *= options.noise
        alone = ids == 0  # each distractor is somebody else
        noise[~alone] += centres[rows[~alone]]
        arrays += [noise, ids, cams]
    return tuple(arrays)


def market(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Persons and cameras of one of the published lists of file names, junk left out."""
    with path.open() as file:
        names = [parse_name(Path(row[1]).name) for row in csv.reader(file)]
    kept = [name for name in names if name is not None and name[0] != JUNK]
    ids, cams = np.array(kept, np.int64).T
    return ids, cams


def times(arrays: Arrays, options: argparse.Namespace) -> dict[str, float]:
    """Medians of the product alone and of the evaluation, in turn."""
    tasks: dict[str, Callable[[], Any]] = {
        "product": lambda: arrays[0] @ arrays[3].T,
        "evaluation": lambda: evaluate(*arrays),
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(options.rounds):
        for name, task in tasks.items():
            seconds[name].append(clock(task))
    return {name: statistics.median(values) for name, values in seconds.items()}


def memory(arrays: Arrays, _: argparse.Namespace) -> dict[str, float]:
    """Megabytes beyond the features at the highest, and the scores."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what came before
    before = resident("VmRSS")
    found = evaluate(*arrays)
    return {"MB": resident("VmHWM") - before, "rank1": found.rank1, "mAP": found.mAP}


def torchreids(arrays: Arrays, options: argparse.Namespace) -> dict[str, float]:
    """Both evaluators on the same distances of the first queries."""
    from torchreid.reid import metrics

    q, q_ids, q_cams, g, g_ids, g_cams = arrays
    some = slice(options.torchreid)
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (q[some], g)]
    distances = 1 - unit[0] @ unit[1].T
    found: dict[str, float] = {}

    def theirs() -> None:
        _, found["their mAP"] = metrics.evaluate_rank(
            distances, q_ids[some], g_ids, q_cams[some], g_cams, use_cython=False
        )

    def ours() -> None:
        ranking = evaluate_distances(distances, q_ids[some], q_cams[some], g_ids, g_cams)
        found["our mAP"] = ranking.mAP

    return {"torchreid": clock(theirs), "ours": clock(ours), **found}


def clock(task: Callable[[], Any]) -> float:
    """Seconds that the task takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def resident(field: str) -> float:
    """Megabytes of this process: `VmRSS` now, `VmHWM` at its highest."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def child(measure: Callable[..., Any], options: argparse.Namespace, to: Connection) -> None:
    """Send what `measure` finds, from a process that has done nothing else."""
    warnings.simplefilter("ignore")
    to.send(measure(synthetic(options), options))


def alone(measure: Callable[..., Any], options: argparse.Namespace) -> dict[str, float]:
    """The result of `measure` from a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(measure, options, sender))
    process.start()
    sender.close()
    found: dict[str, float] = receiver.recv()
    process.join()
    return found


def main() -> int:
    """Print the three measurements; 1 when torchreid's mAP is another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lists", type=Path, help="folder with market1501_{query,test}.csv")
    parser.add_argument("--queries", type=int, default=3368, help="without --lists")
    parser.add_argument("--gallery", type=int, default=15913, help="without --lists")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--noise", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torchreid", type=int, default=300, help="queries; 0 leaves it out")
    options = parser.parse_args()
    write = sys.stdout.write
    took, needed = alone(times, options), alone(memory, options)
    write(f"rank-1 {needed['rank1']:.4f}, mAP {needed['mAP']:.4f}, {options.dimension} numbers\n")
    write(f"float32 product alone      {took['product']:8.2f} s\n")
    write(f"evaluation from features   {took['evaluation']:8.2f} s   ")
    write(f"{took['evaluation'] / took['product']:.2f} times the product, {needed['MB']:.0f} MB\n")
    if not options.torchreid:
        return 0
    both = alone(torchreids, options)
    write(f"from {options.torchreid} × all distances: torchreid {both['torchreid']:.2f} s, ours ")
    write(f"{both['ours']:.3f} s, {both['torchreid'] / both['ours']:.0f} times as fast\n")
    return 0 if abs(both["their mAP"] - both["our mAP"]) < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
