"""The training loop: P×K batches, one objective, checkpoints that resume bit for bit."""

import math
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from .. import storage
from ..data import Dataset
from ..data.batches import Batch, epoch_batches, train_batches
from ..errors import DataError, Interrupted
from ..evaluation import Ranking
from ..features import extract_set
from ..losses import Losses, Objective
from ..models import build_network
from ..models.hardware import choose_device, choose_precision
from ..models.weights import initialise
from ..settings import Settings, dump
from . import checkpoint
from .checkpoint import Position
from .interrupt import Interruption
from .log import MetricLog
from .progress import training_progress
from .schedule import learning_rate

SETTINGS = "settings.yaml"


def train(settings: Settings, dataset: Dataset, run: Path, console: Console) -> None:
    """Train from the start, or from the current checkpoint of `run` if it has one.

    Writes checkpoints, `settings.yaml` and `metrics.jsonl` into `run`.

    Raises:
        DataError: a picture cannot be read, or the loss is not finite.
        Interrupted: a signal came; the work so far is saved.
    """
    with storage.locked(run), Interruption() as interruption:
        storage.sweep(run)
        _Training(settings, dataset, run, console, interruption).go()


class _Training:
    """Everything that one training holds on to."""

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        run: Path,
        console: Console,
        interruption: Interruption,
    ) -> None:
        self.settings, self.dataset, self.run = settings, dataset, run
        self.console, self.interruption = console, interruption
        labels = dataset.labels()
        self.identities = len(labels)
        self.person_of = [labels[picture.person] for picture in dataset.train]
        self.device = choose_device(settings.training.device)
        self.precision = choose_precision(settings.training.precision, self.device)
        self.log = MetricLog(run, settings.training.tensorboard)

        torch.manual_seed(settings.seed)
        self.network = build_network(settings, self.identities)
        resuming = (run / storage.POINTER).exists()
        if not resuming:
            initialise(self.network, settings.model.weights, settings.model.stride_in_1x1)
        self.network.to(self.device)
        if settings.training.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.objective = Objective(settings.loss)
        trainable = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            trainable,
            lr=settings.optimizer.learning_rate,
            weight_decay=settings.optimizer.weight_decay,
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.position = (
            checkpoint.restore(run, self.network, self.optimizer, self.scaler)
            if resuming
            else Position()
        )
        self.log.cut(self.position.log_rows)
        storage.write_text(run / SETTINGS, dump(settings))

    def go(self) -> None:
        """All epochs that are left."""
        epochs = self.settings.training.epochs
        steps = [len(self._plan(epoch)) for epoch in range(epochs)]
        with training_progress(self.console) as progress:
            bar = progress.add_task("training", total=sum(steps), note="")
            progress.advance(bar, sum(steps[: self.position.epoch]) + self.position.step)
            while self.position.epoch < epochs:
                self._epoch(steps[self.position.epoch], progress, bar)

    def _plan(self, epoch: int) -> list[list[int]]:
        return epoch_batches(self.person_of, self.settings.batch, self.settings.seed, epoch)

    def _epoch(self, steps: int, progress: Progress, bar: TaskID) -> None:
        position, self.network = self.position, self.network.train()
        started = time.monotonic()
        for batch in train_batches(self.dataset, self.settings, position.epoch, position.step):
            rate = self._learning_rate(steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            losses, accuracy = self._step(batch)
            self._add_up(losses, accuracy, len(batch.labels))
            position.step += 1
            note = f"epoch {position.epoch + 1}  loss {losses.total.item():.3f}  lr {rate:.1e}"
            progress.update(bar, advance=1, note=note)
            if self.interruption.signal is not None:
                position.seconds += time.monotonic() - started
                self._leave(self.interruption.signal)
        position.seconds += time.monotonic() - started
        self._finish_epoch(steps)

    def _step(self, batch: Batch) -> tuple[Losses, float]:
        images = batch.images.to(self.device, non_blocking=True)
        if self.settings.training.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        labels = batch.labels.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            output = self.network(images)
        losses = self.objective(output.before_neck, output.logits, labels)
        self._refuse_non_finite(losses.total.item(), "loss", batch)
        self.scaler.scale(losses.total).backward()
        if not self.scaler.is_enabled():  # with fp16 the scaler itself drops such a step
            self._refuse_non_finite(self._gradient_norm(), "gradient", batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses, (output.logits.argmax(1) == labels).float().mean().item()

    def _autocast(self) -> torch.autocast:
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")

    def _gradient_norm(self) -> float:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _refuse_non_finite(self, value: float, what: str, batch: Batch) -> None:
        """One bad picture or one step too far would turn every weight into NaN: stop before it."""
        if not math.isfinite(value):
            pictures = [self.dataset.train[index].path.name for index in batch.indices]
            raise DataError(
                f"the {what} is {value} in epoch {self.position.epoch + 1}, step "
                f"{self.position.step + 1}, and nothing was updated: the last checkpoint in "
                f"{self.run} is sound; lower optimizer.learning_rate, use training.precision="
                f"fp32, or look at the pictures of the batch: {', '.join(pictures)}"
            )

    def _learning_rate(self, steps: int) -> float:
        return learning_rate(
            self.settings.optimizer.learning_rate,
            self.settings.schedule,
            self.position.epoch + self.position.step / steps,
            self.settings.training.epochs,
        )

    def _add_up(self, losses: Losses, accuracy: float, pictures: int) -> None:
        values = {name: value.item() for name, value in losses._asdict().items()}
        for name, value in (values | {"accuracy": accuracy, "pictures": pictures}).items():
            self.position.sums[name] = self.position.sums.get(name, 0.0) + value

    def _finish_epoch(self, steps: int) -> None:
        position, training = self.position, self.settings.training
        sums = position.sums
        means = {name: value / steps for name, value in sums.items() if name != "pictures"}
        means["learning_rate"] = self._learning_rate(steps)
        means["images_per_second"] = sums["pictures"] / max(position.seconds, 1e-9)
        position.epoch, position.step = position.epoch + 1, 0
        position.sums, seconds, position.seconds = {}, position.seconds, 0.0
        self._write("train", means | {"seconds": seconds})
        last = position.epoch == training.epochs
        every = training.evaluate_every
        evaluated = last or (every > 0 and position.epoch % every == 0)
        best = evaluated and self._evaluate()
        if evaluated or position.epoch % training.save_every == 0:
            self._save(best)

    def _evaluate(self) -> bool:
        """Log the scores of now; returns whether the mAP is the best so far."""
        if not self.dataset.query or not self.dataset.gallery:
            return False
        features = extract_set(self.network, self.dataset, self.settings)
        ranking = features.rank(self.settings.evaluation.metric)
        self._write("evaluation", _headline(ranking))
        self.console.print(
            f"epoch {self.position.epoch}: rank-1 {ranking.rank1:.1%}, mAP {ranking.mAP:.1%}"
        )
        best = ranking.mAP > self.position.best_mAP
        self.position.best_mAP = max(ranking.mAP, self.position.best_mAP)
        return best

    def _write(self, kind: str, values: dict[str, float]) -> None:
        self.log.add(kind, self.position.epoch, values)
        self.position.log_rows += 1

    def _save(self, best: bool = False) -> None:
        checkpoint.save(
            self.run,
            self.network,
            self.optimizer,
            self.scaler,
            self.position,
            self.settings,
            self.identities,
            best,
        )

    def _leave(self, number: int) -> None:
        self._save()
        raise Interrupted(
            f"stopped after epoch {self.position.epoch}, step {self.position.step}, and saved; go "
            f"on with: reid-attn train --resume {self.run}",
            number,
        )


def _headline(ranking: Ranking) -> dict[str, float]:
    return {
        "rank1": ranking.rank1,
        "mAP": ranking.mAP,
        "mAP_trapezoid": ranking.mAP_trapezoid,
        "mINP": ranking.mINP,
    }
