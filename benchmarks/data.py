"""How many training pictures a core makes ready, from files and from the cache.

    scripts/bench data [--data market1501:DIR] [--height 256] [--width 128] [--rate 2500]

One process makes batches as the training does. `host` is the processor time for a picture until its
batch is handed over, `device` that of finishing it, measured on this processor; a GPU does that in
next to no time. A core gives 1/host pictures a second. The last column says how many cores it takes
for three times `--rate`, so that a GPU which trains at that rate never waits. Without `--data` the
pictures are those of the built-in sample set, 128×64 pixels as in Market-1501.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import torch

from reid_attn.data import Dataset, load
from reid_attn.data.batches import finish, train_batches
from reid_attn.data.cache import open_cache
from reid_attn.data.synthetic import write_sample
from reid_attn.settings import AugmentSettings, BatchSettings, DataSettings, Settings

HEADROOM = 3
"""Times the rate of the training that the pictures should come at."""


class Cost(NamedTuple):
    """Seconds of one core for a picture."""

    host: float
    device: float


def settings(options: argparse.Namespace, cache: str = "", **augment: Any) -> Settings:
    """The standard recipe at the size asked for, everything else as it comes."""
    data = DataSettings(height=options.height, width=options.width, cache=cache)
    batch = BatchSettings(persons=options.persons)
    return Settings(data=data, batch=batch, augment=AugmentSettings(**augment))


def ways(options: argparse.Namespace, folder: str) -> Iterator[tuple[str, Settings]]:
    """What is measured, by name."""
    for source, cache in (("files", ""), ("cache", folder)):
        for where in ("worker", "device"):
            yield f"{source}, {where}", settings(options, cache, where=where)
        yield (
            f"{source}, device, enlarge",
            settings(options, cache, where="device", crop="enlarge", padding=0),
        )
        yield f"{source}, device, auto 0.1", settings(options, cache, where="device", auto=0.1)


def cost(dataset: Dataset, chosen: Settings, batches: int) -> Cost:
    """Medians over batches; the first, for which things are imported and opened, is left out."""
    cache, device = open_cache(dataset, chosen), torch.device("cpu")
    made, finished = [], []
    drawn = chain.from_iterable(
        train_batches(dataset, chosen, epoch, cache=cache) for epoch in count()
    )
    for _ in range(1 + batches):
        start = time.process_time()
        batch = next(drawn)
        middle = time.process_time()
        finish(batch, device)
        made.append((middle - start) / len(batch.labels))
        finished.append((time.process_time() - middle) / len(batch.labels))
    return Cost(statistics.median(made[1:]), statistics.median(finished[1:]))


def main() -> int:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="FORMAT:PATH of a data set; else the sample set")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--persons", type=int, default=16, help="in a batch, 4 pictures each")
    parser.add_argument("--batches", type=int, default=30, help="that are measured")
    parser.add_argument("--rate", type=float, default=2500, help="pictures/s that are trained")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            sample = Path(folder) / "sample"
            write_sample(sample, persons=64, cameras=4, seed=0)
            options.data = f"market1501:{sample}"
        dataset = load(options.data)
        sys.stdout.write(f"{'':26}    host  device   pictures/s   cores for {HEADROOM} × ")
        sys.stdout.write(f"{options.rate:g}/s\n")
        for name, chosen in ways(options, str(Path(folder) / "cache")):
            host, device = cost(dataset, chosen, options.batches)
            sys.stdout.write(f"{name:26}{1e6 * host:5.0f} µs{1e6 * device:5.0f} µs")
            sys.stdout.write(f"{1 / host:13.0f}{HEADROOM * options.rate * host:12.1f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
