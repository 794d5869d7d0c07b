"""The learning rate against the published recipes, step by step."""

import math
from itertools import chain

import pytest

from reid_attn.settings import ScheduleSettings
from reid_attn.training.schedule import learning_rate, steps_done, unreached

MARKET = [200] * 120  # 12,936 pictures in exhausting 16×4 batches: about 200 steps an epoch


def rates(schedule: ScheduleSettings, steps: list[int], base: float = 1.0) -> list[list[float]]:
    return [
        [learning_rate(base, schedule, steps, epoch, step) for step in range(count)]
        for epoch, count in enumerate(steps)
    ]


def in_a_row(epochs: list[list[float]]) -> list[float]:
    return list(chain.from_iterable(epochs))


def test_bag_of_tricks() -> None:
    """3.5e-4; from a hundredth of it over 10 epochs; a tenth from epochs 40 and 70 on."""
    found = rates(ScheduleSettings(), MARKET, 3.5e-4)
    assert found[0][0] == pytest.approx(3.5e-6)
    assert found[5][0] == pytest.approx(3.5e-4 * 0.505)
    assert found[5][100] == pytest.approx(3.5e-4 * (0.01 + 0.99 * 0.55))
    for first, last, rate in ((10, 40, 3.5e-4), (40, 70, 3.5e-5), (70, 120, 3.5e-6)):
        assert in_a_row(found[first:last]) == pytest.approx([rate] * 200 * (last - first))


def test_relation_aware_attention() -> None:
    """Epoch by epoch: 8e-6 to 8e-4 over 20 epochs, then halved eight times from 80 to 360."""
    schedule = ScheduleSettings(
        per="epoch", warmup_epochs=20, milestones=tuple(range(80, 361, 40)), gamma=0.5
    )
    found = rates(schedule, [46] * 600, 8e-4)
    assert all(len(set(epoch)) == 1 for epoch in found)
    for epoch in range(600):
        warm = 8e-6 + (8e-4 - 8e-6) * epoch / 20
        halved = 8e-4 / 2 ** max(0, min(8, epoch // 40 - 1))
        assert found[epoch][0] == pytest.approx(warm if epoch < 20 else halved), epoch
    assert found[-1][0] == pytest.approx(3.125e-6)


def test_stronger_baseline() -> None:
    """A tenth to 1 over 2000 iterations, flat until epoch 30, then a cosine of 30 epochs to 7e-7.

    An epoch of fast-reid has as many iterations as the pictures fill batches, here 187.
    """
    schedule = ScheduleSettings(
        name="cosine",
        per="epoch",
        warmup_steps=2000,
        warmup_factor=0.1,
        flat_epochs=30,
        final_factor=7e-7 / 3.5e-4,
    )
    found = rates(schedule, [187] * 60, 3.5e-4)
    every = in_a_row(found)
    for iteration in range(2000):
        assert every[iteration] == pytest.approx(3.5e-4 * (0.1 + 0.9 * iteration / 2000))
    assert every[2000 : 31 * 187] == pytest.approx([3.5e-4] * (31 * 187 - 2000))
    for epoch in range(30, 60):
        cosine = 7e-7 + (3.5e-4 - 7e-7) * (1 + math.cos(math.pi * (epoch - 30) / 30)) / 2
        assert found[epoch] == pytest.approx([cosine] * 187)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.1), (1, 0.55), (2, 1), (6, 0.505)])
def test_a_cosine_begins_after_the_warm_up(epoch: int, rate: float) -> None:
    schedule = ScheduleSettings(
        name="cosine", warmup_epochs=2, warmup_factor=0.1, final_factor=0.01
    )
    assert learning_rate(1, schedule, [10] * 10, epoch, 0) == pytest.approx(rate, abs=1e-4)
    assert learning_rate(1, schedule, [10] * 10, 9, 10) == pytest.approx(0.01)


def test_a_cosine_begins_after_a_warm_up_in_steps_wherever_that_ends() -> None:
    """7 steps of epochs of 3, 5 and 4 end four fifths through the second epoch."""
    schedule = ScheduleSettings(name="cosine", warmup_steps=7, warmup_factor=0, final_factor=0)
    found = in_a_row(rates(schedule, [3, 5, 4]))
    assert found[:8] == pytest.approx([n / 7 for n in range(7)] + [1])
    for step in range(4):
        done = (2 + step / 4 - 1.8) / 1.2
        assert found[8 + step] == pytest.approx((1 + math.cos(math.pi * done)) / 2)


@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("warm", [{"warmup_epochs": 5}, {"warmup_steps": 50}])
def test_a_warm_up_longer_than_the_training_is_no_division_by_zero(per: str, warm: dict) -> None:
    schedule = ScheduleSettings.model_validate({"name": "cosine", "per": per, **warm})
    found = in_a_row(rates(schedule, [10] * 4))
    assert found == sorted(found)
    assert found[-1] < 1


def test_no_warm_up_starts_at_the_peak() -> None:
    assert learning_rate(2, ScheduleSettings(warmup_epochs=0), [5], 0, 0) == 2


def test_steps_are_counted_over_epochs_of_any_length() -> None:
    assert [steps_done([3, 5, 4], *place) for place in ((0, 2), (1, 0), (2, 4))] == [2, 3, 12]


def test_a_schedule_that_a_short_training_does_not_reach_is_told() -> None:
    assert not unreached(ScheduleSettings(), [5] * 71)
    assert "milestones 70 will not" in unreached(ScheduleSettings(), [5] * 70)
    late = unreached(ScheduleSettings(), [5] * 10)
    assert "warmup_epochs 10 and milestones 40, 70 will" in late
    assert "in 10 epochs of 50 steps together, so" in late
    cosine = ScheduleSettings(name="cosine", flat_epochs=30)
    assert not unreached(cosine, [5] * 31)
    assert "flat_epochs 30" in unreached(cosine, [5] * 30)
    assert not unreached(ScheduleSettings(name="cosine", warmup_epochs=0), [5])


def test_steps_that_a_short_training_does_not_have_are_told() -> None:
    """`warmup_steps` takes the place of `warmup_epochs`, which is then never waited for."""
    counted = ScheduleSettings(name="cosine", warmup_steps=2000, freeze_steps=1000)
    assert not unreached(counted, [201] * 10)
    assert "schedule, warmup_steps 2000 will" in unreached(counted, [200] * 10)
    few = unreached(counted, [100] * 9)
    assert "schedule, freeze_steps 1000 and warmup_steps 2000 will" in few
