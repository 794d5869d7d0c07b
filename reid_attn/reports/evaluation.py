"""From a run or a features file to `metrics.json`, `queries.json` and `report.html`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from .. import storage
from ..data import Dataset, load
from ..errors import DataError
from ..evaluation import Metric, Ranking, bootstrap, top
from ..features import FeatureSet, extract_set
from ..features.baselines import histograms, untrained
from ..features.file import load_set
from ..models import Trained, fingerprint, load_trained
from ..models.hardware import choose_device
from ..settings import Settings, dump
from ..training import read_log
from .attention_pages import drawn, look_at_queries
from .page import Report, write_report
from .progress import counted
from .ranked_lists import Hit, RankedList, extremes
from .tables import print_metrics

METRICS_FILE = "metrics.json"
QUERIES_FILE = "queries.json"
PAGE = "report.html"
SHOWN_LISTS = 8
SHOWN_HITS = 10
SHOWN_LOOKS = 2
"""Queries with attention maps, of the best and as many of the worst."""

Look = Callable[[Sequence[RankedList]], list[dict[str, Any]]]
"""What the attention blocks make of the queries, as plain values."""


@dataclass(frozen=True)
class Options:
    """How to evaluate a run; None keeps what the run's settings say."""

    data: str | None = None
    checkpoint: str = "last"
    feature: str | None = None
    """`before_neck`, `after_neck`, or `both`: after it, with the other one beside it."""
    flip: bool = False
    metric: Metric | None = None
    baselines: bool = False
    """Measure the untrained network and the colour histogram too."""


def evaluate_run(run: Path, output: Path, console: Console, options: Options = Options()) -> None:
    """Measure a trained run on its own data set or another, print the scores, write the report."""
    trained = load_trained(run, options.checkpoint)
    settings = _settings(trained.settings, options)
    dataset = load(settings.data.source, settings.data.camera_pattern)
    if not dataset.query or not dataset.gallery:
        raise DataError(f"{settings.data.source} has no queries or no gallery to evaluate on")
    trained.network.to(choose_device("auto"))
    features = _extract(trained, dataset, settings, console)
    comparisons, baselines = {}, {}
    if options.feature == "both":
        before = _with_feature(settings, "before_neck")
        comparisons["before the neck"] = _short(
            _extract(trained, dataset, before, console).rank(settings.evaluation.metric)
        )
    if options.baselines:
        baselines = _baselines(settings, dataset, console)
    facts = {
        "comparisons": comparisons,
        "baselines": baselines,
        "provenance": _provenance(settings, trained, dataset),
    }
    look = partial(look_at_queries, trained.network, settings.data)
    metrics = _measure(features, settings.evaluation.metric, facts, output, look)
    _write_page(output, run.name, read_log(run), dump(settings))
    _tell(console, metrics, output)


def evaluate_features(
    path: Path, output: Path, console: Console, metric: Metric = "cosine"
) -> None:
    """Measure a features file made by any system."""
    provenance = {"features": str(path), "metric": metric, "re-ranking": "none", **_when()}
    metrics = _measure(load_set(path), metric, {"provenance": provenance}, output)
    _write_page(output, path.name, [], "")
    _tell(console, metrics, output)


def rewrite_report(run: Path, output: Path) -> Path:
    """The page of a run from what was measured before; returns its path."""
    settings = run / "settings.yaml"
    text = settings.read_text() if settings.exists() else ""
    _write_page(run, run.name, read_log(run), text, output / PAGE)
    return output / PAGE


def _settings(settings: Settings, options: Options) -> Settings:
    changes: dict[str, Any] = {}
    if options.feature is not None:
        changes["feature"] = "after_neck" if options.feature == "both" else options.feature
    if options.flip:
        changes["flip"] = True
    if options.metric is not None:
        changes["metric"] = options.metric
    evaluation = settings.evaluation.model_copy(update=changes)
    source = options.data or settings.data.source
    data = settings.data.model_copy(update={"source": source})
    return settings.model_copy(update={"evaluation": evaluation, "data": data})


def _with_feature(settings: Settings, feature: str) -> Settings:
    evaluation = settings.evaluation.model_copy(update={"feature": feature})
    return settings.model_copy(update={"evaluation": evaluation})


def _extract(
    trained: Trained, dataset: Dataset, settings: Settings, console: Console
) -> FeatureSet:
    with counted(console, "features", len(dataset.query) + len(dataset.gallery)) as progress:
        return extract_set(trained.network, dataset, settings, progress)


def _baselines(settings: Settings, dataset: Dataset, console: Console) -> dict[str, Any]:
    results = {}
    for name, measure in (("untrained network", untrained), ("colour histogram", histograms)):
        with counted(console, name, len(dataset.query) + len(dataset.gallery)) as progress:
            results[name] = _short(measure(settings, dataset, progress).rank())
    return results


def _short(ranking: Ranking) -> dict[str, float]:
    return {name: getattr(ranking, name) for name in ("rank1", "mAP", "mAP_trapezoid", "mINP")}


