"""What finished runs scored, query by query, and how two of them are compared."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import storage
from ..evaluation import Interval, paired_bootstrap
from ..reports.evaluation import METRICS_FILE, QUERIES_FILE
from ..training import read_log

NOT_RUN = "not run"
MEASURES = ("rank1", "mAP")


class Scores(NamedTuple):
    """Of Q queries; NaN where a query is invalid. A person keeps the number in every fold."""

    persons: NDArray[np.int64]
    rank1: NDArray[np.float64]
    mAP: NDArray[np.float64]


def finished(run: Path) -> bool:
    """Whether the run was trained to its end and evaluated."""
    return (run / METRICS_FILE).exists()


def read_scores(run: Path) -> Scores:
    """The scores of a finished run."""
    queries = storage.read_json(run / QUERIES_FILE)
    first = np.array(queries["first_hit"], np.float64)
    return Scores(
        np.array(queries["persons"], np.int64),
        np.where(np.isnan(first), np.nan, first == 0),
        np.array(queries["average_precision"], np.float64),
    )


def join(folds: Iterable[Scores]) -> Scores:
    """The queries of several folds, one fold after the other."""
    return Scores(*(np.concatenate(part) for part in zip(*folds, strict=True)))


def average(seeds: Sequence[Scores]) -> Scores:
    """The mean of each query over runs with the same queries."""
    _, rank1, precision = zip(*seeds, strict=True)
    return Scores(seeds[0].persons, np.mean(rank1, axis=0), np.mean(precision, axis=0))


def difference(base: Scores, new: Scores) -> dict[str, Interval]:
    """new − base over the same queries, with 95 % intervals over persons."""
    return {
        name: paired_bootstrap(getattr(base, name), getattr(new, name), base.persons)
        for name in MEASURES
    }


def training_seconds(run: Path) -> float:
    """How long the run trained, evaluations left out."""
    return float(sum(row.get("seconds", 0) for row in read_log(run)))


def percent(share: float) -> str:
    """`81.0`: in percent, without the sign."""
    return f"{100 * share:.1f}"


def points(interval: Interval) -> tuple[str, str]:
    """A difference and the ends of its interval in percentage points: `+1.2`, `-0.3 to +2.7`."""
    ends = f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"
    return f"{100 * interval.mean:+.1f}", ends


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [head, *rows]
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    return [text[0], "|" + "---|" * len(head), *text[1:]]
