"""`torchreid/NAME:PATH`: the image sets that torchreid 0.2.5 knows, through its own readers.

PATH is torchreid's `root`, which holds the folder of the set; what is missing is not downloaded.
Its numbers count from 0, ours from 1: persons and cameras are one more than torchreid's, and what
it calls junk in the gallery are our distractors, person 0. In torchreid the persons of the training
and of the test are numbered apart; here those who train come after those of the test. Of several
splits it is the first (`split_id` 0). torchreid draws some of them, once, and keeps them in a file
beside the pictures; here it draws from a fixed seed.
"""

import io
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, MissingExtra, UsageError, nearest
from ..storage import read_bytes
from .dataset import Dataset, Picture, need_folder, refuse
from .extraction import read_bitmap, write_png
from .reading import Reading

BITMAP = ".bmp"


def read(root: Path, reading: Reading, name: str) -> Dataset:
    """The set `name` below `root`.

    A set that torchreid has for training only has no test here, and one for the test only trains
    nobody. Bitmaps, which VIPeR is made of, are written beside as PNG.

    Raises:
        UsageError: torchreid knows no image set of this name.
        DataError: the folder is missing, or torchreid's reader refuses it, or its pictures are bad.
        MissingExtra: torchreid is not installed.
    """
    reader = _reader(name)
    need_folder(root)
    if not (root / reader.dataset_dir).is_dir():
        raise DataError(
            f"there is no {root / reader.dataset_dir}, where torchreid expects {name}: put it there"
        )
    try:
        with _quietly():
            found = reader(root=str(root), verbose=False)
    except Exception as error:  # whatever its readers meet
        reason = str(error) or type(error).__name__
        raise DataError(f"torchreid cannot read {name} in {root} ({reason})") from error
    dataset = _numbered(found, name)
    problems: list[str] = []
    train, query, gallery = (
        tuple(_sound(split, reading, problems)) for split in dataset.splits().values()
    )
    dataset = replace(dataset, train=train, query=query, gallery=gallery)
    refuse(root, problems + dataset.problems(reading.needed))
    return dataset


def _reader(name: str) -> Any:
    try:
        with _quietly():
            from torchreid.reid.data import datasets
    except ImportError as error:
        raise MissingExtra("torchreid", "torchreid") from error
    readers = vars(datasets)["__image_datasets"]
    if name not in readers:
        raise UsageError(
            f"torchreid has no image set '{name}': use one of {', '.join(sorted(readers))}"
            f"{nearest(name, readers)}"
        )
    return readers[name]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torchreid's prints and warnings, and with its draws from one seed, not from ours."""
    theirs = np.random.RandomState(0).get_state()
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.set_state(theirs)  # noqa: NPY002
        random.seed(0)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def _numbered(found: Any, name: str) -> Dataset:
    """torchreid's lists in our numbers."""
    junk = set(found._junk_pids)
    query, gallery = (
        tuple(
            Picture(Path(path), 0 if person in junk else person + 1, camera + 1)
            for path, person, camera, _ in split
        )
        for split in (found.query, found.gallery)
    )
    tested = query + gallery
    highest = max(picture.person for picture in tested)
    train = tuple(
        Picture(Path(path), highest + person + 1, camera + 1)
        for path, person, camera, _ in found.train
    )
    if found._train_only:  # its test is a copy of one training picture
        query = gallery = ()
    elif {picture.path for picture in train} <= {picture.path for picture in tested}:
        train = ()  # a test alone, copied
    return Dataset(name, train, query, gallery)


def _sound(pictures: Sequence[Picture], reading: Reading, problems: list[str]) -> Iterator[Picture]:
    """The pictures as files that can be decoded; what is wrong goes to `problems`."""
    for picture in pictures:
        path, reason = picture.path, reading.fault(picture.path)
        if path.suffix.lower() == BITMAP and not reason:
            path, reason = _as_png(path, reading)
        if reason:
            problems.append(f"{picture.path} {reason}")
        else:
            yield replace(picture, path=path)


def _as_png(bitmap: Path, reading: Reading) -> tuple[Path, str]:
    """The same picture as PNG, written beside it once; or why there is none."""
    target = bitmap.with_suffix(".png")
    try:
        if not target.exists():
            write_png(target, read_bitmap(read_bytes(bitmap)))
    except (DataError, ValueError) as error:
        return bitmap, "" if reading.skip_bad else f"cannot be decoded ({error})"
    return target, ""
