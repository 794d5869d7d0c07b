"""Everything that is measured on one set of features, as the plain values of the stored files."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..evaluation import (
    Metric,
    Ranking,
    Reciprocal,
    bootstrap,
    camera_pairs,
    evaluate_distances,
    expand,
    open_set,
    persons,
    rerank,
    verification,
)
from ..evaluation.rerank import TRANSREID, ZHONG
from ..features import Features, FeatureSet

PAIRS = 5_000_000
"""Of a query and a gallery picture: with more of them, what lies beyond the ranking is measured on
some persons' queries, so that it does not take longer than the ranking."""
MAPPED_PERSONS, MAPPED_PICTURES = 16, 800
EXPANSIONS = {"AQE (k 5)": (5, 0.0), "αQE (k 10, α 3)": (10, 3.0)}
"""Query expansions by name: neighbours, and the power of their similarity."""


def ranking_metrics(ranking: Ranking, features: FeatureSet) -> dict[str, Any]:
    """The scores, with 95 % identity-bootstrap intervals: how far other people would move them."""
    values = {"rank1": ranking.hits(1), "mAP": ranking.average_precision}
    found = {name: bootstrap(value, features.query.persons) for name, value in values.items()}
    intervals = {name: [interval.low, interval.high] for name, interval in found.items()}
    return ranking.as_dict() | {"intervals": intervals}


def further_metrics(features: FeatureSet, metric: Metric) -> dict[str, Any]:
    """Verification, open set and camera pairs; what a set is too small for is left out.

    `sample` tells how many queries they are measured on.
    """
    query = _some_persons(features)
    arrays = _arrays(FeatureSet(query, features.gallery))
    measures: dict[str, Callable[..., Any]] = {
        "verification": verification,
        "open_set": open_set,
        "camera_pairs": camera_pairs,
    }
    found: dict[str, Any] = {"sample": {"queries": len(query), "of": len(features.query)}}
    for name, measure in measures.items():
        try:
            found[name] = measure(*arrays, metric=metric).as_dict()
        except DataError:  # the features are sound, for they were ranked: there are too few persons
            continue
    return found


def reranked(features: FeatureSet, metric: Metric) -> dict[str, dict[str, float]]:
    """Headline scores after k-reciprocal re-ranking, with both parameter sets in use."""
    q, g = features.query, features.gallery
    labels = (q.persons, q.cameras, g.persons, g.cameras)

    def measure(options: Reciprocal) -> dict[str, float]:
        rows = rerank(q.vectors, g.vectors, options, metric=metric)
        return evaluate_distances(rows, *labels).headline()

    return {
        f"re-ranked (k1 {o.k1}, k2 {o.k2}, λ {o.weight})": measure(o) for o in (ZHONG, TRANSREID)
    }


def expanded(features: FeatureSet) -> dict[str, dict[str, float]]:
    """Headline scores after query expansion, by cosine."""
    q, g = features.query, features.gallery
    found = {}
    for name, (k, alpha) in EXPANSIONS.items():
        vectors = expand(q.vectors, g.vectors, k=min(k, len(g)), alpha=alpha)
        query = Features(vectors, q.persons, q.cameras)
        found[name] = FeatureSet(query, g).rank("cosine").headline()
    return found


def query_scores(ranking: Ranking, features: FeatureSet) -> dict[str, Any]:
    """What every query scored, who it shows, and the persons, hardest first."""
    query = features.query
    scores = persons(query.persons, ranking.average_precision, ranking.first_hit)
    return {
        "persons": query.persons.tolist(),
        "cameras": query.cameras.tolist(),
        "names": list(query.names),
        "average_precision": _nullable(ranking.average_precision),
        "trapezoid_precision": _nullable(ranking.trapezoid_precision),
        "inverse_negative_penalty": _nullable(ranking.inverse_negative_penalty),
        "first_hit": _nullable(ranking.first_hit),
        "hardest": [_shown(score.as_dict()) for score in scores],
    }


def feature_map(features: FeatureSet, metric: Metric) -> dict[str, Any] | None:
    """The pictures of some persons on the plane of their first two principal components.

    None where fewer than two persons have queries. Persons are drawn at random, repeatably.
    """
    q, g = features.query, features.gallery
    known = np.intersect1d(q.persons[q.persons > 0], g.persons)
    if len(known) < 2:
        return None
    generator = np.random.default_rng(0)
    chosen = generator.permutation(known)[:MAPPED_PERSONS]
    parts = [(side, np.flatnonzero(np.isin(side.persons, chosen))) for side in (q, g)]
    parts = [(side, rows[: MAPPED_PICTURES // 2]) for side, rows in parts]
    vectors = np.concatenate([side.vectors[rows] for side, rows in parts]).astype(np.float64)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors -= vectors.mean(axis=0)
    left, spread, _ = np.linalg.svd(vectors, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    places[:, : spread[:2].size] = left[:, :2] * spread[:2]
    share = float((spread[:2] ** 2).sum() / max((spread**2).sum(), 1e-300))
    return {
        "x": places[:, 0].round(5).tolist(),
        "y": places[:, 1].round(5).tolist(),
        "person": np.concatenate([side.persons[rows] for side, rows in parts]).tolist(),
        "camera": np.concatenate([side.cameras[rows] for side, rows in parts]).tolist(),
        "query": [True] * len(parts[0][1]) + [False] * len(parts[1][1]),
        "method": f"first two principal components, {share:.0%} of the spread of "
        f"{len(chosen)} persons drawn at random",
    }


def _some_persons(features: FeatureSet) -> Features:
    """The queries of so many persons, drawn at random, as make no more than `PAIRS` pairs."""
    query = features.query
    most = max(PAIRS // max(len(features.gallery), 1), 1)
    if len(query) <= most:
        return query
    people, counts = np.unique(query.persons, return_counts=True)
    order = np.random.default_rng(0).permutation(len(people))
    chosen = people[order[np.cumsum(counts[order]) <= most]]
    rows = np.isin(query.persons, chosen)
    return Features(query.vectors[rows], query.persons[rows], query.cameras[rows])


def _arrays(features: FeatureSet) -> tuple[NDArray[Any], ...]:
    q, g = features.query, features.gallery
    return (q.vectors, q.persons, q.cameras, g.vectors, g.persons, g.cameras)


def _shown(score: Mapping[str, Any]) -> dict[str, Any]:
    return {**score, "person": str(score["person"])}


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
