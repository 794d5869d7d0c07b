"""Features files of other systems: the numbers of our own file, and all that can be wrong."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from reid_attn.errors import DamagedError, DataError
from reid_attn.features import foreign
from reid_attn.features.file import load_set
from reid_attn.models.weights import _nested

QUERIES, GALLERY, DIMENSION = 6, 20, 4
SPLITS = ("query", "gallery")


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    found = {}
    for split, count, cameras in (("query", QUERIES, 1), ("gallery", GALLERY, 3)):
        vectors = generator.standard_normal((count, DIMENSION)).astype(np.float32)
        found[f"{split}_features"] = vectors
        found[f"{split}_ids"] = np.arange(count) % 5 - (split == "gallery")  # some are junk
        found[f"{split}_cams"] = np.arange(count) // 5 % cameras
    return found


def matlab(change: dict | None = None, **options: object) -> bytes:
    """What layumi's test.py saves, with the keys of `change` replaced or, for None, left out."""
    own = arrays()
    saved = {"mquery_f": np.ones((2, DIMENSION)), "mquery_label": [1, 2], "mquery_cam": [1, 2]}
    for split in SPLITS:
        saved[f"{split}_f"] = own[f"{split}_features"]
        saved[f"{split}_label"] = own[f"{split}_ids"].tolist()
        saved[f"{split}_cam"] = own[f"{split}_cams"].tolist()
    saved = {key: value for key, value in (saved | (change or {})).items() if value is not None}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, saved, **options)
    return buffer.getvalue()


def nested() -> dict[str, dict[str, torch.Tensor]]:
    own = {key: torch.from_numpy(array) for key, array in arrays().items()}
    return {
        split: {
            "features": own[f"{split}_features"],
            "pids": own[f"{split}_ids"],
            "camids": own[f"{split}_cams"],
        }
        for split in SPLITS
    }


def flat() -> dict[str, torch.Tensor]:
    return {
        f"{split}_{key}": tensor
        for split, inside in nested().items()
        for key, tensor in inside.items()
    }


@pytest.fixture
def torch_file(tmp_path: Path) -> Path:
    torch.save(nested(), tmp_path / "f.pt")
    return tmp_path / "f.pt"


@pytest.fixture
def scores(tmp_path: Path) -> dict:
    """Of the same features in our own file."""
    np.savez(tmp_path / "own.npz", **arrays())
    ranking = load_set(tmp_path / "own.npz").rank().as_dict()
    assert 0 < ranking["mAP"] < 1
    return ranking


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({}, {}),
        ({}, {"do_compression": True}),
        ({f"{s}_{k}": arrays()[f"{s}_{k}s"] for s in SPLITS for k in ("cam",)}, {"oned_as": "row"}),
        ({f"{s}_label": arrays()[f"{s}_ids"].astype(float) for s in SPLITS}, {"oned_as": "column"}),
        ({f"{s}_f": arrays()[f"{s}_features"].astype(float) for s in SPLITS}, {}),
    ],
    ids=["lists", "compressed", "rows", "columns of doubles", "features of doubles"],
)
def test_a_mat_file_gives_the_same_numbers(
    tmp_path: Path, scores: dict, change: dict, options: dict
) -> None:
    (tmp_path / "f.MAT").write_bytes(matlab(change, **options))
    assert load_set(tmp_path / "f.MAT").rank().as_dict() == scores


def test_a_nested_torch_file_gives_the_same_numbers(torch_file: Path, scores: dict) -> None:
    assert load_set(torch_file).rank().as_dict() == scores


def test_a_flat_torch_file_gives_the_same_numbers(tmp_path: Path, scores: dict) -> None:
    """Our names, views of one memory, ids as a list, cameras as numpy numbers, doubles."""
    saved: dict[str, object] = {key.replace("pids", "ids"): v for key, v in flat().items()}
    saved["query_ids"] = arrays()["query_ids"].tolist()
    saved["gallery_cams"] = list(saved.pop("gallery_camids").numpy())
    both = torch.cat([flat()["query_features"], flat()["gallery_features"]]).double()
    saved["query_features"], saved["gallery_features"] = both[:QUERIES], both[QUERIES:]
    saved["again"] = saved["query_features"]
    torch.save(saved, tmp_path / "f.pth")
    assert load_set(tmp_path / "f.pth").rank().as_dict() == scores


