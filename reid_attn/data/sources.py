"""`FORMAT:PATH` -> `Dataset`."""

from pathlib import Path

from ..errors import UsageError, nearest
from ..settings import DataSettings
from . import folder, market1501
from .dataset import Dataset

FORMATS = ("market1501", "folder", "csv")


def load(source: str, camera_pattern: str = DataSettings().camera_pattern) -> Dataset:
    """The data set that `source` names: `market1501:PATH`, `folder:PATH` or `csv:FILE`.

    `camera_pattern` is used by `folder` only. `UsageError` for an unknown format, `DataError` with
    every problem at once for a set that cannot be used.
    """
    kind, separator, place = source.partition(":")
    if not separator or not place:
        raise UsageError(
            f"'{source}' is not of the form FORMAT:PATH, for example market1501:data/market1501"
        )
    path = Path(place).expanduser()
    if kind == "market1501":
        return market1501.read(path)
    if kind == "folder":
        return folder.read_folder(path, camera_pattern)
    if kind == "csv":
        return folder.read_csv(path)
    raise UsageError(
        f"'{kind}' is not a format of data: use one of {', '.join(FORMATS)}{nearest(kind, FORMATS)}"
    )
