"""Re-ranking against the published algorithm in its dense form, torchreid's, and bad input."""

import importlib.util
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import nearest as module
from reid_attn.evaluation.rerank import TRANSREID, ZHONG, Reciprocal, rerank


def features(items: int, dimension: int, clusters: int = 0, seed: int = 0) -> np.ndarray:
    """Gaussian rows (N, D), around `clusters` centres if there are any."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((items, dimension))
    if clusters:
        centres = generator.standard_normal((clusters, dimension))
        rows += 2 * centres[generator.integers(0, clusters, items)]
    return rows.astype(np.float32)


def plain_distances(rows: np.ndarray, metric: str) -> np.ndarray:
    """Squared Euclidean distances (M, M) in float64, of unit rows for cosine."""
    wide = rows.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return ((wide[:, None] - wide[None]) ** 2).sum(axis=2)


def dense(rows: np.ndarray, queries: int, options: Reciprocal, metric: str) -> np.ndarray:
    """(Q, G) by the definition, with matrices of M×M and a loop over items."""
    distances = plain_distances(rows, metric)
    distances /= distances.max(axis=1, keepdims=True)
    order = np.argsort(distances, axis=1, kind="stable")
    position = np.argsort(order, axis=1)  # [i, j]: where j stands in the ranking of i
    mutual, half = (
        np.maximum(position, position.T) < count + 1
        for count in (options.k1, int(np.around(options.k1 / 2)))
    )
    encoded = np.zeros_like(distances)
    for item, own in enumerate(mutual):
        expanded = own.copy()
        for candidate in np.flatnonzero(own):
            others = half[candidate]
            if (others & own).sum() > 2 / 3 * others.sum():
                expanded |= others
        weights = np.exp(-distances[item, expanded])
        encoded[item, expanded] = weights / weights.sum()
    if options.k2 > 1:
        encoded = np.stack([encoded[row[: options.k2]].mean(axis=0) for row in order])
    least = np.minimum(encoded[:queries, None], encoded[None, queries:]).sum(axis=2)
    jaccard = 1 - least / (2 - least)
    original = distances[:queries, queries:]
    return np.asarray((1 - options.weight) * jaccard + options.weight * original)


def joined(rows: np.ndarray, queries: int, *arguments: Any, **options: Any) -> np.ndarray:
    return np.concatenate(list(rerank(rows[:queries], rows[queries:], *arguments, **options)))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small set meets several tiles and chunks, as a large one does."""
    monkeypatch.setattr(module, "_TILE", 40)
    monkeypatch.setattr(module, "_NUMBERS", 500)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "options",
    [ZHONG, TRANSREID, Reciprocal(5, 1, 0.0), Reciprocal(1, 3, 0.5), Reciprocal(7, 20, 1.0)],
)
@pytest.mark.parametrize("clusters", [0, 12])
def test_agrees_with_the_dense_form(
    metric: Any, options: Reciprocal, clusters: int, small_tiles: None
) -> None:
    for seed in range(2):
        rows = features(110, 6, clusters, seed)
        result = joined(rows, 30, options, metric=metric)
        assert result.dtype == np.float32
        assert np.abs(result - dense(rows, 30, options, metric)).max() < 1e-6


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 2), (3, 4), (9, 12), (5, 46)])
def test_fewer_items_than_neighbours(metric: Any, sizes: tuple[int, int]) -> None:
    rows = features(sum(sizes), 4)
    for options in (ZHONG, TRANSREID):
        result = joined(rows, sizes[0], options, metric=metric)
        assert result.shape == sizes
        assert np.abs(result - dense(rows, sizes[0], options, metric)).max() < 1e-6


@pytest.mark.parametrize("options", [ZHONG, Reciprocal(4, 3, 0.3)])
def test_ties_go_to_the_lower_item(options: Reciprocal, small_tiles: None) -> None:
    copies = np.random.default_rng(1).permutation(np.repeat(np.arange(30), 4))
    rows = features(30, 3)[copies]
    result = joined(rows, 20, options, metric="euclidean")
    assert np.abs(result - dense(rows, 20, options, "euclidean")).max() < 1e-6


def test_copies_of_one_picture_score_the_same() -> None:
    rows = features(60, 32, 5)
    rows = np.concatenate((rows, rows[40:]))
    result = joined(rows, 20)
    assert (result[:, 20:40] == result[:, 40:]).all()
    assert np.abs(joined(np.ones((9, 3), np.float32), 4, metric="euclidean")).max() < 1e-6


