"""Part branches: stripes, shapes, keys, and the cosine classifier."""

from typing import Any

import pytest
import torch
from torch import nn

from reid_attn.errors import UsageError
from reid_attn.models import Network, build_network
from reid_attn.models.parts import WIDTH, stripes
from reid_attn.settings import resolve

IDENTITIES = 5


def network(**model: Any) -> Network:
    loss = {"identity_kind": "cosface"} if model.get("classifier") == "cosine" else {}
    values = {"data": {"height": 64, "width": 32}, "model": {"width": 8, **model}, "loss": loss}
    torch.manual_seed(0)
    return build_network(resolve(values, "the test"), IDENTITIES)


@pytest.mark.parametrize(("rows", "count"), [(4, 2), (24, 6), (5, 3), (16, 7), (3, 3)])
def test_stripes_are_those_of_adaptive_pooling(rows: int, count: int) -> None:
    x = torch.randn(2, 3, rows, 4)
    means = torch.stack([stripe.mean(dim=(2, 3)) for stripe in stripes(x, count)], dim=2)
    expected = nn.functional.adaptive_avg_pool2d(x, (count, 1)).squeeze(3)
    torch.testing.assert_close(means, expected)


@pytest.mark.parametrize("pooling", ["average", "gem"])
@pytest.mark.parametrize("neck", ["batch_norm", "none"])
def test_features_stand_side_by_side_and_logits_above_each_other(pooling: str, neck: str) -> None:
    net = network(parts=2, pooling=pooling, neck=neck)
    images = torch.randn(3, 3, 64, 32)
    output = net(images)
    assert output.before_neck.shape == output.after_neck.shape == (3, 256 + 2 * WIDTH)
    assert output.logits.shape == (3, 3, IDENTITIES)
    assert net.dimension == 256 + 2 * WIDTH
    net.eval()
    output, x = net(images), net.backbone(images)
    assert output.logits is None
    torch.testing.assert_close(output.before_neck[:, :256], net.pooling(x))
    for index, branch in enumerate(net.parts):
        start = 256 + index * WIDTH
        rows = x[:, :, 2 * index : 2 * index + 2]
        reduced = branch.pooling(rows) @ branch.reduce.weight.T
        torch.testing.assert_close(output.before_neck[:, start : start + WIDTH], reduced)
        after = branch.neck(reduced)
        torch.testing.assert_close(output.after_neck[:, start : start + WIDTH], after)


def test_every_head_scores_its_own_feature() -> None:
    net = network(parts=2)
    output = net(torch.randn(3, 3, 64, 32))
    classifiers = [net.classifier, *(branch.classifier for branch in net.parts)]
    for logits, start, classifier in zip(output.logits, (0, 256, 512), classifiers, strict=True):
        feature = output.after_neck[:, start : start + 256]  # WIDTH is that of the small network
        torch.testing.assert_close(logits, feature @ classifier.weight.T)


def test_every_parameter_learns() -> None:
    net = network(parts=3)
    output = net(torch.randn(4, 3, 64, 32))
    (output.logits.square().sum() + output.before_neck.square().sum()).backward()
    assert not [k for k, p in net.named_parameters() if p.requires_grad and p.grad is None]


def test_without_parts_there_are_no_new_keys() -> None:
    heads = {key for key in network().state_dict() if not key.startswith("backbone.")}
    neck = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert heads == {f"neck.{name}" for name in neck} | {"classifier.weight"}


def test_more_stripes_than_rows_are_refused() -> None:
    with pytest.raises(UsageError, match=r"parts=5: the last map has 4 rows"):
        network(parts=5)


@pytest.mark.parametrize("parts", [0, 2])
def test_cosines_are_those_of_the_vectors(parts: int) -> None:
    net = network(classifier="cosine", parts=parts)
    output = net(torch.randn(3, 3, 64, 32))
    logits = output.logits if parts == 0 else output.logits[0]
    weights = net.classifier.weight
    for picture, feature in enumerate(output.after_neck[:, :256]):
        for person, weight in enumerate(weights):
            cosine = torch.dot(feature, weight) / (feature.norm() * weight.norm())
            torch.testing.assert_close(logits[picture, person], cosine)
    with torch.autocast("cpu", torch.bfloat16):
        assert net.classifier(torch.empty(0), output.after_neck[:, :256]).dtype == torch.float32


def test_the_classifier_starts_with_the_deviation_of_the_settings() -> None:
    for deviation in (0.001, 0.1):
        net = network(classifier_deviation=deviation)
        assert net.classifier.weight.std().item() == pytest.approx(deviation, rel=0.1)
    assert network().classifier.weight.std().item() == pytest.approx(0.001, rel=0.1)
