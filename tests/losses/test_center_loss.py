"""The center loss: its value, and centers that move at their own rate."""

from typing import Any

import pytest
import torch

from reid_attn.losses.center import CenterLoss


def test_value_and_gradients(batch: Any) -> None:
    loss = CenterLoss(5, 4, weight=1.0).double()
    expected = sum(
        (feature - loss.centers[label]).square().sum().item() / 9
        for feature, label in zip(batch.feature, batch.labels, strict=True)
    )
    assert loss(batch.feature, batch.labels).item() == pytest.approx(expected, rel=1e-12)
    inputs = (batch.feature.requires_grad_(), loss.centers)
    assert torch.autograd.gradcheck(
        lambda feature, _: loss(feature, batch.labels), inputs, check_undefined_grad=False
    )


@pytest.mark.parametrize("weight", [5e-4, 1.0, 3.0])
def test_centers_move_the_same_whatever_the_weight(batch: Any, weight: float) -> None:
    """Bag of tricks: c += rate · 2/N · Σ (f − c) over the person's pictures."""
    loss = CenterLoss(5, 4, weight).double()
    feature, centers = batch.feature.requires_grad_(), loss.centers.detach().clone()
    (weight * loss(feature, batch.labels)).backward()
    torch.optim.SGD(loss.parameters(), lr=0.5).step()
    pull = torch.zeros(5, 4, dtype=torch.float64)
    for row, label in zip(feature, batch.labels, strict=True):
        pull[label] += 2 / 9 * (row.detach() - centers[label])
    torch.testing.assert_close(loss.centers.detach(), centers + 0.5 * pull)
    torch.testing.assert_close(
        feature.grad, weight * 2 / 9 * (feature - centers[batch.labels]).detach()
    )


def test_centers_of_absent_persons_stand_still(batch: Any) -> None:
    loss = CenterLoss(5, 4, weight=0.1).double()
    loss(batch.feature, batch.labels).backward()
    assert loss.centers.grad is not None
    assert loss.centers.grad[[2, 4]].eq(0).all()
    assert loss.centers.grad[[0, 1, 3]].ne(0).all()


def test_without_gradients_it_only_measures(batch: Any) -> None:
    with torch.no_grad():
        assert CenterLoss(5, 4, weight=0.1)(batch.feature, batch.labels).item() > 0
