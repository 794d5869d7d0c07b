"""The protocol of CUHK03's first splits, against its definition in plain loops."""

import numpy as np
import pytest

from reid_attn.errors import UsageError
from reid_attn.evaluation import evaluate, single_shot


def problem(persons: int = 12, seed: int = 0) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((persons, 6))
    sides: list[np.ndarray] = []
    for pictures in (2, 8):
        ids = np.repeat(np.arange(persons), pictures)
        noise = generator.standard_normal((len(ids), 6))
        sides += [centres[ids] + noise, ids, np.tile([1, 2], len(ids) // 2)]
    return tuple(sides)


def expected_cmc(arrays: tuple[np.ndarray, ...], max_rank: int) -> np.ndarray:
    """The mean over all draws, from how likely each other person's drawn picture is nearer.

    The place of the right answer is a sum of independent coins, so its distribution is exact.
    """
    q, q_ids, q_cams, g, g_ids, g_cams = arrays
    curves = np.zeros((len(q), max_rank))
    for query in range(len(q)):
        kept = ~((g_ids == q_ids[query]) & (g_cams == q_cams[query]))
        unit = g / np.linalg.norm(g, axis=1, keepdims=True)
        similarity = unit @ q[query]
        good = np.flatnonzero(kept & (g_ids == q_ids[query]))
        for own in good:
            distribution = np.array([1.0])
            for person in set(g_ids.tolist()) - {q_ids[query]}:
                theirs = similarity[kept & (g_ids == person)]
                nearer = float(np.mean(theirs > similarity[own]))
                distribution = np.convolve(distribution, [1 - nearer, nearer])
            cumulated = np.cumsum(distribution)
            padded = np.ones(max_rank)
            padded[: len(cumulated)] = cumulated[:max_rank]
            curves[query] += padded / len(good)
    return np.asarray(curves.mean(axis=0))


def test_the_draws_have_the_expected_curve() -> None:
    arrays = problem()
    found = single_shot(*arrays, repeats=600, max_rank=15)
    np.testing.assert_allclose(found.cmc, expected_cmc(arrays, 15), atol=0.015)
    assert found.cmc[11:] == pytest.approx([1.0] * 4)  # twelve persons: the rest keeps its value


def test_a_seed_repeats_the_draws() -> None:
    arrays = problem()
    first = single_shot(*arrays, seed=3)
    assert first.cmc == single_shot(*arrays, seed=3).cmc
    assert first.cmc != single_shot(*arrays, seed=4).cmc
    assert first.whole.as_dict() == evaluate(*arrays).as_dict()


def test_one_picture_each_makes_it_the_plain_curve() -> None:
    q, q_ids, _, g, g_ids, _ = problem()
    once = np.unique(g_ids, return_index=True)[1]
    arrays = (q, q_ids, np.ones(len(q), int), g[once], g_ids[once], np.full(len(once), 2))
    found = single_shot(*arrays, repeats=1, max_rank=10)
    assert found.cmc == pytest.approx(evaluate(*arrays, max_rank=10).cmc)


def test_it_needs_a_draw() -> None:
    with pytest.raises(UsageError, match="repeats must be at least 1"):
        single_shot(*problem(), repeats=0)
