"""Search on a GPU: on a real one where there is one, else with FAISS's CPU index in its place."""

import numpy as np
import pytest
from twins import clouds

from reid_attn.neighbours import ExactIndex, HalfIndex, RefinedIndex, card
from reid_attn.neighbours.parts import Part

faiss = pytest.importorskip("faiss")

COUNT, DIMENSION = 800, 16
VECTORS = clouds(COUNT, DIMENSION)
IDS = np.random.default_rng(1).permutation(COUNT)
KINDS = [ExactIndex, HalfIndex, RefinedIndex]


@pytest.fixture(params=["stand-in", "GPU"])
def copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each copy that was made."""
    made: list[int] = []
    monkeypatch.setattr(card, "_WORTH", 1)
    copy = faiss.index_cpu_to_all_gpus if hasattr(faiss, "index_cpu_to_all_gpus") else None
    if request.param == "GPU" and not faiss.get_num_gpus():
        pytest.skip("no GPU that FAISS can use")
    if request.param == "stand-in":
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
        copy = lambda index: index  # noqa: E731
    monkeypatch.setattr(
        faiss, "index_cpu_to_all_gpus", lambda index: made.append(1) or copy(index), raising=False
    )
    return made


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each scan on the CPU."""
    done: list[int] = []
    scan = Part.scan
    monkeypatch.setattr(Part, "scan", lambda *a: done.append(1) or scan(*a))
    return done


def expected(kind: type[ExactIndex], queries: np.ndarray, k: int) -> object:
    """The answer of the CPU, before a fixture has its way."""
    return kind.of(IDS, VECTORS).search(queries, k)


CPU = {kind: [expected(kind, VECTORS[:40], k) for k in (1, 10, COUNT)] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_that_of_the_cpu(
    kind: type[ExactIndex], copies: list[int], scans: list[int]
) -> None:
    index = kind.of(IDS, VECTORS)
    for k, answer in zip((1, 10, COUNT), CPU[kind], strict=True):
        np.testing.assert_array_equal(index.search(VECTORS[:40], k), answer)
    assert (len(copies), len(scans)) == (1, 0)


def test_the_copy_follows_changes(copies: list[int], scans: list[int]) -> None:
    index = ExactIndex(DIMENSION)
    index.add(IDS[:400], VECTORS[:400])
    assert index.search(VECTORS[:1], 1)[1] == IDS[0]
    index.add(IDS[400:], VECTORS[400:])
    assert index.search(VECTORS[500:501], 1)[1] == IDS[500]
    index.remove(IDS[500:501])
    assert index.search(VECTORS[500:501], 1)[1] != IDS[500]
    assert (len(copies), len(scans)) == (3, 0)


def test_near_ties_are_left_to_the_cpu(copies: list[int], scans: list[int]) -> None:
    """More copies of one vector than the GPU gives answers: those of the lowest ids are wanted."""
    vectors = np.tile(VECTORS[:1], (COUNT, 1))
    index = ExactIndex.of(IDS, vectors)
    found = index.search(np.concatenate([VECTORS[:1], VECTORS[5:6]]), 10)[1]
    np.testing.assert_array_equal(found, [np.arange(10)] * 2)
    assert copies and scans


def test_filters_and_many_answers_are_left_to_the_cpu(
    copies: list[int], scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ExactIndex.of(IDS, VECTORS)
    assert np.isin(index.search(VECTORS[:5], 10, IDS[:50])[1], IDS[:50]).all()
    monkeypatch.setattr(card, "_MOST", 100)
    index.search(VECTORS[:5], 10)
    assert len(scans) == 2 and not copies


@pytest.mark.parametrize(("worth", "gpus"), [(COUNT * DIMENSION + 1, 1), (1, 0)])
def test_few_vectors_and_no_gpu_are_left_to_the_cpu(
    worth: int, gpus: int, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "_WORTH", worth)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpus)
    ExactIndex.of(IDS, VECTORS).search(VECTORS[:5], 10)
    assert not copies
