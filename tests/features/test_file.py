"""The features file: round trip, and everything that can be wrong with one."""

from pathlib import Path

import numpy as np
import pytest

from reid_attn.errors import DataError
from reid_attn.features import Features, FeatureSet
from reid_attn.features.file import load, load_set, save, save_set


def features(count: int = 3, names: bool = True) -> Features:
    generator = np.random.default_rng(count)
    return Features(
        generator.standard_normal((count, 4)).astype(np.float32),
        np.arange(count),
        np.ones(count, np.int64),
        tuple(f"é {i}.jpg" for i in range(count)) if names else (),
        "f" * 64,
    )


@pytest.mark.parametrize("names", [True, False])
def test_round_trip(tmp_path: Path, names: bool) -> None:
    path = tmp_path / "features.npz"
    saved = features(names=names)
    save(path, saved)
    loaded = load(path)
    assert np.array_equal(loaded.vectors, saved.vectors)
    assert (loaded.names, loaded.fingerprint) == (saved.names, saved.fingerprint)
    save_set(path, FeatureSet(features(2), features(5)))
    assert (len(load_set(path).query), len(load_set(path).gallery), len(load(path))) == (2, 5, 5)


def arrays() -> dict[str, np.ndarray]:
    return {
        "query_features": np.ones((2, 3), np.float32),
        "query_ids": np.array([1, 2]),
        "query_cams": np.array([1, 1]),
        "gallery_features": np.ones((2, 3), np.float64),
        "gallery_ids": np.array([1, 2], np.int32),
        "gallery_cams": np.array([2, 2]),
    }


def test_other_number_types_are_accepted(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays())
    assert load_set(tmp_path / "f.npz").gallery.vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_ids": None}, "lacks query_ids"),
        ({"query_features": np.ones(2, np.float32)}, "must be"),
        ({"query_features": np.ones((2, 3), np.int64)}, "must be"),
        ({"query_ids": np.array([1])}, "one entry per feature"),
        ({"query_ids": np.array([1.5, 2])}, "must be integers"),
        ({"query_names": np.array(["a"])}, "one entry per feature"),
        ({"query_ids": np.array([None, {}])}, "not a readable"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, change: dict, message: str) -> None:
    wrong = {key: array for key, array in (arrays() | change).items() if array is not None}
    np.savez(tmp_path / "f.npz", **wrong)
    with pytest.raises(DataError, match=message):
        load_set(tmp_path / "f.npz")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    save_set(tmp_path / "f.npz", FeatureSet(features(2), features(5)))
    whole = (tmp_path / "f.npz").read_bytes()
    for end in range(0, len(whole) - 1, 37):
        (tmp_path / "f.npz").write_bytes(whole[:end])
        with pytest.raises(DataError):
            load_set(tmp_path / "f.npz")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no features file"):
        load(tmp_path / "none.npz")


def test_unknown_persons_are_not_labels() -> None:
    known = features()
    assert known.labelled
    unknown = Features(known.vectors, np.full(3, -1), np.full(3, -1))
    assert not unknown.labelled
