"""From the rows that a store finds to the answer of a query: grouped, re-ranked, decided."""

from collections.abc import Hashable, Sequence

import numpy as np

from ..evaluation.rerank import rerank
from .contract import Found, Store, Vectors
from .filters import Where
from .record import Row
from .results import Grouping

RERANKED = 100  # pictures of which re-ranking makes a new order, or k if that is more
_MORE = 4  # times as many pictures are asked for until there are enough groups


def ranked(
    store: Store,
    queries: Vectors,
    k: int,
    meant: Sequence[Where],
    group: Grouping,
    reorder: bool,
) -> list[list[Found]]:
    """The `k` best pictures, persons or tracks of each unit row (Q, D), best first.

    `meant` says for each query which rows; those with the same filter are searched for together.
    """
    wanted = max(k, RERANKED) if reorder else k
    found: list[list[Found]] = [[] for _ in queries]
    for where in _different(meant):
        places = [place for place, other in enumerate(meant) if other == where]
        answers = _enough(store, queries[places], wanted, where, group)
        for place, hits in zip(places, answers, strict=True):
            found[place] = _reordered(store, queries[place], hits) if reorder else hits
    return [_best_of_groups(hits, group)[:k] for hits in found]


def _different(meant: Sequence[Where]) -> list[Where]:
    found: list[Where] = []
    for where in meant:
        if where not in found:
            found.append(where)
    return found


def _enough(
    store: Store, queries: Vectors, k: int, where: Where, group: Grouping
) -> list[list[Found]]:
    """Enough pictures of each query for `k` groups, or all that there are."""
    found: list[list[Found]] = [[] for _ in queries]
    short, asked = list(range(len(queries))), k
    while short:
        answers = store.search(queries[short], asked, where)
        for place, hits in zip(short, answers, strict=True):
            found[place] = hits
        short = [
            place
            for place in short
            if len(found[place]) == asked and len(_best_of_groups(found[place], group)) < k
        ]
        asked *= _MORE
    return found


def _best_of_groups(hits: Sequence[Found], group: Grouping) -> list[Found]:
    best: dict[Hashable, Found] = {}
    for hit in hits:
        best.setdefault(_key(hit.row, group), hit)
    return list(best.values())


def _key(row: Row, group: Grouping) -> Hashable:
    """What rows of one group share; who is not known yet is one person for each track."""
    if group == "picture" or (group == "track" and not row.track):
        return row.row
    if group == "person" and row.person:
        return row.person
    return (row.camera, row.track) if row.track else row.row


def _reordered(store: Store, query: Vectors, hits: list[Found]) -> list[Found]:
    """In the order of k-reciprocal re-ranking among themselves; scores stay cosines."""
    if len(hits) < 2:
        return hits
    candidates = store.vectors([hit.row.row for hit in hits])
    (distances,) = rerank(query[None], candidates)
    return [hits[place] for place in np.argsort(distances[0], kind="stable")]
