"""The plan of a whole training: batches and steps of each epoch, and the rate of each step."""

from ..data import Dataset
from ..data.sampling import plan_epoch
from ..settings import Settings
from .checkpoint import Position
from .schedule import learning_rate, steps_done


class Timetable:
    """What a training does at any position; a function of settings and data alone."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        epochs = range(settings.training.epochs)
        self.settings, self.accumulate = settings, settings.optimizer.accumulate
        self.batches = [len(plan_epoch(dataset, settings, epoch)) for epoch in epochs]
        """Of each epoch."""
        self.steps = [-(-count // self.accumulate) for count in self.batches]
        """Of the optimizer in each epoch; the last one may have fewer batches."""

    def finished(self, position: Position) -> bool:
        """Whether the epoch has no batch left."""
        return position.step >= self.batches[position.epoch]

    def batches_done(self, position: Position) -> int:
        """Batches of the whole training before this position."""
        return sum(self.batches[: position.epoch]) + position.step

    def batches_next(self, position: Position) -> int:
        """How many batches the next step of the optimizer takes."""
        return min(self.accumulate, self.batches[position.epoch] - position.step)

    def steps_done(self, position: Position) -> int:
        """Steps of the optimizer in the whole training before this position."""
        return steps_done(self.steps, position.epoch, self._own_steps(position))

    def learning_rate(self, position: Position) -> float:
        """That of the next step; at the end of an epoch the one it would have had."""
        rate, schedule = self.settings.optimizer.learning_rate, self.settings.schedule
        return learning_rate(rate, schedule, self.steps, position.epoch, self._own_steps(position))

    def _own_steps(self, position: Position) -> int:
        return -(-position.step // self.accumulate)