def _measure(
    features: FeatureSet,
    metric: Metric,
    facts: Mapping[str, Any],
    output: Path,
    look: Look = lambda _: [],
) -> dict[str, Any]:
    """Rank, and store the scores of the whole and of each query; returns the former."""
    ranking = features.rank(metric)
    metrics = ranking.as_dict() | {"intervals": _intervals(ranking, features)} | dict(facts)
    best, worst = _lists(features, ranking, metric)
    queries = {
        "persons": features.query.persons.tolist(),
        "average_precision": _nullable(ranking.average_precision),
        "first_hit": _nullable(ranking.first_hit),
        "best": [_plain(ranked) for ranked in best],
        "worst": [_plain(ranked) for ranked in worst],
        "attended": look([*best[:SHOWN_LOOKS], *worst[:SHOWN_LOOKS]]),
    }
    storage.make_folder(output)
    storage.write_json(output / QUERIES_FILE, queries)
    storage.write_json(output / METRICS_FILE, metrics)
    return metrics


def _tell(console: Console, metrics: Mapping[str, Any], output: Path) -> None:
    """Print the scores, last of all: a reader who stops listening must not cost the report."""
    print_metrics(console, metrics)
    console.print(f"{output / METRICS_FILE}\n{output / PAGE}", soft_wrap=True)


def _intervals(ranking: Ranking, features: FeatureSet) -> dict[str, list[float]]:
    """95 % identity-bootstrap intervals: how far other people would move the scores."""
    persons = features.query.persons
    values = {"rank1": ranking.hits(1), "mAP": ranking.average_precision}
    intervals = {name: bootstrap(value, persons) for name, value in values.items()}
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def _write_page(
    source: Path,
    title: str,
    curves: list[dict[str, Any]],
    settings: str,
    page: Path | None = None,
) -> None:
    metrics = storage.read_json(source / METRICS_FILE)
    queries = storage.read_json(source / QUERIES_FILE)
    baselines = {name: scores["rank1"] for name, scores in metrics.get("baselines", {}).items()}
    report = Report(
        title=title,
        metrics=metrics,
        curves=curves,
        best=tuple(_ranked_list(plain) for plain in queries["best"]),
        worst=tuple(_ranked_list(plain) for plain in queries["worst"]),
        attended=tuple(drawn(look) for look in queries.get("attended", [])),
        baselines=baselines,
        settings=settings,
        provenance=metrics["provenance"],
    )
    write_report(page or source / PAGE, report)


def _lists(
    features: FeatureSet, ranking: Ranking, metric: Metric
) -> tuple[list[RankedList], list[RankedList]]:
    """The best and the worst queries with what the gallery answered."""
    q, g = features.query, features.gallery

    def ranked(rows: list[int]) -> list[RankedList]:
        if not rows:
            return []
        tops = top(
            q.vectors[rows],
            q.persons[rows],
            q.cameras[rows],
            g.vectors,
            g.persons,
            g.cameras,
            SHOWN_HITS,
            metric=metric,
        )
        return [_judged(features, ranking, row, t) for row, t in zip(rows, tops, strict=True)]

    best, worst = extremes(ranking.average_precision.tolist(), SHOWN_LISTS)
    return ranked(best), ranked(worst)


def _judged(features: FeatureSet, ranking: Ranking, row: int, answer: Any) -> RankedList:
    q, g = features.query, features.gallery
    hits = tuple(
        Hit(
            picture=Path(g.names[i]) if g.names else None,
            score=float(score),
            correct=bool(g.persons[i] == q.persons[row]),
            person=str(g.persons[i]),
            camera=str(g.cameras[i]),
        )
        for i, score in zip(answer.indices, answer.scores, strict=True)
    )
    return RankedList(
        query=Path(q.names[row]) if q.names else None,
        person=str(q.persons[row]),
        camera=str(q.cameras[row]),
        hits=hits,
        average_precision=float(ranking.average_precision[row]),
    )


def _plain(ranked: RankedList) -> dict[str, Any]:
    plain = asdict(ranked)
    for entry in (plain, *plain["hits"]):
        key = "query" if "query" in entry else "picture"
        entry[key] = None if entry[key] is None else str(entry[key])
    return plain


def _ranked_list(plain: Mapping[str, Any]) -> RankedList:
    def path(name: str | None) -> Path | None:
        return None if name is None else Path(name)

    hits = tuple(Hit(**{**hit, "picture": path(hit["picture"])}) for hit in plain["hits"])
    return RankedList(**{**plain, "query": path(plain["query"]), "hits": hits})


def _provenance(settings: Settings, trained: Trained, dataset: Dataset) -> dict[str, str]:
    position, evaluation = trained.state["position"], settings.evaluation
    return {
        "data": settings.data.source,
        "training data": trained.settings.data.source,
        "junk pictures dropped at load": str(dataset.junk),
        "image size": f"{settings.data.height}×{settings.data.width}",
        "feature": evaluation.feature.replace("_", " the "),
        "mirrored picture averaged": "yes" if evaluation.flip else "no",
        "metric": evaluation.metric,
        "re-ranking": "none",
        "epoch": str(position["epoch"]),
        "fingerprint": fingerprint(trained.network, settings),
        **{f"{name} (training)": version for name, version in trained.state["versions"].items()},
        **_when(),
    }


def _when() -> dict[str, str]:
    return {"measured": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def _nullable(values: np.ndarray[Any, Any]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
