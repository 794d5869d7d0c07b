"""Whatever a scan gets wrong within its error, the best rows are among the candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.neighbours.candidates import Candidates, cosines, ranked, rounding


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([0.0, 1e-3, 0.1, 3.0]))
def test_the_best_are_left(seed: int, k: int, error: float) -> None:
    """Scores are in float32's eighths, so that many are equal."""
    draw = np.random.default_rng(seed)
    queries, places = draw.integers(1, 5), draw.permutation(60)
    truth = draw.integers(-8, 8, (queries, 60)).astype(np.float32) / 8
    seen = (truth + draw.uniform(-error, error, truth.shape) * 0.99).astype(np.float32)
    candidates = Candidates(queries, k)
    for some in np.split(places, np.sort(draw.integers(0, 61, 3))):
        if draw.random() < 0.5:
            candidates.offer_all(seen[:, some], some, error)
        else:
            query, column = np.divmod(np.arange(queries * len(some)), max(1, len(some)))
            candidates.offer(query, some[column], seen[query, some[column]], error)
    query, left = candidates.left()
    for number, scores in enumerate(truth):
        own = left[query == number]
        assert len(np.unique(own)) == len(own)
        least = np.sort(scores)[::-1][min(k, 60) - 1]
        assert set(np.flatnonzero(scores >= least)) <= set(own)
        if error == 0 and k <= 60:
            assert len(own) == (scores >= least).sum()


def test_a_row_that_must_not_be_found_is_not_left() -> None:
    candidates = Candidates(1, 5)
    candidates.offer_all(np.array([[-np.inf, 0.5, -np.inf]], np.float32), np.arange(3), 0.1)
    assert candidates.left()[1].tolist() == [1]


def test_nothing_is_left_of_nothing() -> None:
    assert [len(part) for part in Candidates(2, 5).left()] == [0, 0]


@pytest.mark.parametrize("dimension", [1, 7, 512, 2048])
def test_rounding_bounds_sums_in_any_order(dimension: int) -> None:
    draw = np.random.default_rng(dimension)
    rows = draw.standard_normal((200, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    truth = (rows[:100].astype(float) * rows[100:].astype(float)).sum(axis=1)
    for order in (np.arange(dimension), draw.permutation(dimension)):
        one_by_one = np.zeros(100, np.float32)
        for number in order:
            one_by_one += rows[:100, number] * rows[100:, number]
        assert np.abs(one_by_one - truth).max() < rounding(dimension)


def test_one_pair_has_one_score() -> None:
    draw = np.random.default_rng(0)
    rows, queries = draw.standard_normal((2, 500, 96)).astype(np.float32)
    together = cosines(rows, queries)
    alone = [cosines(rows[[n]], queries[[n]])[0] for n in range(500)]
    np.testing.assert_array_equal(together, alone)


def test_equal_scores_are_ranked_by_id() -> None:
    query = np.array([1, 0, 0, 1, 1, 0])
    scores = np.array([0.5, 0.1, 0.2, 0.5, 0.9, 0.2], np.float32)
    ids = np.array([8, 5, 7, 3, 4, 6])
    found_scores, found = ranked(query, scores, ids, (2, 2))
    assert found.tolist() == [[6, 7], [4, 3]]
    np.testing.assert_array_equal(found_scores, np.array([[0.2, 0.2], [0.9, 0.5]], np.float32))