def test_integers_stay_integers(tmp_path: Path) -> None:
    large = 2**53 + 1  # a double would round it
    change = {"query_label": np.full(QUERIES, large), "query_cam": np.full(QUERIES, 2.0**53 - 1)}
    (tmp_path / "f.mat").write_bytes(matlab(change))
    query = load_set(tmp_path / "f.mat").query
    assert query.persons.tolist() == [large] * QUERIES
    assert query.cameras.tolist() == [2**53 - 1] * QUERIES
    tensors = {"query": {"pids": [large, 1], "camids": (1, 2)}}
    assert {key: (t.dtype, t.tolist()) for key, t in _nested(tensors)} == {
        "query.pids": (torch.int64, [large, 1]),
        "query.camids": (torch.int64, [1, 2]),
    }


def variable(name: str, values: np.ndarray, kind: int) -> bytes:
    """As MATLAB on a machine of the other byte order writes an array of doubles."""
    parts = [
        struct.pack(">IIII", 6, 8, 6, 0),
        struct.pack(">IIII", 5, 8, *values.shape),
        struct.pack(">II16s", 1, len(name), name.encode()),
        struct.pack(">II", kind, values.nbytes) + values.tobytes("F") + bytes(-values.nbytes % 8),
    ]
    if values.nbytes <= 4:  # within the head
        parts[3] = struct.pack(">HH4s", values.nbytes, kind, values.tobytes("F"))
    parts[2] = parts[2][: 8 + -(-len(name) // 8) * 8]
    content = b"".join(parts)
    return struct.pack(">II", 14, len(content)) + content


def test_doubles_that_matlab_stored_as_integers_of_the_other_byte_order(tmp_path: Path) -> None:
    """Whole doubles are stored as the smallest integers that hold them."""
    vectors = np.arange(8).reshape(4, 2)
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    for split in SPLITS:
        data += variable(f"{split}_f", vectors.astype("u1"), 2)
        data += variable(f"{split}_label", np.array([[1, 2, 300, -1]], ">i2"), 3)
        data += variable(f"{split}_cam", np.array([[1, 2, 3, 4]], "u1"), 2)
    (tmp_path / "f.mat").write_bytes(data)
    query = load_set(tmp_path / "f.mat").query
    assert np.array_equal(query.vectors, vectors)
    assert query.persons.tolist() == [1, 2, 300, -1]
    assert query.cameras.tolist() == [1, 2, 3, 4]
    theirs = scipy.io.loadmat(tmp_path / "f.mat", mat_dtype=True)
    assert np.array_equal(theirs["query_f"], vectors)
    assert np.array_equal(theirs["query_label"][0], query.persons)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_label": None, "gallery_cam": None}, r"lacks query_label, gallery_cam; it has gal"),
        ({"query_f": np.ones(DIMENSION)}, "one entry per feature, 1, not"),
        ({"query_f": np.ones((QUERIES, 2), np.int64)}, "must be .* floats"),
        ({"query_f": np.ones((QUERIES, 2, 2))}, "must be .* floats"),
        ({"query_f": np.ones((QUERIES, 2)) * 1j}, "real numbers, not of complex"),
        ({"gallery_cam": [1, 2]}, "one entry per feature"),
        ({"gallery_cam": np.ones((GALLERY, 2), int)}, "one entry per feature"),
        ({"query_label": np.linspace(0, 1, QUERIES)}, r"query_label must be whole .*, not 0\.2"),
        ({"query_label": np.full(QUERIES, np.nan)}, "must be whole numbers, not nan"),
        ({"query_label": np.full(QUERIES, 2.0**53)}, "must be whole numbers"),
        ({"query_label": np.array(["a", {}], object)}, "numbers, not of cells"),
        ({"query_label": {"a": 1}}, "numbers, not of structs"),
        ({"query_label": "text"}, "numbers, not of characters"),
        ({"query_label": np.ones(QUERIES, bool)}, "numbers, not of logical"),
        ({"query_f": scipy.sparse.eye_array(QUERIES)}, "numbers, not of sparse numbers"),
    ],
)
def test_a_wrong_mat_file_is_one_sentence(tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "f.mat").write_bytes(matlab(change))
    with pytest.raises(DataError, match=message) as caught:
        load_set(tmp_path / "f.mat")
    assert str(tmp_path / "f.mat") in str(caught.value)


