"""The features file: round trip, and everything that can be wrong with one."""

import io
import re
import zipfile
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
        ({"query_features": np.ones((2, 0))}, r"D of at least 1, not float64 \(2, 0\)"),
        ({"query_features": np.full((2, 3), 1e300)}, "too large for float32"),
        ({"query_names": np.full(2, 0x110000, np.uint32).view("<U1")}, "not a readable"),
        ({"query_ids": np.array([1])}, "one entry per feature"),
        ({"query_ids": np.array([1.5, 2])}, "must be integers"),
        ({"query_ids": np.array([2**64 - 1, 5], np.uint64)}, "query_ids has 18446744073709551615"),
        ({"gallery_cams": np.array([1, 2**63], np.uint64)}, "gallery_cams has 9223372036854775808"),
        ({"query_names": np.array(["a"])}, "one entry per feature"),
        ({"query_ids": np.array([None, {}])}, "not a readable"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, change: dict, message: str) -> None:
    wrong = {key: array for key, array in (arrays() | change).items() if array is not None}
    np.savez(tmp_path / "f.npz", **wrong)
    with pytest.raises(DataError, match=message):
        load_set(tmp_path / "f.npz")


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(96)


def set_flags(data: bytes, flag: int) -> bytes:
    """The archive `data` whose members all have `flag`."""
    changed = bytearray(data)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(mark, data):
            changed[found.start() + place] |= flag
    return bytes(changed)


SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s, 3)}\n"


@pytest.mark.parametrize(
    "member",
    [
        b"no array",
        b"",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, }\n"),
        header("{'descr': '''<f8, 'shape': (2, 3)\n"),
        header(SHAPE % "99999999999999999999"),
        header(SHAPE % "100000000000000"),
        header(SHAPE % "-2"),
    ],
)
def test_a_member_that_is_no_array(tmp_path: Path, member: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("query_features.npy", member)
    with pytest.raises(DataError, match="not a readable"):
        load_set(tmp_path / "f.npz")


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_damage_in_a_compressed_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("query_features.npy", npy(np.random.default_rng(0).normal(size=(9, 9))))
    whole = (tmp_path / "f.npz").read_bytes()
    for place in range(48, 300, 7):
        damaged = whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :]
        (tmp_path / "f.npz").write_bytes(damaged)
        with pytest.raises(DataError):
            load_set(tmp_path / "f.npz")


def test_an_encrypted_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays())
    (tmp_path / "f.npz").write_bytes(set_flags((tmp_path / "f.npz").read_bytes(), 1))
    with pytest.raises(DataError, match="is encrypted"):
        load_set(tmp_path / "f.npz")


def test_other_members_do_not_matter(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays())
    with zipfile.ZipFile(tmp_path / "f.npz", "a") as archive:
        archive.writestr("readme.txt", "ours")
    assert len(load_set(tmp_path / "f.npz").query) == 2


def test_members_of_other_names_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays())
    with zipfile.ZipFile(tmp_path / "f.npz", "a") as archive:
        archive.writestr("junk.npy", "no array, and who knows how large")
        archive.getinfo("junk.npy").file_size = 2**31 - 1
    assert len(load_set(tmp_path / "f.npz").query) == 2
    np.savez(tmp_path / "f.npz", features=np.ones((2, 3)), junk=np.ones(2))
    with pytest.raises(DataError, match=r"lacks ids, cams; it has features, junk$"):
        load(tmp_path / "f.npz")


def test_a_small_file_may_not_fill_the_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays().items():
            archive.writestr(f"{name}.npy", npy(array))
            archive.getinfo(f"{name}.npy").file_size = 50_000_000  # believed, as it would be there
    with pytest.raises(DataError, match="would take 300 MB, more than 20 times the file"):
        load_set(tmp_path / "f.npz")


def test_packed_features_of_many_pictures_are_no_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reid_attn.features.file._MOST_UNPACKED", 0)
    vectors = np.random.default_rng(0).random((2000, 64)).astype(np.float16).astype(np.float32)
    ids, names = np.ones(2000, np.int64), np.array(["a/long/folder/of/many/pictures.jpg"] * 2000)
    np.savez_compressed(tmp_path / "f.npz", features=vectors, ids=ids, cams=ids, names=names)
    assert len(load(tmp_path / "f.npz")) == 2000


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packing_whose_reading_has_no_limit_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w", method) as archive:
        for name, array in arrays().items():
            archive.writestr(f"{name}.npy", npy(array))
    with pytest.raises(DataError, match="numpy does not use"):
        load_set(tmp_path / "f.npz")


def test_a_text_file_is_told_without_the_advice_of_numpy(tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_text("hello")
    with pytest.raises(DataError, match="it is no archive") as told:
        load_set(tmp_path / "f.npz")
    assert "pickle" not in str(told.value)


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
