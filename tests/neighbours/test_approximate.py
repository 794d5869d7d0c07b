"""The graph and the cells: most of the nearest, none that a filter hides, removal that lasts."""

import numpy as np
import pytest
from twins import clouds, rows_of, twin

from reid_attn.errors import DataError
from reid_attn.neighbours import ExactIndex, graph, make

pytest.importorskip("faiss")

COUNT, DIMENSION = 1500, 16
IDS = np.random.default_rng(5).permutation(5000)[:COUNT]
VECTORS = clouds(COUNT, DIMENSION)
KINDS = ["hnsw", "ivf", "ivf-sq", "ivf-pq"]
EXACT = ExactIndex.of(IDS, VECTORS)


def filled(kind: str, vectors: np.ndarray = VECTORS) -> object:
    index = make(kind, DIMENSION)
    index.add(IDS[: len(vectors)], vectors)
    return index


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    pairs = zip(found, expected, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in pairs]))


@pytest.mark.parametrize(("kind", "least"), [*zip(KINDS, [0.95, 0.95, 0.9, 0.3], strict=True)])
def test_most_of_the_nearest_are_found(kind: str, least: float) -> None:
    scores, ids = filled(kind).search(VECTORS[:100], 10)
    assert overlap(ids, EXACT.search(VECTORS[:100], 10)[1]) >= least
    assert (scores.dtype, ids.dtype, scores.shape, ids.shape) == (
        np.float32,
        np.int64,
        (100, 10),
        (100, 10),
    )
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_scores_are_those_of_the_vectors(kind: str) -> None:
    scores, ids = filled(kind).search(VECTORS[:9], 10)
    rows = dict(zip(IDS.tolist(), VECTORS, strict=True))
    for query, *pair in zip(VECTORS, scores, ids, strict=False):
        for score, id_ in zip(*pair, strict=True):
            exact = twin({id_: rows[id_]}, query, 1)[0][0]
            assert score == exact if kind == "hnsw" else abs(score - exact) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.9, 0.4, 0.05, 0.004])
def test_a_filter_leaves_nobody_else_and_enough(kind: str, share: float) -> None:
    index, draw = filled(kind), np.random.default_rng(1)
    keep = draw.permutation(IDS)[: int(share * COUNT)]
    queries = np.concatenate([VECTORS[:20], rows_of(20, DIMENSION, seed=3)])
    ids = index.search(queries, 10, keep)[1]
    assert ids.shape == (40, min(10, len(keep)))
    assert np.isin(ids, keep).all()
    assert all(len(np.unique(row)) == len(row) for row in ids)
    np.testing.assert_array_equal(index.search(queries, 10, np.isin(index.ids, keep))[1], ids)
    if share < 0.1 and kind == "hnsw":
        np.testing.assert_array_equal(ids, EXACT.search(queries, 10, keep)[1])


def test_a_walk_that_finds_too_few_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be found is far from the query, beyond everything that a walk sees."""
    monkeypatch.setattr(graph, "_SPARSE", 0)
    index = filled("hnsw")
    far = IDS[np.argsort(VECTORS @ VECTORS[0])[:20]]
    np.testing.assert_array_equal(
        index.search(VECTORS[:1], 10, far), EXACT.search(VECTORS[:1], 10, far)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gone", [100, 700, COUNT])
def test_the_removed_are_not_found_and_the_others_are(kind: str, gone: int) -> None:
    index = filled(kind)
    index.remove(IDS[:gone])
    left = ExactIndex(DIMENSION)
    left.add(IDS[gone:], VECTORS[gone:])
    assert len(index) == COUNT - gone
    np.testing.assert_array_equal(index.ids, IDS[gone:])
    ids = index.search(VECTORS[:50], 10)[1]
    assert not np.isin(ids, IDS[:gone]).any()
    if gone < COUNT:
        assert overlap(ids, left.search(VECTORS[:50], 10)[1]) > (0.3 if kind == "ivf-pq" else 0.9)
    index.add(IDS[:gone], VECTORS[:gone])
    assert len(index) == COUNT
    assert overlap(index.search(VECTORS[:50], 10)[1], EXACT.search(VECTORS[:50], 10)[1]) > 0.3


def test_the_graph_is_built_anew_when_a_fourth_is_gone() -> None:
    index = filled("hnsw")
    index.remove(IDS[: COUNT // 4])
    assert index._graph.ntotal == COUNT
    index.remove(IDS[COUNT // 4 : COUNT // 4 + 1])
    assert index._graph.ntotal == len(index) == COUNT - COUNT // 4 - 1


def test_a_wider_walk_finds_more() -> None:
    vectors = rows_of(COUNT, DIMENSION)  # in all directions, where a walk goes astray
    index, exact = filled("hnsw", vectors), ExactIndex.of(IDS, vectors)
    expected, shares = exact.search(vectors[:200], 3)[1], []
    for width in (1, 8, 200):
        index.width = width
        again = type(index).from_bytes(index.to_bytes())
        shares.append(overlap(again.search(vectors[:200], 3)[1], expected))
    assert shares == sorted(shares)
    assert shares[0] < 0.999 < shares[2]


@pytest.mark.parametrize("kind", KINDS)
def test_more_are_asked_for_than_there_are(kind: str) -> None:
    scores, ids = filled(kind, VECTORS[:300]).search(VECTORS[:3], 1000)
    assert scores.shape == ids.shape == (3, 300)
    assert (np.sort(ids) == np.sort(IDS[:300])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_refused(kind: str) -> None:
    index = filled(kind)
    with pytest.raises(DataError, match="length nan"):
        index.add([9000], np.full((1, DIMENSION), np.nan, np.float32))
    with pytest.raises(DataError, match="would be in the index twice"):
        index.add(IDS[:1], VECTORS[:1])
    with pytest.raises(DataError, match="id 9001 is not in the index"):
        index.remove([int(IDS[0]), 9001])
    assert len(index) == COUNT


@pytest.mark.parametrize(("dimension", "count"), [(12, 300), (16, 255)])
def test_a_product_code_says_what_it_needs(dimension: int, count: int) -> None:
    index = make("ivf-pq", dimension)
    with pytest.raises(DataError, match=r"multiple of 8.*at least 256 vectors"):
        index.add(np.arange(count), rows_of(count, dimension))
    assert len(index) == 0


def test_few_vectors_share_one_cell() -> None:
    index = filled("ivf", VECTORS[:5])
    np.testing.assert_array_equal(
        index.search(VECTORS[:5], 5)[1],
        ExactIndex.of(IDS[:5], VECTORS[:5]).search(VECTORS[:5], 5)[1],
    )


@pytest.mark.parametrize(("kind", "count"), [("ivf", 5), ("ivf-sq", 30), ("ivf-pq", 300)])
def test_few_vectors_are_learnt_from_without_a_word(
    kind: str, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(filled(kind, VECTORS[:count])) == count
    assert capfd.readouterr() == ("", "")
