"""The threshold: measured on the gallery's own persons, kept with it, and shown with answers."""

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation.openset import open_set
from reid_attn.gallery import Gallery

DIMENSION = 32
PERSONS = 30


def drawn(persons, noise, seed=0):
    """Three pictures of each person, at cameras 0, 1 and 2."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(persons, DIMENSION))
    vectors = np.repeat(centres, 3, axis=0)
    return vectors + noise * generator.normal(size=vectors.shape)


@pytest.fixture
def people(tmp_path):
    folder = tmp_path / "people"
    Gallery.create(folder, fingerprint="a", dimension=DIMENSION)
    vectors = drawn(PERSONS, 0.3)
    count = len(vectors)
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            vectors,
            [f"person {number // 3}" for number in range(count)],
            [number % 3 for number in range(count)],
            [f"{number}" for number in range(count)],
            [bytes([number]) * 32 for number in range(count)],
        )
    return folder


def test_it_is_what_the_evaluation_measures(people):
    vectors = drawn(PERSONS, 0.3).astype(np.float32)
    persons, cameras = np.arange(len(vectors)) // 3, np.arange(len(vectors)) % 3
    # persons are numbered by their names in the gallery
    names = sorted({f"person {number}" for number in persons})
    order = np.array([names.index(f"person {number}") for number in persons])
    sides = (vectors, order, cameras)
    expected = open_set(*sides, *sides, false_match_rate=0.1)
    with Gallery.open(people) as gallery:
        found = gallery.calibrate(0.1)
    assert found.threshold == pytest.approx(expected.threshold, abs=1e-6)
    assert (found.wanted_rate, found.measured_rate) == (0.1, expected.false_match_rate)
    assert found.detection_rate == expected.detection_identification_rate
    assert (found.gallery, found.unknown_queries) == (
        expected.gallery,
        expected.calibration_queries,
    )


def test_it_is_kept_and_decides(people):
    with Gallery.open(people) as gallery:
        assert gallery.search(1).known is None
        measured = gallery.calibrate(0.05)
        generation = gallery.stats().generation
    with Gallery.open(people) as gallery:
        assert gallery.stats().threshold == measured.threshold
        assert gallery.stats().generation == generation == measured.generation + 1
        answer = gallery.search(1)
        assert (answer.known, answer.calibration) == (True, measured)
        strangers = drawn(40, 0.0, seed=9)[::3]
        answers = gallery.search_all(list(strangers), 1)
        assert sum(bool(answer.known) for answer in answers) <= 8
        assert all(a.known == (a[0].score >= measured.threshold) for a in answers)


def test_a_calibration_under_its_former_name_is_read(people):
    with Gallery.open(people) as gallery:
        measured = gallery.calibrate(0.05)
        stored = {**gallery.store.meta().calibration}
        stored["false_match_rate"] = stored.pop("wanted_rate")
        gallery.store.annotate("calibrate", calibration=stored)
        assert gallery.search(1).calibration == measured


def test_nothing_to_search_is_not_known(people):
    from reid_attn.gallery import where

    with Gallery.open(people) as gallery:
        gallery.calibrate(0.05)
        answer = gallery.search(1, where=where(cameras=[99]))
        assert (len(answer), answer.best, answer.known) == (0, None, False)


def test_a_gallery_that_cannot_tell_says_why(folder, add_random):
    with Gallery.open(folder) as gallery:
        with pytest.raises(DataError, match="with its 0 named persons"):
            gallery.calibrate()
        gallery.add_vectors(np.eye(8)[:3], list("abc"), [1] * 3, list("abc"), [bytes(32)] * 3)
        with pytest.raises(DataError, match=r"with its 3 named persons.*4 query persons"):
            gallery.calibrate()
        assert gallery.stats().threshold is None


@pytest.mark.parametrize("rate", [0, 1, -0.1])
def test_a_rate_is_a_share(people, rate):
    with Gallery.open(people) as gallery, pytest.raises(UsageError):
        gallery.calibrate(rate)
