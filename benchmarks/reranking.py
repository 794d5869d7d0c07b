"""Our re-ranking and torchreid's on the same features: seconds, extra memory, ratio.

    .venv/bin/python -m benchmarks.reranking [--queries 500] [--gallery 2500] [--dimension 512]
    .venv/bin/python -m benchmarks.reranking --alone --queries 3368 --gallery 15913 --dimension 2048

Ours starts from features, torchreid's from distances that are ready, neither counted nor part of
its extra memory; `--alone` leaves it out. Each runs in a process of its own, so that its peak
memory is its own. CPU seconds are those of all threads: on a busy machine they say more than the
clock. Memory is read from `/proc`, so this runs on Linux only.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation import resident
from reid_attn.evaluation.rerank import rerank

Matrix = NDArray[np.floating[Any]]
Work = Callable[[], NDArray[np.float32]]
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Outcome:
    """What one side cost, and the first of the distances (Q, G) it found."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    distances: NDArray[np.float32]


def sides(queries: int, gallery: int, dimension: int) -> tuple[Matrix, Matrix]:
    """Unit features of both sides, in clouds around persons of some 20 gallery pictures."""
    generator = np.random.default_rng(0)
    persons = max(2, gallery // 20)
    centres = generator.standard_normal((persons, dimension), dtype=np.float32)
    rows = 3 * generator.standard_normal((queries + gallery, dimension), dtype=np.float32)
    rows += centres[generator.integers(0, persons, len(rows))]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:queries], rows[queries:]


def ours(query: Matrix, gallery: Matrix) -> Work:
    """What is measured of `reid_attn`; of the blocks it keeps the first 500 queries alone."""

    def work() -> NDArray[np.float32]:
        kept: list[NDArray[np.float32]] = []
        for block in rerank(query, gallery):
            if sum(map(len, kept)) < 500:
                kept.append(block)
        return np.concatenate(kept)[:500]

    return work


def torchreids(query: Matrix, gallery: Matrix) -> Work:
    """What is measured of torchreid, which squares the distances that it is given."""
    from torchreid.reid.utils import re_ranking

    def distances(left: Matrix, right: Matrix) -> Matrix:
        left, right = left.astype(np.float64), right.astype(np.float64)
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
        return np.sqrt(np.maximum(squares, 0)).astype(np.float32)

    given = distances(query, gallery), distances(query, query), distances(gallery, gallery)
    return lambda: np.asarray(re_ranking(*given)[:500], dtype=np.float32)


def child(prepare: Callable[[Matrix, Matrix], Work], sizes: list[int], to: Connection) -> None:
    """Send the `Outcome` of one side in this process."""
    warnings.simplefilter("ignore")
    prepare(*sides(20, 200, 8))()  # imports and thread pools are not part of the measurement
    work = prepare(*sides(*sizes))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what came before
    before, start, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    to.send(Outcome(seconds, cpu, resident("VmHWM") - before, found))


def measure(name: str, prepare: Callable[[Matrix, Matrix], Work], sizes: list[int]) -> Outcome:
    """The `Outcome` of a fresh process, printed."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(prepare, sizes, sender))
    process.start()
    sender.close()
    try:
        outcome: Outcome = receiver.recv()
    finally:
        process.kill()
        process.join()
    sys.stdout.write(
        f"{name:<10} {outcome.seconds:8.2f} s {outcome.cpu_seconds:8.2f} CPU s "
        f"{outcome.megabytes:8.0f} MB extra\n"
    )
    return outcome


def main() -> int:
    """Print both lines, the ratio and the largest difference; 1 when the two disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--gallery", type=int, default=2500)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--alone", action="store_true", help="leave torchreid out")
    options = parser.parse_args()
    sizes = [options.queries, options.gallery, options.dimension]
    write = sys.stdout.write
    write(
        f"{sizes[0]} queries × {sizes[1]} gallery pictures × {sizes[2]} dimensions, k1 20, k2 6\n"
    )
    mine = measure("reid_attn", ours, sizes)
    if options.alone:
        return 0
    theirs = measure("torchreid", torchreids, sizes)
    apart = float(np.abs(mine.distances - theirs.distances).max())
    write(
        f"reid_attn is {theirs.seconds / mine.seconds:.1f} times as fast "
        f"({theirs.cpu_seconds / mine.cpu_seconds:.1f} in CPU time); "
        f"the largest difference is {apart:.1e}\n"
    )
    return 0 if apart < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
