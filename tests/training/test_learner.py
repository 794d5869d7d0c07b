"""What one step changes, against the step's definition."""

import copy
import math

import pytest
import torch
from rich.console import Console
from torch import nn

from reid_attn.data.batches import Batch
from reid_attn.errors import UsageError
from reid_attn.losses import Objective
from reid_attn.models import Network, build_network
from reid_attn.settings import OptimizerSettings, Settings, resolve
from reid_attn.training.average import WeightAverage
from reid_attn.training.learner import Learner
from reid_attn.training.optimizer import build_optimizer, set_rate
from reid_attn.training.processes import ALONE

QUIET = Console(quiet=True)


def settings(**groups: dict) -> Settings:
    fixed = {
        "data": {"height": 32, "width": 32},
        "model": {"width": 8, "attention": [{"name": "squeeze_excite", "stages": [3]}]},
    }
    groups = {**groups, "training": {"device": "cpu", **groups.get("training", {})}}
    return resolve(fixed | groups, "test")


def new(**groups: dict) -> Learner:
    torch.manual_seed(0)
    chosen = settings(**groups)
    return Learner(build_network(chosen, 4), chosen, 4, ALONE, QUIET)


def batch(seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 3, 32, 32, generator=generator)
    return Batch(images, torch.arange(4).repeat_interleave(2), [])


def step(learner: Learner, number: int, *batches: Batch, rate: float = 1e-3) -> float:
    learner.begin(number)
    for some in batches:
        learner.backward(some, 1 / len(batches))
    norm = learner.reduce()
    learner.update(rate, norm, number)
    return norm


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in learner.network.named_parameters()}


def moved(learner: Learner, before: dict[str, torch.Tensor]) -> set[str]:
    return {n for n, p in learner.network.named_parameters() if not torch.equal(p, before[n])}


# ---- parameter groups


def factors(network: Network, **options: float) -> dict[str, float]:
    optimizer = build_optimizer(network, OptimizerSettings.model_validate(options))
    set_rate(optimizer, 2.0)
    names = {p: name for name, p in network.named_parameters()}
    return {names[p]: g["lr"] / 2 for g in optimizer.param_groups for p in g["params"]}


def test_every_stage_has_its_rate() -> None:
    network = build_network(settings(), 4)
    found = factors(network, layer_decay=0.5, bias_factor=2.0)
    assert found.keys() == {n for n, p in network.named_parameters() if p.requires_grad}
    expected = {
        "backbone.conv1.weight": 0.5**5,
        "backbone.bn1.bias": 2 * 0.5**5,
        "backbone.layer1.0.conv1.weight": 0.5**4,
        "backbone.layer3.5.bn2.bias": 2 * 0.5**2,
        "backbone.layer4.2.conv3.weight": 0.5,
        "classifier.weight": 1.0,
        "neck.weight": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    blocks = {n for n in found if n.startswith("backbone.") and "_attention" in n}
    assert blocks
    assert {found[name] for name in blocks if not name.endswith("bias")} == {1.0}


def test_without_factors_there_is_one_group_in_the_order_of_the_network() -> None:
    network = build_network(settings(), 4)
    (group,) = build_optimizer(network, OptimizerSettings()).param_groups
    assert group["params"] == [p for p in network.parameters() if p.requires_grad]


def test_unknown_stages_have_no_layer_decay() -> None:
    network = build_network(settings(), 4)
    network.backbone = nn.Identity()
    with pytest.raises(UsageError, match="layer_decay"):
        build_optimizer(network, OptimizerSettings(layer_decay=0.9))


@pytest.mark.parametrize("name", ["adam", "amsgrad", "adamw", "sgd"])
def test_each_optimizer_takes_the_step_of_its_paper(name: str) -> None:
    """Two steps of one weight; amsgrad with a second gradient so small that v̂ shrinks below v̂₁."""
    network = build_network(settings(), 4)
    values = {"name": name, "learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.5}
    optimizer = build_optimizer(network, OptimizerSettings.model_validate(values))
    weight = network.classifier.weight
    with torch.no_grad():
        weight.fill_(1.0)
    w, m, v, top = 1.0, 0.0, 0.0, 0.0
    for t, gradient in enumerate((0.5, -0.001), start=1):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        g = gradient + (0 if name == "adamw" else 0.01 * w)
        if name == "sgd":
            m = g if t == 1 else 0.5 * m + g
            w -= 0.1 * m
            continue
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        top = max(top, v) if name == "amsgrad" else v
        w -= 0.1 * 0.01 * w if name == "adamw" else 0
        w -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(top / (1 - 0.999**t)) + 1e-8)
    assert weight.detach() == pytest.approx(w, rel=1e-5)


# ---- accumulation, clipping, freezing, averages, centers


def test_accumulated_batches_are_averaged() -> None:
    """Two different batches: the mean of their gradients, each of them taken alone."""
    alone = []
    for seed in (1, 2):
        learner = new()
        learner.begin(0)
        learner.backward(batch(seed), 1.0)
        alone.append([p.grad for p in learner.network.parameters() if p.grad is not None])
    both = new()
    both.begin(0)
    for seed in (1, 2):
        both.backward(batch(seed), 0.5)
    found = [p.grad for p in both.network.parameters() if p.grad is not None]
    for first, second, mean in zip(*alone, found, strict=True):
        torch.testing.assert_close(mean, (first + second) / 2, rtol=1e-4, atol=1e-6)


def test_a_gradient_is_clipped_as_a_whole() -> None:
    learner = new(optimizer={"clip": 0.5, "name": "sgd", "momentum": 0.0, "weight_decay": 0.0})
    before = weights(learner)
    norm = step(learner, 0, batch(1), rate=1.0)
    assert norm > 0.5
    after = weights(learner)
    moves = torch.cat([(after[name] - before[name]).flatten() for name in after])
    assert float(moves.norm()) == pytest.approx(0.5, rel=1e-3)


def test_a_frozen_backbone_stands_still_and_its_blocks_and_head_learn() -> None:
    learner = new(schedule={"freeze_steps": 1})
    network, start = learner.network, weights(learner)
    statistics = {n: b.clone() for n, b in network.named_buffers()}
    step(learner, 0, batch(1))
    found = moved(learner, start)
    own = {f"backbone.{key}" for key in network.backbone.own_keys()}
    assert "classifier.weight" in found
    assert any("stage_attention" in n or "residual_attention" in n for n in found)
    assert not found & own
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, statistics[name]) == (name in own), name
    step(learner, 1, batch(2))
    assert moved(learner, start) >= {name for name in own & set(start) if start[name].dim() > 1}
    assert not torch.equal(
        network.backbone.bn1.running_mean, statistics["backbone.bn1.running_mean"]
    )