def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.mat").write_bytes(matlab() + matlab()[128:])
    with pytest.raises(DataError, match="has query_f twice"):
        load_set(tmp_path / "f.mat")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384), r"7\.3 \(HDF5\).*-v7$"),
        (matlab(format="4", change={"query_f": np.ones((1, 1))}), "MATLAB 5 to 7"),
        (b"", "not a"),
        (b"\x89HDF\r\n\x1a\n" + bytes(400), r"7\.3 \(HDF5\)"),
        (b"nonsense" * 40, "not a"),
        (bytes(400), "not a"),
    ],
    ids=["HDF5", "version 4", "empty", "bare HDF5", "nonsense", "zeros"],
)
def test_another_version_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "f.mat").write_bytes(data)
    with pytest.raises(DataError, match=message):
        load_set(tmp_path / "f.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_every_truncated_mat_file_is_refused(tmp_path: Path, compressed: bool) -> None:
    whole = matlab(do_compression=compressed)
    for end in range(0, len(whole) - 8, 29):
        (tmp_path / "f.mat").write_bytes(whole[:end])
        with pytest.raises(DataError):
            load_set(tmp_path / "f.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_mat_file_with_a_wrong_bit_is_read_or_refused(tmp_path: Path, compressed: bool) -> None:
    whole = matlab(do_compression=compressed)
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(0, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= 1 << generator.integers(8)
        (tmp_path / "f.mat").write_bytes(changed)
        try:
            load_set(tmp_path / "f.mat")
        except DataError:
            refused += 1
    assert refused > 20


def test_a_damaged_torch_file_is_refused(torch_file: Path) -> None:
    whole = torch_file.read_bytes()
    pickled = whole.index(b"data.pkl") + 70
    flipped = bytes(255 - byte for byte in whole[pickled : pickled + 30])
    wrong_bits = whole[:pickled] + flipped + whole[pickled + 30 :]
    for damaged in (whole[: len(whole) // 2], whole[:-8], wrong_bits):
        torch_file.write_bytes(damaged)
        with pytest.raises((DataError, DamagedError), match=r"f\.pt"):
            load_set(torch_file)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    torch.save(flat() | {"query_pids": Evil()}, path)
    with pytest.raises(DataError, match=r"refused by the safe reader.*dictionaries of tensors"):
        load_set(path)
    assert not canary.exists()


def test_a_network_is_no_features_file(tmp_path: Path) -> None:
    torch.save({f"layer{i}.weight": torch.ones(1) for i in range(30)}, tmp_path / "net.pth")
    with pytest.raises(DataError, match=r"lacks query\.features, .*; it has layer0.* and more$"):
        load_set(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_pids": "text", "gallery_camids": None}, r"lacks query\.pids, gallery\.camids; it"),
        ({"query_pids": [1.5] * QUERIES}, "must be integers"),
        ({"query_pids": torch.ones(QUERIES)}, "must be integers"),
        ({"query_pids": torch.ones(QUERIES, dtype=torch.bool)}, "must be integers"),
        ({"query_pids": [1]}, "one entry per feature"),
        ({"query_features": torch.ones(QUERIES)}, "must be .* floats"),
        ({"query_features": torch.ones(QUERIES, 2, dtype=torch.int8)}, "must be .* floats"),
        ({"query_features": torch.ones(QUERIES, 2, dtype=torch.complex64)}, "must be .* floats"),
    ],
)
def test_a_wrong_torch_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, message: str
) -> None:
    """Without the child, which takes seconds to start."""
    monkeypatch.setattr(foreign, "read_nested", lambda path: dict(_nested(flat() | change)))
    (tmp_path / "f.pt").touch()
    with pytest.raises(DataError, match=message):
        load_set(tmp_path / "f.pt")


def test_half_precision_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (torch.bfloat16, torch.float16):
        changed = flat() | {"query_features": flat()["query_features"].to(kind)}
        monkeypatch.setattr(foreign, "read_nested", lambda path, found=changed: found)
        (tmp_path / "f.pt").touch()
        assert load_set(tmp_path / "f.pt").query.vectors.dtype == np.float32


def test_a_dictionary_that_contains_itself_ends() -> None:
    endless: dict[str, object] = {"pids": torch.ones(1)}
    endless["query"] = endless
    assert [name for name, _ in _nested(endless)] == ["pids", "query.pids", "query.query.pids"]


@pytest.mark.parametrize("name", ["f.txt", "f", "f.h5"])
def test_an_unknown_kind_names_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"\.npz, \.mat or \.pt"):
        load_set(tmp_path / name)


@pytest.mark.parametrize("name", ["f.mat", "f.pt", "f.txt"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="there is no features file"):
        load_set(tmp_path / name)
