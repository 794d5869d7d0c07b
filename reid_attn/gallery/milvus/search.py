"""The exact answer from what Milvus finds.

Milvus computes in float32, in an order of its own, and knows no order among equals. So it is asked
for some rows more than are wanted; their vectors are read, verified and compared as every other
gallery compares them (`neighbours/`). If the last one found may still belong among the best, as far
as float32 can tell, more are asked for.
"""

from collections.abc import Sequence

import numpy as np

from ...errors import UsageError
from ...neighbours import ExactIndex
from ..contract import Found, Vectors
from ..record import Row
from .rows import Rows

MOST = 16_384  # hits of one query that Milvus gives
_SPARE = 16
_QUERIES = 128  # that are searched for together


def search(rows: Rows, queries: Vectors, k: int, expression: str, count: int) -> list[list[Found]]:
    """The `k` best rows of each unit row (Q, D) among those that fulfil `expression`.

    `count` is how many rows there are in all.
    """
    k = min(k, count)
    if k > MOST:
        raise UsageError(f"Milvus gives at most {MOST} hits for one query: ask for fewer than {k}")
    if not k:
        return [[] for _ in queries]
    found: list[list[Found]] = []
    for start in range(0, len(queries), _QUERIES):
        found += _best(rows, queries[start : start + _QUERIES], k, expression)
    return found


def _best(rows: Rows, queries: Vectors, k: int, expression: str) -> list[list[Found]]:
    dimension = queries.shape[1]
    index, read = ExactIndex(dimension), dict[int, Row]()
    asked, short = min(k + _SPARE, MOST), list(range(len(queries)))
    while True:
        answers = rows.search(queries[short], asked, expression)
        _read(rows, {row for answer in answers for row, _ in answer} - read.keys(), index, read)
        scores, numbers = index.search(queries, k)
        pairs = zip(short, answers, strict=True)
        lowest = {place: answer[-1][1] for place, answer in pairs if len(answer) == asked}
        tolerance = (dimension + 2) * 2.0**-24  # of a float32 sum of that many products
        short = [p for p, score in lowest.items() if score >= scores[p, k - 1] - tolerance]
        if not short or asked == MOST:
            break
        asked = min(4 * asked, MOST)
    return [
        [Found(score, read[number]) for score, number in zip(*pair, strict=True)]
        for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
    ]


def _read(rows: Rows, wanted: set[int], index: ExactIndex, read: dict[int, Row]) -> None:
    """Put rows with their verified vectors into `index`, and by number into `read`."""
    found = rows.with_vectors(sorted(wanted))
    missing = wanted - found.keys()
    if missing:
        raise UsageError(f"row {min(missing)} went while it was searched for")
    if found:
        vectors: Sequence[bytes] = [vector for _, vector in found.values()]
        index.add(
            np.fromiter(found, np.int64),
            np.stack([np.frombuffer(vector, "<f4") for vector in vectors]),
        )
        read.update({number: row for number, (row, _) in found.items()})
