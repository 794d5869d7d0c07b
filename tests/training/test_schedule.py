"""The learning rate against the published recipes."""

import pytest

from reid_attn.settings import ScheduleSettings
from reid_attn.training.schedule import learning_rate

BAG_OF_TRICKS = ScheduleSettings(warmup_epochs=10, warmup_factor=0.01, milestones=(40, 70))
COSINE = ScheduleSettings(name="cosine", warmup_epochs=2, warmup_factor=0.1, final_factor=0.01)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 3.5e-6), (5, 3.5e-4 * 0.505), (10, 3.5e-4), (39.99, 3.5e-4), (40, 3.5e-5), (70, 3.5e-6)],
)
def test_steps(epoch: float, rate: float) -> None:
    assert learning_rate(3.5e-4, BAG_OF_TRICKS, epoch, 120) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.1), (1, 0.55), (2, 1), (6, 0.505), (10, 0.01)])
def test_cosine(epoch: float, rate: float) -> None:
    assert learning_rate(1, COSINE, epoch, 10) == pytest.approx(rate)


def test_a_warm_up_longer_than_the_training_is_no_division_by_zero() -> None:
    schedule = ScheduleSettings(name="cosine", warmup_epochs=5)
    assert learning_rate(1, schedule, 5, 5) == pytest.approx(1)
