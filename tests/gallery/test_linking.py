"""Linking beside a slow agglomeration, with tracks that cannot be one person."""

import numpy as np
import pytest

from reid_attn.errors import UsageError
from reid_attn.gallery import Gallery, linking, where
from reid_attn.gallery.contract import fitting_rows
from reid_attn.gallery.linking import clusters
from reid_attn.gallery.tracks import apart, mean_vectors, tracks_of

DIMENSION = 8


def people(generator, count, noise):
    """Each person's place in the space of vectors, and pictures around it: (vectors, persons)."""
    centers = generator.normal(size=(count, DIMENSION))
    persons = np.arange(4 * count) % count
    vectors = centers[persons] + noise * generator.normal(size=(4 * count, DIMENSION))
    return vectors, persons


def fill(gallery, vectors, cameras, times=None, tracks=None, persons=None):
    count = len(vectors)
    gallery.add_vectors(
        vectors,
        persons or [None] * count,
        cameras,
        [f"{number}.jpg" for number in range(count)],
        [np.random.default_rng(number).bytes(32) for number in range(count)],
        times=times,
        tracks=tracks,
    )


def slow(vectors, forbidden, threshold):
    """Join the two clusters with the highest mean cosine, until none reaches the threshold."""
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    groups = [[place] for place in range(len(vectors))]
    while True:
        best = None
        for i, one in enumerate(groups):
            for j, other in enumerate(groups[:i]):
                if not any(forbidden[a, b] for a in one for b in other):
                    mean = np.mean([cosines[a, b] for a in one for b in other])
                    if mean >= threshold and (best is None or mean > best[0]):
                        best = mean, i, j
        if best is None:
            return sorted(sorted(group) for group in groups)
        _, i, j = best
        groups[j] += groups.pop(i)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("once", [False, True])
def test_clusters_are_those_of_a_slow_twin(folder, seed, once):
    generator = np.random.default_rng(seed)
    vectors, _ = people(generator, 6, 0.6)
    with Gallery.open(folder) as gallery:
        times = generator.integers(0, 8, len(vectors)).astype(float).tolist()
        fill(gallery, vectors, generator.integers(0, 4, len(vectors)), times)
        tracks = tracks_of(gallery.rows())
        means = mean_vectors(gallery.store, tracks)
    forbidden = apart(tracks, tracks, once)
    found = [places.tolist() for places in clusters(tracks, means, 0.5, once)]
    assert found == slow(means, forbidden, 0.5)
    free = slow(means, np.zeros_like(forbidden), 0.5)
    assert found != free or not once


@pytest.fixture
def crowd(folder):
    """Five persons, each at four cameras, far from one another."""
    generator = np.random.default_rng(5)
    vectors, persons = people(generator, 5, 0.02)
    with Gallery.open(folder) as gallery:
        fill(gallery, vectors, (np.arange(20) // 5).tolist())
        yield gallery, persons


def test_a_proposal_changes_nothing_and_applying_it_can_be_undone(crowd):
    gallery, persons = crowd
    generation = gallery.stats().generation
    groups = gallery.link(threshold=0.9)
    assert gallery.stats().generation == generation
    assert sorted([t.rows[0] for t in g.tracks] for g in groups) == [
        (np.flatnonzero(persons == person) + 1).tolist() for person in range(5)
    ]
    assert [group.person for group in groups] == [f"p-{n:06d}-2" for n in range(1, 6)]
    assert all(0.9 < group.weakest <= group.likeness <= 1.0001 for group in groups)
    assert gallery.link(threshold=0.9, apply=True) == groups
    assert [row.person for row in gallery.rows()] == [f"p-{p + 1:06d}-2" for p in persons]
    assert gallery.link(threshold=0.9, apply=True) == []
    assert gallery.undo().action == "link"
    assert {row.person for row in gallery.rows()} == {""}


def test_who_stands_alone_or_is_known_is_not_linked(crowd):
    gallery, _ = crowd
    gallery.store.relabel({1: ("anna", ""), 6: ("anna", "")}, "identify")
    groups = gallery.link(threshold=0.9, where=where(cameras=[0, 1]))
    assert all(len(group.tracks) == 2 for group in groups)
    assert len(groups) == 4


def test_only_what_is_meant_is_linked(crowd):
    gallery, _ = crowd
    assert gallery.link(threshold=0.9, where=where(cameras=[0])) == []


def test_too_many_tracks_are_refused_before_memory_is(crowd, monkeypatch):
    gallery, _ = crowd
    monkeypatch.setattr(linking, "MOST_TRACKS", 19)
    with pytest.raises(UsageError, match="20 tracks cannot be linked at once, 19 can"):
        gallery.link(threshold=0.9)


def test_without_a_threshold(crowd, measured):
    gallery, _ = crowd
    with pytest.raises(UsageError, match=r"no threshold of .* is known"):
        gallery.link()
    gallery.store.annotate("calibrate", calibration=measured(0.9))
    assert len(gallery.link()) == 5


def test_an_empty_gallery_has_nobody_to_link(folder):
    with Gallery.open(folder) as gallery:
        assert gallery.link(threshold=0.5, apply=True) == []


def test_copies_are_one_person_whatever_their_vector(folder):
    """Of many equal vectors, the product with itself is above 1 for some, when it is rounded."""
    above = 0
    with Gallery.open(folder) as gallery:
        fill(gallery, np.eye(DIMENSION)[:5], [1, 2, 1, 2, 3])
        tracks = tracks_of(gallery.rows())
    for seed in range(200):
        vectors = np.random.default_rng(seed).normal(size=(5, 512))
        vectors[1:3] = vectors[0]
        units = fitting_rows(vectors, 512)
        above += (units @ units.T).max() > 1
        assert [c.tolist() for c in clusters(tracks, units, 0.9, False)] == [[0, 1, 2], [3], [4]]
    assert above > 20


@pytest.mark.parametrize("threshold", [np.nan, np.inf, -np.inf, 70, -1.01])
def test_a_threshold_that_is_no_cosine_is_refused(folder, threshold):
    with Gallery.open(folder) as gallery:
        fill(gallery, np.eye(DIMENSION)[:2], [1, 2])
        for act in (gallery.link, gallery.identify):
            with pytest.raises(UsageError, match=r"is no cosine: give one from -1 to 1"):
                act(threshold=threshold)
        assert [row.person for row in gallery.rows()] == ["", ""]


def test_the_key_of_a_forgotten_person_is_given_to_nobody(crowd):
    gallery, _ = crowd
    given = set()
    for _ in range(4):
        (group, *_) = gallery.link(threshold=0.9, apply=True)
        assert group.person not in given
        given.add(group.person)
        gallery.undo()
    gallery.link(threshold=0.9, apply=True)
    key = gallery.rows()[0].person
    gallery.forget(key)
    given |= {key, *(row.person for row in gallery.rows())}
    gallery.undo()
    assert {row.person for row in gallery.rows()} == {""}
    assert not given & {identity.person for identity in gallery.identify(threshold=0.9)}
