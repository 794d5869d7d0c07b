"""A training run of Market-1501's size, end to end, on drawn pictures."""

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from reid_attn.data import Dataset, load
from reid_attn.data.synthetic import write_sample
from reid_attn.settings.reading import load as load_settings
from reid_attn.training import train

PERSONS, PICTURES = 751, 12_936
"""Of Market-1501's training half."""
CAMERAS = 6
RECIPE = Path("configs/market1501/bot.yaml")


class Run(NamedTuple):
    """What was trained, and how long it took."""

    pictures: int
    persons: int
    epochs: int
    seconds: float
    """From the settings to the last evaluation."""


def market(
    folder: Path, persons: int, pictures: int, overrides: list[str], console: Console
) -> Run:
    """Train `RECIPE` from random weights on `pictures` of `persons`, drawn into `folder`."""
    sample = folder / "sample"
    per_camera = max(2, -(-pictures // (persons * CAMERAS)))
    write_sample(sample, 2 * persons, CAMERAS, seed=0, pictures=per_camera)
    own = [f"data.source=market1501:{sample}", "model.weights=none", "training.evaluate_every=0"]
    started = time.perf_counter()
    settings = load_settings(RECIPE, [*own, *overrides])
    dataset = _thinned(load(settings.data.source), pictures)
    train(settings, dataset, folder / "run", console)
    seconds = time.perf_counter() - started
    found = len(dataset.labels())
    return Run(len(dataset.train), found, settings.training.epochs, seconds)


def _thinned(dataset: Dataset, pictures: int) -> Dataset:
    """So many of its training pictures, taken evenly: all persons stay."""
    places = np.linspace(0, len(dataset.train) - 1, min(pictures, len(dataset.train)))
    return replace(
        dataset, train=tuple(dataset.train[place] for place in places.round().astype(int))
    )
