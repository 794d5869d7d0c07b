"""Choice of the queries to show, and names that show every character."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.reports.ranked_lists import extremes, printable


def test_best_and_worst_without_invalid_queries() -> None:
    precision = np.array([0.5, math.nan, 1.0, 0.1, 0.9, 0.3])
    assert extremes(precision, 2) == ([2, 4], [3, 5])


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ([], ([], [])),
        ([math.nan], ([], [])),
        ([0.5], ([0], [])),
        ([0.2, 0.7, 0.4], ([1, 2], [0])),
    ],
)
def test_few_queries_are_shown_once(
    precision: list[float], expected: tuple[list[int], list[int]]
) -> None:
    assert extremes(precision, 10) == expected


@given(st.lists(st.floats(0, 1) | st.just(math.nan)), st.integers(0, 5))
def test_the_extremes_are_the_extremes(precision: list[float], count: int) -> None:
    best, worst = extremes(precision, count)
    assert not set(best) & set(worst)
    assert len(best) <= count and len(worst) <= count
    left = [p for i, p in enumerate(precision) if i not in best + worst and not math.isnan(p)]
    if left and count:
        assert min(precision[i] for i in best) >= max(left)
        assert max(precision[i] for i in worst) <= min(left)


@given(st.text())
def test_a_printable_name_is_one_line(name: str) -> None:
    assert printable(name).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert printable(name) == name
