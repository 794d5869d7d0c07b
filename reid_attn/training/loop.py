"""The training loop: P×K batches, one objective, checkpoints that resume bit for bit."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from .. import storage
from ..data import Dataset
from ..data.batches import Batch, train_batches
from ..data.cache import open_cache
from ..data.sampling import Shard
from ..data.screening import listing, summary
from ..errors import DataError, Interrupted, ReidError
from ..features import FeatureSet
from ..settings import Settings, dump
from . import checkpoint
from .checkpoint import Position
from .evaluation import extract_together, headline, refuse_unmatched
from .interrupt import Interruption
from .learner import Learner, first_network
from .log import MetricLog
from .processes import ALONE, Processes
from .progress import training_progress
from .schedule import unreached
from .timetable import Timetable

SETTINGS = "settings.yaml"
BAD_PICTURES = "bad_pictures.txt"
WEIGHTS_REPORT = "weights.json"


def train(
    settings: Settings,
    dataset: Dataset,
    run: Path,
    console: Console,
    processes: Processes = ALONE,
) -> FeatureSet | None:
    """Train from the start, or from the current checkpoint of `run` if it has one.

    Writes checkpoints, `settings.yaml` and `metrics.jsonl` into `run`. With several `processes`,
    each calls this; the first one alone reads and writes `run`, and prints. Returns, in the first
    one, the features of the evaluation after the last epoch, if there was one.

    Raises:
        DataError: no query has a match, a picture cannot be read, or the loss is not finite.
        Interrupted: a signal came; the work so far is saved.
    """
    quiet = console if processes.first else Console(quiet=True)
    with ExitStack() as held, Interruption() as interruption:
        processes.on_first(lambda: held.enter_context(storage.locked(run)))
        processes.on_first(lambda: storage.sweep(run))
        training = _Training(settings, dataset, run, quiet, interruption, processes)
        training.go()
        return training.features


class _Training:
    """Everything that one training holds on to."""

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        run: Path,
        console: Console,
        interruption: Interruption,
        processes: Processes,
    ) -> None:
        self.settings, self.dataset, self.run, self.console = settings, dataset, run, console
        self.interruption, self.processes = interruption, processes
        self.people = [dataset.describe(person) for person in dataset.labels()]
        processes.together(lambda: refuse_unmatched(dataset))
        self.shard = Shard(processes.rank, processes.size)
        processes.together(lambda: self.shard.places(settings.batch))  # refuses what has no shares
        self.plan = processes.together(lambda: Timetable(dataset, settings))
        files = processes.from_first(lambda: checkpoint.read(run))
        network, self.weights_report = first_network(
            settings, len(self.people), processes, fresh=not files
        )
        self.learner = processes.together(
            lambda: Learner(network, settings, len(self.people), processes, console)
        )
        self.features: FeatureSet | None = None
        self.position = Position()
        if files:
            restore = partial(checkpoint.restore, files, run, self.learner, self.people)
            self.position = processes.together(restore)
        self.cache = processes.together(lambda: open_cache(dataset, settings))
        processes.on_first(self._open_run)

    def _open_run(self) -> None:
        self.log = MetricLog(self.run, self.settings.training.tensorboard)
        self.log.cut(self.position.log_rows)
        storage.write_text(self.run / SETTINGS, dump(self.settings))
        if self.weights_report:
            storage.write_json(self.run / WEIGHTS_REPORT, self.weights_report.as_dict())
            self._tell(self.weights_report.summary())
        if note := unreached(self.settings.schedule, self.plan.steps):
            self._tell(note)
        if self.dataset.bad:
            storage.write_text(self.run / BAD_PICTURES, listing(self.dataset.bad))
            self._tell(summary(self.dataset.bad))

    def _tell(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def go(self) -> None:
        """All epochs that are left."""
        with training_progress(self.console) as progress:
            bar = progress.add_task("training", total=sum(self.plan.batches), note="")
            progress.advance(bar, self.plan.batches_done(self.position))
            self._score()  # after an epoch whose evaluation was cut short
            while self.position.epoch < self.settings.training.epochs:
                self._epoch(progress, bar)
        self._heed()

    def _epoch(self, progress: Progress, bar: TaskID) -> None:
        position = self.position
        started = time.monotonic()
        batches = train_batches(
            self.dataset,
            self.settings,
            position.epoch,
            position.step,
            shard=self.shard,
            pin=self.learner.device.type == "cuda",
            cache=self.cache,
        )
        while not self.plan.finished(position):
            before = position.step
            note = self._step(batches)
            progress.update(bar, advance=position.step - before, note=note)
            position.seconds += time.monotonic() - started
            started = time.monotonic()
            self._heed()
        self._finish_epoch()

    def _step(self, batches: Iterator[Batch]) -> str:
        """One step of the optimizer, with as many batches as it takes; returns what to show."""
        position, learner = self.position, self.learner
        rate, step = self.plan.learning_rate(position), self.plan.steps_done(position)
        count = self.plan.batches_next(position)
        used: list[int] = []
        learner.begin(step)
        for _ in range(count):
            batch = self.processes.together(lambda: next(batches))
            used += batch.indices
            values = self.processes.average(learner.backward(batch, 1 / count))
            self._refuse_non_finite(values["total"], "loss", used)
            self._add_up(values | {"pictures": len(batch.labels) * self.processes.size})
        norm = learner.reduce()
        if not learner.skips(norm):
            self._refuse_non_finite(norm, "gradient", used)
        learner.update(rate, norm, step)
        position.step += count
        return f"epoch {position.epoch + 1}  loss {values['total']:.3f}  lr {rate:.1e}"

    def _refuse_non_finite(self, value: float, what: str, used: list[int]) -> None:
        """One bad picture or one step too far would turn every weight into NaN: stop before it."""
        if math.isfinite(value):
            return
        everyone = chain.from_iterable(self.processes.to_first(used))
        pictures = [self.dataset.train[index].path.name for index in everyone]
        raise self.processes.refusal(
            DataError(
                f"the {what} is {value} in epoch {self.position.epoch + 1}, batch "
                f"{self.position.step + 1}, and nothing was updated: the last checkpoint in "
                f"{self.run} is sound; lower optimizer.learning_rate, use training.precision="
                f"fp32, or look at the pictures of the batch: {', '.join(pictures)}"
            )
        )

    def _add_up(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.position.sums[name] = self.position.sums.get(name, 0.0) + value

    def _finish_epoch(self) -> None:
        position, training = self.position, self.settings.training
        sums, count = position.sums, self.plan.batches[position.epoch]
        means = {name: value / count for name, value in sums.items() if name != "pictures"}
        means["learning_rate"] = self.plan.learning_rate(position)
        means["images_per_second"] = sums["pictures"] / max(position.seconds, 1e-9)
        position.epoch, position.step = position.epoch + 1, 0
        position.sums, seconds, position.seconds = {}, position.seconds, 0.0
        self.processes.on_first(lambda: self._write("train", means | {"seconds": seconds}))
        self._tell(
            f"epoch {position.epoch}: loss {means['total']:.3f}, "
            f"{means['images_per_second']:.0f} images/s, {seconds:.0f} s"
        )
        last = position.epoch == training.epochs
        every = training.evaluate_every
        due = last or (every > 0 and position.epoch % every == 0)
        position.unscored = due and bool(self.dataset.query and self.dataset.gallery)
        if due or position.epoch % training.save_every == 0:
            self._save()  # before the evaluation: whatever ends it must not cost the epochs
        self._score()

    def _score(self) -> None:
        """Evaluate the last epoch, if that is still to come; the best so far becomes `BEST`."""
        position = self.position
        if not position.unscored:
            return
        before = position.best_mAP
        try:
            features = self.features = extract_together(
                self.learner.result,
                self.dataset,
                self.settings,
                self.processes,
                self._end_evaluation,
            )
            self.processes.on_first(lambda: self._rank(features))
        except (ReidError, SystemExit):  # refused in one process, refused in all
            self._tell(
                f"epoch {position.epoch} is saved; go on with: reid-attn train --resume {self.run}"
            )
            raise
        position.unscored = False
        self._save(best=position.best_mAP > before, replace=True)

    def _end_evaluation(self, _: int) -> None:
        """Between its batches, on a signal: each process by itself, since their numbers differ."""
        if number := self.interruption.signal:
            raise Interrupted(
                f"stopped in the evaluation after epoch {self.position.epoch}", number
            )

    def _rank(self, features: FeatureSet | None) -> None:
        if features is None:
            return
        ranking = features.rank(self.settings.evaluation.metric)
        self._write("evaluation", headline(ranking))
        self._tell(
            f"epoch {self.position.epoch}: rank-1 {ranking.rank1:.1%}, mAP {ranking.mAP:.1%}"
        )
        self.position.best_mAP = max(ranking.mAP, self.position.best_mAP)

    def _write(self, kind: str, values: dict[str, float]) -> None:
        self.log.add(kind, self.position.epoch, values)
        self.position.log_rows += 1

    def _save(self, best: bool = False, replace: bool = False) -> None:
        states = self.processes.to_first(checkpoint.random_state(self.processes.rank))
        random = {name: tensor for state in states for name, tensor in state.items()}
        self.processes.on_first(
            lambda: checkpoint.save(
                self.run, self.learner, self.position, self.people, random, best, replace
            )
        )

    def _heed(self) -> None:
        """Save and leave when a signal has come to any process."""
        number = self.processes.highest(self.interruption.signal or 0)
        if not number:
            return
        self._save()
        raise self.processes.refusal(
            Interrupted(
                f"stopped after epoch {self.position.epoch}, batch {self.position.step}, and "
                f"saved; go on with: reid-attn train --resume {self.run}",
                number,
            )
        )
