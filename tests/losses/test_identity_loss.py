"""The identity loss against plain loops, closed gradients and pytorch-metric-learning."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor
from torch.nn.functional import linear, normalize

from reid_attn.errors import UsageError
from reid_attn.losses.identity import IdentityLoss, arcface, circle, cosface
from reid_attn.settings import LossSettings

KINDS = ["softmax", "circle", "cosface", "arcface"]


def scored(kind: str, cosine: float, own: bool, s: float, m: float) -> float:
    """One score, as the papers have it."""
    theta = math.acos(cosine)
    if kind == "circle" and own:
        return s * max(0.0, 1 + m - cosine) * (cosine - (1 - m))
    if kind == "circle":
        return s * max(0.0, cosine + m) * (cosine - m)
    if kind == "cosface" and own:
        return s * (cosine - m)
    if kind == "arcface" and own:
        return s * (math.cos(theta + m) if theta + m <= math.pi else cosine - m * math.sin(m))
    return cosine if kind == "softmax" else s * cosine


def by_loops(settings: LossSettings, logits: Tensor, labels: Tensor) -> float:
    losses, count = [], logits.shape[1]
    epsilon, others = settings.label_smoothing, settings.smoothing_over == "others"
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        scores = [
            scored(settings.identity_kind, cosine, k == label, settings.identity_scale,
                   settings.identity_margin)
            for k, cosine in enumerate(row)
        ]  # fmt: skip
        normaliser = math.log(sum(math.exp(score) for score in scores))
        for k, score in enumerate(scores):
            share = epsilon / (count - 1) if others else epsilon / count
            if k == label:
                share = 1 - epsilon if others else 1 - epsilon + epsilon / count
            losses.append(share * (normaliser - score))
    return sum(losses) / len(labels)


@pytest.mark.parametrize("over", ["all", "others"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_papers(batch: Any, kind: Any, epsilon: float, over: Any) -> None:
    settings = LossSettings(
        identity_kind=kind, identity_scale=20, label_smoothing=epsilon, smoothing_over=over
    )
    loss = IdentityLoss(settings, 5)(batch.logits, batch.labels).item()
    assert loss == pytest.approx(by_loops(settings, batch.logits, batch.labels), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_heads(batch: Any, kind: Any) -> None:
    loss = IdentityLoss(LossSettings(identity_kind=kind), 5)
    heads = torch.stack([batch.logits, -batch.logits, batch.logits.flip(1)])
    expected = sum(loss(head, batch.labels).item() for head in heads) / 3
    assert loss(heads, batch.labels).item() == pytest.approx(expected, rel=1e-12)
    assert torch.equal(loss(heads[:1], batch.labels), loss(heads[0], batch.labels))


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
@pytest.mark.parametrize("margin", [0.0, 0.35, 1.0])
def test_equals_the_library_that_holds_its_own_weights(
    batch: Any, kind: Any, margin: float
) -> None:
    weight = torch.randn(5, 4, dtype=torch.float64)
    if kind == "cosface":
        theirs: Any = CosFaceLoss(5, 4, margin=margin, scale=64)
    else:
        theirs = ArcFaceLoss(5, 4, margin=math.degrees(margin), scale=64)
    theirs.W.data = weight.t().clone()
    cosines = linear(normalize(batch.feature), normalize(weight))
    settings = LossSettings(identity_kind=kind, identity_margin=margin, label_smoothing=0.0)
    ours = IdentityLoss(settings, 5)(cosines, batch.labels).item()
    assert ours == pytest.approx(theirs(batch.feature, batch.labels).item(), rel=1e-10)


@pytest.mark.parametrize("kind", ["softmax", "cosface", "arcface"])
def test_gradients(batch: Any, kind: Any) -> None:
    loss = IdentityLoss(LossSettings(identity_kind=kind, identity_scale=8), 5)
    logits = (0.9 * batch.logits).requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: loss(logits, batch.labels), logits)


def test_the_weights_of_circle_get_no_gradient(batch: Any) -> None:
    """∂loss/∂cos = s · weight · (softmax − target), (Sun et al., eq. 10)."""
    settings = LossSettings(identity_kind="circle", identity_scale=8, label_smoothing=0.0)
    cosines = batch.logits.requires_grad_()
    IdentityLoss(settings, 5)(cosines, batch.labels).backward()
    own = torch.eye(5, dtype=torch.bool)[batch.labels]
    weight = torch.where(own, 1.35 - cosines, cosines + 0.35).clamp(min=0)
    softmax = (8 * weight * (cosines - torch.where(own, 0.65, 0.35).double())).softmax(1)
    torch.testing.assert_close(cosines.grad, 8 * weight * (softmax - own.double()) / 9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("add_margin", [circle, cosface, arcface])
@pytest.mark.parametrize("margin", [0.0, 0.35, 1.0])
def test_values_and_slopes_stay_finite_at_both_ends(
    add_margin: Callable[..., Tensor], margin: float, dtype: torch.dtype
) -> None:
    """Also for the cosines beyond ±1 that rounding makes."""
    ends = torch.tensor([[-1.01, -1.0, -0.999999, 0.999999, 1.0, 1.0000001]], dtype=dtype)
    for own in (True, False):
        cosines = ends.clone().requires_grad_()
        moved = add_margin(cosines, torch.full((1, 6), own), margin)
        moved.sum().backward()
        assert cosines.grad is not None
        assert moved.abs().max() < 4.1
        assert cosines.grad.abs().max() < 1e3 + 3


def test_arcface_never_rises_with_the_angle() -> None:
    cosines = torch.linspace(-1, 1, 2001, dtype=torch.float64)[None]
    for margin in (0.1, 0.35, 0.5, 1.0):
        moved = arcface(cosines, torch.tensor(True), margin)
        assert (moved.diff() > 0).all()
        assert (moved <= cosines + 1e-6).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_scores_of_half_precision_do_not_overflow_at_scale_64(kind: Any) -> None:
    """Everybody is confused with somebody else: the worst a margin softmax can meet."""
    for dtype in (torch.float16, torch.bfloat16):
        cosines = torch.full((4, 1000), -1.0, dtype=dtype)
        cosines[:, 7] = 1
        logits = cosines.float().requires_grad_()
        loss = IdentityLoss(LossSettings(identity_kind=kind), 1000)(logits, torch.arange(4))
        loss.backward()
        assert math.isfinite(loss.item())
        assert loss.item() > 50
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_as_little_as_possible_may_be_left_to_the_true_one() -> None:
    logits, labels = torch.randn(3, 4), torch.tensor([0, 1, 2])
    most = LossSettings(label_smoothing=0.75, smoothing_over="others")
    uniform = -logits.log_softmax(1).mean().item()
    assert IdentityLoss(most, 4)(logits, labels).item() == pytest.approx(uniform)
    with pytest.raises(UsageError, match=r"label_smoothing=0\.75 is too much for 3 persons"):
        IdentityLoss(most, 3)
    for identities in (1, 2):
        none = LossSettings(label_smoothing=0.0, smoothing_over="others")
        assert IdentityLoss(none, identities)(torch.zeros(1, 1), labels[:1]).item() == 0
