"""The exact index against a numpy twin, hostile bytes, and every trap of FAISS it shuts."""

import sys
from importlib import metadata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.errors import DamagedError, DataError, MissingExtra, UsageError
from reid_attn.neighbours import ExactIndex

faiss = pytest.importorskip("faiss")


def unit_rows(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(count: int = 6, dimension: int = 4) -> ExactIndex:
    index = ExactIndex(dimension)
    index.add(np.arange(count), unit_rows(count, dimension))
    return index


def twin(rows: dict[int, np.ndarray], query: np.ndarray, k: int) -> list[tuple[float, int]]:
    """The `k` best (score, id) of plain products, ties by id."""
    pairs = [
        (np.float32(row.astype(float) @ query.astype(float)), id_) for id_, row in rows.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]


@given(st.data())
def test_agrees_with_plain_products(data: st.DataObject) -> None:
    dimension = data.draw(st.integers(1, 8))
    index, rows = ExactIndex(dimension), {}
    for step in range(data.draw(st.integers(0, 4))):
        new = data.draw(st.sets(st.integers(0, 30))) - set(rows)
        vectors = unit_rows(len(new), dimension, seed=step)
        index.add(np.array([*new], dtype=np.int64), vectors)
        rows.update(zip(new, vectors, strict=True))
        gone = data.draw(st.sets(st.sampled_from([*rows]))) if rows else set()
        index.remove(np.array([*gone], dtype=np.int64))
        rows = {id_: row for id_, row in rows.items() if id_ not in gone}
    index = ExactIndex.from_bytes(index.to_bytes())
    queries = unit_rows(data.draw(st.integers(0, 6)), dimension, seed=99)
    k = data.draw(st.integers(1, 40))
    scores, ids = index.search(queries, k)
    assert len(index) == len(rows)
    assert scores.shape == ids.shape == (len(queries), min(k, len(rows)))
    assert (scores.dtype, ids.dtype) == (np.float32, np.int64)
    for query, found_scores, found_ids in zip(queries, scores, ids, strict=True):
        expected = twin(rows, query, k)
        assert found_scores.tolist() == [score for score, _ in expected]
        for found, (score, id_) in zip(found_ids, expected, strict=True):
            tied = dimension == 1 or np.sum([s == score for s, _ in expected]) > 1
            assert found == id_ or (tied and twin({found: rows[found]}, query, 1)[0][0] == score)


def test_copies_are_ordered_by_id_with_one_score() -> None:
    index = ExactIndex(64)
    ids = np.random.default_rng(1).permutation(41)
    index.add(ids, np.tile(unit_rows(1, 64), (41, 1)))
    scores, found = index.search(unit_rows(30, 64, seed=2), 41)
    assert (found == np.arange(41)).all()
    assert (scores == scores[:, :1]).all()


def test_a_score_does_not_depend_on_the_batch() -> None:
    index, queries = filled(300, 96), unit_rows(40, 96, seed=5)
    together = index.search(queries, 20)
    for row, query in enumerate(queries):
        alone = index.search(query[None], 20)
        np.testing.assert_array_equal(alone[0][0], together[0][row])
        np.testing.assert_array_equal(alone[1][0], together[1][row])


def test_an_empty_index_finds_nobody() -> None:
    scores, ids = ExactIndex(3).search(unit_rows(2, 3), 5)
    assert scores.shape == ids.shape == (2, 0)
    assert len(ExactIndex.from_bytes(ExactIndex(3).to_bytes())) == 0


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
        ([10], "1 ids for 2 vectors"),
    ],
)
def test_bad_ids_are_refused(ids: Any, message: str) -> None:
    index = filled()
    with pytest.raises(DataError, match=message):
        index.add(ids, unit_rows(2, 4))
    assert len(index) == 6


def test_removing_a_stranger_removes_nothing() -> None:
    index = filled()
    with pytest.raises(DataError, match="id 77 is not in the index"):
        index.remove([2, 77])
    assert len(index) == 6
    index.remove([2, 2])
    assert 2 not in index.search(unit_rows(1, 4), 6)[1]


@pytest.mark.parametrize(
    "call", [lambda: ExactIndex(0), lambda: filled().search(unit_rows(1, 4), 0)]
)
def test_wrong_numbers_are_refused(call: Any) -> None:
    with pytest.raises(UsageError, match="at least"):
        call()


