"""Our evaluator and torchreid's Python one on the same features: seconds, extra memory, ratio.

    .venv/bin/python -m benchmarks.ranking [--queries 400] [--gallery 15913] [--dimension 512]

Both start from features and end with CMC and mAP. Each runs in a process of its own, so that its
peak memory is its own; torchreid is stopped after `--limit` seconds, which turns the ratio into a
bound. Memory is read from `/proc`, so this runs on Linux only.
"""

import argparse
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid_attn.evaluation import evaluate

Arrays = tuple[NDArray[np.generic], ...]


@dataclass(frozen=True)
class Outcome:
    """What one evaluator cost, and what it found."""

    seconds: float
    megabytes: float
    rank1: float
    mean_average_precision: float


def synthetic(queries: int, gallery: int, dimension: int) -> Arrays:
    """Features, persons and cameras of both sides; 20 gallery pictures a person or so."""
    generator = np.random.default_rng(0)
    persons = max(2, gallery // 20)
    centres = generator.standard_normal((persons, dimension), dtype=np.float32)

    def side(count: int) -> Arrays:
        ids = generator.integers(0, persons, count)
        noise = generator.standard_normal((count, dimension), dtype=np.float32)
        return centres[ids] + 3 * noise, ids, generator.integers(0, 6, count)

    return (*side(queries), *side(gallery))


def ours(arrays: Arrays) -> tuple[float, float]:
    """Rank-1 and mAP by `reid_attn`."""
    result = evaluate(*arrays)
    return result.rank1, result.mAP


def torchreids(arrays: Arrays) -> tuple[float, float]:
    """Rank-1 and mAP by torchreid's Python code."""
    import torch
    from torchreid.reid import metrics

    q, q_ids, q_cams, g, g_ids, g_cams = arrays
    distances = metrics.compute_distance_matrix(torch.from_numpy(q), torch.from_numpy(g), "cosine")
    cmc, mean = metrics.evaluate_rank(
        distances.numpy(), q_ids, g_ids, q_cams, g_cams, use_cython=False
    )
    return float(cmc[0]), float(mean)


def memory(field: str) -> float:
    """Megabytes of this process: `VmRSS` now, `VmHWM` at its highest."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def child(
    evaluator: Callable[[Arrays], tuple[float, float]], sizes: list[int], to: Connection
) -> None:
    """Run `evaluator` in this process; send None before the measurement and `Outcome` after it."""
    warnings.simplefilter("ignore")
    evaluator(synthetic(20, 200, 8))  # imports and thread pools are not part of the measurement
    arrays = synthetic(*sizes)
    to.send(None)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what came before
    before, start = memory("VmRSS"), time.perf_counter()
    scores = evaluator(arrays)
    seconds = time.perf_counter() - start
    to.send(Outcome(seconds, memory("VmHWM") - before, *scores))


def measure(
    evaluator: Callable[[Arrays], tuple[float, float]], sizes: list[int], limit: float | None = None
) -> Outcome | None:
    """The `Outcome` of a fresh process, or None when it takes longer than `limit` seconds."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(evaluator, sizes, sender))
    process.start()
    sender.close()
    try:
        receiver.recv()  # the data are there and the clock starts
        return receiver.recv() if receiver.poll(limit) else None
    finally:
        process.kill()
        process.join()


def describe(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    return (
        f"{name:<10} {outcome.seconds:8.2f} s {outcome.megabytes:8.0f} MB extra   "
        f"rank-1 {outcome.rank1:.4f}   mAP {outcome.mean_average_precision:.4f}\n"
    )


def main() -> int:
    """Print both lines and the ratio; 1 when the two disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--gallery", type=int, default=15913)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--limit", type=float, default=60, help="seconds granted to torchreid")
    options = parser.parse_args()
    sizes = [options.queries, options.gallery, options.dimension]
    write = sys.stdout.write
    write(f"{sizes[0]} queries × {sizes[1]} gallery pictures × {sizes[2]} dimensions, cosine\n")
    mine = measure(ours, sizes)
    if mine is None:
        return 1
    write(describe("reid_attn", mine))
    theirs = measure(torchreids, sizes, options.limit)
    if theirs is None:
        write(f"torchreid  stopped after {options.limit:.0f} s\n")
        write(f"reid_attn is more than {options.limit / mine.seconds:.0f} times as fast\n")
        return 0
    write(describe("torchreid", theirs))
    write(f"reid_attn is {theirs.seconds / mine.seconds:.0f} times as fast\n")
    agree = np.isclose(mine.mean_average_precision, theirs.mean_average_precision, atol=1e-4)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
