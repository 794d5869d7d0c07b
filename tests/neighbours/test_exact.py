"""The exact indexes against a plain twin: same scores, same ids, and ties in the same order."""

import sys
from importlib import metadata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import clouds, rows_of, twin

from reid_attn.errors import DamagedError, DataError, MissingExtra, UsageError
from reid_attn.neighbours import ExactIndex, HalfIndex, RefinedIndex, coded, exact, parts

pytest.importorskip("faiss")

KINDS = [ExactIndex, HalfIndex, RefinedIndex]


@pytest.fixture
def tiny_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts, codes and doubts among few rows."""
    for module in (parts, exact):
        monkeypatch.setattr(module, "ROWS", 16)
    monkeypatch.setattr(coded, "_SMALL", 4)
    monkeypatch.setattr(coded, "_MORE", 2)
    monkeypatch.setattr(exact, "_QUERIES", 5)
    monkeypatch.setattr(exact, "_PAIRS", 7)


def filled(count: int = 6, dimension: int = 4, kind: type[ExactIndex] = ExactIndex) -> ExactIndex:
    index = kind(dimension)
    index.add(np.arange(count), rows_of(count, dimension))
    return index


def as_kept(index: ExactIndex, rows: np.ndarray) -> np.ndarray:
    """What the index holds of `rows`."""
    return rows.astype(np.float16).astype(np.float32) if index.kind == "half" else rows


def assert_is_twin(found: Any, rows: dict[int, np.ndarray], queries: np.ndarray, k: int) -> None:
    scores, ids = found
    assert scores.shape == ids.shape == (len(queries), min(k, len(rows)))
    assert (scores.dtype, ids.dtype) == (np.float32, np.int64)
    for query, *pair in zip(queries, scores, ids, strict=True):
        expected = twin(rows, query, k)
        assert [*zip(*(column.tolist() for column in pair), strict=True)] == expected


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_any_changes_and_searches_agree_with_the_twin(kind: type[ExactIndex], seed: int) -> None:
    """Rows are copies of few vectors, or of near ones, so that ties are everywhere."""
    draw = np.random.default_rng(seed)
    dimension = int(draw.choice([1, 2, 3, 8, 33]))
    pool = rows_of(12, dimension, seed)
    if seed % 2:
        pool = np.repeat(pool[:2], 30, axis=0) + draw.normal(0, 1e-4, (60, dimension))
        pool = (pool / np.linalg.norm(pool, axis=1, keepdims=True)).astype(np.float32)
    index, rows = kind(dimension), {}
    for _ in range(12):
        new = np.setdiff1d(draw.integers(0, 400, draw.integers(0, 40)), [*rows])
        draw.shuffle(new)
        vectors = pool[draw.integers(0, len(pool), len(new))]
        index.add(new, vectors)
        rows.update(zip(new.tolist(), as_kept(index, vectors), strict=True))
        gone = draw.permutation([*rows])[: draw.integers(0, 12)]
        index.remove(gone)
        for id_ in gone.tolist():
            del rows[id_]
        if draw.random() < 0.3:
            index = kind.from_bytes(index.to_bytes())
        assert len(index) == len(rows)
        assert sorted(index.ids.tolist()) == sorted(rows)
        queries = pool[draw.integers(0, len(pool), draw.choice([0, 1, 3, 11]))]
        k = int(draw.integers(1, 60))
        assert_is_twin(index.search(queries, k), rows, queries, k)
        kept = draw.permutation([*rows])[: draw.integers(0, len(rows) + 1)].astype(np.int64)
        some = {id_: rows[id_] for id_ in kept.tolist()}
        assert_is_twin(index.search(queries, k, kept), some, queries, k)
        mask = np.isin(index.ids, kept)
        assert_is_twin(index.search(queries, k, mask), some, queries, k)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimension", [32, 50])
def test_thousands_of_rows_agree_with_the_twin(kind: type[ExactIndex], dimension: int) -> None:
    vectors = clouds(9000, dimension)
    index = kind(dimension)
    index.add(np.arange(5000), vectors[:5000])
    index.add(np.arange(5000, 9000), vectors[5000:])
    kept = as_kept(index, vectors)
    queries = np.concatenate([vectors[:6], rows_of(6, dimension, seed=1)])
    products = (kept[None].astype(float) * queries[:, None].astype(float)).sum(axis=2)
    scores = products.astype(np.float32)
    for hidden in (0, 100, 5000, 8990):
        keep = np.random.default_rng(hidden).permutation(9000) >= hidden
        seen = np.where(keep, scores, -2)
        expected = np.argsort(-seen, axis=1, kind="stable")[:, :10]
        together = index.search(queries, 10, keep)
        alone = [index.search(query[None], 10, keep) for query in queries]
        np.testing.assert_array_equal(together[1], expected)
        np.testing.assert_array_equal(np.concatenate([ids for _, ids in alone]), expected)
        np.testing.assert_array_equal(together[0], np.concatenate([found for found, _ in alone]))


def test_codes_are_used_and_settle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were they not, a single query would compare all rows: the test above would pass too."""
    index = filled(9000, 64, RefinedIndex)
    expected = filled(9000, 64).search(rows_of(1, 64, seed=1), 10)
    scanned = []
    scan = parts.Part.scan
    monkeypatch.setattr(parts.Part, "scan", lambda *a: scanned.append(1) or scan(*a))
    found = index.search(rows_of(1, 64, seed=1), 10)
    assert not scanned
    np.testing.assert_array_equal(found, expected)


