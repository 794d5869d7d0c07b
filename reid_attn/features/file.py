"""Features with what is known about them, and the `.npz` file that any system can write and read.

Keys of a set: `query_features (Q, D) float32`, `query_ids (Q,) int64`, `query_cams (Q,) int64`, the
same for `gallery_`, and optionally `query_names`, `gallery_names`. A single list has `features`,
`ids`, `cams` (-1: unknown), `names` and the `fingerprint` of its network. No pickles. A set may
also come from a `.mat` or `.pt` file of another system (`foreign.py`).
"""

import io
import sys
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import storage
from ..data import Picture
from ..data.matlab import refuse_missing
from ..errors import DataError
from ..evaluation import Metric, Ranking, evaluate
from ..neighbours import unit_rows
from .foreign import read_mat, read_torch

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

SUFFIX = ".npz"

_NEEDED = ("features", "ids", "cams")
_KNOWN = frozenset(
    {f"{side}{part}" for side in ("", "query_", "gallery_") for part in (*_NEEDED, "names")}
    | {"fingerprint"}
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_UNPACKED, _MOST_RATIO = 256_000_000, 20
"""Bytes, or so many times those of the file, that its arrays may take. Packing makes float features
smaller by a few times at most; labels and names shrink far more, but are small beside them."""


@dataclass(frozen=True)
class Features:
    """N features: `vectors (N, D)`, `persons (N,)`, `cameras (N,)` and file names (or none)."""

    vectors: Floats
    persons: Integers
    cameras: Integers
    names: tuple[str, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def of(cls, vectors: Floats, pictures: Sequence[Picture]) -> "Features":
        """Features of pictures whose persons and cameras are known."""
        persons = np.array([picture.person for picture in pictures], np.int64)
        cameras = np.array([picture.camera for picture in pictures], np.int64)
        return cls(vectors, persons, cameras, tuple(str(picture.path) for picture in pictures))

    def unit(self) -> "Features":
        """The same with vectors of length 1; `DataError` for one that is zero or not finite."""
        return replace(self, vectors=unit_rows(self.vectors, self.names))

    @property
    def labelled(self) -> bool:
        """Whether every person and camera is known (unknown ones are -1)."""
        return bool((self.persons >= 0).all() and (self.cameras >= 0).all())


@dataclass(frozen=True)
class FeatureSet:
    """What an evaluation compares: queries against a gallery."""

    query: Features
    gallery: Features
    source: str = field(default="")

    def rank(self, metric: Metric = "cosine") -> Ranking:
        """CMC, mAP and the rest under the Market-1501 protocol."""
        q, g = self.query, self.gallery
        return evaluate(
            q.vectors, q.persons, q.cameras, g.vectors, g.persons, g.cameras, metric=metric
        )


def load_set(path: Path) -> FeatureSet:
    """The queries and gallery of a features file; `DataError` says what is wrong with it."""
    arrays, names = _read_any(path)
    query = _features(arrays, names, "query_", path)
    return FeatureSet(query, _features(arrays, names, "gallery_", path), str(path))


def load(path: Path) -> Features:
    """A single list of features, or the gallery of a set."""
    arrays, names = _read(path)
    return _features(arrays, names, "" if "features" in arrays else "gallery_", path)


def save_set(path: Path, features: FeatureSet) -> None:
    """Write queries and gallery to one features file."""
    _write(path, _arrays(features.query, "query_") | _arrays(features.gallery, "gallery_"))


def save(path: Path, features: Features) -> None:
    """Write a single list of features."""
    _write(path, _arrays(features, "") | {"fingerprint": np.array(features.fingerprint)})


def _read_any(path: Path) -> tuple[dict[str, NDArray[Any]], Collection[str]]:
    """The arrays of a set under our names, whoever wrote the file, and the names in that file."""
    _need_file(path)
    kind = path.suffix.lower()
    if kind == SUFFIX:
        return _read(path)
    if kind == ".mat":
        arrays = read_mat(path)
    elif kind in (".pt", ".pth"):
        arrays = read_torch(path)
    else:
        raise DataError(
            f"{path} is no features file: give one that ends in .npz, .mat or .pt (.pth)"
        )
    return arrays, arrays.keys()


def _need_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"there is no features file {path}")


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], Collection[str]]:
    """The arrays of an `.npz` file that belong to features, and the names of all its arrays."""
    _need_file(path)
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # numpy would take it for a pickle
                raise ValueError("it is no archive, or is cut short")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                suffix = ".npy"
                members = {
                    member.filename.removesuffix(suffix): member
                    for member in archive.zip.infolist()
                    if member.filename.endswith(suffix)
                }
                known = _KNOWN & members.keys()
                _check_unpacked([members[name] for name in known], path.stat().st_size)
                return {name: _array(archive[f"{name}{suffix}"]) for name in known}, members.keys()
    except Exception as error:  # damage makes numpy, zipfile and the decompressors raise anything
        raise DataError(
            f"{path} is not a readable .npz file ({error}): check it, or write it again with "
            "numpy.savez"
        ) from error


