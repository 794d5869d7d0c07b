"""Adding to, opening and searching a gallery of many vectors, beside bare FAISS.

    OMP_NUM_THREADS=1 scripts/bench gallery [--count 1000000] [--rounds 5] [--graph 100000]
    OMP_NUM_THREADS=1 scripts/bench gallery --count 100000

Vectors are synthetic: pictures of persons, each a mix of 64 latent numbers with noise of its own,
of unit length; queries are other pictures of the same persons. Sides that are compared take turns,
and what is printed is the median of CPU seconds of all threads, which other work on the machine
disturbs less than the clock. Bare FAISS is `IndexFlatIP`, timed with the better of both settings of
its threshold between single products and matrix products. 1,000,000 vectors of 512 numbers need
6 GB of memory, and 5 GB of disk below `--folder`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from reid_attn.gallery import Gallery
from reid_attn.neighbours import ExactIndex, HalfIndex, Index, RefinedIndex, load, make, save
from reid_attn.neighbours.graph import GraphIndex

Matrix = NDArray[np.float32]
Work = Callable[[], object]

K = 10
MANY = 200
BLOCK = 65_536
PICTURES = 20  # of a person
LATENT = 64
NOISE = 0.7
QUERIES = 10_000_019  # the seed of the first block of queries
SINGLE, PRODUCT = 2**31 - 1, 1  # FAISS's threshold, so that a batch is searched in either way


@dataclass(frozen=True)
class World:
    """Persons, from whom any number of pictures can be drawn."""

    persons: Matrix
    mixing: Matrix

    @classmethod
    def of(cls, pictures: int, dimension: int) -> "World":
        """As many persons as so many pictures are of."""
        generator = np.random.default_rng(0)
        shape = max(1, pictures // PICTURES), LATENT
        persons = generator.standard_normal(shape, dtype=np.float32)
        mixing = generator.standard_normal((LATENT, dimension), dtype=np.float32)
        return cls(persons, mixing / np.float32(LATENT**0.5))

    def pictures(self, count: int, seed: int = 0) -> Iterator[Matrix]:
        """`count` unit rows, in blocks."""
        for start in range(0, count, BLOCK):
            generator = np.random.default_rng([seed, start])
            size = min(BLOCK, count - start)
            chosen = self.persons[generator.integers(0, len(self.persons), size)]
            rows = generator.standard_normal((size, self.mixing.shape[1]), dtype=np.float32)
            rows *= np.float32(NOISE)
            rows += chosen @ self.mixing
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            yield rows

    def queries(self, count: int = MANY) -> Matrix:
        """Pictures that are in no gallery."""
        return next(self.pictures(count, QUERIES))


@contextmanager
def threshold(value: int) -> Iterator[None]:
    """FAISS's setting for the whole process."""
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = value
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def seconds(work: Work) -> tuple[float, float]:
    """On the clock and of the processor."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def forget(path: Path) -> None:
    """Let the system's memory go of a file."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def medians(sides: dict[str, Work], rounds: int) -> dict[str, float]:
    """CPU seconds of each, taken in turns, the first turn not counted."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            cpu = seconds(work)[1]
            if number:
                taken[name].append(cpu)
    return {name: statistics.median(times) for name, times in taken.items()}


def tell(*columns: str) -> None:
    """A line of a table."""
    sys.stdout.write("| " + " | ".join(columns) + " |\n")
    sys.stdout.flush()


class Turns:
    """Single queries, another one at each call: what was just searched for is in no cache."""

    def __init__(self, queries: Matrix) -> None:
        self._queries = queries
        self._next = 0

    def __call__(self) -> Matrix:
        """The next one (1, D)."""
        self._next = (self._next + 1) % len(self._queries)
        return self._queries[self._next : self._next + 1]


def measure_files(world: World, count: int, folder: Path) -> None:
    """Adding, writing, and opening again."""
    tell("what", "clock", "CPU", "")
    for kind in ("exact", "half", "refined"):
        path = folder / kind
        measure_filling(world, count, make(kind, world.mixing.shape[1]), path)
        for state in ("cold", "warm"):
            measure_opening(world, path, kind, state)
        path.unlink()


def measure_filling(world: World, count: int, index: Index, path: Path) -> None:
    """Add all vectors, make the codes if there are any, and write the file."""
    kind, clock, cpu, start = index.kind, 0.0, 0.0, 0
    for block in world.pictures(count):
        add = partial(index.add, np.arange(start, start + len(block)), block)
        spent = seconds(add)
        clock, cpu, start = clock + spent[0], cpu + spent[1], start + len(block)
    tell(f"{kind}: add", f"{clock:.2f} s", f"{cpu:.2f} s", f"{count / clock:,.0f} a second")
    spent = seconds(partial(index.search, world.queries(1), K))
    tell(f"{kind}: first query", f"{spent[0]:.3f} s", f"{spent[1]:.3f} s", "")
    spent = seconds(partial(save, path, index, {}))
    size = path.stat().st_size / count
    tell(f"{kind}: write", f"{spent[0]:.2f} s", f"{spent[1]:.2f} s", f"{size:.0f} bytes a vector")


def measure_opening(world: World, path: Path, kind: str, state: str) -> None:
    """Open a file that is, or is not, in the system's memory, and search twice."""
    if state == "cold":
        forget(path)
    opened: list[Index] = []
    spent = seconds(lambda: opened.append(load(path)[0]))
    tell(f"{kind}: open, {state}", *(f"{s:.3f} s" for s in spent), "")
    for number, query in enumerate(world.queries(3)):
        spent = seconds(partial(opened[0].search, query[None], K))
        tell(f"{kind}: query {number + 1}, {state}", *(f"{s:.3f} s" for s in spent), "")


