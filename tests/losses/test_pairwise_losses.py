"""The losses between all pictures of a batch against plain loops over their cosines."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid_attn.losses.pairwise import (
    CircleLoss,
    MultiSimilarityLoss,
    SupervisedContrastiveLoss,
)

Pairs = tuple[list[float], list[float]]


def cosines(feature: Tensor, labels: Tensor, i: int) -> Pairs:
    """To the other pictures of the same person, and to those of other persons."""
    to: list[float] = []
    for other in feature.tolist():
        dot = sum(a * b for a, b in zip(feature[i].tolist(), other, strict=True))
        to.append(dot / math.hypot(*feature[i].tolist()) / math.hypot(*other))
    same = [to[j] for j in range(len(to)) if j != i and labels[j] == labels[i]]
    return same, [to[j] for j in range(len(to)) if labels[j] != labels[i]]


def circle(same: list[float], other: list[float]) -> float:
    if not same or not other:
        return 0.0
    same_sum = sum(math.exp(-128 * max(0.0, 1.25 - s) * (s - 0.75)) for s in same)
    other_sum = sum(math.exp(128 * max(0.0, s + 0.25) * (s - 0.25)) for s in other)
    return math.log1p(same_sum * other_sum)


def multi_similarity(same: list[float], other: list[float]) -> float:
    if not same or not other:
        return 0.0
    hard_same = [s for s in same if s < max(other) + 0.1]
    hard_other = [s for s in other if s > min(same) - 0.1]
    return (
        math.log1p(sum(math.exp(-2 * (s - 0.5)) for s in hard_same)) / 2
        + math.log1p(sum(math.exp(50 * (s - 0.5)) for s in hard_other)) / 50
    )


def contrastive(same: list[float], other: list[float]) -> float:
    if not same:
        return 0.0
    denominator = sum(math.exp(s / 0.1) for s in same + other)
    return -sum(math.log(math.exp(s / 0.1) / denominator) for s in same) / len(same)


LOSSES: dict[type[nn.Module], Callable[[list[float], list[float]], float]] = {
    CircleLoss: circle,
    MultiSimilarityLoss: multi_similarity,
    SupervisedContrastiveLoss: contrastive,
}


@pytest.fixture(params=LOSSES, ids=lambda loss: loss.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_equals_the_papers(batch: Any, kind: Any, spread: float) -> None:
    """Where persons are tight and some pairs are too easy to be mined, and where none are."""
    centers = torch.eye(4, dtype=torch.float64)[batch.labels]
    feature, labels = centers + spread * batch.feature, batch.labels.clone()
    for _ in range(2):
        pairs = [cosines(feature, labels, i) for i in range(9)]
        expected = sum(LOSSES[kind](*pair) for pair in pairs) / 9
        assert kind()(feature, labels).item() == pytest.approx(expected, rel=1e-10)
        labels[0] = 2  # a lonely picture


@pytest.mark.parametrize("kind", [MultiSimilarityLoss, SupervisedContrastiveLoss])
def test_gradients(batch: Any, kind: Any) -> None:
    feature = batch.feature.requires_grad_()
    assert torch.autograd.gradcheck(lambda feature: kind()(feature, batch.labels), feature)


def test_the_weights_of_circle_get_no_gradient(batch: Any) -> None:
    feature = batch.feature.requires_grad_()
    (ours,) = torch.autograd.grad(CircleLoss()(feature, batch.labels), feature)
    unit = torch.nn.functional.normalize(feature)
    alike, same = unit @ unit.t(), batch.labels[:, None] == batch.labels
    fixed = alike.detach()
    others = (128 * (fixed + 0.25).clamp(min=0) * (alike - 0.25)).masked_fill(same, -math.inf)
    own = -128 * (1.25 - fixed).clamp(min=0) * (alike - 0.75)
    own = own.masked_fill(~same | torch.eye(9, dtype=torch.bool), -math.inf)
    total = torch.nn.functional.softplus(own.logsumexp(1) + others.logsumexp(1)).mean()
    torch.testing.assert_close(ours, torch.autograd.grad(total, feature)[0])


def test_batches_that_say_little(kind: Any, degenerate: tuple[Tensor, Tensor]) -> None:
    feature, labels = degenerate
    loss = kind()(feature, labels)
    loss.backward()
    assert math.isfinite(loss.item())
    assert (loss.item() == 0) == (len(feature) < 30)
    assert feature.grad is not None
    assert feature.grad.isfinite().all()


def test_the_length_of_features_does_not_matter(batch: Any, kind: Any) -> None:
    one, other = kind()(batch.feature, batch.labels), kind()(1e3 * batch.feature, batch.labels)
    assert one.item() == pytest.approx(other.item(), rel=1e-12)


def test_the_worst_batch_does_not_overflow(kind: Any) -> None:
    """Every picture is opposite to its person and equal to another one."""
    feature = torch.tensor([[1.0, 0.0], [-1.0, 0.0]] * 32, requires_grad=True)
    labels = torch.arange(64) // 2
    loss = kind()(feature, labels)
    loss.backward()
    assert math.isfinite(loss.item())
    assert feature.grad is not None
    assert feature.grad.isfinite().all()
