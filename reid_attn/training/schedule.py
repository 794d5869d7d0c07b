"""The learning rate as a function of the step, so that nothing needs to be saved to resume."""

import math
from collections.abc import Sequence

from ..settings import ScheduleSettings


def learning_rate(
    base: float, schedule: ScheduleSettings, steps: Sequence[int], epoch: int, step: int
) -> float:
    """Learning rate of step number `step` of `epoch`, both from 0.

    Warm-up: linear from `warmup_factor` to 1 over `warmup_epochs`, or over `warmup_steps`, which
    move with every step in any case. Step: times `gamma` from each milestone on. Cosine: from 1 to
    `final_factor` at the end of the training; it begins at `flat_epochs`, but not in the warm-up.

    Args:
        base: the rate at its peak.
        steps: the steps of the optimizer in each epoch of the training.
    """
    now = epoch + step / steps[epoch] if schedule.per == "step" else float(epoch)
    progress, warm = _warmup(schedule, steps, now, steps_done(steps, epoch, step))
    if progress < 1:
        return base * (schedule.warmup_factor + (1 - schedule.warmup_factor) * progress)
    if schedule.name == "step":
        passed = sum(now >= milestone for milestone in schedule.milestones)
        return base * float(schedule.gamma**passed)
    begin = max(schedule.flat_epochs, warm)
    done = min(max(now - begin, 0.0) / max(len(steps) - begin, 1), 1.0)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return base * (schedule.final_factor + (1 - schedule.final_factor) * cosine)


def unreached(schedule: ScheduleSettings, steps: Sequence[int]) -> str:
    """What a training of so many `steps` in each epoch never comes to, in a sentence, or nothing.

    A recipe that is shortened by `training.epochs` alone would else train at its full rate to the
    end, or never reach it, without a word.
    """
    epochs, whole = len(steps), sum(steps)
    warmup = "warmup_steps" if schedule.warmup_steps else "warmup_epochs"
    after = "milestones" if schedule.name == "step" else "flat_epochs"
    told = []
    for name in ("freeze_steps", warmup, after):
        points = getattr(schedule, name)
        end = whole if name.endswith("_steps") else epochs
        late = [p for p in (points if name == "milestones" else [points]) if p >= end]
        told += [f"{name} {', '.join(map(str, late))}"] if late else []
    if not told:
        return ""
    return (
        f"note: of the schedule, {' and '.join(told)} will not be reached in {epochs} epochs of "
        f"{whole} steps together, so that the training does not go its whole way; shorten the "
        "schedule as well"
    )


def steps_done(steps: Sequence[int], epoch: int, step: int) -> int:
    """Steps of the whole training that lie before step number `step` of `epoch`."""
    return sum(steps[:epoch]) + step


def _warmup(
    schedule: ScheduleSettings, steps: Sequence[int], now: float, done: int
) -> tuple[float, float]:
    """How far the warm-up is, 1 or more when it is over, and the epoch at which it ends."""
    if schedule.warmup_steps:
        return done / schedule.warmup_steps, _epoch_after(steps, schedule.warmup_steps)
    if schedule.warmup_epochs:
        return now / schedule.warmup_epochs, schedule.warmup_epochs
    return 1.0, 0.0


def _epoch_after(steps: Sequence[int], count: int) -> float:
    """The epoch, with its fraction, in which `count` steps of the training are done."""
    for epoch, own in enumerate(steps):
        if count < own:
            return epoch + count / own
        count -= own
    return float(len(steps))