def test_codes_that_leave_a_doubt_do_not_settle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than the scan of codes gives are equal in code, and the best come last."""
    query, direction = np.eye(2, 64, dtype=np.float32)
    angles = np.linspace(0.3, 0.2999, 6000)[:, None]
    vectors = (np.cos(angles) * query + np.sin(angles) * direction).astype(np.float32)
    index = RefinedIndex(64)
    index.add(np.arange(6000), vectors)
    scanned = []
    scan = parts.Part.scan
    monkeypatch.setattr(parts.Part, "scan", lambda *a: scanned.append(1) or scan(*a))
    rows = dict(enumerate(vectors))
    assert_is_twin(index.search(query[None], 10), rows, query[None], 10)
    assert scanned


@given(st.integers(1, 70), st.integers(0, 2**32 - 1), st.floats(0.01, 100))
@settings(max_examples=60)
def test_the_error_of_codes_is_below_its_bound(dimension: int, seed: int, spread: float) -> None:
    """For dimensions of any scale, and outliers."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((50, dimension)) ** 3 * spread ** draw.standard_normal(dimension)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    part = coded.RefinedPart(np.arange(50), rows)
    for query in rows[:5]:
        codes, coded_query, scale, error = part._coded(query[None])
        scores, places = codes.search(coded_query, 50)
        exact_scores = rows[places[0]].astype(float) @ query.astype(float)
        assert np.abs(scores[0] * scale - exact_scores).max() <= error


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_index_finds_nobody(kind: type[ExactIndex]) -> None:
    scores, ids = kind(3).search(rows_of(2, 3), 5)
    assert scores.shape == ids.shape == (2, 0)
    restored = kind.from_bytes(kind(3).to_bytes())
    assert (len(restored), restored.dimension) == (0, 3)
    restored.add([], np.empty((0, 3), np.float32))
    restored.remove([])
    assert len(restored) == 0


@pytest.mark.parametrize("keep", [[], [99], np.zeros(6, bool)])
def test_a_filter_that_keeps_nothing_finds_nobody(keep: Any) -> None:
    assert filled().search(rows_of(2, 4), 5, keep)[1].shape == (2, 0)


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(5,\): this index has 6"):
        filled().search(rows_of(2, 4), 5, np.ones(5, bool))


