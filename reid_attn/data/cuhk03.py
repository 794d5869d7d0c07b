"""CUHK03 (Li et al., DeepReID, CVPR 2014) by the new protocol (Zhong et al., CVPR 2017).

767 persons train and 700 are tested, with boxes that people drew (`labelled`) or a detector found
(`detected`). The protocol is a `.mat` file of level 5: names such as `1_001_1_01.png` (pair of
cameras, person of the pair, view, picture; the view is the camera), labels, and which of them
train, ask, and answer. The pictures are inside `cuhk-03.mat` (level 7.3, which is HDF5) until they
are written once into `images_labeled` or `images_detected`, where torchreid, fast-reid and the
authors of RGA have them too.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MissingExtra
from .dataset import Dataset, Picture, locate, refuse
from .extraction import write_png
from .images import MAX_PIXELS
from .matlab import read_numbers, read_texts, whole_column
from .reading import WHOLE, Reading

Boxes = Literal["labeled", "detected"]
PLACES = ("", "cuhk03")
"""Where the protocol lies below the path that people give."""
ARCHIVES = ("cuhk03_release/cuhk-03.mat", "cuhk-03.mat")
COUNTS = {
    "labeled": {"train": 7_368, "query": 1_400, "gallery": 5_328},
    "detected": {"train": 7_365, "query": 1_400, "gallery": 5_332},
}
TRAIN_PERSONS = 767

PROTOCOL = "cuhk03_new_protocol_config_{}.mat"
INDICES = {"train": "train_idx", "query": "query_idx", "gallery": "gallery_idx"}

_NAME = re.compile(r"[0-9]_[0-9]{3}_([12])_[0-9]{2}\.png", re.ASCII)


def read(root: Path, reading: Reading = WHOLE, *, boxes: Boxes) -> Dataset:
    """The set below `root`; pictures that are not yet written are taken out of `cuhk-03.mat`.

    Raises:
        DataError: everything that is wrong with it, at once.
        MissingExtra: pictures must be taken out, and h5py is not installed.
        DiskError: they cannot be written; what is written stays, and the next call goes on.
    """
    protocol = PROTOCOL.format(boxes)
    folder = locate(root, PLACES, lambda place: (place / protocol).is_file(), protocol)
    inside = folder / f"images_{boxes}"
    splits = _protocol(folder / protocol, inside)
    pictures = [picture for split in splits.values() for picture in split]
    problems = _written(folder, boxes, {picture.path for picture in pictures})
    reasons = {picture.path: reading.fault(picture.path) for picture in pictures}
    problems += [f"{inside.name}/{path.name} {why}" for path, why in reasons.items() if why]
    dataset = Dataset(f"cuhk03-{boxes}", splits["train"], splits["query"], splits["gallery"])
    problems += dataset.problems(reading.needed)
    if len(dataset.labels()) == TRAIN_PERSONS:
        problems += dataset.differences(COUNTS[boxes], f"CUHK03 ({boxes})")
    refuse(folder, problems)
    return dataset


def parse_name(name: str) -> int | None:
    """The camera of a file name, 1 or 2, or `None` when it does not follow the rule."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def _protocol(path: Path, inside: Path) -> dict[str, tuple[Picture, ...]]:
    """The pictures of each split, as the file at `path` says."""
    names = read_texts(path, ["filelist"])["filelist"]
    arrays = read_numbers(path, ["labels", *INDICES.values()])
    columns = {name: whole_column(array, name, path) for name, array in arrays.items()}
    refuse(path, _protocol_problems(names, columns))
    labels = columns["labels"]
    return {
        split: tuple(
            Picture(inside / names[row], int(labels[row]), parse_name(names[row]) or 0)
            for row in columns[index] - 1
        )
        for split, index in INDICES.items()
    }


def _protocol_problems(names: Sequence[str], columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """Names that are not of the set, labels that are none, rows that are not there or twice."""
    wrong = [name for name in names if parse_name(name) is None]
    problems = [f"filelist: '{name}' is not like 1_001_1_01.png" for name in wrong]
    if len(set(names)) < len(names):
        problems.append("filelist: a name is there twice")
    labels = columns["labels"]
    if labels.shape != (len(names),) or labels.min(initial=1) < 1:
        problems.append(f"labels: they must be {len(names)} numbers from 1 on")
    rows = [columns[index] for index in INDICES.values()]
    for index, column in zip(INDICES.values(), rows, strict=True):
        if column.ndim != 1 or column.min(initial=1) < 1 or column.max(initial=1) > len(names):
            problems.append(f"{index}: it must hold numbers from 1 to {len(names)}")
    taken = np.concatenate([column.reshape(-1) for column in rows])
    if len(np.unique(taken)) < len(taken):
        problems.append(f"{', '.join(INDICES.values())}: they hold a number twice")
    return problems


def _written(folder: Path, boxes: Boxes, paths: Collection[Path]) -> list[str]:
    """Write those of `paths` that are not there yet; returns why it could not be done."""
    missing = [path for path in paths if not path.exists()]
    archive = next((folder / name for name in ARCHIVES if (folder / name).is_file()), None)
    if missing and archive is None:
        count = "1 picture" if len(missing) == 1 else f"{len(missing)} pictures"
        return [f"there is no {ARCHIVES[0]}, to take {count} out of"]
    if missing and archive:
        take_out(archive, boxes, {path.name: path for path in missing})
    return []


def take_out(archive: Path, boxes: Boxes, targets: Mapping[str, Path]) -> None:
    """Write the pictures of `cuhk-03.mat` that `targets` names to the paths it gives.

    Raises:
        DataError: the archive cannot be read.
        MissingExtra: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("h5py", "cuhk03") from error
    try:
        with h5py.File(archive, "r") as file:
            for name, reference in _cells(file, boxes):
                if name in targets:
                    _take(file[reference], targets[name])
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(
            f"{archive} cannot be read ({error}): unpack it again from cuhk03_release.zip"
        ) from error


def _cells(file: Any, boxes: Boxes) -> Iterator[tuple[str, Any]]:
    """Name and reference of every picture: 5 pairs of cameras, their persons, 5 + 5 views."""
    for pair, persons in enumerate(file[boxes][()].ravel(), 1):
        for person, views in enumerate(file[persons][()].T, 1):
            for number, reference in enumerate(views, 1):
                view = 1 if number <= 5 else 2
                yield f"{pair}_{person:03d}_{view}_{number:02d}.png", reference


def _take(cell: Any, target: Path) -> None:
    """Write one picture; HDF5 has MATLAB's axes in the other order. A cell may be empty."""
    if len(cell.shape) != 3:
        return
    if cell.dtype != np.uint8 or cell.shape[0] != 3 or cell.size > 3 * MAX_PIXELS:
        raise ValueError(f"{target.name} is {cell.dtype} of {cell.shape}, which is no RGB picture")
    write_png(target, cell[()].T)