@pytest.mark.parametrize("queries", [1, 4])
def test_the_settings_of_faiss_are_as_before(queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 12_345)

    def settings() -> tuple[int, int]:
        return (
            faiss.cvar.distance_compute_blas_threshold,
            faiss.get_deserialization_vector_byte_limit(),
        )

    before, index = settings(), filled()
    index.search(unit_rows(queries, 4), 2)
    ExactIndex.from_bytes(index.to_bytes())
    with pytest.raises(DamagedError):
        ExactIndex.from_bytes(b"nothing")
    assert settings() == before


def test_a_batch_is_one_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    search = faiss.IndexFlatIP.search

    def watched(self: Any, *arguments: Any) -> Any:
        seen.append(faiss.cvar.distance_compute_blas_threshold)
        return search(self, *arguments)

    index, before = filled(), faiss.cvar.distance_compute_blas_threshold
    monkeypatch.setattr(faiss.IndexFlatIP, "search", watched)
    index.search(unit_rows(1, 4), 1)
    index.search(unit_rows(16, 4), 1)
    assert seen == [before, 1]


def serialised(index: Any) -> bytes:
    return bytes(faiss.serialize_index(index))


def raw(index: Any, rows: np.ndarray, ids: list[int]) -> bytes:
    index.add_with_ids(rows, np.array(ids, dtype=np.int64))
    return serialised(index)


def test_only_our_kind_of_index_is_read() -> None:
    rows = unit_rows(3, 4)
    flat = faiss.IndexFlatIP(4)
    flat.add(rows)
    others = [
        serialised(flat),
        raw(faiss.IndexIDMap(faiss.IndexFlatIP(4)), rows, [1, 2, 3]),
        raw(faiss.IndexIDMap2(faiss.IndexFlatL2(4)), rows, [1, 2, 3]),
        raw(faiss.IndexIDMap2(faiss.IndexHNSWFlat(4, 4)), rows, [1, 2, 3]),
    ]
    for data in others:
        with pytest.raises(DamagedError, match="build it again"):
            ExactIndex.from_bytes(data)


@pytest.mark.parametrize(
    ("rows", "ids", "message"),
    [
        (unit_rows(2, 4), [5, 5], "id 5 would be in the index twice"),
        (unit_rows(2, 4), [5, -1], "integers from 0"),
        (np.full((1, 4), np.nan, np.float32), [5], "length nan"),
        (2 * unit_rows(1, 4), [5], "length 2"),
    ],
)
def test_what_add_refuses_is_not_loaded_either(
    rows: np.ndarray, ids: list[int], message: str
) -> None:
    data = raw(faiss.IndexIDMap2(faiss.IndexFlatIP(4)), rows, ids)
    with pytest.raises(DamagedError, match=message):
        ExactIndex.from_bytes(data)


def test_a_huge_claim_is_refused_before_memory_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    monkeypatch.setattr(faiss, "set_deserialization_vector_byte_limit", limits.append)
    data = filled().to_bytes()
    ExactIndex.from_bytes(data)
    assert limits == [2 * len(data), faiss.get_deserialization_vector_byte_limit()]


def test_a_lack_of_memory_while_reading_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: np.ndarray) -> None:
        raise MemoryError

    data = filled().to_bytes()
    monkeypatch.setattr(faiss, "deserialize_index", exhausted)
    with pytest.raises(DamagedError, match="cannot be read"):
        ExactIndex.from_bytes(data)


def test_an_index_without_dimensions_is_refused() -> None:
    data = bytearray(ExactIndex(7).to_bytes())
    while 7 in data:
        data[data.index(7)] = 0
    with pytest.raises(DamagedError, match="build it again"):
        ExactIndex.from_bytes(bytes(data))


def test_every_truncation_is_refused() -> None:
    data = filled().to_bytes()
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            ExactIndex.from_bytes(data[:length])


def test_changed_bytes_are_refused_or_load_a_sound_index() -> None:
    data, generator = filled().to_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(200):
        changed = np.frombuffer(data, dtype=np.uint8).copy()
        changed[generator.integers(len(changed), size=2)] = generator.integers(256, size=2)
        try:
            index = ExactIndex.from_bytes(changed.tobytes())
        except DamagedError:
            refused += 1
            continue
        scores, ids = index.search(unit_rows(3, index.dimension), 6)
        assert np.isfinite(scores).all() and (ids >= 0).all()
    assert refused > 100


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
