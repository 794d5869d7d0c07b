"""Verification and the open-set test against plain loops, scikit-learn, and bad input."""

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import openset, pairs
from reid_attn.evaluation.openset import OpenSet, open_set
from reid_attn.evaluation.verification import Verification, verification

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def tied_problem(seed: int, queries: int = 25, pictures: int = 40, persons: int = 6) -> Problem:
    """Few small integers as coordinates, with junk (−1) and distractors (0) in the gallery."""
    generator = np.random.default_rng(seed)

    def side(count: int, lowest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        features = generator.integers(1, 4, (count, 2)).astype(np.float32)
        ids = generator.integers(lowest, persons + 1, count)
        return features, ids, generator.integers(0, 3, count)

    return (*side(queries, 1), *side(pictures, -1))


def clouds(persons: int, each: int, seed: int = 0, noise: float = 1.0, width: int = 16) -> Problem:
    """Persons as clouds around centres; `each` queries at camera 0 and pictures at camera 1."""
    generator = np.random.default_rng(seed)
    ids = np.repeat(np.arange(1, persons + 1), each)
    centres = generator.standard_normal((persons + 1, width))
    sides = []
    for camera in (0, 1):
        features = centres[ids] + noise * generator.standard_normal((len(ids), width))
        sides += [features.astype(np.float32), ids, np.full(len(ids), camera)]
    return tuple(sides)


def similarity(a: np.ndarray, b: np.ndarray, metric: str) -> float:
    x, y = [float(v) for v in a], [float(v) for v in b]
    if metric == "euclidean":
        return -math.dist(x, y)
    return round(sum(x[i] * y[i] for i in range(len(x))) / math.hypot(*x) / math.hypot(*y), 9)


def split_pairs(problem: Problem, metric: str) -> tuple[list[float], list[float]]:
    """Genuine and impostor scores by the definition."""
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    genuine, impostors = [], []
    for i, person in enumerate(q_ids):
        for j, other in enumerate(g_ids):
            if -1 in (person, other) or (person == other and q_cams[i] == g_cams[j]):
                continue
            scores = genuine if person == other else impostors
            scores.append(similarity(q[i], g[j], metric))
    return genuine, impostors


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(12))
def test_verification_agrees_with_the_definition(metric: Any, seed: int) -> None:
    problem = tied_problem(seed)
    problem[1][0] = -1
    genuine, impostors = split_pairs(problem, metric)
    found = verification(*problem, metric=metric)
    assert (found.genuine, found.impostors) == (len(genuine), len(impostors))
    wins = sum((a > b) + (a == b) / 2 for a in genuine for b in impostors)
    assert found.area == pytest.approx(wins / len(genuine) / len(impostors), abs=1e-12)
    for rate in (0, 0.01, 0.05, 0.1, 0.29, 0.5, 1):
        best, chosen = 0.0, math.inf
        for threshold in genuine:
            let_in = sum(score >= threshold for score in impostors)
            reached = sum(score >= threshold for score in genuine) / len(genuine)
            if let_in <= rate * len(impostors) + 1e-9 and reached > best:
                best, chosen = reached, threshold
        assert found.tpr_at(rate) == best
        assert found.threshold_at(rate) == pytest.approx(chosen, abs=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_verification_agrees_with_scikit_learn(metric: Any) -> None:
    measures = pytest.importorskip("sklearn.metrics")
    problem = clouds(30, 4, noise=1.5)
    problem[4][:5], problem[4][5:9] = 0, -1
    scores = split_pairs(problem, metric)
    truth = np.repeat([1, 0], [len(part) for part in scores])
    values = np.float32(np.concatenate(scores))
    found = verification(*problem, metric=metric)
    assert found.area == pytest.approx(measures.roc_auc_score(truth, values), abs=1e-6)
    fpr, tpr, _ = measures.roc_curve(truth, values, drop_intermediate=False)
    for rate in (0.001, 0.01, 0.1, 0.37):
        expected = tpr[np.searchsorted(fpr, rate, side="right") - 1]
        assert found.tpr_at(rate) == pytest.approx(expected, abs=1e-9)


def test_the_drawn_curve_is_short_and_lies_on_the_whole_one() -> None:
    found = verification(*clouds(80, 4, noise=2))
    assert 20 < len(found.fpr) == len(found.tpr) == len(found.threshold) <= 200
    assert (np.diff(found.fpr) > 0).all()
    assert (np.diff(found.tpr) > 0).all()
    assert (np.diff(found.threshold) < 0).all()
    assert found.tpr[-1] == 1
    for fpr, tpr, threshold in zip(found.fpr, found.tpr, found.threshold, strict=True):
        assert (found.tpr_at(fpr), found.threshold_at(fpr)) == (tpr, threshold)


def test_the_dictionary_of_a_verification_is_json() -> None:
    found = verification(*clouds(20, 3, noise=0.01))
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert found.impostors == 20 * 3 * 19 * 3
    assert values["tpr_at"] == {"1e-1": 1.0, "1e-2": 1.0, "1e-3": 1.0, "1e-4": None}
    assert values["threshold_at"]["1e-4"] is None
    assert values["threshold_at"]["1e-2"] == found.threshold_at(0.01)
    assert {"genuine", "impostors", "area", "fpr", "tpr", "threshold"} < set(values)


def test_a_rate_that_lets_no_genuine_pair_in_has_no_threshold() -> None:
    flat = np.ones((3, 2))
    found = verification(flat[:1], [1], [0], flat, [1, 2, 3], [1, 1, 1])
    assert (found.tpr_at(0.5), found.threshold_at(0.5)) == (0, math.inf)
    assert found.area == 0.5
    assert found.as_dict()["tpr_at"]["1e-1"] is None
    wide = np.ones((12, 2))
    found = verification(wide[:1], [1], [0], wide, np.arange(1, 13), np.ones(12, int))
    assert found.as_dict()["tpr_at"]["1e-1"] == 0
    assert found.as_dict()["threshold_at"]["1e-1"] is None


def part_by_definition(
    problem: Problem, persons: Any, unknown: Any, metric: str
) -> list[tuple[int, bool, float, bool]]:
    """Person, known, best score and whether it is right, of each query of `persons`."""
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    rows = []
    for i, person in enumerate(q_ids):
        others = [c for c, p in zip(g_cams, g_ids, strict=True) if p == person and c != q_cams[i]]
        if person not in persons or not others:
            continue
        best, right = -math.inf, False
        for j, other in enumerate(g_ids):
            junk = other == -1 or (other == person and g_cams[j] == q_cams[i])
            if junk or other in unknown:
                continue
            score = similarity(q[i], g[j], metric)
            if score > best:
                best, right = score, bool(other == person)
        rows.append((int(person), person not in unknown, best, right))
    return rows


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(10))
def test_open_set_agrees_with_the_definition(metric: Any, seed: int) -> None:
    problem = tied_problem(seed, 60, 90, persons=9)
    query, gallery = pairs.checked(*problem, metric=metric)
    matched = query.take(openset._matched(query, gallery))
    parts = openset._parts(matched, 0.4, seed)
    calibration, test = (
        part_by_definition(problem, np.concatenate(part), part[1], metric) for part in parts
    )
    scores = sorted((best for _, known, best, _ in calibration if not known), reverse=True)
    above = scores[int(0.3 * len(scores))]  # the threshold lies just above this score
    accepted = [best > above + 1e-7 for _, _, best, _ in test]
    known = [row for row in zip(test, accepted, strict=True) if row[0][1]]
    unknown = [row for row in zip(test, accepted, strict=True) if not row[0][1]]
    found = open_set(
        *problem, false_match_rate=0.3, held_out=0.4, seed=seed, metric=metric
    ).as_dict()
    right = sum(took and row[3] for row, took in known)
    assert found["threshold"] == pytest.approx(above, abs=1e-6)
    assert found["false_match_rate"] == sum(took for _, took in unknown) / len(unknown)
    assert found["detection_identification_rate"] == right / len(known)
    assert found["missed"] == sum(not took for _, took in known) / len(known)
    assert found["misidentified"] == (sum(took for _, took in known) - right) / len(known)
    assert (found["known_queries"], found["unknown_queries"]) == (len(known), len(unknown))
    assert (found["known_persons"], found["unknown_persons"]) == tuple(map(len, parts[1]))
    assert found["calibration_queries"] == len(scores)
    assert found["gallery"] == sum(p != -1 and p not in parts[1][1] for p in problem[4])
    assert found["invalid_queries"] == len(problem[1]) - len(matched.persons)


