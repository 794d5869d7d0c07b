"""From a run or a features file to `metrics.json`, `queries.json` and `report.html`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import storage
from ..data import SPLITS, TEST, Dataset, load_settings
from ..evaluation import Metric, costs
from ..features import FeatureSet, extract_set
from ..features.baselines import histograms, untrained
from ..features.file import load_set
from ..models import Trained, fingerprint, load_trained
from ..models.hardware import choose_device
from ..settings import Settings, dump
from ..training import read_log
from .answers import answers, chosen_queries, from_plain, to_plain
from .attention_pages import drawn, look_at_queries
from .measurements import (
    expanded,
    feature_map,
    further_metrics,
    query_scores,
    ranking_metrics,
    reranked,
)
from .page import Report, write_report
from .progress import counted, features_of
from .ranked_lists import Failure, RankedList
from .tables import print_metrics

METRICS_FILE = "metrics.json"
QUERIES_FILE = "queries.json"
PAGE = "report.html"
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
    rerank: bool = False
    """Measure k-reciprocal re-ranking beside the plain ranking."""
    expand: bool = False
    """Measure query expansion beside the plain ranking."""


def evaluate_run(
    run: Path,
    output: Path,
    console: Console,
    options: Options = Options(),
    features: FeatureSet | None = None,
) -> None:
    """Measure a trained run on its own data set or another, print the scores, write the report.

    `features` are those that would be extracted, where somebody has them already.
    """
    trained = load_trained(run, options.checkpoint)
    settings = _settings(trained.settings, options)
    dataset = load_settings(settings.data, SPLITS if options.baselines else TEST)
    trained.network.to(choose_device("auto"))
    with storage.target_folder(output):
        features = features or _extract(trained, dataset, settings, console)
        comparisons, baselines = {}, {}
        if options.feature == "both":
            before = _with_feature(settings, "before_neck")
            ranking = _extract(trained, dataset, before, console).rank(settings.evaluation.metric)
            comparisons["before the neck"] = ranking.headline()
        if options.baselines:
            baselines = _baselines(settings, dataset, console)
        facts = {
            "comparisons": comparisons | _variants(features, settings.evaluation.metric, options),
            "baselines": baselines,
            "provenance": _provenance(settings, trained, dataset),
        }
        look = partial(look_at_queries, trained.network, settings.data)
        metrics = _measure(features, settings.evaluation.metric, facts, output, look)
        _write_page(output, run.resolve().name, read_log(run), dump(settings))
    _tell(console, metrics, output)


def evaluate_features(
    path: Path, output: Path, console: Console, options: Options = Options()
) -> None:
    """Measure a features file made by any system; of the options, how it is ranked."""
    metric, features = options.metric or "cosine", load_set(path)
    provenance = {"features": str(path), "metric": metric, "re-ranking": "none", **_when()}
    with storage.target_folder(output):
        facts = {"comparisons": _variants(features, metric, options), "provenance": provenance}
        metrics = _measure(features, metric, facts, output)
        _write_page(output, path.name, [], "")
    _tell(console, metrics, output)


def rewrite_report(run: Path, output: Path) -> Path:
    """The page of a run from what was measured before; returns its path."""
    settings = run / "settings.yaml"
    text = settings.read_text() if settings.exists() else ""
    _write_page(run, run.resolve().name, read_log(run), text, output / PAGE)
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
    data = settings.data
    if options.data:
        data = data.model_copy(update={"source": options.data, "also_train": (), "test": ""})
    return settings.model_copy(update={"evaluation": evaluation, "data": data})


def _with_feature(settings: Settings, feature: str) -> Settings:
    evaluation = settings.evaluation.model_copy(update={"feature": feature})
    return settings.model_copy(update={"evaluation": evaluation})


def _extract(
    trained: Trained, dataset: Dataset, settings: Settings, console: Console
) -> FeatureSet:
    paths = [picture.path for picture in dataset.query + dataset.gallery]
    with features_of(console, paths) as progress:
        return extract_set(trained.network, dataset, settings, progress)


def _baselines(settings: Settings, dataset: Dataset, console: Console) -> dict[str, Any]:
    results = {}
    for name, measure in (("untrained network", untrained), ("colour histogram", histograms)):
        with counted(console, name, len(dataset.query) + len(dataset.gallery)) as progress:
            results[name] = measure(settings, dataset, progress).rank().headline()
    return results


def _variants(
    features: FeatureSet, metric: Metric, options: Options
) -> dict[str, dict[str, float]]:
    """What other ways of ranking the same features reach, beside the plain one."""
    found = reranked(features, metric) if options.rerank else {}
    return found | (expanded(features) if options.expand else {})


def _measure(
    features: FeatureSet,
    metric: Metric,
    facts: Mapping[str, Any],
    output: Path,
    look: Look = lambda _: [],
) -> dict[str, Any]:
    """Rank, and store the scores of the whole and of each query; returns the former."""
    ranking = features.rank(metric)
    metrics = ranking_metrics(ranking, features) | further_metrics(features, metric) | dict(facts)
    rows = chosen_queries(ranking)
    lists = answers(features, ranking, rows, metric)
    queries = query_scores(ranking, features) | {
        **{name: [to_plain(ranked) for ranked in some] for name, some in lists.items()},
        "costs": costs(ranking.average_precision)[rows["worst"]].tolist(),
        "attended": look([*lists["best"][:SHOWN_LOOKS], *lists["worst"][:SHOWN_LOOKS]]),
        "map": feature_map(features, metric),
    }
    storage.write_json(output / QUERIES_FILE, queries)
    storage.write_json(output / METRICS_FILE, metrics)
    return metrics


def _tell(console: Console, metrics: Mapping[str, Any], output: Path) -> None:
    """Print the scores, last of all: a reader who stops listening must not cost the report."""
    print_metrics(console, metrics)
    console.print(f"{output / METRICS_FILE}\n{output / PAGE}", soft_wrap=True)


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
        best=tuple(from_plain(plain) for plain in queries["best"]),
        random=tuple(from_plain(plain) for plain in queries.get("random", [])),
        persons=queries.get("hardest", []),
        embedding=queries.get("map"),
        **_failures(queries),
        attended=tuple(drawn(look) for look in queries.get("attended", [])),
        baselines=baselines,
        settings=settings,
        provenance=metrics["provenance"],
    )
    write_report(page or source / PAGE, report)


def _failures(queries: Mapping[str, Any]) -> dict[str, Any]:
    """The worst lists with what they cost, or without where an older version did not store it."""
    worst = tuple(from_plain(plain) for plain in queries["worst"])
    if "costs" not in queries:
        return {"worst": worst}
    prices = zip(worst, queries["costs"], strict=True)
    return {"failures": tuple(Failure(ranked, cost) for ranked, cost in prices if cost > 0)}


def _provenance(settings: Settings, trained: Trained, dataset: Dataset) -> dict[str, str]:
    position, evaluation = trained.state["position"], settings.evaluation
    trained_on = trained.settings.data
    return {
        "data": settings.data.test or settings.data.source,
        "training data": ", ".join([trained_on.source, *trained_on.also_train]),
        "junk pictures dropped at load": str(dataset.junk),
        **({"pictures that cannot be decoded": str(len(dataset.bad))} if dataset.bad else {}),
        "image size": f"{settings.data.height}×{settings.data.width}",
        "feature": evaluation.feature.replace("_", " the "),
        "mirrored picture averaged": "yes" if evaluation.flip else "no",
        "metric": evaluation.metric,
        "re-ranking": "none",
        "ties": "equal scores by gallery order",
        "epoch": str(position["epoch"]),
        "fingerprint": fingerprint(trained.network, settings),
        **{f"{name} (training)": version for name, version in trained.state["versions"].items()},
        **_when(),
    }


def _when() -> dict[str, str]:
    return {"measured": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}
