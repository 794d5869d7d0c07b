"""How far a mean over queries could be off, and whether two differ: resampling whole persons.

The queries of one person share clothes and gallery pictures, so they are no independent draws. Each
resample therefore draws *persons* with replacement and takes all queries of a drawn person
together. Intervals are percentile intervals. Source: Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 8 (units other than single values) and 13 (percentiles).

The test of a difference keeps the persons and flips signs: if two systems are equally good, each
person could as well have favoured the other one. Sources: Fisher, The Design of Experiments, 1935,
chapter 3; Good, Permutation Tests, 2000; Phipson & Smyth, Permutation P-values Should Never Be
Zero, 2010 (one more in the numerator and in the denominator).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, UsageError

_DRAWS = 2**22  # most persons drawn at a time (32 MiB)


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: ArrayLike,
    persons: ArrayLike,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of per-query `values` (Q,), such as AP, and its interval over `persons` (Q,).

    NaN values, the invalid queries of a `Ranking`, are left out. Raises `DataError` when fewer than
    two persons remain or the arrays do not fit, `UsageError` for a wrong `resamples` or `level`.
    """
    if resamples < 1 or not 0 < level < 1:
        raise UsageError(
            f"resamples = {resamples} and level = {level}: use at least 1 and a fraction below 1"
        )
    sums, counts = _by_person(*_arrays(values, persons))
    means = _resampled_means(sums, counts, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


def paired_bootstrap(
    values_a: ArrayLike,
    values_b: ArrayLike,
    persons: ArrayLike,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of b − a over the same queries (Q,), and its interval.

    A query that is NaN on one side is left out on both. Usually far narrower than two intervals
    side by side, because the difficulty of a query cancels out. Errors as for `bootstrap`.
    """
    a, _ = _arrays(values_a, persons)
    b, _ = _arrays(values_b, persons)
    return bootstrap(b - a, persons, resamples=resamples, level=level, seed=seed)


def paired_test(
    values_a: ArrayLike,
    values_b: ArrayLike,
    persons: ArrayLike,
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value of the mean of b − a over the same queries (Q,), if a and b are alike.

    The summed difference of each of P persons keeps or flips its sign, and p is the share of sign
    patterns whose total is at least as far from 0 as the measured one. All 2^P patterns are tried
    where these are no more than `permutations`; else so many are drawn, and p = (1 + those as far)
    / (1 + `permutations`). Equal values give 1. A query that is NaN on one side is left out on
    both. Raises `DataError` as `bootstrap` does, and `UsageError` for `permutations` below 1.
    """
    if permutations < 1:
        raise UsageError(f"permutations = {permutations}: use at least 1")
    a, _ = _arrays(values_a, persons)
    b, labels = _arrays(values_b, persons)
    sums, _ = _by_person(b - a, labels)
    exact = len(sums) < permutations.bit_length()
    drawn = 2 ** len(sums) if exact else permutations
    # Another order of summation must not make the measured total differ from itself.
    reach = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    as_far = 0
    for flips in _flips(len(sums), drawn, None if exact else np.random.default_rng(seed)):
        as_far += int(np.count_nonzero(np.abs(sums.sum() - 2 * (flips @ sums)) >= reach))
    return as_far / drawn if exact else (1 + as_far) / (1 + drawn)


def _arrays(values: ArrayLike, persons: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    numbers, labels = np.asarray(values, dtype=np.float64), np.asarray(persons)
    if numbers.ndim != 1 or numbers.shape != labels.shape:
        raise DataError(
            f"values of shape {numbers.shape} do not fit persons of shape {labels.shape}: "
            "pass one of each per query"
        )
    return numbers, labels


def _by_person(
    values: NDArray[np.float64], persons: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Sum and number of the values of each person, (P,) each, without NaN."""
    valid = ~np.isnan(values)
    names, index = np.unique(persons[valid], return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"resampling persons needs two of them with a valid query, and found {len(names)}: "
            "pass the queries of more persons"
        )
    sums = np.zeros(len(names))
    np.add.at(sums, index, values[valid])
    return sums, np.bincount(index)


def _resampled_means(
    sums: NDArray[np.float64],
    counts: NDArray[np.intp],
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """(resamples,) means over as many persons as there are, drawn with replacement."""
    means = np.empty(resamples)
    step = max(1, _DRAWS // len(sums))
    for start in range(0, resamples, step):
        rows = slice(start, min(start + step, resamples))
        drawn = generator.integers(len(sums), size=(rows.stop - start, len(sums)))
        means[rows] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


def _flips(
    persons: int, patterns: int, generator: np.random.Generator | None
) -> Iterator[NDArray[np.float64]]:
    """Whose sign flips, 0 or 1, (n, persons) at a time: drawn, or all patterns in binary."""
    step = max(1, _DRAWS // persons)
    for start in range(0, patterns, step):
        numbers = np.arange(start, min(start + step, patterns))
        if generator is None:
            bits = numbers[:, None] >> np.arange(persons) & 1
        else:
            bits = generator.integers(2, size=(len(numbers), persons), dtype=np.int8)
        yield bits.astype(np.float64)