@pytest.mark.parametrize("others", [{}, {"loss": {"center": 1e-3}}])
def test_a_frozen_backbone_that_leaves_nothing_to_learn_is_told(others: dict) -> None:
    groups = {"schedule": {"freeze_steps": 1}, "model": {"width": 8, "attention": []}}
    loss = {"identity": 0, **others.get("loss", {})}
    with pytest.raises(UsageError, match=r"^no loss reaches anything that learns"):
        step(new(**groups, loss=loss), 0, batch(0))
    step(new(**groups, loss=loss | {"metric_feature": "after_neck"}), 0, batch(0))
    step(new(**groups, loss=loss), 1, batch(0))


def test_the_average_follows_its_formula() -> None:
    learner = new(optimizer={"ema": 0.25})
    name = "backbone.layer4.2.conv3.weight"
    expected = weights(learner)[name].double()
    assert learner.result is not learner.network
    for number in range(4):
        step(learner, number, batch(number))
        decay = min(0.25, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weights(learner)[name]
    found = dict(learner.result.named_parameters())[name]
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-7)
    assert not torch.equal(found, weights(learner)[name])
    for own, copied in zip(learner.network.buffers(), learner.result.buffers(), strict=True):
        assert torch.equal(own, copied)


def test_an_average_of_equal_weights_is_these_weights() -> None:
    network = build_network(settings(), 4)
    average = WeightAverage(network, 0.999)
    for number in range(5):
        average.update(network, number)
    for own, mean in zip(network.parameters(), average.network.parameters(), strict=True):
        assert torch.equal(own, mean)


def test_centers_move_by_their_own_rate_whatever_the_rate_of_the_network() -> None:
    """c ← c − rate · gradient, the gradient as the objective gives it."""
    learner = new(loss={"center": 0.01, "center_rate": 0.25})
    (centers,) = learner.objective.center_parameters()
    before = centers.detach().clone()
    learner.begin(0)
    learner.backward(batch(1), 1.0)
    norm, gradient = learner.reduce(), centers.grad.clone()
    learner.update(1e-9, norm, 0)
    assert gradient.abs().max() > 0
    torch.testing.assert_close(centers.detach(), before - 0.25 * gradient)


def test_a_step_reports_the_objective_and_the_share_of_persons_that_were_recognised() -> None:
    learner = new()
    network, some = copy.deepcopy(learner.network).train(), batch(3)
    learner.begin(0)
    values = learner.backward(some, 1.0)
    output = network(some.images.contiguous(memory_format=torch.channels_last))
    losses = Objective(learner.settings.loss, 4, network.dimension)(*output, some.labels)
    right = [
        int(row.argmax()) == int(label)
        for row, label in zip(output.logits, some.labels, strict=True)
    ]
    assert list(values) == ["total", "identity", "triplet", "accuracy"]
    assert values["total"] == pytest.approx(float(losses.total.detach()), rel=1e-5)
    assert values["accuracy"] == pytest.approx(sum(right) / 8)


def test_what_fp16_cannot_hold_moves_nothing_and_does_not_go_on_for_ever() -> None:
    learner = new(training={"precision": "fp16"}, loss={"center": 5e-4}, optimizer={"ema": 0.9})
    learner.network.classifier.weight.register_hook(lambda gradient: gradient * math.nan)
    before, centers = weights(learner), learner.objective.state_dict()
    centers = {name: tensor.clone() for name, tensor in centers.items()}
    average = copy.deepcopy(learner.average.network.state_dict())
    scale, norms = learner.scaler.get_scale(), []
    while learner.skips(math.nan):
        norms.append(step(learner, len(norms), batch(0)))
    assert all(math.isnan(norm) for norm in norms)
    assert scale * 0.5 ** len(norms) < 1 <= scale * 0.5 ** (len(norms) - 1)
    assert not moved(learner, before)
    for name, tensor in learner.objective.state_dict().items():
        assert torch.equal(tensor, centers[name])
    for name, tensor in learner.average.network.state_dict().items():
        assert torch.equal(tensor, average[name])
    assert not learner.skips(1.0)
