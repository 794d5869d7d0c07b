"""The objective: which terms it sums up, on which feature, in which precision, over which rows."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid_attn.errors import UsageError
from reid_attn.losses import Objective
from reid_attn.settings import LossSettings, resolve

TERMS = ("identity", "triplet", "center", "circle", "multi_similarity", "supervised_contrastive")
ALL = LossSettings(**dict(zip(TERMS, (0.5, 2.0, 5e-4, 0.3, 0.7, 1.1), strict=True)))


def only(*terms: str) -> LossSettings:
    weights = {term: getattr(ALL, term) if term in terms else 0.0 for term in TERMS}
    return LossSettings(**weights)


def hinge(feature: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Batch-hard triplets without a library, in the precision of the feature."""
    distances = torch.cdist(feature, feature)
    same = labels[:, None] == labels
    farthest = distances.masked_fill(~same, -math.inf).max(1).values
    nearest = distances.masked_fill(same, math.inf).min(1).values
    return (farthest - nearest + margin).relu().mean()


@pytest.mark.parametrize("scale", [0.01, 1.0])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0)])
def test_the_default_has_the_bits_of_its_two_terms(
    scale: float, weights: tuple[float, float]
) -> None:
    """Identity after the neck with label smoothing, batch-hard before it; gradients too."""
    torch.manual_seed(0)
    labels = torch.arange(32) // 4
    feature, logits = scale * torch.randn(32, 16), torch.randn(32, 9)
    settings = LossSettings(identity=weights[0], triplet=weights[1])
    results = []
    for ours in (True, False):
        rows = (feature.clone().requires_grad_(), logits.clone().requires_grad_())
        if ours:
            total = Objective(settings, 9, 16)(rows[0], torch.randn(32, 16), rows[1], labels).total
        else:
            identity = nn.CrossEntropyLoss(label_smoothing=0.1)(rows[1], labels)
            total = weights[0] * identity + weights[1] * hinge(rows[0], labels, 0.3)
        results.append((total, *torch.autograd.grad(total, rows)))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_terms_are_those_with_a_weight_and_the_total_is_their_weighted_sum(batch: Any) -> None:
    for count in (1, 2, 6):
        for terms in itertools.islice(itertools.combinations(TERMS, count), 6):
            objective = Objective(only(*terms), 5, 4)
            losses = objective(batch.feature, -batch.feature, batch.logits, batch.labels)
            assert set(losses.terms) == set(terms)
            expected = sum(getattr(ALL, name) * losses.terms[name].item() for name in terms)
            assert losses.total.item() == pytest.approx(expected, rel=1e-12)
            assert losses.total.ndim == 0


def test_an_empty_loss_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the loss is empty: .+ loss.identity, .* a weight"):
        Objective(only(), 5, 4)


def test_the_identity_loss_does_not_look_at_features_nor_the_others_at_scores(batch: Any) -> None:
    objective = Objective(ALL, 5, 4)
    one = objective(batch.feature, batch.feature, batch.logits, batch.labels).terms
    scores = objective(batch.feature, batch.feature, -batch.logits, batch.labels).terms
    features = objective(batch.feature.flip(0), batch.feature, batch.logits, batch.labels).terms
    assert {name for name in TERMS if not torch.equal(one[name], scores[name])} == {"identity"}
    changed = {name for name in TERMS if not torch.equal(one[name], features[name])}
    assert changed == {*TERMS} - {"identity"}


def test_all_but_identity_may_look_behind_the_neck(batch: Any) -> None:
    behind = LossSettings(**(ALL.model_dump() | {"metric_feature": "after_neck"}))
    torch.manual_seed(0)
    one = Objective(ALL, 5, 4)(batch.feature, -batch.feature + 1, batch.logits, batch.labels)
    torch.manual_seed(0)
    other = Objective(behind, 5, 4)(-batch.feature + 1, batch.feature, batch.logits, batch.labels)
    assert all(torch.equal(one.terms[name], other.terms[name]) for name in TERMS)


def test_centers_are_the_only_parameters() -> None:
    objective = Objective(ALL, 5, 4)
    (centers,) = objective.center_parameters()
    assert centers.shape == (5, 4)
    assert [id(p) for p in objective.parameters()] == [id(centers)]
    assert list(objective.state_dict()) == ["center.centers"]
    assert Objective(LossSettings(), 5, 4).center_parameters() == []


def test_the_default_draws_no_random_number() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Objective(LossSettings(), 5, 4)
    assert torch.equal(torch.rand(1), expected)


# ---- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["softmax", "circle", "cosface", "arcface"])
def test_half_precision_is_compared_in_float32(kind: Any, dtype: torch.dtype) -> None:
    """Features up to 200, whose squares and distances float16 cannot hold, and scale 64."""
    settings = LossSettings(**(ALL.model_dump() | {"identity_kind": kind}))
    torch.manual_seed(0)
    feature = (200 * torch.rand(8, 64)).to(dtype)
    logits = (2 * torch.rand(8, 5) - 1).to(dtype)
    logits[:, 0] = 1
    labels = torch.arange(8) // 2
    objective = Objective(settings, 5, 64)
    rows = (feature.requires_grad_(), logits.requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(feature, feature, logits, labels)
    precise = objective(feature.double(), feature.double(), logits.double(), labels)
    for name, expected in precise.terms.items():
        assert losses.terms[name].item() == pytest.approx(expected.item(), rel=1e-5), name
    assert losses.total.dtype == torch.float32
    gradients = torch.autograd.grad(losses.total, rows)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_float64_stays_float64(batch: Any) -> None:
    losses = Objective(ALL, 5, 4)(batch.feature, batch.feature, batch.logits, batch.labels)
    assert {loss.dtype for loss in (losses.total, *losses.terms.values())} == {torch.float64}


# ---- which settings go together


@pytest.mark.parametrize("kind", ["circle", "cosface", "arcface"])
def test_a_margin_needs_cosines_and_cosines_need_a_scale(kind: str) -> None:
    cosine = {"classifier": "cosine"}
    assert (
        resolve({"model": cosine, "loss": {"identity_kind": kind}}, "x").loss.identity_scale == 64
    )
    with pytest.raises(UsageError, match=f"^x: loss.identity_kind={kind} needs model.classifier"):
        resolve({"loss": {"identity_kind": kind}}, "x")
    with pytest.raises(UsageError, match=r"^x: model.classifier=cosine needs loss.identity_kind"):
        resolve({"model": cosine}, "x")
