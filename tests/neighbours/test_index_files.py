"""Indexes in files: restored as they were, checked where used, without what was removed."""

from pathlib import Path

import numpy as np
import pytest
from twins import clouds

from reid_attn.errors import DamagedError, DataError, DiskError
from reid_attn.neighbours import blocks, kinds, load, make, read_facts, save

pytest.importorskip("faiss")

COUNT, DIMENSION = 600, 16
IDS = np.random.default_rng(5).permutation(2000)[:COUNT]
VECTORS = clouds(COUNT, DIMENSION)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1 << 12)


@pytest.mark.parametrize("kind", kinds())
def test_is_restored_as_it_was(kind: str, path: Path) -> None:
    index = make(kind, DIMENSION)
    index.add(IDS, VECTORS)
    save(path, index, {"stamp": "abc"})
    found, facts = load(path)
    assert (found.kind, found.dimension, facts) == (kind, DIMENSION, {"stamp": "abc"})
    assert read_facts(path) == facts
    np.testing.assert_array_equal(found.ids, index.ids)
    for queries in (VECTORS[:20], VECTORS[:1]):
        np.testing.assert_array_equal(found.search(queries, 7), index.search(queries, 7))
    found.remove(IDS[:10])
    found.add([5000], VECTORS[:1])
    assert found.search(VECTORS[:1], 1)[1].item() == 5000
    save(path, found, {})
    again, _ = load(path)
    np.testing.assert_array_equal(again.search(VECTORS[:20], 7), found.search(VECTORS[:20], 7))
    np.testing.assert_array_equal(
        type(found).from_bytes(found.to_bytes()).search(VECTORS[:20], 7),
        found.search(VECTORS[:20], 7),
    )


@pytest.mark.parametrize("kind", kinds())
def test_an_empty_one_is_restored(kind: str, path: Path) -> None:
    save(path, make(kind, DIMENSION), {})
    index, _ = load(path)
    assert len(index) == 0
    assert index.search(VECTORS[:2], 3)[1].shape == (2, 0)
    index.add(IDS, VECTORS)
    assert len(index) == COUNT


@pytest.mark.parametrize("kind", ["exact", "half", "hnsw", "ivf", "refined"])
def test_nothing_is_left_of_what_was_removed(kind: str, path: Path) -> None:
    index = make(kind, DIMENSION)
    index.add(IDS, VECTORS)
    kept = np.float16 if kind == "half" else np.float32
    pieces = [row.astype(kept).tobytes() for row in VECTORS]
    save(path, index, {})
    assert all(piece in path.read_bytes() for piece in pieces)
    index.remove(IDS[100:110])
    save(path, index, {})
    left = [piece in path.read_bytes() for piece in pieces]
    assert not any(left[100:110])
    assert all(left[:100] + left[110:])


@pytest.mark.parametrize("kind", kinds())
def test_a_flipped_bit_anywhere_is_noticed_before_it_is_used(kind: str, path: Path) -> None:
    """Each search is right, or refused; and a search that reads everything is refused."""
    index, draw = make(kind, DIMENSION), np.random.default_rng(3)
    index.add(IDS, VECTORS)
    expected = index.search(VECTORS[:20], 7)
    save(path, index, {})
    sound = path.read_bytes()
    for start in range(0, len(sound), 1 << 12):
        data = bytearray(sound)
        data[draw.integers(start, min(start + (1 << 12), len(sound)))] ^= 1 << draw.integers(8)
        path.write_bytes(data)
        with pytest.raises(DamagedError):
            type(index).from_bytes(bytes(data))
        try:
            found = load(path)[0].search(VECTORS[:20], 7)
        except DamagedError:
            continue
        assert kind == "refined"  # whose codes many queries at once do not use
        np.testing.assert_array_equal(found, expected)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(DataError, match="index"):
        load(path)


def test_a_kind_of_another_version_is_damage(path: Path) -> None:
    path.write_bytes(b"".join(blocks.pieces({"kind": "tree", "index": {}, "facts": {}}, {})))
    with pytest.raises(DamagedError, match="another version"):
        load(path)
    with pytest.raises(DamagedError, match="kind tree, not exact"):
        type(make("exact", 3)).from_bytes(path.read_bytes())


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_bytes_that_faiss_does_not_know_are_damage(kind: str, path: Path) -> None:
    index = make(kind, DIMENSION)
    index.add(IDS, VECTORS)
    facts, arrays = index.contents()
    foreign = {name: array if name == "ids" else array[:50] for name, array in arrays.items()}
    with pytest.raises(DamagedError, match="by this FAISS"):
        type(index).restore(facts, foreign)


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make("exact", DIMENSION)
    save(path, index, {"state": "old"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        save(path, index, {"state": "new"})
    assert read_facts(path) == {"state": "old"}
    assert [*path.parent.iterdir()] == [path]
