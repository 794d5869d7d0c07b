"""Query expansion against its definition in plain loops, and against bad input."""

from typing import Any

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation.expansion import expand

pytest.importorskip("faiss")


def unit(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / lengths)


def by_definition(q: np.ndarray, g: np.ndarray, k: int, alpha: float) -> np.ndarray:
    gallery, expanded = unit(g), []
    for query in unit(q):
        total = query.copy()
        for index in sorted(range(len(g)), key=lambda i: -float(query @ gallery[i]))[:k]:
            similarity = max(float(query @ gallery[index]), 0.0)
            total += similarity**alpha * gallery[index]
        expanded.append(total)
    return unit(np.stack(expanded))


@pytest.mark.parametrize("k", [1, 5, 40, 100])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_agrees_with_the_definition(k: int, alpha: float) -> None:
    generator = np.random.default_rng(k)
    q, g = generator.standard_normal((12, 6)) + 0.3, generator.standard_normal((40, 6)) + 0.3
    result = expand(q, g, k=k, alpha=alpha)
    assert result.dtype == np.float32
    assert np.abs(result - by_definition(q, g, k, alpha)).max() < 1e-6


def test_average_expansion_is_the_default_and_alpha_prefers_the_near() -> None:
    q, g = np.array([[1.0, 0.0]]), np.array([[4.0, 0.0], [0.0, 9.0], [-1.0, 0.0]])
    assert expand(q, g, k=2) == pytest.approx(unit(np.array([[2.0, 1.0]])))
    assert expand(q, g, k=3, alpha=3) == pytest.approx(np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("wrong", [{"k": 0}, {"alpha": -1.0}, {"alpha": float("inf")}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="use k of at least 1 and a finite alpha of at least 0"):
        expand(np.ones((1, 2)), np.ones((1, 2)), **{"k": 1, **wrong})


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (np.ones((1, 2)), np.ones((1, 3)), "query_features has 2 dimensions"),
        (np.ones((1, 2)), np.zeros((1, 2)), "gallery_features, row 0 holds the zero vector"),
        (np.ones((1, 2)), np.full((1, 2), np.nan), "gallery_features, row 0"),
        (np.ones((1, 2)), -np.ones((1, 2)), "1 of 1 features are zero"),
    ],
)
def test_features_that_do_not_fit_are_refused(
    query: np.ndarray, gallery: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        expand(query, gallery, k=1)