BAD_VECTORS = [
    (np.full((1, 4), np.nan, np.float32), "length nan"),
    (np.array([[np.inf, 0, 0, 0]], np.float32), "length inf"),
    (np.zeros((1, 4), np.float32), "length 0"),
    (np.array([[1.01, 0, 0, 0]], np.float32), "length 1.01"),
    (np.eye(5, dtype=np.float32)[:1], r"shape \(1, 5\)"),
    (np.eye(4)[:1], "float64"),
    (np.eye(4, dtype=np.float32)[0], r"shape \(4,\)"),
]


@pytest.mark.parametrize(("vectors", "message"), BAD_VECTORS)
def test_bad_vectors_are_refused(vectors: np.ndarray, message: str) -> None:
    index = filled()
    with pytest.raises(DataError, match=message):
        index.add([100], vectors)
    with pytest.raises(DataError, match=message):
        index.search(vectors, 1)
    assert len(index) == 6


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([3, 10], "id 3 would be in the index twice"),
        ([10, 10], "id 10 would be in the index twice"),
        ([10, -1], "integers from 0"),
        ([1.5, 2.5], "integers from 0"),
        ([[10, 11]], "integers from 0"),
        (np.array([10, 2**63], np.uint64), "integers from 0 to 9223372036854775807"),
        ([10, 2**70], "integers from 0"),
        ([10], "1 ids for 2 vectors"),
    ],
)
def test_bad_ids_are_refused(ids: Any, message: str) -> None:
    index = filled()
    with pytest.raises(DataError, match=message):
        index.add(ids, rows_of(2, 4))
    assert len(index) == 6


def test_removing_a_stranger_removes_nothing() -> None:
    index = filled()
    with pytest.raises(DataError, match="id 77 is not in the index"):
        index.remove([2, 77])
    assert len(index) == 6
    index.remove([2, 2])
    assert 2 not in index.search(rows_of(1, 4), 6)[1]


@pytest.mark.parametrize("call", [lambda: ExactIndex(0), lambda: filled().search(rows_of(1, 4), 0)])
def test_wrong_numbers_are_refused(call: Any) -> None:
    with pytest.raises(UsageError, match="at least"):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_does_not_change_with_what_was_added(kind: type[ExactIndex]) -> None:
    vectors, ids = rows_of(6, 4), np.arange(6)
    index = kind(4)
    index.add(ids, vectors)
    before = index.search(rows_of(1, 4), 6)
    vectors[:], ids[:] = vectors[::-1].copy(), 0
    np.testing.assert_array_equal(index.search(rows_of(1, 4), 6), before)


def test_shared_vectors_are_found() -> None:
    vectors = rows_of(6, 4)
    index = ExactIndex.of(np.arange(6), vectors)
    expected = filled().search(vectors, 3)
    np.testing.assert_array_equal(index.search(vectors, 3), expected)
    assert np.shares_memory(index._parts[0].vectors(slice(None)), vectors)
    with pytest.raises(DataError, match="length nan"):
        ExactIndex.of([0], np.full((1, 4), np.nan, np.float32))


@pytest.mark.usefixtures("tiny_parts")
def test_rows_that_come_one_by_one_are_copied_few_times() -> None:
    index, vectors = ExactIndex(4), rows_of(100, 4)
    for number in range(100):
        index.add([number], vectors[[number]])
        assert len(index._parts) <= number // 8 + 5
    assert index.ids.tolist() == list(range(100))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_do_not_fit_are_refused(kind: type[ExactIndex]) -> None:
    facts, arrays = filled(6, 4, kind).contents()
    with pytest.raises(DamagedError, match="build it again"):
        kind.restore(facts, arrays | {"ids.0": np.arange(5)})


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"reid-attn\[cpu\]"):
        ExactIndex(4)


def test_two_builds_of_faiss_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("faiss-cpu", "faiss-gpu"):
            return "1.15.1"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(UsageError, match="pip uninstall faiss-cpu faiss-gpu"):
        ExactIndex(4)
