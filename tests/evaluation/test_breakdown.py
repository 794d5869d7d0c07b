"""Results by pair of cameras, by person and by query, against plain loops and bad input."""

import json
import math
from typing import Any

import numpy as np
import pytest

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import evaluate
from reid_attn.evaluation.breakdown import PersonScore, camera_pairs, costs, persons

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw(seed: int, queries: int = 30, pictures: int = 60) -> Problem:
    """Coarse features, so that pictures tie, of persons −1 (junk) and 0 (distractors) to 6."""
    generator = np.random.default_rng(seed)
    sides = []
    for count, lowest in ((queries, 1), (pictures, -1)):
        sides += [
            generator.integers(1, 4, (count, 2)).astype(np.float32),
            generator.integers(lowest, 7, count),
            generator.integers(2, 6, count),
        ]
    return tuple(sides)


def distance(a: np.ndarray, b: np.ndarray, metric: str) -> float:
    x, y = a.astype(float), b.astype(float)
    if metric == "euclidean":
        return float(((x - y) ** 2).sum())
    return -round(float(x @ y) / math.hypot(*x) / math.hypot(*y), 9)


def in_one_camera(problem: Problem, query: int, camera: int, metric: str) -> list[bool]:
    """Whether each non-junk picture of the camera is right, nearest first."""
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    kept = [
        (distance(q[query], g[i], metric), i)
        for i in range(len(g))
        if g_cams[i] == camera
        and g_ids[i] != -1
        and not (g_ids[i] == q_ids[query] and g_cams[i] == q_cams[query])
    ]
    return [bool(g_ids[i] == q_ids[query]) for _, i in sorted(kept)]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(8))
def test_camera_pairs_agree_with_the_definition(metric: Any, seed: int) -> None:
    problem = draw(seed)
    problem[2][problem[2] == 5] = 9  # a camera that asks and is never asked
    found = camera_pairs(*problem, metric=metric)
    assert found.query_cameras.tolist() == sorted({*problem[2].tolist()})
    assert found.gallery_cameras.tolist() == sorted({*problem[5].tolist()})
    for row, asking in enumerate(found.query_cameras):
        for column, asked in enumerate(found.gallery_cameras):
            first, precisions = [], []
            for query in np.flatnonzero(problem[2] == asking):
                right = in_one_camera(problem, query, asked, metric)
                places = [place for place, hit in enumerate(right) if hit]
                if places:
                    first.append(places[0] == 0)
                    shares = [(n + 1) / (place + 1) for n, place in enumerate(places)]
                    precisions.append(sum(shares) / len(shares))
            assert found.queries[row, column] == len(first)
            expected = (np.mean(first), np.mean(precisions)) if first else (np.nan, np.nan)
            cell = found.rank1[row, column], found.mAP[row, column]
            assert cell == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_camera_is_never_compared_with_itself_and_the_table_is_json() -> None:
    found = camera_pairs(*draw(0))
    assert not found.queries.diagonal().any()
    assert np.isnan(found.mAP.diagonal()).all()
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["rank1"][0][0] is None
    assert values["mAP"][0][1] == found.mAP[0, 1]
    assert set(values) == {"query_cameras", "gallery_cameras", "rank1", "mAP", "queries"}


def test_two_cameras_give_what_the_whole_ranking_gives() -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = draw(1)
    q_cams[:], g_cams[:] = 2, 3
    arrays = q, q_ids, q_cams, g, g_ids, g_cams
    found, whole = camera_pairs(*arrays), evaluate(*arrays)
    assert found.queries.tolist() == [[whole.valid_queries]]
    assert found.mAP[0, 0] == pytest.approx(whole.mAP)
    assert found.rank1[0, 0] == pytest.approx(whole.rank1)


def test_queries_without_any_match_are_refused() -> None:
    problem = draw(2)
    problem[4][:] = 0
    with pytest.raises(DataError, match="none of the 30 queries has a match at another camera"):
        camera_pairs(*problem)
    with pytest.raises(UsageError, match="did you mean 'euclidean'"):
        camera_pairs(*draw(2), metric="euclidian")
    with pytest.raises(DataError, match="gallery_ids has 60 entries and gallery_cams 59"):
        camera_pairs(*problem[:5], problem[5][1:])


def test_persons_come_hardest_first() -> None:
    labels = [4, 4, 7, 9, 9, 2, 3, 3]
    precision = [1.0, 0.5, 0.25, np.nan, np.nan, 0.75, 0.8, 0.7]
    first = [0, 1, 3, np.nan, np.nan, 0, 0, 1]
    assert persons(labels, precision, first) == [
        PersonScore(7, 1, 0.25, 0.0),
        PersonScore(3, 2, 0.75, 0.5),
        PersonScore(4, 2, 0.75, 0.5),
        PersonScore(2, 1, 0.75, 1.0),
    ]
    assert persons([1], [np.nan], [np.nan]) == []
    score = PersonScore(7, 1, 0.25, 0.0)
    assert score.as_dict() == {"person": 7, "queries": 1, "mAP": 0.25, "rank1": 0.0}


def test_persons_and_costs_add_up_to_the_mean() -> None:
    problem = draw(3)
    problem[1][:3] = 99  # not in the gallery
    whole = evaluate(*problem)
    scores = persons(problem[1], whole.average_precision, whole.first_hit)
    assert sum(score.queries for score in scores) == whole.valid_queries == 27
    total = sum(score.queries * score.mAP for score in scores)
    assert total / whole.valid_queries == pytest.approx(whole.mAP)
    assert [score.mAP for score in scores] == sorted(score.mAP for score in scores)
    shares = costs(whole.average_precision)
    assert np.isnan(shares[:3]).all()
    assert np.nansum(shares) == pytest.approx(1 - whole.mAP)
    assert costs([0.5, np.nan, 1.0]).tolist()[::2] == [0.25, 0.0]
    assert np.isnan(costs([np.nan])).all()


@pytest.mark.parametrize("arrays", [([1], [0.5, 1], [0, 0]), ([1], [1], []), ([[1]], [[1]], [[0]])])
def test_arrays_that_do_not_fit_are_refused(arrays: Any) -> None:
    with pytest.raises(DataError, match="one of each per query"):
        persons(*arrays)
