"""The learning rate as a function of the epoch, so that nothing needs to be saved to resume."""

import math

from ..settings import ScheduleSettings


def learning_rate(base: float, schedule: ScheduleSettings, epoch: float, epochs: int) -> float:
    """Learning rate at `epoch` (0 at the start, fractional inside an epoch) of `epochs`.

    Warm-up: linear from `warmup_factor` to 1 over `warmup_epochs`. Step: times `gamma` from each
    milestone on. Cosine: from 1 after the warm-up to `final_factor` at the end.
    """
    if epoch < schedule.warmup_epochs:
        done = epoch / schedule.warmup_epochs
        return base * (schedule.warmup_factor + (1 - schedule.warmup_factor) * done)
    if schedule.name == "step":
        passed = sum(epoch >= milestone for milestone in schedule.milestones)
        return base * float(schedule.gamma**passed)
    done = (epoch - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1)
    cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return base * (schedule.final_factor + (1 - schedule.final_factor) * cosine)
