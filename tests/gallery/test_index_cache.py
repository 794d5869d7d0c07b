"""The caches: used when they are right beyond doubt, and missed by nobody when they are gone."""

import os

import numpy as np
import pytest

from reid_attn import storage
from reid_attn.errors import DiskError
from reid_attn.gallery import Gallery, where
from reid_attn.gallery.local import cache, changes, index, records
from reid_attn.gallery.local.connection import NAME
from reid_attn.gallery.local.index import VectorIndex
from reid_attn.neighbours import ExactIndex, save

DIMENSION = 8


@pytest.fixture
def builds(monkeypatch):
    """How often an index was built from the rows."""
    counted = []
    build = VectorIndex._make

    def counting(self, meta, wanted):
        counted.append(1)
        return build(self, meta, wanted)

    monkeypatch.setattr(VectorIndex, "_make", counting)
    return counted


def nearest(folder, vector, k=1):
    with Gallery.open(folder) as gallery:
        return gallery.search(vector, k)


def state(folder):
    with Gallery.open(folder) as gallery:
        return gallery.stats().cache


def test_is_built_once_and_then_read(folder, add_random, builds):
    vectors = add_random(folder, 9)
    assert state(folder) == "absent"
    answers = [nearest(folder, vectors[4], 5) for _ in range(3)]
    assert (len(builds), state(folder)) == (1, "fresh")
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("name", [cache.INDEX, cache.COLUMNS])
def test_a_cache_that_is_gone_is_built_again(folder, add_random, name):
    vectors = add_random(folder, 9)
    before = nearest(folder, vectors[4], 5)
    (folder / name).unlink()
    assert nearest(folder, vectors[4], 5) == before
    assert (folder / name).exists()


def test_a_cache_of_an_earlier_generation_is_brought_up_to_date(folder, add_random, monkeypatch):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[0])
    later = add_random(folder, 2, seed=1)
    assert state(folder) == "stale"
    read = []
    get = records.get
    monkeypatch.setattr(records, "get", lambda link, n: read.append(list(n)) or get(link, n))
    assert nearest(folder, later[1])[0].source == "1-1.jpg"
    assert read[0] == [10, 11], "only the new rows are read"
    assert state(folder) == "fresh"


def test_a_cache_follows_removals_and_new_names(folder, add_random):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[0])
    with Gallery.open(folder) as gallery:
        gallery.remove([1, 5])
        gallery.store.relabel({2: ("anna", "Anna")}, "rename")
    with Gallery.open(folder) as gallery:
        assert [hit.row for hit in gallery.search(vectors[0], 9)] != []
        assert {hit.row for hit in gallery.search(vectors[0], 9)} == {2, 3, 4, 6, 7, 8, 9}
        found = gallery.search(vectors[0], 9, where=where(persons=["anna"]))
        assert [(hit.row, hit.name) for hit in found] == [(2, "Anna")]


def test_a_cache_that_is_too_old_to_follow_is_made_anew(folder, add_random, monkeypatch):
    monkeypatch.setattr(changes, "HISTORY", 2)
    vectors = add_random(folder, 4)
    nearest(folder, vectors[0])
    for seed in range(1, 6):
        add_random(folder, 1, seed=seed)
    assert len(nearest(folder, vectors[0], 50)) == 9


def test_a_large_gallery_does_not_write_its_cache_for_every_row(folder, add_random, monkeypatch):
    monkeypatch.setattr(cache, "SMALL", 10)
    vectors = add_random(folder, 60)
    nearest(folder, vectors[0])
    assert state(folder) == "fresh"
    add_random(folder, 1, seed=1)
    assert len(nearest(folder, vectors[0], 99)) == 61
    assert state(folder) == "stale", "one row of 61 is not worth writing all"
    add_random(folder, 3, seed=2)
    assert len(nearest(folder, vectors[0], 99)) == 64
    assert state(folder) == "fresh"


def test_a_cache_of_erased_rows_cannot_come_back(folder, add_random):
    """A process that searched before the erasure and closes after it writes nothing."""
    vectors = add_random(folder, 9)
    late = Gallery.open(folder)
    late.search(vectors[0], 1)
    with Gallery.open(folder) as gallery:
        gallery.forget("person 1")
    late.close()
    assert not (folder / cache.INDEX).exists()
    assert not (folder / cache.COLUMNS).exists()


def test_a_cache_of_a_restored_gallery_is_never_used(folder, add_random, builds):
    """Same generation, model, dimension and number of rows; other vectors."""
    add_random(folder, 3)
    backup = (folder / NAME).read_bytes()
    nearest(folder, add_random(folder, 2, seed=1)[0])
    (folder / NAME).write_bytes(backup)
    later = add_random(folder, 2, seed=2)
    assert state(folder) == "stale"
    assert [nearest(folder, v)[0].source for v in later] == ["2-0.jpg", "2-1.jpg"]
    assert len(builds) == 2


