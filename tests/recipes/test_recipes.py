"""Each recipe, as resolved, against the published settings: rates, pictures, batches, losses.

The numbers are those of the authors' code, typed in here once more; where a source counts
iterations, so do we. Market-1501's persons have as many pictures as in the real training set.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid_attn.data.augment import draw
from reid_attn.data.finish import Finish
from reid_attn.data.sampling import epoch_batches
from reid_attn.losses import Objective
from reid_attn.models import build_network
from reid_attn.settings import Settings, load
from reid_attn.training.schedule import learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"
# pictures of a person -> persons, of the 751 who train in Market-1501
MARKET = dict(
    zip(
        (*range(2, 45), 46, 47, 48, 49, 50, 51, 52, 54, 55, 56, 59, 63, 67, 70, 72),
        (
            *(3, 12, 12, 31, 24, 40, 39, 36, 36, 27, 36, 24, 29, 38, 34, 36, 25, 21, 26, 19, 20),
            *(20, 10, 16, 20, 14, 12, 9, 5, 3, 8, 9, 8, 2, 2, 3, 5, 5, 3, 4, 1, 1, 3),
            *(2, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1),
        ),
        strict=True,
    )
)
RGA = [f"{data}/{name}" for data, name in [("market1501", n) for n in ("rga_s", "rga_c", "rga_sc")]]
RGA += ["msmt17/rga_sc", "cuhk03/rga_sc"]
BOT = ["market1501/bot", "msmt17/bot", "cuhk03/bot", "market1501/agw"]
SBS = ["market1501/sbs"]
ALL = [*RGA, *BOT, *SBS]


def recipe(name: str) -> Settings:
    return load(CONFIGS / f"{name}.yaml")


def market_labels() -> list[int]:
    pictures = [count for count, persons in MARKET.items() for _ in range(persons)]
    return [person for person, count in enumerate(pictures) for _ in range(count)]


def rate(settings: Settings, steps: int, epoch: int, step: int = 0) -> float:
    """The learning rate of a step, when each epoch has `steps` of them."""
    plan = [steps] * settings.training.epochs
    return learning_rate(settings.optimizer.learning_rate, settings.schedule, plan, epoch, step)


def test_every_published_recipe_is_looked_at() -> None:
    found = {f"{path.parent.name}/{path.stem}" for path in CONFIGS.glob("*/*.yaml")}
    own = {name for name in found if name.endswith("/strong")}
    published = {name for name in found - own if not name.startswith(("small/", "import/"))}
    assert published == set(ALL)
    assert sum(MARKET.values()) == 751
    assert sum(count * persons for count, persons in MARKET.items()) == 12_936


# ---- learning rates


@pytest.mark.parametrize("name", RGA)
def test_rga_warms_up_over_20_epochs_and_halves_eight_times(name: str) -> None:
    settings = recipe(name)
    assert settings.training.epochs == 600
    rates = [rate(settings, 46, epoch) for epoch in range(600)]
    assert rates[0] == pytest.approx(8e-6)
    assert rates[10] == pytest.approx((8e-6 + 8e-4) / 2)
    assert rates[20] == rates[79] == pytest.approx(8e-4)
    for drops, epoch in enumerate((80, 120, 160, 200, 240, 280, 320, 360), start=1):
        assert rates[epoch - 1] == pytest.approx(8e-4 / 2 ** (drops - 1))
        assert rates[epoch] == pytest.approx(8e-4 / 2**drops)
    assert rates[599] == pytest.approx(3.125e-6)
    assert {rate(settings, 46, 5, step) for step in range(46)} == {rates[5]}, "it moves by epoch"


@pytest.mark.parametrize("name", BOT)
def test_bot_warms_up_over_10_epochs_and_drops_at_40_and_70(name: str) -> None:
    settings = recipe(name)
    assert settings.training.epochs == 120
    rates = [rate(settings, 200, epoch) for epoch in range(120)]
    assert rates[0] == pytest.approx(3.5e-6)
    assert rates[5] == pytest.approx(3.5e-4 * (0.01 + 0.99 * 0.5))
    assert rates[10] == rates[39] == pytest.approx(3.5e-4)
    assert rates[40] == rates[69] == pytest.approx(3.5e-5)
    assert rates[70] == rates[119] == pytest.approx(3.5e-6)
    assert {rate(settings, 200, 5, step) for step in range(200)} == {rates[5]}


def test_sbs_warms_up_over_2000_iterations_and_falls_as_a_cosine_from_epoch_30() -> None:
    settings = recipe("market1501/sbs")
    assert settings.training.epochs == 60

    def at(iteration: int) -> float:
        return rate(settings, 200, iteration // 200, iteration % 200)

    assert at(0) == pytest.approx(3.5e-5)
    assert at(500) == pytest.approx(3.5e-4 * (0.1 + 0.9 * 0.25))
    assert at(1999) == pytest.approx(3.5e-4 * (0.1 + 0.9 * 1999 / 2000))
    assert at(2000) == at(5999) == pytest.approx(3.5e-4)
    middle = 7e-7 + (3.5e-4 - 7e-7) / 2
    assert at(9000) == pytest.approx(middle)
    third = 7e-7 + (3.5e-4 - 7e-7) * (1 + math.cos(math.pi / 3)) / 2
    assert at(8000) == pytest.approx(third)
    assert {at(iteration) for iteration in range(8000, 8200)} == {at(8000)}, "it moves by epoch"
    last = 7e-7 + (3.5e-4 - 7e-7) * (1 + math.cos(math.pi * 29 / 30)) / 2
    assert at(11_999) == pytest.approx(last)
    assert settings.schedule.freeze_steps == 1000


@pytest.mark.parametrize("name", ALL)
def test_adam_decays_every_parameter_alike(name: str) -> None:
    optimizer = recipe(name).optimizer
    assert (optimizer.name, optimizer.weight_decay) == ("adam", 5e-4)
    assert (optimizer.bias_factor, optimizer.layer_decay, optimizer.accumulate) == (1, 1, 1)
    assert (optimizer.clip, optimizer.ema) == (0, 0)


# ---- batches


@pytest.mark.parametrize(
    ("name", "persons", "batches"),
    [("market1501/rga_sc", 751, 46), ("cuhk03/rga_sc", 767, 47), ("msmt17/rga_sc", 1041, 65)],
)
def test_an_epoch_of_rga_has_four_pictures_of_each_person(
    name: str, persons: int, batches: int
) -> None:
    settings = recipe(name)
    labels = [person for person in range(persons) for _ in range(9)]
    plan = epoch_batches(labels, settings.batch, seed=0, epoch=0)
    assert len(plan) == batches
    drawn = [[labels[index] for index in batch] for batch in plan]
    assert all(len(batch) == 64 and len(set(batch)) == 16 for batch in drawn)
    everyone = [person for batch in drawn for person in set(batch)]
    assert len(everyone) == len(set(everyone)) == 16 * batches


@pytest.mark.parametrize(
    ("name", "persons", "images", "least", "most"),
    [
        ("market1501/bot", 16, 4, 150, 200),
        ("market1501/agw", 16, 4, 150, 200),
        ("market1501/sbs", 4, 16, 200, 220),
    ],
)
def test_an_epoch_of_market_visits_nearly_every_picture_once(
    name: str, persons: int, images: int, least: int, most: int
) -> None:
    settings = recipe(name)
    labels = market_labels()
    plan = epoch_batches(labels, settings.batch, seed=0, epoch=0)
    assert least <= len(plan) <= most
    for batch in plan:
        drawn = [labels[index] for index in batch]
        assert len(drawn) == 64
        assert sorted(drawn.count(person) for person in set(drawn)) == [images] * persons


# ---- pictures


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, (256, 128)) for name in [*RGA, *BOT]), ("market1501/sbs", (384, 128))],
)
def test_the_size_of_the_pictures(name: str, size: tuple[int, int]) -> None:
    data = recipe(name).data
    assert (data.height, data.width) == size
    assert data.normalisation == "imagenet"
    assert data.interpolation == ("bicubic" if name in SBS else "bilinear")


@pytest.mark.parametrize("name", ALL)
def test_the_augmentation(name: str) -> None:
    chosen = recipe(name).augment
    assert (chosen.flip, chosen.erase, chosen.erase_area[0]) == (0.5, 0.5, 0.02)
    assert chosen.erase_area[1] == (0.33 if name in SBS else 0.4)
    assert chosen.auto == (0.1 if name in SBS else 0)
    assert (chosen.crop, chosen.padding) == ("enlarge" if name in RGA else "pad", 10)


@pytest.mark.parametrize("name", ALL)
def test_what_is_erased_holds_the_published_value(name: str) -> None:
    settings = recipe(name)
    chosen = settings.augment.model_copy(update={"erase": 1.0, "crop": "none", "auto": 0.0})
    drawn = draw(chosen, (256, 128), np.random.default_rng(0))
    white = torch.full((1, 256, 128, 3), 255, dtype=torch.uint8)
    (image,) = Finish.of([drawn], settings.data, chosen)(white)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    kept = [(1 - m) / d for m, d in zip(mean, deviation, strict=True)]
    erased = mean if name in BOT else (0.0, 0.0, 0.0)
    for channel in range(3):
        values = sorted(image[channel].unique().tolist())
        assert values == pytest.approx([erased[channel], kept[channel]], abs=1e-6)


# ---- networks and losses


@pytest.mark.parametrize("name", ALL)
def test_the_weights_of_the_losses(name: str) -> None:
    loss = recipe(name).loss
    assert (loss.identity, loss.label_smoothing, loss.triplet) == (1, 0.1, 1)
    assert loss.center == (5e-4 if name in BOT else 0)
    assert loss.center_rate == 0.5
    kinds = {"market1501/agw": "weighted", "market1501/sbs": "soft"}
    assert loss.triplet_kind == kinds.get(name, "hard")
    assert loss.margin == 0.3
    assert (loss.circle, loss.multi_similarity, loss.supervised_contrastive) == (0, 0, 0)
    if name in SBS:
        assert (loss.identity_kind, loss.identity_scale, loss.identity_margin) == (
            "circle",
            64,
            0.35,
        )
        assert (loss.smoothing_over, loss.metric_feature) == ("others", "after_neck")
    else:
        assert (loss.identity_kind, loss.smoothing_over) == ("softmax", "all")
        assert loss.metric_feature == "before_neck"


@pytest.mark.parametrize("name", ALL)
def test_the_network(name: str) -> None:
    settings = recipe(name)
    model: Any = settings.model.model_copy(update={"width": 8})
    small = settings.model_copy(update={"model": model})
    network = build_network(small, identities=400)
    assert (model.last_stride, model.neck, model.weights) == (1, "batch_norm", "IMAGENET1K_V1")
    assert model.pooling == ("gem" if name in (*SBS, "market1501/agw") else "average")
    stems = dict.fromkeys(BOT, "no_relu") | dict.fromkeys(SBS, "unpadded")
    assert model.stem == stems.get(name, "resnet")
    deviation = 0.01 if name in SBS else 0.001
    assert network.classifier.weight.std().item() == pytest.approx(deviation, rel=0.05)
    blocks = [key for key in network.state_dict() if key.endswith("norm.running_mean")]
    if name in (*SBS, "market1501/agw"):  # the non-local blocks of layers [0, 2, 3, 0]
        assert len(blocks) == 5
    elif name in RGA:
        assert len(network.backbone.stage_attention) == 4
    else:
        assert not model.attention
    with torch.no_grad():
        network.train()
        output = network(torch.rand(4, 3, small.data.height, small.data.width))
        labels = torch.tensor([0, 0, 1, 1])
        objective = Objective(settings.loss, 400, network.dimension)
        losses = objective(output.before_neck, output.after_neck, output.logits, labels)
    assert torch.isfinite(losses.total)


@pytest.mark.parametrize("name", ALL)
def test_what_is_compared_in_the_end(name: str) -> None:
    settings = recipe(name)
    evaluation = settings.evaluation
    assert (evaluation.feature, evaluation.metric, evaluation.flip) == (
        "after_neck",
        "cosine",
        False,
    )
    assert settings.training.precision == ("fp16" if name in SBS else "fp32")
