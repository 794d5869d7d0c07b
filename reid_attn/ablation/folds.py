"""Folds: data sets whose test persons differ, so that every person is tested once.

A folder that holds `fold0`, `fold1`, … gives these, each with its own splits. Any other data set
is divided over its *training* persons; the persons of its test stay out of every fold, so that
nothing is chosen by them. A fold is then a CSV table that `csv:FILE` reads, so that each of its
runs can be resumed and evaluated by itself.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import Dataset, Picture, load
from ..errors import UsageError

_FOLD = re.compile(r"fold(\d+)", re.ASCII)


@dataclass(frozen=True)
class Fold:
    """One data set to train and test on."""

    name: str
    source: str
    """For `data.load`."""
    table: str = ""
    """Content of the CSV file that `source` names, when the fold was divided off a set."""


def make_folds(source: str, camera_pattern: str, count: int, seed: int, folder: Path) -> list[Fold]:
    """The first `count` folds of `source`; tables are to be written into `folder`.

    Raises:
        UsageError: there are fewer folds, or too few persons for so many.
        DataError: the data set cannot be used.
    """
    given = _given(source)
    if given:
        if count > len(given):
            raise UsageError(f"{source} holds {len(given)} folds: use at most --folds {len(given)}")
        return given[:count]
    if count < 2:
        raise UsageError("one fold would leave nobody to train with: use at least --folds 2")
    dataset = load(source, camera_pattern)
    tables = [_table(dataset, part) for part in divide(dataset, count, seed)]
    return [
        Fold(f"fold{number}", f"csv:{folder / f'fold{number}.csv'}", table)
        for number, table in enumerate(tables)
    ]


def divide(dataset: Dataset, count: int, seed: int) -> Iterator[dict[Picture, str]]:
    """The split of each training picture, once for each of `count` folds.

    Persons are dealt out in a random order. Those of the fold are tested: of each camera one random
    picture is a query and the rest is gallery, such that a match in another camera is left for it.
    """
    generator = np.random.default_rng(seed)
    persons = generator.permutation(sorted(dataset.labels()))
    if len(persons) < 2 * count:
        raise UsageError(
            f"{dataset.name} has {len(persons)} persons to train with, too few for {count} folds: "
            f"use at most --folds {len(persons) // 2}"
        )
    chosen = _queries(dataset.train, generator)
    for number in range(count):
        tested = set(persons[number::count].tolist())
        yield {
            picture: ("query" if picture in chosen else "gallery")
            if picture.person in tested
            else "train"
            for picture in dataset.train
        }


def _given(source: str) -> list[Fold]:
    kind, _, place = source.partition(":")
    folder = Path(place).expanduser()
    inside = folder.iterdir() if place and folder.is_dir() else ()
    found = {path.name: path for path in inside if _FOLD.fullmatch(path.name) and path.is_dir()}
    names = sorted(found, key=lambda name: int(name.removeprefix("fold")))
    return [Fold(name, f"{kind}:{found[name]}") for name in names]


def _queries(pictures: Iterable[Picture], generator: np.random.Generator) -> set[Picture]:
    persons: dict[int, dict[int, list[Picture]]] = defaultdict(lambda: defaultdict(list))
    for picture in sorted(pictures, key=lambda picture: picture.path):
        persons[picture.person][picture.camera].append(picture)
    return {
        persons[person][camera][generator.integers(len(persons[person][camera]))]
        for person in sorted(persons)
        for camera in _asking(persons[person])
    }


def _asking(cameras: Mapping[int, list[Picture]]) -> list[int]:
    """Cameras with one picture keep it for the gallery; where all have only one, the first asks."""
    if len(cameras) < 2:
        return []
    several = sorted(camera for camera, pictures in cameras.items() if len(pictures) > 1)
    return several or [min(cameras)]


def _table(dataset: Dataset, splits: Mapping[Picture, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "person", "camera", "split"))
    for picture, split in splits.items():
        person = dataset.describe(picture.person)
        writer.writerow((picture.path.absolute(), person, picture.camera, split))
    return text.getvalue()