def test_the_parts_share_nobody_and_follow_the_seed() -> None:
    query, _ = pairs.checked(*clouds(41, 1), metric="cosine")
    (known, unknown), (test_known, test_unknown) = openset._parts(query, 0.25, 0)
    everybody = np.concatenate((known, unknown, test_known, test_unknown))
    assert sorted(everybody) == list(range(1, 42))
    sizes = [len(part) for part in (known, unknown, test_known, test_unknown)]
    assert sizes == [16, 15, 5, 5]
    again, other = openset._parts(query, 0.25, 0), openset._parts(query, 0.25, 1)
    assert again[0][0].tolist() == known.tolist() != other[0][0].tolist()
    few, _ = pairs.checked(*clouds(4, 1), metric="cosine")
    for held_out in (0.01, 0.99):
        assert [len(part) for pair in openset._parts(few, held_out, 0) for part in pair] == [1] * 4


def test_the_threshold_keeps_its_promise_on_other_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 20 worlds of 150 unknown persons a part; the standard error of the mean is ~0.008."""
    monkeypatch.setattr(openset, "bootstrap", lambda *_: None)  # not asked here, and slow
    found = [open_set(*clouds(600, 1, seed, 0.5), false_match_rate=0.1) for seed in range(20)]
    rates = [result.false_match_rate for result in found]
    assert 0.08 < np.mean(rates) < 0.12
    assert 0.01 < np.std(rates) < 0.06
    for result in found:
        shares = result.detection_identification_rate, result.missed, result.misidentified
        assert sum(shares) == pytest.approx(1)


def test_pictures_of_the_own_camera_are_no_match() -> None:
    """Copies of the queries in the gallery would all be found, and raise every score to 1."""
    problem = clouds(60, 2, noise=1.5)
    sides = zip(problem[3:], problem[:3], strict=True)
    with_copies = [*problem[:3], *(np.concatenate(pair) for pair in sides)]
    found = open_set(*problem, false_match_rate=0.2).as_dict()
    again = open_set(*with_copies, false_match_rate=0.2).as_dict()
    assert found["misidentified"] > 0
    interval = found["detection_identification_interval"]
    assert interval["mean"] == pytest.approx(found["detection_identification_rate"])
    # Copies of other persons are wrong matches like any other, so only the junk is told apart.
    assert again["detection_identification_rate"] < 1
    assert again["threshold"] < 1 - 1e-4


def test_one_person_has_no_interval_and_the_dictionary_is_json() -> None:
    found = open_set(*clouds(4, 3, noise=0.01)).as_dict()
    assert found["false_match_interval"] is found["detection_identification_interval"] is None
    found = open_set(*clouds(40, 3, noise=0.1), false_match_rate=0.2).as_dict()
    values = json.loads(json.dumps(found, allow_nan=False))
    assert set(values) == set(OpenSet.__dataclass_fields__)
    assert set(values["false_match_interval"]) == {"mean", "low", "high"}
    interval = values["false_match_interval"]
    assert interval["low"] < values["false_match_rate"] == interval["mean"] < interval["high"]
    assert values["wanted_false_match_rate"] == 0.2
    assert values["detection_identification_rate"] > 0.9


def bits(found: Verification) -> list[Any]:
    arrays = found.scores, found.genuine_accepted, found.impostors_accepted
    return [found.genuine, found.impostors, found.area, *(array.tolist() for array in arrays)]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_no_result_depends_on_the_tile(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = clouds(60, 3, noise=1.5, width=48)
    # Every picture once more, as another person: a float32 product would break the ties.
    twice = np.concatenate((g, g[::-1])), np.concatenate((g_ids, g_ids[::-1] % 60 + 1))
    problem = q, q_ids, q_cams, *twice, np.concatenate((g_cams, g_cams))
    whole = verification(*problem, metric=metric)
    rates = open_set(*problem, false_match_rate=0.1, metric=metric)
    for rows, columns, numbers in ((1, 360, 48), (7, 11, 500), (180, 64, 10)):
        monkeypatch.setattr(pairs, "_ROWS", rows)
        monkeypatch.setattr(pairs, "_COLUMNS", columns)
        monkeypatch.setattr(pairs, "_NUMBERS", numbers)
        assert bits(verification(*problem, metric=metric)) == bits(whole)
        assert open_set(*problem, false_match_rate=0.1, metric=metric) == rates


@pytest.mark.parametrize("measure", [verification, open_set])
def test_no_matrix_of_all_pairs_is_held(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 × 6,000 scores would be 23 MiB in float32."""
    monkeypatch.setattr(openset, "bootstrap", lambda *_: None)
    q, q_ids, q_cams, *_ = clouds(500, 2)
    gallery = [np.concatenate(6 * [array]) for array in clouds(500, 2)[3:]]
    monkeypatch.setattr(pairs, "_ROWS", 128)
    monkeypatch.setattr(pairs, "_COLUMNS", 512)
    monkeypatch.setattr(pairs, "_NUMBERS", 2**16)
    tracemalloc.start()
    measure(q, q_ids, q_cams, *gallery)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("measure", [verification, open_set])
