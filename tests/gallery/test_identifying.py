"""Naming tracks: somebody known, or a new person, and never one person at two places."""

from pathlib import Path

import numpy as np
import pytest

from reid_attn.errors import UsageError
from reid_attn.gallery import Gallery, Sighting

ANNA, BERT, CARL, DORA = np.eye(8)[:4]


def near(vector, cosine, side=7):
    """A unit vector of this cosine with `vector`."""
    return cosine * vector + np.sqrt(1 - cosine**2) * np.eye(8)[side]


def fill(gallery, pictures):
    """Pictures as (vector, person, camera, track, time)."""
    vectors, persons, cameras, tracks, times = zip(*pictures, strict=True)
    first = len(gallery)
    numbers = range(first, first + len(pictures))
    gallery.add_vectors(
        vectors,
        persons,
        cameras,
        [f"{number}.jpg" for number in numbers],
        [np.random.default_rng(number).bytes(32) for number in numbers],
        times=times,
        tracks=tracks,
    )


@pytest.fixture
def gallery(folder):
    """Anna and Bert are known from camera 1."""
    with Gallery.open(folder) as gallery:
        fill(gallery, [(ANNA, "anna", 1, "1", 0.0), (BERT, "bert", 1, "2", 0.0)])
        gallery.rename("anna", "Anna A.")
        yield gallery


def told(identities):
    return [(i.person, i.name, i.new, i.score and round(i.score, 3)) for i in identities]


def test_the_known_and_the_new(gallery):
    fill(
        gallery,
        [
            (near(ANNA, 0.9), None, 2, "1", 10.0),
            (near(BERT, 0.6, 6), None, 2, "2", 20.0),
            (CARL, None, 2, "3", 30.0),
        ],
    )
    found = gallery.identify(threshold=0.8)
    assert told(found) == [
        ("anna", "Anna A.", False, 0.9),
        ("p-000004-4", "", True, 0.6),
        ("p-000005-4", "", True, 0.0),
    ]
    assert [row.person for row in gallery.rows()][2:] == ["anna", "p-000004-4", "p-000005-4"]
    assert gallery.rows()[2].name == "Anna A."
    assert gallery.identify(threshold=0.8) == []
    assert gallery.undo().action == "identify"
    assert [row.person for row in gallery.rows()] == ["anna", "bert", "", "", ""]


def test_a_track_is_named_as_a_whole_by_its_mean(gallery):
    """Its second picture alone would be taken for Bert."""
    fill(
        gallery,
        [
            (ANNA, None, 2, "1", 1.0),
            (near(BERT, 0.9, 0), None, 2, "1", 2.0),
            (ANNA, None, 2, "1", 3.0),
        ],
    )
    (found,) = gallery.identify(threshold=0.7)
    total = 2 * ANNA + near(BERT, 0.9, 0)
    assert told([found]) == [("anna", "Anna A.", False, round(total[0] / np.linalg.norm(total), 3))]
    assert [row.person for row in gallery.rows()][2:] == ["anna"] * 3


def test_new_pictures_of_one_stranger_are_one_person(gallery):
    fill(gallery, [(CARL, None, camera, "", None) for camera in (2, 3)])
    assert [i.person for i in gallery.identify(threshold=0.9)] == ["p-000003-4"] * 2


def test_two_at_one_time_are_two(gallery):
    """Both look like Anna; the surer one is, and the other is Bert if he can be, or new."""
    unsure = (0.85 * ANNA + 0.5 * BERT) / np.linalg.norm(0.85 * ANNA + 0.5 * BERT)
    fill(
        gallery,
        [
            (unsure, None, 2, "1", 10.0),
            (unsure, None, 2, "1", 14.0),
            (near(ANNA, 0.95), None, 2, "2", 12.0),
        ],
    )
    found = gallery.identify(threshold=0.5, dry_run=True)
    assert [i.person for i in found] == ["bert", "anna"]
    found = gallery.identify(threshold=0.8, dry_run=True)
    assert [(i.person, i.new) for i in found] == [("p-000003-4", True), ("anna", False)]
    assert found[0].score == pytest.approx(unsure[1])
    assert {row.person for row in gallery.rows()} == {"anna", "bert", ""}


