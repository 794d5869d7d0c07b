"""The index cache: used when it is right beyond doubt, and missed by nobody when it is gone."""

import hashlib
import os
import struct

import numpy as np
import pytest

from reid_attn import storage
from reid_attn.errors import DiskError
from reid_attn.gallery import Gallery, cache
from reid_attn.gallery.local import NAME
from reid_attn.neighbours import ExactIndex

DIMENSION = 8


@pytest.fixture
def builds(monkeypatch):
    """How often an index was built from the rows."""
    counted = []
    build = Gallery._build
    monkeypatch.setattr(
        Gallery, "_build", lambda self, meta: counted.append(1) or build(self, meta)
    )
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


def test_a_cache_that_is_gone_is_built_again(folder, add_random, builds):
    vectors = add_random(folder, 9)
    before = nearest(folder, vectors[4], 5)
    (folder / cache.NAME).unlink()
    assert nearest(folder, vectors[4], 5) == before
    assert (len(builds), state(folder)) == (2, "fresh")


def test_a_cache_of_another_generation_is_never_used(folder, add_random, builds):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[0])
    later = add_random(folder, 2, seed=1)
    assert state(folder) == "stale"
    assert nearest(folder, later[1])[0].source == "1-1.jpg"
    assert (len(builds), state(folder)) == (2, "fresh")


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


def test_any_changed_byte_is_noticed(folder, add_random, builds):
    vectors = add_random(folder, 9)
    before = nearest(folder, vectors[4], 5)
    sound = (folder / cache.NAME).read_bytes()
    generator = np.random.default_rng(0)
    with Gallery.open(folder) as gallery:
        meta = gallery._meta()
    places = [*range(cache._HEAD + 40), *generator.integers(0, len(sound), 200)]
    for place in places:
        changed = bytearray(sound)
        changed[place] ^= 1 << generator.integers(8)
        (folder / cache.NAME).write_bytes(changed)
        assert cache.read(folder, meta) is None, f"byte {place}"
    assert nearest(folder, vectors[4], 5) == before
    assert (len(builds), state(folder)) == (2, "fresh")


@pytest.mark.parametrize("length", [0, 1, cache._HEAD, cache._HEAD + 32, -1])
def test_a_shortened_cache_is_noticed(folder, add_random, builds, length):
    vectors = add_random(folder, 9)
    nearest(folder, vectors[4])
    path = folder / cache.NAME
    path.write_bytes(path.read_bytes()[:length])
    assert nearest(folder, vectors[4])[0].source == "0-4.jpg"
    assert len(builds) == 2


def forged(folder, rows, **changes):
    """A cache with a right stamp and a right checksum over other content."""
    with Gallery.open(folder) as gallery:
        meta = gallery._meta()
    index = ExactIndex(DIMENSION)
    vectors = np.eye(DIMENSION, dtype=np.float32)[: len(rows)]
    index.add(np.array(rows), vectors)
    payload = changes.get("payload", index.to_bytes())
    head = cache.stamp(meta) + struct.pack("<dQ", 0, changes.get("length", len(payload)))
    digest = hashlib.sha256(head + payload).digest()
    storage.write_bytes(folder / cache.NAME, head + digest + payload)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        ([1, 2, 3], {"length": 5}),
        ([1, 2, 3], {"payload": b"written by another library"}),
        ([1, 2], {}),
    ],
)
def test_a_cache_that_only_claims_to_fit_is_not_read(folder, add_random, rows, changes):
    add_random(folder, 3)
    forged(folder, rows, **changes)
    with Gallery.open(folder) as gallery:
        assert cache.read(folder, gallery._meta()) is None


def test_a_cache_of_rows_that_are_not_there_is_built_again(folder, add_random, builds):
    vectors = add_random(folder, 3)
    forged(folder, [5, 6, 7])
    assert nearest(folder, vectors[1], 3)[0].row == 2
    assert (len(builds), state(folder)) == (1, "fresh")


def test_a_cache_that_cannot_be_written_is_no_error_of_the_search(folder, add_random, monkeypatch):
    vectors = add_random(folder, 3)

    def full(path, data):
        raise DiskError("the disk is full")

    gallery = Gallery.open(folder)
    assert gallery.search(vectors[1], 1)[0].row == 2
    monkeypatch.setattr(storage, "write_bytes", full)
    with pytest.warns(UserWarning, match="built again: the disk is full"):
        gallery.close()
    monkeypatch.undo()
    assert nearest(folder, vectors[1])[0].row == 2


def test_an_add_does_not_write_the_cache(folder, add_random):
    add_random(folder, 3)
    assert not (folder / cache.NAME).exists()


def test_what_a_killed_writer_left_is_swept(folder):
    left = folder / f".{cache.NAME}.{2**22 + 1}.tmp"
    left.write_bytes(b"half an index")
    own = folder / f".{cache.NAME}.{os.getpid()}.tmp"
    own.write_bytes(b"being written")
    Gallery.open(folder).close()
    assert (left.exists(), own.exists()) == (False, True)
