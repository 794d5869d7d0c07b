"""The open set: the person of a query may not be in the gallery, and should then be rejected.

A query is accepted where its best score (`pairs.py`) reaches a threshold, which is chosen on some
persons and measured on others. Source: Phillips, Grother & Micheals, Evaluation Methods in Face
Recognition (Handbook of Face Recognition, 2011): detection and identification rate.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .pairs import Mask, Pictures, check_share, checked, genuine_pairs, tiles
from .scores import Metric
from .uncertainty import Interval, bootstrap

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class OpenSet:
    """Rates on the test half, as shares of its known or unknown queries; see `open_set`."""

    threshold: float
    wanted_false_match_rate: float
    false_match_rate: float
    """Unknown queries that are accepted: false alarms, or FPIR in ISO/IEC 19795-1."""
    false_match_interval: Interval | None
    """95 % over persons, for this threshold; None for fewer than two persons."""
    detection_identification_rate: float
    """Known queries that are accepted and whose nearest picture shows their person."""
    detection_identification_interval: Interval | None
    missed: float
    """Known queries below the threshold."""
    misidentified: float
    """Known queries that are accepted as somebody else."""
    gallery: int
    """Pictures in the gallery of the test half: the rates hold for this size."""
    known_queries: int
    unknown_queries: int
    known_persons: int
    unknown_persons: int
    calibration_queries: int
    """Unknown queries that the threshold was chosen on; too few if below 1/wanted rate."""
    calibration_persons: int
    invalid_queries: int
    """Queries without a match in the whole gallery, left out."""

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values; an interval has mean, low and high, or is None."""
        return asdict(self)


def open_set(
    query_features: ArrayLike,
    query_ids: ArrayLike,
    query_cams: ArrayLike,
    gallery_features: ArrayLike,
    gallery_ids: ArrayLike,
    gallery_cams: ArrayLike,
    *,
    false_match_rate: float = 0.01,
    held_out: float = 0.5,
    seed: int = 0,
    metric: Metric = "cosine",
) -> OpenSet:
    """Is the person in the gallery at all, and who is it? Measured on held-out persons.

    The query persons are divided at random into a test part (a share `held_out`) and a calibration
    part; in each, half are made *unknown*: their pictures leave the gallery that this part meets.
    Persons of the other part and distractors stay, so that the gallery keeps its size. A query's
    score is that of its nearest picture. The threshold is the smallest at which no more than
    `false_match_rate` of the calibration part's unknown queries are accepted.

    The false match rate is one per *query*: each unknown query meets every picture, so a gallery n
    times as large has about n times the false matches at this threshold, as long as they are few.
    Arrays and errors as for `verification`; also `DataError` for fewer than 4 query persons with a
    match, `UsageError` for a share outside 0…1.
    """
    check_share("false_match_rate", 0 < false_match_rate < 1, false_match_rate)
    check_share("held_out", 0 < held_out < 1, held_out)
    arrays = (query_features, query_ids, query_cams, gallery_features, gallery_ids, gallery_cams)
    everybody, gallery = checked(*arrays, metric=metric)
    query = everybody.take(_matched(everybody, gallery))
    calibration, test = _parts(query, held_out, seed)
    calibrated = _Part.of(query, gallery, *calibration, metric)
    rejected = np.sort(calibrated.best[~calibrated.known])[::-1]
    allowed = int(false_match_rate * len(rejected) * (1 + 1e-12))
    threshold = np.nextafter(rejected[allowed], np.float32(np.inf))
    part = _Part.of(query, gallery, *test, metric)
    accepted, known = part.best >= threshold, part.known
    right, false = accepted & part.right, accepted & ~known
    return OpenSet(
        float(threshold),
        false_match_rate,
        float(false[~known].mean()),
        _interval(false[~known], part.persons[~known]),
        float(right[known].mean()),
        _interval(right[known], part.persons[known]),
        missed=float((~accepted)[known].mean()),
        misidentified=float((accepted & ~right)[known].mean()),
        gallery=part.gallery,
        known_queries=int(known.sum()),
        unknown_queries=int((~known).sum()),
        known_persons=len(test[0]),
        unknown_persons=len(test[1]),
        calibration_queries=len(rejected),
        calibration_persons=len(calibration[1]),
        invalid_queries=len(everybody.persons) - len(query.persons),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """The queries of the test or calibration persons against the gallery they meet."""

    persons: Integers  # (Q,)
    known: Mask  # (Q,)
    best: NDArray[np.float32]  # (Q,) of the nearest picture
    right: Mask  # (Q,) whether that shows the query's person
    gallery: int

    @classmethod
    def of(
        cls, query: Pictures, gallery: Pictures, known: Integers, unknown: Integers, metric: Metric
    ) -> "_Part":
        query = query.take(np.isin(query.persons, np.concatenate((known, unknown))))
        gallery = gallery.take(~np.isin(gallery.persons, unknown))
        best = np.full(len(query.persons), -np.inf, dtype=np.float32)
        right = np.zeros(len(best), dtype=bool)
        for rows, columns, tile in tiles(query, gallery, metric):
            same = query.persons[rows, None] == gallery.persons[columns]
            one, other = np.nonzero(same)
            junk = query.cameras[rows][one] == gallery.cameras[columns][other]
            tile[one[junk], other[junk]] = -np.inf
            first = np.arange(len(tile)), tile.argmax(axis=1)
            nearer = tile[first] > best[rows]  # of equal pictures the first in the gallery stays
            best[rows] = np.where(nearer, tile[first], best[rows])
            right[rows] = np.where(nearer, same[first], right[rows])
        known_queries = np.isin(query.persons, known)
        return cls(query.persons, known_queries, best, right, len(gallery.persons))


def _matched(query: Pictures, gallery: Pictures) -> Mask:
    """(Q,) whether the gallery shows the query's person at another camera."""
    matched = np.zeros(len(query.persons), dtype=bool)
    for one, _ in genuine_pairs(query, gallery):
        matched[one] = True
    return matched


def _parts(
    query: Pictures, held_out: float, seed: int
) -> tuple[tuple[Integers, Integers], tuple[Integers, Integers]]:
    """Known and unknown persons of the calibration part, and of the test part."""
    persons = np.random.default_rng(seed).permutation(np.unique(query.persons))
    if len(persons) < 4:
        raise DataError(
            f"an open-set test needs 4 query persons with a match, two known and two unknown, and "
            f"found {len(persons)}: add pictures of more persons from other cameras"
        )
    count = min(max(round(held_out * len(persons)), 2), len(persons) - 2)
    test, calibration = persons[:count], persons[count:]
    unknown, half = len(calibration) // 2, count // 2
    return (calibration[unknown:], calibration[:unknown]), (test[half:], test[:half])


def _interval(values: Mask, persons: Integers) -> Interval | None:
    return bootstrap(values, persons) if len(np.unique(persons)) >= 2 else None