def test_who_was_seen_elsewhere_at_that_moment_cannot_be_here(gallery):
    """Anna is in track 1 of camera 1 at the moment 0."""
    fill(gallery, [(ANNA, None, 1, "9", 0.0), (ANNA, None, 1, "10", 1.0)])
    found = gallery.identify(threshold=0.9)
    assert [i.person for i in found] == ["p-000003-4", "anna"]


def test_the_rest_of_a_named_track_may_be_the_same_person(gallery):
    fill(gallery, [(ANNA, None, 1, "1", 0.0)])
    assert [i.person for i in gallery.identify(threshold=0.9)] == ["anna"]


def test_once_per_camera(gallery):
    fill(gallery, [(ANNA, None, 1, "9", 50.0), (ANNA, None, 2, "9", 50.0)])
    found = gallery.identify(threshold=0.9, once_per_camera=True)
    assert [i.person for i in found] == ["p-000003-4", "anna"]


def test_the_assignment_beside_a_slow_twin(folder):
    """Pairs by falling score; each names its track unless the person is somewhere else then."""
    generator = np.random.default_rng(3)
    known, unknown = generator.normal(size=(6, 8)), generator.normal(size=(25, 8))
    times = generator.integers(0, 6, 25).astype(float)
    with Gallery.open(folder) as gallery:
        fill(gallery, [(v, f"k{n}", 9, "", None) for n, v in enumerate(known)])
        fill(gallery, [(v, None, 1, "", t) for v, t in zip(unknown, times.tolist(), strict=True)])
        found = gallery.identify(threshold=0.1)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (unknown, known)]
    scores = unit[0] @ unit[1].T
    chosen = {}
    for flat in np.argsort(-scores, axis=None):
        track, person = divmod(int(flat), 6)
        elsewhere = [t for t, p in chosen.items() if p == person and times[t] == times[track]]
        if scores[track, person] >= 0.1 and track not in chosen and not elsewhere:
            chosen[track] = person
    assert {n: int(i.person[1:]) for n, i in enumerate(found) if not i.new} == chosen
    assert 0 < len(chosen) < 25


def test_of_nobody_known_all_are_new(folder):
    with Gallery.open(folder) as gallery:
        assert gallery.identify(threshold=0.5) == []
        fill(gallery, [(ANNA, None, 1, "", None), (BERT, None, 1, "", None)])
        found = gallery.identify(threshold=0.5)
    assert told(found) == [("p-000001-2", "", True, None), ("p-000002-2", "", True, None)]


def test_new_pictures_are_added_and_named(folder, embedder, pictures):
    first, second, other = (
        Sighting(picture=p, camera=c) for p, c in zip(pictures, (1, 2, 3), strict=False)
    )
    named = Sighting(picture=pictures[3], camera=3, person="dora")
    with Gallery.open(folder, embedder) as gallery:
        gallery.add([pictures[0]], ["anna"], [7])
        gallery.add_sightings([other])
        planned = gallery.identify([first, second, named], threshold=0.99, dry_run=True)
        assert told(planned)[0] == ("anna", "", False, 1.0)
        assert told(planned)[1][:3] == ("new-1", "", True)
        assert len(planned) == 2
        assert len(gallery) == 2
        found = gallery.identify([first, second, named], threshold=0.99)
        assert [i.person for i in found] == ["anna", "p-000004-4"]
        assert [row.person for row in gallery.rows()] == ["anna", "", "anna", "p-000004-4", "dora"]
        assert gallery.identify([first, second, named], threshold=0.99) == []
        assert gallery.identify([first, second], threshold=0.99, dry_run=True) == []


def test_pictures_need_a_model_and_the_rest_does_not(folder):
    with Gallery.open(folder) as gallery:
        with pytest.raises(UsageError, match="takes vectors only"):
            gallery.identify([Sighting(picture=Path("a.jpg"), camera=1)], threshold=0.5)
        with pytest.raises(UsageError, match="no threshold of"):
            gallery.identify()