def filled(world: World, count: int) -> tuple[Any, Matrix]:
    """FAISS's flat index, and its vectors, which others may share."""
    flat = faiss.IndexFlatIP(world.mixing.shape[1])
    flat.codes.resize(count * flat.code_size)  # once: growing would take twice the memory
    rows = faiss.rev_swig_ptr(flat.get_xb(), count * flat.d).reshape(count, flat.d)
    start = 0
    for block in world.pictures(count):
        rows[start : start + len(block)] = block
        start += len(block)
    flat.ntotal = count
    return flat, rows


def measure_exact(world: World, count: int, rounds: int) -> bool:
    """Times beside bare FAISS, and whether every answer is the same."""
    flat, rows = filled(world, count)
    ids = np.arange(count)
    exact, refined, half = (index.of(ids, rows) for index in (ExactIndex, RefinedIndex, HalfIndex))
    many = world.queries()
    one, keep = Turns(many), np.random.default_rng(1).random(count)

    def bare(queries: Callable[[], Matrix], value: int) -> Work:
        def work() -> None:
            with threshold(value):
                flat.search(queries(), K)

        return work

    sides = {
        "bare, 1, single": bare(one, SINGLE),
        "bare, 1, product": bare(one, PRODUCT),
        "exact, 1": lambda: exact.search(one(), K),
        "refined, 1": lambda: refined.search(one(), K),
        "half, 1": lambda: half.search(one(), K),
        "exact, 1, half of the rows": lambda: exact.search(one(), K, keep < 0.5),
        "refined, 1, half of the rows": lambda: refined.search(one(), K, keep < 0.5),
    }
    found = medians(sides, 4 * rounds)
    best = min(found["bare, 1, single"], found["bare, 1, product"])
    tell("1 query", "CPU", "against the better bare")
    for name, cpu in found.items():
        tell(name, f"{cpu * 1000:.1f} ms", f"{cpu / best:.2f}")
    sides = {
        "bare, 200, product": bare(lambda: many, PRODUCT),
        "exact, 200": lambda: exact.search(many, K),
        "half, 200": lambda: half.search(many, K),
        **{
            f"exact, 200, {share:.0%} of the rows": lambda share=share: exact.search(
                many, K, keep < share
            )
            for share in (0.9, 0.5, 0.1, 0.01)
        },
    }
    found = medians(sides, rounds)
    alone = seconds(bare(lambda: many[:20], SINGLE))[1] * MANY / 20
    best = min(found["bare, 200, product"], alone)
    tell("200 queries", "CPU", "against the better bare")
    tell("bare, 200, single (from 20)", f"{alone:.2f} s", f"{alone / best:.2f}")
    for name, cpu in found.items():
        tell(name, f"{cpu:.2f} s", f"{cpu / best:.2f}")
    return agree(exact, refined, many, bare_answer(flat, many))


def bare_answer(flat: Any, many: Matrix) -> NDArray[np.int64]:
    """The ids that FAISS gives."""
    with threshold(PRODUCT):
        ids: NDArray[np.int64] = flat.search(many, K)[1]
    return ids


def agree(exact: Index, refined: Index, many: Matrix, bare: NDArray[np.int64]) -> bool:
    """Whether codes found the same as all rows, with the same scores; FAISS's share is printed."""
    expected = exact.search(many, K)
    single = [refined.search(query[None], K) for query in many]
    same = all(
        np.array_equal(np.concatenate(column), whole)
        for column, whole in zip(zip(*single, strict=True), expected, strict=True)
    )
    tell("refined, same top-10 and scores as exact", "yes" if same else "NO", f"of {MANY} queries")
    share = float((bare == expected[1]).mean())
    tell("bare, same place of the top-10 as exact", f"{share:.2%}", "the rest are near ties")
    return same