@pytest.mark.parametrize("name", [cache.INDEX, cache.COLUMNS])
def test_any_changed_byte_is_harmless(folder, add_random, name):
    vectors = add_random(folder, 9)
    before = nearest(folder, vectors[4], 5)
    sound = (folder / name).read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(0, len(sound), 60):
        changed = bytearray(sound)
        changed[place] ^= 1 << generator.integers(8)
        (folder / name).write_bytes(changed)
        assert nearest(folder, vectors[4], 5) == before, f"byte {place}"


def test_any_changed_byte_of_the_columns_is_noticed(folder, add_random):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[4], 5)
    path = folder / cache.COLUMNS
    sound = path.read_bytes()
    with Gallery.open(folder) as gallery:
        meta = gallery.store.meta()
    for place in range(len(sound)):
        changed = bytearray(sound)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert cache.read(path, meta) is None, f"byte {place}"


@pytest.mark.parametrize("name", [cache.INDEX, cache.COLUMNS])
@pytest.mark.parametrize("length", [0, 1, cache.HEAD, cache.HEAD + 32, -1])
def test_a_shortened_cache_is_noticed(folder, add_random, length, name):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[4])
    path = folder / name
    path.write_bytes(path.read_bytes()[:length])
    assert nearest(folder, vectors[4])[0].source == "0-4.jpg"


@pytest.mark.parametrize("payload", [b"", b"written by another library", b"{}\n" + bytes(200)])
def test_columns_that_only_claim_to_fit_are_made_anew(folder, add_random, payload):
    vectors = add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        meta = gallery.store.meta()
    cache.write(folder / cache.COLUMNS, cache.stamp(meta), payload)
    assert nearest(folder, vectors[1], 3)[0].row == 2


@pytest.mark.parametrize("facts", [{}, {"stamp": 7}, {"stamp": [1]}, {"stamp": ["x"] * 8}])
def test_an_index_with_other_facts_is_made_anew(folder, add_random, facts):
    vectors = add_random(folder, 3)
    other = ExactIndex(DIMENSION)
    other.add(np.arange(1, 4), np.eye(DIMENSION, dtype=np.float32)[:3])
    save(folder / cache.INDEX, other, facts)
    assert state(folder) == "stale"
    assert nearest(folder, vectors[1], 3)[0].row == 2


def test_an_index_of_rows_that_are_not_there_is_made_anew(folder, add_random):
    vectors = add_random(folder, 3)
    with Gallery.open(folder) as gallery:
        meta = gallery.store.meta()
    other = ExactIndex(DIMENSION)
    other.add(np.array([5, 6, 7]), np.eye(DIMENSION, dtype=np.float32)[:3])
    facts = {"stamp": cache.stamp(meta).plain(), "kind": "exact", "seconds": 0.0, "recall": 1.0}
    save(folder / cache.INDEX, other, facts)
    assert nearest(folder, vectors[1], 3)[0].row == 2


@pytest.mark.parametrize("kind", ["refined", "hnsw"])
def test_the_kind_follows_from_the_size_and_is_shown(folder, add_random, monkeypatch, kind):
    vectors = add_random(folder, 300)
    nearest(folder, vectors[0])
    monkeypatch.setattr(index, "choose", lambda count, dimension: kind)
    with Gallery.open(folder) as gallery:
        assert [gallery.search(v, 1)[0].row for v in vectors[:20]] == list(range(1, 21))
        gallery.remove([3])
        add_random(folder, 1, seed=1)
        assert len(gallery.search(vectors[2], 300)) == 300
        assert gallery.search(vectors[2], 1)[0].row != 3
    with Gallery.open(folder) as gallery:
        shown = gallery.stats().store
    assert shown["index"] == kind
    assert 0.9 < shown["recall"] <= 1


def test_a_cache_that_cannot_be_written_is_no_error_of_the_search(folder, add_random, monkeypatch):
    vectors = add_random(folder, 3)

    def full(path, data):
        raise DiskError("the disk is full")

    gallery = Gallery.open(folder)
    assert gallery.search(vectors[1], 1)[0].row == 2
    monkeypatch.setattr(storage, "write_bytes", full)
    monkeypatch.setattr(storage, "write_pieces", full)
    with pytest.warns(UserWarning, match="built again: the disk is full"):
        gallery.close()
    monkeypatch.undo()
    assert nearest(folder, vectors[1])[0].row == 2


def test_an_add_does_not_write_the_cache(folder, add_random):
    add_random(folder, 3)
    assert not (folder / cache.INDEX).exists()


def test_what_a_killed_writer_left_is_swept(folder):
    left = folder / f".{cache.INDEX}.{2**22 + 1}.tmp"
    left.write_bytes(b"half an index")
    own = folder / f".{cache.INDEX}.{os.getpid()}.tmp"
    own.write_bytes(b"being written")
    Gallery.open(folder).close()
    assert (left.exists(), own.exists()) == (False, True)


def test_closing_waits_for_nobody(folder, add_random):
    vectors = add_random(folder, 3)
    writer = Gallery.open(folder)
    gallery = Gallery.open(folder)
    gallery.search(vectors[0], 1)
    with writer.store._connection.transaction("IMMEDIATE"):
        gallery.close()
    writer.close()
    assert not (folder / cache.INDEX).exists()
    assert nearest(folder, vectors[1])[0].row == 2
