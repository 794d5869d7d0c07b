"""How far a mean over queries could be off: the bootstrap over persons.

The queries of one person share clothes and gallery pictures, so they are no independent draws. Each
resample therefore draws *persons* with replacement and takes all queries of a drawn person
together. Intervals are percentile intervals. Source: Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 8 (units other than single values) and 13 (percentiles).
"""

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
            f"a bootstrap over persons needs two of them with a valid query, and found {len(names)}"
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