def measure_graph(world: World, count: int, rounds: int) -> None:
    """HNSW: what is found, and how fast."""
    rows = np.concatenate([*world.pictures(count)])
    ids, many = np.arange(count), world.queries()
    exact, index = ExactIndex.of(ids, rows), GraphIndex(rows.shape[1])
    spent = seconds(lambda: index.add(ids, rows))
    size = len(index.to_bytes())
    tell(f"hnsw of {count:,}: build", f"{spent[0]:.0f} s", f"{spent[1]:.0f} CPU s", "")
    tell("memory", f"{size / count:.0f} bytes a vector", "", "")
    expected = exact.search(many, K)[1]
    one = Turns(many)
    alone = medians({"exact": lambda: exact.search(one(), K)}, rounds)["exact"]
    for width in (16, 32, 64, 128, 256):
        index.width = width
        found = index.search(many, K)[1]
        share = np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)])
        cpu = medians({"all": lambda: index.search(many, K)}, rounds)["all"] / MANY
        tell(
            f"width {width}",
            f"recall@{K} {share / K:.3f}",
            f"{cpu * 1000:.2f} ms a query",
            f"{alone / cpu:.0f} times as fast as exact",
        )


def measure_stores(world: World, count: int, folder: Path) -> None:
    """The same pictures and queries in a folder and, where the extra is installed, Milvus Lite."""
    places = [str(folder / "people.gallery")]
    if find_spec("milvus_lite"):
        places.append(f"milvus:{folder}/people.db/people")
    else:
        tell("milvus", "*not run*", "the extra milvus is not installed", "")
    answers = [measure_store(world, count, place) for place in places]
    for other in answers[1:]:
        pairs = zip(answers[0], other, strict=True)
        same = [hit.row == its.row for one, two in pairs for hit, its in zip(one, two, strict=True)]
        tell(f"same place of the top-{K} in both", f"{np.mean(same):.2%}", "", "")


def measure_store(world: World, count: int, place: str) -> list[Any]:
    """The gallery as users have it, with its records; what it answers to the queries."""
    Gallery.create(place, fingerprint="bench", dimension=world.mixing.shape[1])
    tell(place.partition(":")[0] if ":" in place else "folder", "clock", "CPU", "")
    with Gallery.open(place) as gallery:
        spent = seconds(lambda: fill(gallery, world, count))
        rate = f"{count / spent[0]:,.0f} a second"
        tell(f"add {count:,}", *(f"{s:.1f} s" for s in spent), rate)
        spent = seconds(lambda: gallery.search(world.queries(1)[0], K))
        tell("first query", *(f"{s:.2f} s" for s in spent), "a folder makes its caches")
        spent = seconds(gallery.close)
        tell("close", *(f"{s:.2f} s" for s in spent), "a folder writes them")
    reopened(world, place, "cold").close()
    with reopened(world, place, "warm") as gallery:
        answers: list[Any] = []
        spent = seconds(lambda: answers.extend(gallery.search_all(world.queries(), K)))
        tell(f"{MANY} queries", *(f"{s:.2f} s" for s in spent), "a folder checks all its rows")
    return answers


def fill(gallery: Gallery, world: World, count: int) -> None:
    """Add pictures as a command would."""
    start = 0
    for block in world.pictures(count):
        numbers = range(start, start + len(block))
        gallery.add_vectors(
            block,
            [f"person {number % 1000}" for number in numbers],
            [number % 8 for number in numbers],
            [f"{number}.jpg" for number in numbers],
            [sha256(b"%d" % number).digest() for number in numbers],
        )
        start += len(block)


def reopened(world: World, place: str, state: str) -> Gallery:
    """The gallery in `place`, whose files are in the system's memory or not, asked thrice."""
    folder = Path(place.removeprefix("milvus:"))
    for path in folder.rglob("*") if state == "cold" else ():
        if path.is_file():
            forget(path)
    opened: list[Gallery] = []
    spent = seconds(lambda: opened.append(Gallery.open(place)))
    tell(f"open, {state}", *(f"{s:.2f} s" for s in spent), "")
    for number, query in enumerate(world.queries(3)):
        spent = seconds(partial(opened[0].search, query, K))
        tell(f"query {number + 1}, {state}", *(f"{s:.3f} s" for s in spent), "")
    return opened[0]


def main() -> int:
    """Print the tables; 1 when codes and all rows disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--graph", type=int, default=100_000, help="vectors in the HNSW graph")
    parser.add_argument(
        "--store", type=int, default=100_000, help="pictures in each kind of gallery"
    )
    parser.add_argument("--folder", type=Path, help="where files are written")
    options = parser.parse_args()
    world = World.of(options.count, options.dimension)
    sys.stdout.write(
        f"{options.count:,} vectors of {options.dimension}, top-{K}, FAISS {faiss.__version__}, "
        f"{faiss.omp_get_max_threads()} threads\n\n"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure_files(world, options.count, Path(folder))
        same = measure_exact(world, options.count, options.rounds)
        if options.graph:
            measure_graph(World.of(options.graph, options.dimension), options.graph, options.rounds)
        if options.store:
            stored = World.of(options.store, options.dimension)
            measure_stores(stored, options.store, Path(folder))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