def test_a_common_offset_costs_no_digits() -> None:
    rows = features(80, 8, 6)
    moved = (rows.astype(np.float64) + 100).astype(np.float32)
    result = joined(moved, 20, metric="euclidean")
    assert np.abs(result - dense(moved, 20, ZHONG, "euclidean")).max() < 1e-6


@pytest.mark.parametrize("block", [1, 7, 29, 30, 1000])
def test_blocks_come_in_query_order_and_change_nothing(block: int) -> None:
    rows = features(150, 24, 12)
    blocks = list(rerank(rows[:30], rows[30:], block=block))
    assert [len(part) for part in blocks[:-1]] == [block] * (len(blocks) - 1)
    assert (np.concatenate(blocks) == joined(rows, 30)).all()


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_the_features_may_be_of_any_float_type(kind: type) -> None:
    rows = features(60, 8, 5).astype(np.float16)
    assert (joined(rows.astype(kind), 20) == joined(rows.astype(np.float32), 20)).all()


def test_clusters_come_closer() -> None:
    generator = np.random.default_rng(3)
    persons = np.repeat(np.arange(20), 15)
    rows = generator.standard_normal((20, 16))[persons] + generator.standard_normal((300, 16))
    order = generator.permutation(300)
    persons, rows = persons[order], rows[order].astype(np.float32)

    def purity(distances: np.ndarray) -> float:
        first = np.argsort(distances, axis=1)[:, :10]
        return float((persons[100:][first] == persons[:100, None]).mean())

    assert purity(joined(rows, 100)) > purity(plain_distances(rows, "cosine")[:100, 100:]) + 0.05


@pytest.fixture
def torchreid_rerank() -> ModuleType:
    """torchreid's rerank.py alone: its package imports every model it has, which takes long."""
    package = importlib.util.find_spec("torchreid")
    if package is None or not package.submodule_search_locations:
        pytest.skip("torchreid is not installed")
    file = Path(package.submodule_search_locations[0], "reid", "utils", "rerank.py")
    spec = importlib.util.spec_from_file_location("torchreid_rerank", file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("options", [ZHONG, TRANSREID])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_agrees_with_torchreid(
    torchreid_rerank: ModuleType, options: Reciprocal, metric: Any
) -> None:
    rows = features(260, 16, 20)
    distances = np.sqrt(plain_distances(rows, metric))  # it squares what it is given
    expected = torchreid_rerank.re_ranking(
        distances[:60, 60:], distances[:60, :60], distances[60:, 60:], options.k1, options.k2
    )
    assert np.abs(joined(rows, 60, options, metric=metric) - expected).max() < 2e-6


def test_memory_grows_with_the_items_and_not_with_their_square() -> None:
    queries, items = 300, 3300
    rows = features(items, 8, 150)
    tracemalloc.start()
    try:
        for part in rerank(rows[:queries], rows[queries:], block=32):
            assert part.shape[1] == items - queries
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < items**2 * 4 / 2


@pytest.mark.parametrize(
    "wrong", [{"k1": 0}, {"k2": 0}, {"weight": -0.1}, {"weight": 1.1}, {"weight": float("nan")}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="use k1 and k2 of at least 1 and a weight from 0 to 1"):
        Reciprocal(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metric": "cosin"}, r"unknown metric 'cosin' \(did you mean 'cosine'\?\)"),
        ({"block": 0}, "block must be at least 1"),
    ],
)
def test_wrong_options_are_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rerank(np.ones((1, 2)), np.ones((1, 2)), **wrong)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.ones((2, 3), int), r"query_features is int64 of shape \(2, 3\)"),
        (0, np.ones(3), r"query_features is float64 of shape \(3,\)"),
        (1, np.ones((0, 3)), r"gallery_features has the shape \(0, 3\)"),
        (1, [[1.0, 2.0], [3.0]], "gallery_features cannot be read"),
        (1, np.ones((2, 4)), "query_features has 3 dimensions and gallery_features 4"),
        (1, np.full((2, 3), np.nan), r"gallery_features, row 0 holds .* \(2 such rows\)"),
        (1, np.array([[1, 1, 1], [1, 1e200, 1]]), "gallery_features, row 1 holds numbers"),
        (0, np.array([[1, 1, 1], [0, 0, 0.0]]), "query_features, row 1 holds the zero vector"),
    ],
)
def test_features_that_do_not_fit_are_refused(position: int, value: Any, message: str) -> None:
    arguments: list[Any] = [np.ones((2, 3)), np.ones((2, 3))]
    arguments[position] = value
    with pytest.raises(DataError, match=message):
        rerank(*arguments)
