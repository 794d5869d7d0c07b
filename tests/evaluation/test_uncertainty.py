"""The bootstrap and the permutation test over persons."""

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import Interval, bootstrap, paired_bootstrap, uncertainty
from reid_attn.evaluation.uncertainty import paired_test


def sample(persons: int, queries: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values that agree within a person, and the persons."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(persons), queries)
    return generator.normal(size=persons)[labels] + 0.1 * generator.normal(size=len(labels)), labels


def test_the_interval_holds_the_mean_and_repeats() -> None:
    values, persons = sample(40, 3)
    interval = bootstrap(values, persons, resamples=2000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low < interval.mean < interval.high
    assert interval == bootstrap(values, persons, resamples=2000)
    assert interval != bootstrap(values, persons, resamples=2000, seed=1)


def test_persons_are_drawn_and_not_queries() -> None:
    """Ten more copies of every query bring no knowledge of other persons."""
    values, persons = sample(40, 1)
    once = bootstrap(values, persons)
    often = bootstrap(np.repeat(values, 10), np.repeat(persons, 10))
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=1e-9)
    as_if_independent = bootstrap(np.repeat(values, 10), np.arange(400), resamples=2000)
    width = as_if_independent.high - as_if_independent.low
    assert width < 0.5 * (once.high - once.low)


def test_all_queries_of_a_drawn_person_come_along() -> None:
    """Two persons, one with three queries: only the means 1, 3/4 and 0 can be drawn."""
    means = {
        bootstrap([1, 1, 1, 0], [5, 5, 5, 9], resamples=1, seed=seed).low for seed in range(40)
    }
    assert means == {0.0, 0.75, 1.0}


def test_the_width_is_that_of_the_normal_theory() -> None:
    values, persons = sample(400, 1)
    interval = bootstrap(values, persons)
    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.05)
    narrow = bootstrap(values, persons, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(expected * 0.6745 / 1.96, rel=0.05)


def test_most_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(200):
        interval = bootstrap(*sample(60, 2, seed), resamples=400)
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_more_persons_narrow_it() -> None:
    few, many = (bootstrap(*sample(n, 2), resamples=2000) for n in (20, 500))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_invalid_queries_are_left_out() -> None:
    values, persons = sample(30, 2)
    expected = bootstrap(values, persons)
    with_gaps = np.concatenate((values, [np.nan, np.nan]))
    assert bootstrap(with_gaps, np.concatenate((persons, [0, 99]))) == expected


def test_a_constant_difference_has_no_width() -> None:
    values, persons = sample(30, 2)
    values = np.round(values * 1024) / 1024
    assert paired_bootstrap(values, values + 0.25, persons) == Interval(0.25, 0.25, 0.25)


def test_pairs_are_compared_and_dropped_together() -> None:
    a, persons = sample(30, 2)
    b = a + np.random.default_rng(1).normal(0.1, 0.05, len(a))
    paired = paired_bootstrap(a, b, persons)
    assert 0 < paired.low < paired.high < bootstrap(b, persons).high
    a[0], b[1] = np.nan, np.nan
    assert paired_bootstrap(a, b, persons) == bootstrap((b - a)[2:], persons[2:])


def test_drawing_in_parts_covers_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    values, persons = sample(30, 2)
    whole = bootstrap(values, persons)
    monkeypatch.setattr(uncertainty, "_DRAWS", 30 * 7)
    parts = bootstrap(values, persons)
    assert parts.low == pytest.approx(whole.low, abs=0.02)
    assert parts.high == pytest.approx(whole.high, abs=0.02)


@pytest.mark.parametrize(
    ("values", "persons"),
    [([1.0, 2.0], [1]), ([[1.0]], [[1]]), ([1.0, 2.0], [3, 3]), ([np.nan, 2.0], [1, 2]), ([], [])],
)
def test_unusable_values_are_refused(values: Any, persons: Any) -> None:
    with pytest.raises(DataError, match="persons"):
        bootstrap(values, persons)


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [1.0]), ([1.0], [1.0, 2.0])])
def test_pairs_of_different_length_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        paired_bootstrap(a, b, [1, 2])