def _check_unpacked(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """`ValueError` when members of a file of `size` bytes may fill the memory with nothing."""
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_MOST_UNPACKED, _MOST_RATIO * size):
        raise ValueError(
            f"its arrays would take {unpacked / 1e6:,.0f} MB, more than {_MOST_RATIO} times the "
            "file, as no features do"
        )
    if any(member.compress_type not in _METHODS for member in members):
        raise ValueError("it is packed in a way that numpy does not use, and that has no limit")


def _array(member: Any) -> NDArray[Any]:
    """What numpy made of a member, if that is an array of what Python can hold."""
    if not isinstance(member, np.ndarray):
        raise ValueError("a member called .npy is no array")
    if member.dtype.kind == "U":
        points = np.atleast_1d(member).astype(member.dtype.newbyteorder("=")).view(np.uint32)
        if points.size and points.max() > sys.maxunicode:
            raise ValueError("a text has a character that is none")
    return member


def _features(
    arrays: Mapping[str, NDArray[Any]], present: Collection[str], prefix: str, path: Path
) -> Features:
    refuse_missing([key for k in _NEEDED if (key := f"{prefix}{k}") not in arrays], present, path)
    vectors = arrays[f"{prefix}features"]
    ids, cams = arrays[f"{prefix}ids"], arrays[f"{prefix}cams"]
    names = arrays.get(f"{prefix}names")
    if vectors.ndim != 2 or vectors.shape[1] == 0 or vectors.dtype.kind != "f":
        raise DataError(
            f"{path}: {prefix}features must be (N, D) floats with D of at least 1, "
            f"not {_shape(vectors)}"
        )
    for name, column in (("ids", ids), ("cams", cams), ("names", names)):
        if column is not None and column.shape != (len(vectors),):
            raise DataError(
                f"{path}: {prefix}{name} must have one entry per feature, "
                f"{len(vectors)}, not {_shape(column)}"
            )
    if ids.dtype.kind not in "iu" or cams.dtype.kind not in "iu":
        raise DataError(f"{path}: {prefix}ids and {prefix}cams must be integers")
    return Features(
        _single(vectors, f"{path}: {prefix}features"),
        _whole(ids, f"{path}: {prefix}ids"),
        _whole(cams, f"{path}: {prefix}cams"),
        () if names is None else tuple(str(name) for name in names),
        str(arrays.get("fingerprint", "")),
    )


def _single(vectors: NDArray[Any], name: str) -> Floats:
    """`vectors` (N, D) in float32; `DataError` when one of their numbers is too large for that."""
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(vectors, dtype=np.float32)
    if np.isinf(found).any() and not np.isinf(vectors).any():
        raise DataError(f"{name} has numbers too large for float32: scale the features")
    return found


def _whole(labels: NDArray[Any], name: str) -> Integers:
    """`labels` (N,) in int64; `DataError` for one that would come out as another number."""
    if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name} has {labels.max()}, too large for int64: use smaller numbers")
    return labels.astype(np.int64)


def _arrays(features: Features, prefix: str) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        f"{prefix}features": features.vectors,
        f"{prefix}ids": features.persons,
        f"{prefix}cams": features.cameras,
    }
    if features.names:
        arrays[f"{prefix}names"] = np.array(features.names)
    return arrays


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    storage.write_bytes(path, buffer.getvalue())


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
