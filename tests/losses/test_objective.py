"""The objective against its definition in plain loops."""

import math

import pytest
import torch
from torch import Tensor

from reid_attn.losses import Objective
from reid_attn.settings import LossSettings


def batch_hard(feature: Tensor, labels: Tensor, margin: float) -> float:
    hinges = []
    for anchor, label in zip(feature, labels, strict=True):
        distances = (feature - anchor).norm(dim=1)
        farthest = distances[labels == label].max()
        nearest = distances[labels != label].min()
        hinges.append(max(0.0, float(farthest - nearest) + margin))
    return sum(hinges) / len(hinges)


def smoothed(logits: Tensor, labels: Tensor, epsilon: float) -> float:
    total, count = 0.0, logits.shape[1]
    for row, label in zip(logits.log_softmax(1), labels, strict=True):
        for k in range(count):
            target = epsilon / count + (1 - epsilon if k == label else 0)
            total -= target * float(row[k])
    return total / len(labels)


@pytest.mark.parametrize("scale", [0.01, 1.0])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0)])
def test_equals_the_definition(scale: float, weights: tuple[float, float]) -> None:
    """At both scales: with margins met by some anchors, and by none."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    feature, logits = scale * torch.randn(9, 4), torch.randn(9, 5)
    settings = LossSettings(identity=weights[0], triplet=weights[1], margin=0.3)
    losses = Objective(settings)(feature, logits, labels)
    assert losses.identity.item() == pytest.approx(smoothed(logits, labels, 0.1), rel=1e-5)
    assert losses.triplet.item() == pytest.approx(batch_hard(feature, labels, 0.3), rel=1e-4)
    expected = weights[0] * losses.identity + weights[1] * losses.triplet
    assert losses.total.item() == pytest.approx(expected.item())


def test_the_mean_is_over_all_anchors_also_those_without_a_loss() -> None:
    """Two tight persons far apart, and a third pair torn apart: 2 of 6 anchors pay."""
    feature = torch.tensor([[0.0], [0.0], [100.0], [100.0], [200.0], [207.0]])
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    losses = Objective(LossSettings(margin=120))(feature, torch.zeros(6, 3), labels)
    assert losses.triplet.item() == pytest.approx(batch_hard(feature, labels, 120), rel=1e-5)


def test_half_precision_features_are_compared_in_float32() -> None:
    feature, labels = torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        losses = Objective(LossSettings())(feature.bfloat16(), torch.zeros(4, 2), labels)
    assert losses.total.dtype == torch.float32
    assert math.isfinite(losses.total.item())
