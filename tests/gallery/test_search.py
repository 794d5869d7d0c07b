"""Searching: the right rows, in the right order, and clear refusals."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_attn.errors import DamagedError, DataError, UsageError
from reid_attn.gallery import Gallery, Hit
from reid_attn.gallery.arrival import SECONDS_A_DAY

DIMENSION = 8


def slow_search(vectors, cameras, query, k, camera):
    """An independent twin: (row, score) by comparing one vector after the other."""
    scored = []
    for row, (vector, seen_by) in enumerate(zip(vectors, cameras, strict=True), start=1):
        if seen_by != camera:
            score = float(np.dot(vector, query) / np.linalg.norm(vector) / np.linalg.norm(query))
            scored.append((row, score))
    return sorted(scored, key=lambda pair: -pair[1])[:k]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), cameras=st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_agrees_with_a_slow_twin(tmp_path_factory, seed, cameras):
    folder = tmp_path_factory.mktemp("twin") / "people"
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(len(cameras), DIMENSION)) * 10
    names = [f"{number}" for number in range(len(cameras))]
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION)
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            vectors, names, cameras, names, [name.encode().ljust(32) for name in names]
        )
        for k, camera in itertools.product((1, 7, 100), (None, 0, 1, 2, 3)):
            query = generator.normal(size=DIMENSION)
            hits = gallery.search(query, k, other_cameras_than=camera)
            expected = slow_search(vectors, cameras, query, k, camera)
            assert [hit.row for hit in hits] == [row for row, _ in expected]
            scores = [score for _, score in expected]
            np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-6)


def test_a_picture_finds_itself(folder, embedder, pictures):
    with Gallery.open(folder, embedder) as gallery:
        gallery.add(pictures, list("aabbcc"), [1, 2, 1, 2, 1, 2])
        hits = gallery.search(pictures[2], k=2)
        assert hits[0] == Hit(3, "b", 1, str(pictures[2]), pytest.approx(1, abs=1e-6))
        assert len(hits) == 2
        assert all(h.camera != 1 for h in gallery.search(pictures[2], 6, other_cameras_than=1))


def test_k_is_clipped_to_what_there_is(folder, add_random):
    vectors = add_random(folder, 7)
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 7
        assert len(gallery.search(vectors[0], k=100)) == 7


@pytest.mark.parametrize("k", [0, -1])
def test_refuses_no_hits(folder, add_random, k):
    vectors = add_random(folder, 2)
    with Gallery.open(folder) as gallery, pytest.raises(UsageError, match="at least 1 hit"):
        gallery.search(vectors[0], k)


def test_an_empty_gallery_says_so(folder):
    with Gallery.open(folder) as gallery, pytest.raises(UsageError, match="is empty: add pictures"):
        gallery.search(np.ones(DIMENSION), 1)


@pytest.mark.parametrize(
    "query",
    [
        np.full(DIMENSION, np.nan),
        np.full(DIMENSION, np.inf),
        np.zeros(DIMENSION),
        np.ones(DIMENSION + 1),
        np.ones((1, DIMENSION)),
        1.0,
    ],
)
def test_refuses_a_query_without_direction_or_of_another_shape(folder, add_random, query):
    add_random(folder, 2)
    with Gallery.open(folder) as gallery, pytest.raises(DataError):
        gallery.search(query, 1)


def test_a_picture_needs_a_model(folder, pictures):
    with Gallery.open(folder) as gallery, pytest.raises(UsageError, match="without a model"):
        gallery.search(pictures[0], 1)


def test_a_change_of_another_process_is_seen(folder, add_random):
    first = add_random(folder, 5)
    with Gallery.open(folder) as gallery:
        assert len(gallery.search(first[0], 50)) == 5
        later = add_random(folder, 3, seed=1)
        assert gallery.search(later[0], 1)[0].source == "1-0.jpg"
        assert len(gallery.search(first[0], 50)) == 8


def test_expired_pictures_are_not_found(tmp_path, add_random, monkeypatch):
    folder = tmp_path / "brief"
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION, keep_days=2)
    old = add_random(folder, 5)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 1.5 * SECONDS_A_DAY)
    add_random(folder, 1, seed=1)
    with Gallery.open(folder) as gallery:
        assert len(gallery.search(old[0], 6)) == 6
        monkeypatch.setattr("time.time", lambda: now + 2.5 * SECONDS_A_DAY)
        assert [hit.source for hit in gallery.search(old[0], 1)] == ["1-0.jpg"]
    add_random(folder, 5)  # the expired ones may come back


def test_a_hit_cannot_hold_minus_one():
    with pytest.raises(DamagedError):
        Hit(-1, "anna", 1, "a.jpg", 0.5)
