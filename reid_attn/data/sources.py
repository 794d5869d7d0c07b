"""`FORMAT:PATH` -> `Dataset`, and the sets that settings name -> one `Dataset`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import UsageError, nearest
from ..settings import DataSettings
from . import cuhk03, folder, market1501, msmt17, torchreid_sets
from .dataset import SPLITS, Dataset, refuse
from .mixing import everything, mix
from .reading import Reading
from .screening import Progress, screen, silent

READERS: Mapping[str, Callable[[Path, Reading], Dataset]] = {
    "market1501": market1501.read,
    "msmt17": msmt17.read,
    "msmt17-trainval": partial(msmt17.read, validation=True),
    "cuhk03-labelled": partial(cuhk03.read, boxes="labeled"),
    "cuhk03-detected": partial(cuhk03.read, boxes="detected"),
    "folder": folder.read_folder,
    "csv": folder.read_csv,
}
ALL, TORCHREID = "all", "torchreid/"
FORMATS = (*READERS, f"{TORCHREID}NAME", ALL)
TEST = ("query", "gallery")


def load(source: str, camera_pattern: str = DataSettings().camera_pattern) -> Dataset:
    """The data set that `source` names, `FORMAT:PATH`; `docs/data.md` lists the formats.

    `camera_pattern` is used by `folder` only. `UsageError` for an unknown format, `DataError` with
    every problem at once for a set that cannot be used, `MissingExtra` for a format that needs an
    optional library.
    """
    return read(source, Reading(camera_pattern))


def load_settings(
    data: DataSettings, needed: tuple[str, ...] = SPLITS, progress: Progress = silent
) -> Dataset:
    """What `data` names: `source`, with the training pictures of `also_train`, tested on `test`.

    Only the `needed` splits are sure to be complete. Where `bad_pictures` is `skip`, their pictures
    are all decoded once (`progress` counts them), and `bad` of the set lists those left out. The
    errors are those of `load`.
    """
    reading = Reading(data.camera_pattern, needed, data.bad_pictures == "skip")
    also = data.also_train
    if data.test:
        tested = replace(reading, needed=tuple(split for split in needed if split in TEST))
        dataset = replace(read(data.test, tested), train=())
        also = (data.source, *also)
    else:
        dataset = read(data.source, reading)
    if also and "train" in needed:
        trained = replace(reading, needed=("train",))
        dataset = mix(dataset, [(source, read(source, trained)) for source in also])
    if not reading.skip_bad:
        return dataset
    screened = screen(dataset, needed, progress)
    refuse(data.source, screened.problems(needed))
    return screened


def read(source: str, reading: Reading) -> Dataset:
    """The set that `source` names, as far as `reading` needs it; errors as those of `load`."""
    kind, separator, place = source.partition(":")
    if not separator or not place:
        raise UsageError(
            f"'{source}' is not of the form FORMAT:PATH, for example market1501:data/market1501"
        )
    if kind == ALL:
        dataset = everything(read(place, replace(reading, needed=())))
        refuse(source, dataset.problems(reading.needed))
        return dataset
    path = Path(place).expanduser()
    if kind.startswith(TORCHREID):
        return torchreid_sets.read(path, reading, kind.removeprefix(TORCHREID))
    if kind in READERS:
        return READERS[kind](path, reading)
    raise UsageError(
        f"'{kind}' is not a format of data: use one of {', '.join(FORMATS)}{nearest(kind, FORMATS)}"
    )
