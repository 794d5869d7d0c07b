"""`metrics.jsonl`: one line for every epoch and every evaluation; TensorBoard when asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import storage
from ..errors import MissingExtra

LOG = "metrics.jsonl"


class MetricLog:
    """Appends rows to a run's log, and shows the same numbers in TensorBoard if `tensorboard`."""

    def __init__(self, run: Path, tensorboard: bool) -> None:
        self.path = run / LOG
        self._writer = _summary_writer(run) if tensorboard else None

    def cut(self, rows: int) -> None:
        """Keep the first `rows` rows: those that the checkpoint knows of."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        storage.write_text(self.path, "".join(f"{line}\n" for line in lines[:rows]))

    def add(self, kind: str, epoch: float, values: Mapping[str, float]) -> None:
        """Append one row of `kind` at `epoch` (epochs that are finished)."""
        storage.append_line(self.path, {"kind": kind, "epoch": epoch, **values})
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, round(epoch))
            self._writer.flush()


def read_log(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's log; a last line cut short by a crash is left out."""
    path = run / LOG
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _summary_writer(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "tensorboard") from error
    return SummaryWriter(str(run / "tensorboard"))
