"""The triplet losses against plain loops over every pair."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from reid_attn.losses.triplet import triplet_loss
from reid_attn.settings import LossSettings

KINDS = ["hard", "soft", "weighted"]


def softmax_mean(values: list[float]) -> float:
    """The values' mean, weighted by their softmax."""
    weights = [math.exp(value - max(values)) for value in values]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def by_loops(kind: str, feature: Tensor, labels: Tensor, margin: float) -> float:
    losses = []
    for i in range(len(feature)):
        distances = [math.dist(feature[i], feature[j]) for j in range(len(feature))]
        others = [j for j in range(len(feature)) if j != i]
        positives = [distances[j] for j in others if labels[j] == labels[i]]
        negatives = [distances[j] for j in others if labels[j] != labels[i]]
        if not positives or not negatives:
            continue
        farther = max(positives) - min(negatives)
        if kind == "weighted":
            farther = softmax_mean(positives) + softmax_mean([-d for d in negatives])
        losses.append(
            max(0.0, farther + margin) if kind == "hard" else math.log1p(math.exp(farther))
        )
    return sum(losses) / len(losses)


@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition(batch: Any, kind: Any, scale: float) -> None:
    """With a lonely picture too, which is no anchor but a negative of the others."""
    labels, feature = batch.labels.clone(), scale * batch.feature
    for _ in range(2):
        loss = triplet_loss(LossSettings(triplet_kind=kind, margin=0.3))(feature, labels).item()
        assert loss == pytest.approx(by_loops(kind, feature, labels, 0.3), rel=1e-10)
        labels[0] = 2


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(batch: Any, kind: Any) -> None:
    loss = triplet_loss(LossSettings(triplet_kind=kind))
    feature = batch.feature.requires_grad_()
    assert torch.autograd.gradcheck(lambda feature: loss(feature, batch.labels), feature)


def test_the_mean_is_over_all_anchors_also_those_without_a_loss() -> None:
    """Two tight persons far apart, and a third pair torn apart: 2 of 6 anchors pay."""
    feature = torch.tensor([[0.0], [0.0], [100.0], [100.0], [200.0], [207.0]])
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    loss = triplet_loss(LossSettings(margin=100.0))(feature, labels).item()
    assert loss == pytest.approx((7 + 0) / 6)
    assert loss == pytest.approx(by_loops("hard", feature, labels, 100))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_that_say_little(kind: Any, degenerate: tuple[Tensor, Tensor]) -> None:
    feature, labels = degenerate
    loss = triplet_loss(LossSettings(triplet_kind=kind, margin=0.3))(feature, labels)
    loss.backward()
    equal = 0.3 if kind == "hard" else math.log(2)
    assert loss.item() == pytest.approx(equal if len(feature) == 30 else 0, abs=1e-3)
    assert feature.grad is not None
    assert feature.grad.isfinite().all()


def test_harder_pairs_count_more() -> None:
    """One positive is at 1, the other at 5; with equal weights their mean would be 3."""
    feature = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0], [60.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1])
    loss = triplet_loss(LossSettings(triplet_kind="weighted"))
    farthest = (1 + 5 * math.exp(4)) / (1 + math.exp(4))
    assert farthest > 4.9
    shifted = feature.clone()
    shifted[3, 0] = farthest  # as far as the positives of the first anchor in the mean: softplus(0)
    anchor_alone = by_loops("weighted", shifted, labels, 0)
    assert loss(shifted, labels).item() == pytest.approx(anchor_alone, rel=1e-12)


def test_the_published_code_agrees_where_its_own_positive_has_no_weight() -> None:
    """AGW's code, in which the anchor is its own positive: distances of 8 to 10 make it e⁻⁸."""
    feature = 10 * torch.eye(6, dtype=torch.float64)[:, :5] / math.sqrt(2)
    feature[5] = 8 / math.sqrt(2)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    distances = torch.cdist(feature, feature)
    same = (labels[:, None] == labels).double()
    positive = distances.exp() * same
    negative = (-distances).exp() * (1 - same)
    farthest = (positive * distances).sum(1) / positive.sum(1)
    nearest = (negative * distances).sum(1) / negative.sum(1)
    published = torch.nn.functional.softplus(farthest - nearest).mean().item()
    ours = triplet_loss(LossSettings(triplet_kind="weighted"))(feature, labels).item()
    assert ours == pytest.approx(published, rel=1e-2)
    assert ours != pytest.approx(published, rel=1e-6)
