"""Which index is chosen, and what is said of its answers."""

import numpy as np
import pytest
from twins import clouds

from reid_attn.errors import UsageError
from reid_attn.neighbours import ExactIndex, Index, choose, kinds, make, recall

pytest.importorskip("faiss")


@pytest.mark.parametrize(
    ("count", "dimension", "kind"),
    [
        (0, 512, "exact"),
        (48_828, 512, "exact"),
        (48_829, 512, "refined"),
        (12_208, 2048, "refined"),
        (1_000_000, 512, "refined"),
        (1_953_126, 512, "hnsw"),
        (488_282, 2048, "hnsw"),
    ],
)
def test_the_kind_is_chosen_by_the_numbers_to_compare(
    count: int, dimension: int, kind: str
) -> None:
    assert choose(count, dimension) == kind


def test_every_kind_can_be_made() -> None:
    for kind in kinds():
        index = make(kind, 8)
        assert isinstance(index, Index)
        assert (index.kind, index.dimension, len(index)) == (kind, 8, 0)
        with pytest.raises(UsageError, match="at least one dimension"):
            make(kind, 0)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'refined'.*exact, half"):
        make("refind", 8)


def test_recall_is_the_share_that_is_found() -> None:
    """An index that lost a third of the vectors finds two thirds of the neighbours."""
    vectors, ids = clouds(900, 8), np.random.default_rng(0).permutation(900)
    assert recall(ExactIndex.of(ids, vectors), ids, vectors) == pytest.approx(1)
    lossy = ExactIndex.of(ids[300:], vectors[300:])
    found = recall(lossy, ids, vectors, k=5, queries=900)
    expected = []
    for row in range(900):
        near = np.argsort(-(vectors.astype(float) @ vectors[row].astype(float)), kind="stable")
        expected.append(np.mean(near[near != row][:5] >= 300))
    assert found == pytest.approx(np.mean(expected))


def test_recall_of_few_vectors() -> None:
    vectors = clouds(3, 8)
    index = ExactIndex.of(np.arange(3), vectors)
    assert recall(index, np.arange(3), vectors, k=10) == 1
    assert np.isnan(recall(index, np.arange(1), vectors[:1]))