@pytest.mark.parametrize("options", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        bootstrap([1.0, 2.0], [1, 2], **options)


def unequal(persons: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of mean 0 that agree within a person, who has 1 to 9 queries; and the persons."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(persons), generator.integers(1, 10, persons))
    return generator.normal(size=persons)[labels] + generator.normal(size=len(labels)), labels


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    intervals = [bootstrap(*unequal(60, seed), resamples=500) for seed in range(400)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.91 <= covered <= 0.98


def p_by_definition(differences: list[float]) -> float:
    """All sign patterns in a plain loop."""
    reach = abs(sum(differences)) - 1e-9
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    totals = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in patterns]
    return sum(abs(total) >= reach for total in totals) / len(patterns)


@pytest.mark.parametrize("seed", range(6))
def test_few_persons_are_tested_exactly(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 9, 25)
    a, b = generator.normal(size=(2, 25)).round(1)
    a[0], b[1] = np.nan, np.nan
    kept = slice(2, None)
    sums = [float((b - a)[kept][labels[kept] == person].sum()) for person in set(labels[kept])]
    expected = p_by_definition(sums)
    assert paired_test(a, b, labels) == paired_test(b, a, labels, seed=5) == expected
    assert paired_test(a, b, labels, permutations=2 ** len(sums)) == expected
    monkeypatch.setattr(uncertainty, "_DRAWS", 40)
    assert paired_test(a, b, labels) == expected


def test_drawn_patterns_come_near_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = sample(12, 2, seed=3)
    exact = paired_test(0 * values, values, labels)
    drawn = paired_test(0 * values, values, labels, permutations=4095)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.03)
    assert drawn == paired_test(0 * values, values, labels, permutations=4095)
    assert drawn != paired_test(0 * values, values, labels, permutations=4095, seed=1)
    assert drawn * 4096 == pytest.approx(round(drawn * 4096))
    monkeypatch.setattr(uncertainty, "_DRAWS", 12 * 7)
    parts = paired_test(0 * values, values, labels, permutations=4095)
    assert parts == pytest.approx(exact, abs=0.03)


def test_no_difference_is_no_evidence_and_a_clear_one_reaches_the_least_p() -> None:
    values, labels = sample(30, 2)
    assert paired_test(values, values, labels) == 1
    assert paired_test(values[:10], values[:10], labels[:10]) == 1
    assert paired_test(values, values + 1, labels, permutations=999) == 1 / 1000
    assert paired_test(values[:10], values[:10] + 1, labels[:10]) == 2 / 2**5


def test_false_alarms_are_as_rare_as_they_should_be_and_differences_are_found() -> None:
    alarms, found = 0, 0
    for seed in range(1000):
        a, labels = unequal(30, seed)
        generator = np.random.default_rng(10_000 + seed)
        # The difference belongs to the person, the same for all of their queries.
        b = a + generator.normal(size=30)[labels] + generator.normal(size=len(a))
        alarms += paired_test(a, b, labels, permutations=399) <= 0.05
        found += paired_test(a, b + 0.8, labels, permutations=399) <= 0.05
    assert 0.03 <= alarms / 1000 <= 0.07
    assert found / 1000 > 0.8


def test_not_all_patterns_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 patterns of 500 persons would be 76 MiB."""
    values, labels = sample(500, 1)
    monkeypatch.setattr(uncertainty, "_DRAWS", 2**16)
    tracemalloc.start()
    paired_test(0 * values, values, labels, permutations=20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 2**20


def test_a_test_refuses_what_it_cannot_use() -> None:
    with pytest.raises(UsageError, match="permutations = 0"):
        paired_test([1.0, 2.0], [1.0, 2.0], [1, 2], permutations=0)
    with pytest.raises(DataError, match="two of them"):
        paired_test([1.0, 2.0], [1.0, 2.0], [1, 1])
    with pytest.raises(DataError, match="do not fit"):
        paired_test([1.0, 2.0], [1.0], [1, 2])
