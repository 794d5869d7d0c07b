"""Tracks beside slow loops: which are two persons for certain, and the mean of their vectors."""

import itertools

import numpy as np
import pytest

from reid_attn.gallery import Gallery
from reid_attn.gallery.tracks import apart, mean_vectors, tracks_of


def add(gallery, seen, generator):
    """Pictures as (camera, track, time), each with a vector of its own."""
    cameras, tracks, times = zip(*seen, strict=True)
    vectors = generator.normal(size=(len(seen), 8))
    names = [f"{number}.jpg" for number in range(len(seen))]
    digests = [generator.bytes(32) for _ in seen]
    gallery.add_vectors(
        vectors, [None] * len(seen), cameras, names, digests, times=times, tracks=tracks
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def seen(folder):
    """Thirty pictures at two cameras, some without a track or a time."""
    generator = np.random.default_rng(1)
    pictures = [
        (
            int(generator.integers(2)),
            str(generator.choice(["", "a", "b", "c", "d"])),
            None if generator.random() < 0.2 else float(generator.integers(12)),
        )
        for _ in range(30)
    ]
    with Gallery.open(folder) as gallery:
        vectors = add(gallery, pictures, generator)
        rows = gallery.rows()
        tracks = tracks_of(rows)
        yield tracks, mean_vectors(gallery.store, tracks), dict(enumerate(vectors, start=1))


def test_each_picture_is_in_one_track(seen):
    tracks, _, vectors = seen
    rows = list(itertools.chain.from_iterable(track.rows for track in tracks))
    assert sorted(rows) == list(range(1, 31)) == sorted(vectors)
    labels = [(track.camera, track.track) for track in tracks if track.track]
    assert len(set(labels)) == len(labels)
    assert all(len(track.rows) == 1 for track in tracks if not track.track)


def test_the_mean_of_unit_vectors(seen):
    tracks, means, vectors = seen
    for track, mean in zip(tracks, means, strict=True):
        total = sum(vectors[row] for row in track.rows)
        np.testing.assert_allclose(mean, total / np.linalg.norm(total), atol=1e-6)


@pytest.mark.parametrize("once", [False, True])
def test_who_is_apart(seen, once):
    tracks, _, _ = seen
    expected = np.zeros((len(tracks), len(tracks)), bool)
    for one, other in itertools.permutations(range(len(tracks)), 2):
        times = [
            [p.time for p in tracks[place].pictures if p.time is not None] for place in (one, other)
        ]
        timed = all(times)
        overlap = timed and max(map(min, times)) <= min(map(max, times))
        same = tracks[one].camera == tracks[other].camera
        expected[one, other] = same and (once or overlap)
    assert expected.any()
    np.testing.assert_array_equal(apart(tracks, tracks, once), expected)


def test_the_named_part_of_a_track_is_not_apart_from_the_rest(folder):
    with Gallery.open(folder) as gallery:
        add(gallery, [(1, "7", 0.0), (1, "7", 5.0), (1, "8", 3.0)], np.random.default_rng(0))
        first, second, other = gallery.rows()
    assert not apart(tracks_of([first]), tracks_of([second]), True).any()
    assert apart(tracks_of([first, second]), tracks_of([other]), False).all()
    assert not apart(tracks_of([first]), tracks_of([other]), False).any()
