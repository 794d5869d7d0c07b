"""CMC, both average precisions and INP of a query set against a gallery; needs numpy alone.

For a query of person p and camera c the gallery falls into three parts: **junk** (person p at
camera c, and every picture of person −1), removed before anything is counted; **good** (person p
at another camera); and wrong matches, the distractors of person 0 among them. Sort the junk-free
gallery by distance, then by gallery index, and let r_0 < … < r_{n−1} be the positions of the n good
pictures, counted from 0:

    CMC@k          1 if r_0 < k, else 0
    AP             (1/n)  Σ_i  (i+1)/(r_i+1)
    AP, trapezoid  (1/2n) Σ_i [(i+1)/(r_i+1) + q_i],   q_i = i/r_i, or 1 where r_i = 0
    INP            n / (r_{n−1}+1)

The reported values are means over the **valid** queries, those with a good picture. Most systems
print the plain AP; the trapezoid is that of the official Market-1501 code. Sources: Zheng et al.,
Scalable Person Re-identification, ICCV 2015 (junk, AP); Ye et al., Deep Learning for Person
Re-identification, TPAMI 2021 (INP).

No Q×G matrix is held, and nothing is sorted but a query's scores down to its last hit: r_i is the
number of kept pictures that are nearer (`scores.py` says what a score is and when two tie).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError, nearest
from .junk import JunkRule
from .labels import Labels
from .scores import DistanceScores, FeatureScores, Metric, Row, check_positive

Ties = Literal["index", "grouped"]
"""How equal scores are ordered: by gallery index; or not at all, each counting as the last of its
group (as in scikit-learn), so that no order of the gallery changes a result."""
Invalid = Literal["skip", "zero"]
"""Whether a query without a good picture is left out of the means, or counts 0 (as in layumi's)."""

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What `evaluate` found, as fractions: values per query (NaN: invalid) and their means."""

    first_hit: Doubles
    """(Q,) position of the first good picture, from 0."""
    average_precision: Doubles
    """(Q,) plain AP."""
    trapezoid_precision: Doubles
    """(Q,) trapezoid AP."""
    inverse_negative_penalty: Doubles
    """(Q,) INP."""
    junk: int
    """Pairs of a query and a gallery picture that the junk rule removed."""
    gallery: int
    """Gallery pictures, junk included."""
    max_rank: int
    """Length of `cmc`."""
    invalid: Invalid = "skip"
    """What the means make of invalid queries."""

    @property
    def queries(self) -> int:
        """Number of queries Q."""
        return len(self.first_hit)

    @property
    def valid_queries(self) -> int:
        """Queries that have a good picture."""
        return int(np.count_nonzero(~np.isnan(self.first_hit)))

    def hits(self, k: int) -> Doubles:
        """(Q,) 1 where a good picture is among the first `k`, else 0; NaN for an invalid query."""
        return np.where(np.isnan(self.first_hit), np.nan, self.first_hit < k)

    def rank(self, k: int) -> float:
        """CMC@k; beyond the end of a junk-free gallery it keeps its last value."""
        return self._mean(self.hits(k))

    @property
    def cmc(self) -> list[float]:
        """CMC@1 to CMC@max_rank."""
        return [self.rank(k) for k in range(1, self.max_rank + 1)]

    @property
    def rank1(self) -> float:
        """CMC@1."""
        return self.rank(1)

    @property
    def rank5(self) -> float:
        """CMC@5."""
        return self.rank(5)

    @property
    def rank10(self) -> float:
        """CMC@10."""
        return self.rank(10)

    @property
    def rank20(self) -> float:
        """CMC@20."""
        return self.rank(20)

    @property
    def mAP(self) -> float:
        """Mean of the plain AP."""
        return self._mean(self.average_precision)

    @property
    def mAP_trapezoid(self) -> float:
        """Mean of the trapezoid AP."""
        return self._mean(self.trapezoid_precision)

    @property
    def mINP(self) -> float:
        """Mean INP."""
        return self._mean(self.inverse_negative_penalty)

    def headline(self) -> dict[str, float]:
        """The four means that tell rankings apart."""
        return {name: getattr(self, name) for name in ("rank1", "mAP", "mAP_trapezoid", "mINP")}

    def as_dict(self) -> dict[str, Any]:
        """The means and counts under the names of `metrics.json`, in full precision.

        `all_queries` has the means with invalid queries as 0, whatever `invalid` says.
        """
        names = ("rank1", "rank5", "rank10", "rank20", "mAP", "mAP_trapezoid", "mINP")
        counts = ("queries", "valid_queries", "gallery", "junk", "cmc")
        found = {name: getattr(self, name) for name in names + counts}
        share = 1.0 if self.invalid == "zero" else self.valid_queries / self.queries
        return found | {"all_queries": {k: share * v for k, v in self.headline().items()}}

    def _mean(self, values: Doubles) -> float:
        return float(np.nanmean(values) if self.invalid == "skip" else np.nan_to_num(values).mean())


def evaluate(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    metric: Metric = "cosine",
    max_rank: int = 50,
    block: int = 1024,
    junk: JunkRule | None = None,
    ties: Ties = "index",
    invalid: Invalid = "skip",
) -> Ranking:
    """Rank the gallery for every query and measure it (formulas: head of this file).

    Features are (Q, D) and (G, D) of any float type; ids and cameras are (Q,) and (G,) integers.
    `block` queries are ranked at a time, fewer where the gallery is huge; no result depends on it.
    `junk` replaces the rule of the same camera (see `junk.py`). Raises `DataError` for arrays that
    do not fit, a vector that is not finite or, for cosine, zero, and when no query is valid;
    `UsageError` for a wrong option.
    """
    check_positive(max_rank=max_rank, block=block)
    labels = Labels(query_ids, query_cams, gallery_ids, gallery_cams, junk)
    labels.refuse_misfit(query_features, gallery_features)
    scores = FeatureScores(query_features, gallery_features, metric, block)
    return _rank(scores, labels, max_rank, ties, invalid)


def evaluate_distances(
    distances: ArrayLike | Iterable[ArrayLike],
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    max_rank: int = 50,
    junk: JunkRule | None = None,
    ties: Ties = "index",
    invalid: Invalid = "skip",
) -> Ranking:
    """As `evaluate`, from distances (Q, G) of any kind, smaller is nearer.

    They may come as an iterable over blocks of rows (b, G), for example from another device, so
    that the matrix need not exist.
    """
    check_positive(max_rank=max_rank)
    labels = Labels(query_ids, query_cams, gallery_ids, gallery_cams, junk)
    scores = DistanceScores(distances, (len(labels.query_persons), len(labels.gallery_persons)))
    return _rank(scores, labels, max_rank, ties, invalid)


def _rank(
    scores: FeatureScores | DistanceScores,
    labels: Labels,
    max_rank: int,
    ties: Ties,
    invalid: Invalid,
) -> Ranking:
    for value, kind in ((ties, Ties), (invalid, Invalid)):
        if value not in get_args(kind):
            choices = get_args(kind)
            hint = nearest(str(value), choices)
            raise UsageError(f"unknown option '{value}'{hint}: use {' or '.join(choices)}")
    queries, gallery = scores.shape
    valid, places, removed = [], [], 0
    for row, good, junk in labels.walk(scores):
        removed += len(junk)
        if len(good):
            valid.append(row.query)
            places.append(_places(row, good, ties))
    if not valid:
        raise labels.no_valid_query()
    measures = np.full((4, queries), np.nan)
    measures[:, valid] = _measure(places)
    first, plain, trapezoid, penalty = measures
    return Ranking(first, plain, trapezoid, penalty, removed, gallery, max_rank, invalid)


def _places(row: Row, good: Integers, ties: Ties) -> tuple[Integers, Integers]:
    """For each hit, how many kept pictures stand before it, and up to it."""
    scores = row.scores
    values = scores[good]
    low, high = values - row.slack, values + row.slack
    wanted = scores >= low.min()
    few = 2 * np.count_nonzero(wanted) < len(scores)
    ranked = np.sort(scores[wanted] if few else scores)
    not_above = ranked.searchsorted(high, side="right")
    around = not_above - ranked.searchsorted(low, side="left")
    above = len(ranked) - not_above
    if around.max() == 1:
        return above, above + 1
    earlier, tied = _settle(row, good, np.flatnonzero(around > 1), (low, high), above)
    if ties == "grouped":
        return above, above + tied
    return above + earlier, above + earlier + 1


def _settle(
    row: Row, good: Integers, unsure: Integers, ends: tuple[Any, Any], above: Integers
) -> tuple[Integers, Integers]:
    """Compare the pictures whose scores are too close to the hits `unsure` by their exact scores.

    Adds to `above` those that are nearer; returns how many tie with each hit and stand before it in
    the gallery, and how many tie, itself included.
    """
    earlier, tied = np.zeros_like(above), np.ones_like(above)
    near = [np.flatnonzero((row.scores >= ends[0][i]) & (row.scores <= ends[1][i])) for i in unsure]
    rows = np.unique(np.concatenate(near))
    scores = row.exact(rows)
    for hit, others in zip(unsure, near, strict=True):
        theirs = scores[np.searchsorted(rows, others)]
        own = theirs[np.searchsorted(others, good[hit])]
        equal = theirs == own
        above[hit] += np.count_nonzero(theirs > own)
        earlier[hit] = np.count_nonzero(equal & (others < good[hit]))
        tied[hit] = np.count_nonzero(equal)
    return earlier, tied


def _measure(places: list[tuple[Integers, Integers]]) -> Doubles:
    """(4, V) first hit, plain AP, trapezoid AP and INP of each valid query from its `_places`."""
    number = np.array([len(before) for before, _ in places])
    query = np.repeat(np.arange(len(number)), number)
    before, upto = (np.concatenate(part) for part in zip(*places, strict=True))
    order = np.lexsort((upto, query))
    before, upto = before[order], upto[order]
    start = np.cumsum(number) - number
    key = query * (upto.max() + 1) + upto  # sorted: a tie group of one query has one key
    hits_before = np.searchsorted(key, key, side="left") - start[query]
    hits = np.searchsorted(key, key, side="right") - start[query]
    left = np.where(before > 0, hits_before / np.maximum(before, 1), 1.0)
    plain, right = (np.add.reduceat(part, start) / number for part in (hits / upto, left))
    first, last = upto[start] - 1, upto[start + number - 1]
    return np.stack((first, plain, (plain + right) / 2, number / last))
