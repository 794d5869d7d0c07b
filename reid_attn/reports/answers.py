"""Some queries with what the gallery answered: chosen, judged, stored and read again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..data.market1501 import DISTRACTOR
from ..evaluation import Metric, Ranking, top
from ..evaluation import RankedList as Answer
from ..features import FeatureSet
from .ranked_lists import Hit, RankedList, extremes

SHOWN_LISTS, RANDOM_LISTS = 8, 4
SHOWN_HITS = 10
"""Counted answers of a query; junk between them is shown too."""
LONGEST = 2 * SHOWN_HITS


def chosen_queries(ranking: Ranking) -> dict[str, list[int]]:
    """Rows of the `best`, the `worst` and some `random` valid queries, drawn repeatably."""
    best, worst = extremes(ranking.average_precision.tolist(), SHOWN_LISTS)
    valid = np.flatnonzero(~np.isnan(ranking.average_precision))
    others = np.random.default_rng(0).permutation(np.setdiff1d(valid, [*best, *worst]))
    return {"best": best, "worst": worst, "random": others[:RANDOM_LISTS].tolist()}


def answers(
    features: FeatureSet, ranking: Ranking, rows: Mapping[str, Sequence[int]], metric: Metric
) -> dict[str, list[RankedList]]:
    """What the gallery answered to the queries `rows`, judged, under the same names.

    All are ranked in one go, since each pass over the gallery takes as long as many queries.
    """
    q, g = features.query, features.gallery
    chosen = [row for some in rows.values() for row in some]
    tops = top(
        q.vectors[chosen],
        q.persons[chosen],
        q.cameras[chosen],
        g.vectors,
        g.persons,
        g.cameras,
        LONGEST,
        metric=metric,
        keep_junk=True,
    )
    judged = {row: _judged(features, ranking, row, t) for row, t in zip(chosen, tops, strict=True)}
    return {name: [judged[row] for row in some] for name, some in rows.items()}


def to_plain(ranked: RankedList) -> dict[str, Any]:
    """The list as values for a JSON file."""
    plain = asdict(ranked)
    for entry in (plain, *plain["hits"]):
        key = "query" if "query" in entry else "picture"
        entry[key] = None if entry[key] is None else str(entry[key])
    return plain


def from_plain(plain: Mapping[str, Any]) -> RankedList:
    """The list that `to_plain` made these values of."""

    def path(name: str | None) -> Path | None:
        return None if name is None else Path(name)

    hits = tuple(Hit(**{**hit, "picture": path(hit["picture"])}) for hit in plain["hits"])
    return RankedList(**{**plain, "query": path(plain["query"]), "hits": hits})


def _judged(features: FeatureSet, ranking: Ranking, row: int, answer: Answer) -> RankedList:
    q, g = features.query, features.gallery
    counted = np.cumsum(~answer.junk)
    shown = int(np.searchsorted(counted, SHOWN_HITS)) + 1  # down to the last counted one
    hits = []
    for i, score, junk in list(zip(answer.indices, answer.scores, answer.junk, strict=True))[
        :shown
    ]:
        person = g.persons[i]
        right = bool(person == q.persons[row])
        kind = "junk" if junk else "distractor" if person == DISTRACTOR and not right else ""
        picture = Path(g.names[i]) if g.names else None
        camera = str(g.cameras[i])
        hits.append(Hit(picture, float(score), None if junk else right, str(person), camera, kind))
    return RankedList(
        query=Path(q.names[row]) if q.names else None,
        person=str(q.persons[row]),
        camera=str(q.cameras[row]),
        hits=tuple(hits),
        average_precision=float(ranking.average_precision[row]),
    )