@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (0, np.full((6, 16), np.nan), "query_features, row 0 holds numbers that are not finite"),
        (3, np.full((6, 16), 1e30), "gallery_features, row 0 holds .*too large"),
        (3, np.zeros((6, 16)), "zero vector.* \\(6 such rows\\)"),
        (3, np.ones((6, 5)), "query_features has 16 dimensions and gallery_features 5"),
        (0, np.ones((5, 16)), "query_features has 5 rows, query_ids and query_cams 6"),
        (0, np.ones(6), r"query_features is float64 of shape \(6,\): pass floats"),
        (0, np.ones((6, 16), int), "query_features is int64 .*pass floats"),
        (1, np.ones(6), "query_ids is float64 .*pass integers"),
        (5, np.ones(7, int), "gallery_ids has 6 entries and gallery_cams 7"),
    ],
)
def test_unusable_arrays_are_refused(measure: Any, part: int, value: Any, message: str) -> None:
    problem = list(clouds(6, 1))
    problem[part] = value
    with pytest.raises(DataError, match=message):
        measure(*problem)


def test_a_zero_vector_has_a_distance() -> None:
    q, *others = clouds(6, 1)
    q[0] = 0
    assert verification(q, *others, metric="euclidean").genuine == 6


@pytest.mark.parametrize(("ids", "cams"), [([7, 8], [1, 1]), ([1, 1], [1, 1]), ([-1, 1], [1, 0])])
def test_verification_needs_pairs_of_both_kinds(ids: list[int], cams: list[int]) -> None:
    with pytest.raises(DataError, match="needs both"):
        verification(np.ones((1, 2)), [1], [0], np.ones((2, 2)), ids, cams)


def test_too_few_persons_are_refused() -> None:
    problem = clouds(5, 2)
    problem[5][:4] = 0  # persons 1 and 2 are seen by their own camera only
    with pytest.raises(DataError, match=r"needs 4 query persons with a match.*found 3"):
        open_set(*problem)


@pytest.mark.parametrize(
    "option", [{"false_match_rate": 0.0}, {"false_match_rate": 1.0}, {"held_out": 1}]
)
def test_a_share_outside_0_to_1_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="share between 0 and 1"):
        open_set(*clouds(6, 1), **option)


@pytest.mark.parametrize("measure", [verification, open_set])
def test_wrong_options_are_refused(measure: Any) -> None:
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        measure(*clouds(6, 1), metric="cosin")
    with pytest.raises(UsageError, match="fpr = 2"):
        verification(*clouds(6, 1)).tpr_at(2)
