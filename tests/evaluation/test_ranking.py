"""The evaluator against its definition in plain loops, against torchreid, and against bad input."""

import importlib.util
import json
import math
import sys
import tracemalloc
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import Ranking, evaluate, evaluate_distances, junk, scores, top

PARTS = ("features", "ids", "cams")
Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ranked(problem: Problem, query: int, metric: str) -> list[int]:
    """The junk-free gallery of one query, nearest first, by the definition."""
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    kept = [
        index
        for index in range(len(g))
        if g_ids[index] != -1
        and not (g_ids[index] == q_ids[query] and g_cams[index] == q_cams[query])
    ]

    def distance(index: int) -> float:
        a, b = [float(x) for x in q[query]], [float(x) for x in g[index]]
        if metric == "euclidean":
            return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        lengths = math.hypot(*a) * math.hypot(*b)
        return -float(np.float32(sum(x * y for x, y in zip(a, b, strict=True)) / lengths))

    return sorted(kept, key=lambda index: (distance(index), index))


def by_definition(problem: Problem, metric: str, max_rank: int) -> dict[str, Any] | None:
    """CMC, both APs and INP by walking down each ranked list; None when no query is valid."""
    curves, plain, trapezoid, penalties = [], [], [], []
    removed = 0
    for query, person in enumerate(problem[1]):
        order = ranked(problem, query, metric)
        removed += len(problem[3]) - len(order)
        good = [problem[4][index] == person for index in order]
        if not any(good):
            continue
        hits, area_plain, area_trapezoid, curve = 0, 0.0, 0.0, []
        last_precision, last_hit = 1.0, 0
        for position, hit in enumerate(good):
            hits += hit
            precision = hits / (position + 1)
            area_plain += precision * hit
            area_trapezoid += (last_precision + precision) / 2 * hit
            last_precision = precision
            last_hit = position + 1 if hit else last_hit
            curve.append(float(hits > 0))
        curve += [curve[-1]] * (max_rank - len(curve))
        curves.append(curve[:max_rank])
        plain.append(area_plain / hits)
        trapezoid.append(area_trapezoid / hits)
        penalties.append(hits / last_hit)
    if not curves:
        return None
    return {
        "cmc": np.mean(curves, axis=0).tolist(),
        "mAP": np.mean(plain),
        "mAP_trapezoid": np.mean(trapezoid),
        "mINP": np.mean(penalties),
        "valid_queries": len(curves),
        "junk": removed,
    }


@st.composite
def problems(draw: st.DrawFn, distinct: bool = False) -> Problem:
    """Few small integers as coordinates, so that ties abound; `distinct` draws without any."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, pictures = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    persons, cameras = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def side(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if distinct:
            features = generator.standard_normal((count, 3))
        else:
            features = generator.integers(1, 4, (count, 2)).astype(np.float32)
        ids = generator.integers(-1, persons, count)
        return features, ids, generator.integers(0, cameras, count)

    return (*side(queries), *side(pictures))


def random_problem(queries: int, pictures: int, dimension: int, seed: int = 0) -> Problem:
    """Persons as clouds around their own centres, 10 pictures each or so."""
    generator = np.random.default_rng(seed)
    persons = max(2, pictures // 10)
    centres = generator.standard_normal((persons, dimension))

    def side(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ids = generator.integers(0, persons, count)
        noise = generator.standard_normal((count, dimension))
        return (
            (centres[ids] + 3 * noise).astype(np.float32),
            ids,
            generator.integers(0, 6, count),
        )

    return (*side(queries), *side(pictures))


def per_query(result: Ranking) -> list[np.ndarray]:
    return [
        result.first_hit,
        result.average_precision,
        result.trapezoid_precision,
        result.inverse_negative_penalty,
    ]


@settings(max_examples=2000, deadline=None)
@given(problems(), st.sampled_from(["cosine", "euclidean"]), st.integers(1, 15), st.integers(1, 7))
def test_agrees_with_the_definition(
    problem: Problem, metric: Any, max_rank: int, block: int
) -> None:
    expected = by_definition(problem, metric, max_rank)
    if expected is None:
        with pytest.raises(DataError, match="none of the"):
            evaluate(*problem, metric=metric, max_rank=max_rank, block=block)
        return
    result = evaluate(*problem, metric=metric, max_rank=max_rank, block=block)
    for name, value in expected.items():
        assert getattr(result, name) == pytest.approx(value, abs=1e-12), name
    assert result.mAP >= result.mAP_trapezoid
    assert len(result.cmc) == max_rank


@given(problems(), st.sampled_from(["cosine", "euclidean"]), st.integers(1, 15))
def test_top_is_the_head_of_the_ranked_list(problem: Problem, metric: Any, k: int) -> None:
    lists = top(*problem, k, metric=metric, block=2)
    assert len(lists) == len(problem[0])
    for query, found in enumerate(lists):
        assert found.indices.tolist() == ranked(problem, query, metric)[:k]
        rows, vector = problem[3][found.indices].astype(float), problem[0][query].astype(float)
        if metric == "euclidean":
            expected = np.linalg.norm(rows - vector, axis=1)
        else:
            expected = rows @ vector / np.linalg.norm(rows, axis=1) / np.linalg.norm(vector)
        assert found.scores == pytest.approx(expected, abs=1e-6)


@given(problems(distinct=True), st.randoms(use_true_random=False))
def test_the_order_of_the_gallery_does_not_matter(problem: Problem, random: Any) -> None:
    if by_definition(problem, "cosine", 1) is None:
        return
    shuffled = list(range(len(problem[3])))
    random.shuffle(shuffled)
    gallery = [array[shuffled] for array in problem[3:]]
    before, after = evaluate(*problem), evaluate(*problem[:3], *gallery)
    for one, other in zip(per_query(before), per_query(after), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_no_bit_depends_on_the_block(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(90, 700, 48)
    # Every picture once more, as another person: float32 products would break the ties by column.
    problem = (
        q,
        q_ids,
        q_cams,
        np.concatenate((g, g[::-1])),
        np.concatenate((g_ids, g_ids[::-1] + 1)),
        np.concatenate((g_cams, g_cams)),
    )
    reference = evaluate(*problem, metric=metric)
    for block, tile in ((1, 2048), (7, 101), (90, 333)):
        monkeypatch.setattr(scores, "_TILE", tile)
        result = evaluate(*problem, metric=metric, block=block)
        for one, other in zip(per_query(reference), per_query(result), strict=True):
            np.testing.assert_array_equal(one, other)


def test_copies_of_a_picture_tie_in_every_column() -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(20, 61, 96)
    copies = np.tile(g[:1], (61, 1))
    for found in top(q, q_ids + 100, q_cams, copies, g_ids, g_cams, 61):
        assert found.indices.tolist() == list(range(61))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_float32_cannot_order_is_ordered_as_in_float64(metric: Any) -> None:
    """A block large enough to measure its own errors, full of pictures that are nearly the same."""
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(200, 900, 256)
    twins = g + np.random.default_rng(1).normal(scale=1e-5, size=g.shape).astype(np.float32)
    problem = (
        q,
        q_ids,
        q_cams,
        np.concatenate((g, twins, g)),
        np.concatenate((g_ids, g_ids + 1, g_ids + 2)),
        np.concatenate((g_cams, g_cams, g_cams)),
    )
    found = evaluate(*problem, metric=metric)
    exact = evaluate(*problem, metric=metric, block=1)
    for one, other in zip(per_query(found), per_query(exact), strict=True):
        np.testing.assert_array_equal(one, other)
    wide = [side.astype(np.float64) for side in (problem[0], problem[3])]
    if metric == "cosine":
        wide = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in wide]
        distances = -(wide[0] @ wide[1].T).astype(np.float32)
    else:
        distances = ((wide[1] ** 2).sum(1) - 2 * wide[0] @ wide[1].T).astype(np.float32)
    labels = (*problem[1:3], *problem[4:])
    for one, other in zip(
        per_query(found), per_query(evaluate_distances(distances, *labels)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_collapsed_network_is_ranked_by_float64_products(monkeypatch: pytest.MonkeyPatch) -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(300, 400, 16)
    problem = (1e4 + q, q_ids, q_cams, 1e4 + g, g_ids, g_cams)  # every cosine is 0.99999998 or so
    calls = []
    finely = scores.FeatureScores._multiply_finely

    def spy(self: Any, *arguments: Any) -> None:
        calls.append(1)
        finely(self, *arguments)

    monkeypatch.setattr(scores.FeatureScores, "_multiply_finely", spy)
    found = evaluate(*problem, block=100)
    assert len(calls) == 2  # the first block shows how crowded the scores are
    for one, other in zip(per_query(found), per_query(evaluate(*problem, block=7)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [1e-20, 1e-14, 1e16])
def test_vectors_of_any_length_are_ranked_alike(size: float) -> None:
    problem = random_problem(80, 200, 8)
    q, g = (problem[i].astype(np.float64) * size for i in (0, 3))
    found = evaluate(q, *problem[1:3], g, *problem[4:])
    np.testing.assert_array_equal(found.average_precision, evaluate(*problem).average_precision)


@given(problems(), st.integers(1, 4), st.booleans())
def test_distances_may_come_in_blocks(problem: Problem, height: int, as_matrix: bool) -> None:
    if by_definition(problem, "euclidean", 1) is None:
        return
    q, g = (problem[i].astype(np.float64) for i in (0, 3))
    matrix = ((q[:, None] - g[None]) ** 2).sum(axis=2)
    blocks: Any = (matrix[i : i + height] for i in range(0, len(matrix), height))
    labels = (*problem[1:3], *problem[4:])
    found = evaluate_distances(matrix if as_matrix else blocks, *labels)
    expected = evaluate(*problem, metric="euclidean")
    assert found.as_dict() == expected.as_dict()


def test_distances_may_come_from_torch() -> None:
    problem = random_problem(50, 300, 16)
    query, gallery = (torch.from_numpy(problem[i]).double() for i in (0, 3))
    blocks = (torch.cdist(rows, gallery) for rows in query.split(16))
    found = evaluate_distances(blocks, *problem[1:3], *problem[4:])
    assert found.mAP == pytest.approx(evaluate(*problem, metric="euclidean").mAP, abs=1e-9)


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        (np.ones((1, 3)), "distances has 1 rows and 3 columns: .* 2 queries .* 3 gallery"),
        (np.ones((3, 3)), "distances has 3 rows"),
        (np.ones((2, 2)), "2 columns"),
        (iter([np.ones((1, 3)), np.ones((2, 3))]), "distances has 3 rows"),
        (np.array([[1, 2, 3], [1, np.nan, 3]]), "distances, row 1 holds numbers that are not"),
        (np.ones((2, 3), int), "distances is int64"),
    ],
)
def test_distances_that_do_not_fit_are_refused(distances: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_distances(distances, [1, 2], [1, 1], [1, 2, 0], [2, 2, 2])


@settings(deadline=None)
@given(problems())
def test_grouped_ties_agree_with_scikit_learn_and_ignore_the_order(problem: Problem) -> None:
    if by_definition(problem, "cosine", 1) is None:
        return
    found = evaluate(*problem, ties="grouped")
    backwards = evaluate(*problem[:3], *(side[::-1] for side in problem[3:]), ties="grouped")
    for one, other in zip(per_query(found), per_query(backwards), strict=True):
        np.testing.assert_array_equal(one, other)
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    for query in np.flatnonzero(~np.isnan(found.first_hit)):
        kept = (g_ids != -1) & ~((g_ids == q_ids[query]) & (g_cams == q_cams[query]))
        left, right = q[query].astype(np.float64), g[kept].astype(np.float64)
        cosine = right @ left / np.linalg.norm(right, axis=1) / np.linalg.norm(left)
        expected = average_precision_score(g_ids[kept] == q_ids[query], cosine.astype(np.float32))
        assert found.average_precision[query] == pytest.approx(expected, abs=1e-12)


def test_the_stable_rule_agrees_with_scikit_learn_without_ties() -> None:
    problem = random_problem(40, 300, 16)
    result = evaluate(*problem)
    lists = top(*problem, 300)
    for query, found in enumerate(lists):
        right = problem[4][found.indices] == problem[1][query]
        if right.any():
            expected = average_precision_score(right, found.scores)
            assert result.average_precision[query] == pytest.approx(expected, abs=1e-12)


def test_a_tied_group_by_hand() -> None:
    """Right, then a tie of one right and one wrong, then wrong: 1 and 2 of 3, or 1 and 2 of 2."""
    arguments: list[Any] = [[0.0, 1.0, 1.0, 2.0]], [5], [1], [5, 5, 0, 0], [2, 2, 2, 2]
    stable = evaluate_distances(*arguments)
    grouped = evaluate_distances(*arguments, ties="grouped")
    assert (stable.mAP, stable.mINP) == (1.0, 1.0)
    assert grouped.mAP == pytest.approx((1 + 2 / 3) / 2)
    assert grouped.mAP_trapezoid == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert grouped.mINP == pytest.approx(2 / 3)


def test_invalid_queries_can_count_as_zero() -> None:
    arguments: list[Any] = [[0.0, 1.0], [1.0, 0.0]], [5, 6], [1, 1], [5, 0], [2, 2]
    skipped = evaluate_distances(*arguments)
    counted = evaluate_distances(*arguments, invalid="zero")
    assert (skipped.rank1, skipped.mAP, skipped.cmc[0]) == (1.0, 1.0, 1.0)
    assert (counted.rank1, counted.mAP, counted.cmc[0]) == (0.5, 0.5, 0.5)
    assert skipped.as_dict()["all_queries"] == counted.as_dict()["all_queries"]
    assert counted.as_dict()["all_queries"]["mAP"] == 0.5
    with pytest.raises(UsageError, match=r"unknown option 'zer' \(did you mean 'zero'\?\)"):
        evaluate_distances(*arguments, invalid="zer")  # type: ignore[arg-type]


def test_junk_rules_by_hand() -> None:
    """Three pictures of person 5: at the query's camera now, there later, and elsewhere."""
    distances, ids, cams = [[0.0, 1.0, 2.0, 3.0]], [5, 5, 0, 5], [1, 1, 2, 2]
    times = [0, 100, 0, 0]

    def removed(rule: Any) -> tuple[int, float]:
        found = evaluate_distances(distances, [5], [1], ids, cams, junk=rule)
        return found.junk, found.mAP

    by_camera = junk.same_camera([1], cams)
    assert removed(None) == removed(by_camera) == (2, 1 / 2)
    assert removed(junk.nothing) == (0, pytest.approx((1 + 1 + 3 / 4) / 3))
    assert removed(junk.close_in_time([0], times, 50)) == (2, pytest.approx(1.0))
    assert removed(junk.close_in_time([0], times, 50, by_camera)) == (
        1,
        pytest.approx((1 + 2 / 3) / 2),
    )
    with pytest.raises(DataError, match="the junk rule returned int64"):
        removed(lambda query, same: same)


def test_junk_can_be_shown_where_it_stands() -> None:
    gallery = np.array([[0.0], [1.0], [2.0], [3.0]])
    arguments: list[Any] = [[0.0]], [5], [1], gallery, [5, 0, 5, -1], [1, 1, 2, 2], 10
    (shown,) = top(*arguments, metric="euclidean", keep_junk=True)
    assert shown.indices.tolist() == [0, 1, 2, 3]
    assert shown.scores.tolist() == [0, 1, 2, 3]
    assert shown.junk.tolist() == [True, False, False, True]
    (plain,) = top(*arguments, metric="euclidean")
    assert plain.indices.tolist() == [1, 2]
    assert not plain.junk.any()


def test_a_huge_gallery_makes_the_blocks_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_problem(400, 1000, 4)
    monkeypatch.setattr(scores, "_SCORES", 20_000)
    tracemalloc.start()
    evaluate(*problem, block=400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # the whole float32 matrix would take 1.6 MB


@pytest.fixture
def torchreid_rank(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """torchreid's rank.py alone: its package imports every model it has, which takes long."""
    package = importlib.util.find_spec("torchreid")
    if package is None or not package.submodule_search_locations:
        pytest.skip("torchreid is not installed")
    file = Path(package.submodule_search_locations[0], "reid", "metrics", "rank.py")
    spec = importlib.util.spec_from_file_location("torchreid_rank", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "torchreid", None)  # it asks there for its Cython build
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # and warns when there is none
        spec.loader.exec_module(module)
    return module


def test_agrees_with_torchreid(torchreid_rank: ModuleType) -> None:
    problem = random_problem(60, 400, 16)
    q, q_ids, q_cams, g, g_ids, g_cams = problem
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (q, g)]
    distances = {
        "cosine": 1 - unit[0] @ unit[1].T,
        "euclidean": np.linalg.norm(q[:, None] - g[None], axis=2),
    }
    for metric, matrix in distances.items():
        cmc, mean = torchreid_rank.evaluate_rank(
            matrix, q_ids, g_ids, q_cams, g_cams, max_rank=50, use_cython=False
        )
        result = evaluate(*problem, metric=metric)
        assert result.mAP == pytest.approx(mean, abs=1e-9)
        assert result.cmc == pytest.approx(cmc.tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ["mgn_150x500.npz", "sketch_50x100.npz"])
def test_reproduces_the_published_values(name: str, shared: Path) -> None:
    folder = shared / "data" / "features"
    expected = json.loads((folder / "expected.json").read_text())[name]
    with np.load(folder / name) as file:
        sides = [f"{side}_{part}" for side in ("query", "gallery") for part in PARTS]
        result = evaluate(*(file[key] for key in sides)).as_dict()
    measures = {key for key, value in expected.items() if isinstance(value, float)}
    assert {key: round(result[key], 4) for key in measures} == {
        key: expected[key] for key in measures
    }


def test_a_worked_example() -> None:
    gallery = np.array([[9.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    result = evaluate(
        np.array([[0.0], [0.0], [0.0]]),
        [7, 8, 9],
        [1, 1, 1],
        gallery,
        [7, 0, 7, -1, 7, 8],  # for person 7: junk at 3.0 (person −1) and at 4.0 (same camera)
        [2, 2, 2, 2, 1, 1],  # for person 8: its only picture is junk
        metric="euclidean",
        max_rank=3,
    )
    assert result.first_hit.tolist()[0] == 1
    assert np.isnan(result.first_hit[1:]).all()
    found = result.as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found.pop("cmc") == [0.0, 1.0, 1.0]
    all_queries = found.pop("all_queries")
    assert all_queries == pytest.approx({key: found[key] / 3 for key in all_queries})
    assert len(all_queries) == 4
    assert found == pytest.approx(
        {
            "rank1": 0.0,
            "rank5": 1.0,
            "rank10": 1.0,
            "rank20": 1.0,
            "mAP": (1 / 2 + 2 / 4) / 2,
            "mAP_trapezoid": (1 / 2 + 0 + 2 / 4 + 1 / 3) / 4,
            "mINP": 2 / 4,
            "queries": 3,
            "valid_queries": 1,
            "gallery": 6,
            "junk": 2 + 2 + 1,
        }
    )
    assert result.hits(2).tolist()[0] == 1
    assert np.isnan(result.hits(2)[1:]).all()


def test_without_a_valid_query_the_reasons_are_counted() -> None:
    with pytest.raises(DataError, match=r"none of the 4 queries .* 1 have .* camera .* and 3 have"):
        evaluate(
            np.ones((4, 1)), [1, 2, 3, -1], [1, 1, 1, 1], np.ones((3, 1)), [1, 0, -1], [1, 1, 2]
        )


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.ones((2, 3), int), "query_features is int64"),
        (0, np.ones(3), r"query_features is float64 of shape \(3,\)"),
        (0, [[1.0, 2.0], [3.0]], "query_features cannot be read"),
        (0, np.ones((2, 4)), "4 dimensions and gallery_features 3"),
        (0, np.ones((3, 3)), "query_features has 3 rows, query_ids and query_cams 2"),
        (0, np.array([[1, 1, 1], [0, 0, 0.0]]), "query_features, row 1 holds the zero vector"),
        (1, [1.0, 2.0], "query_ids is float64"),
        (2, [1], "query_cams 1"),
        (3, np.full((2, 3), np.nan), r"gallery_features, row 0 holds .* \(2 such rows\)"),
        (3, np.array([[1, 1, 1], [1, np.inf, 1]]), "gallery_features, row 1 holds numbers"),
        (3, np.full((2, 3), 1e200), "gallery_features, row 0 holds numbers"),
        (3, np.array([[1, 1, 1], [0, 0, 0.0]]), "gallery_features, row 1 holds the zero vector"),
        (4, [[1, 2]], r"gallery_ids is int64 of shape \(1, 2\)"),
        (5, ["a", "b"], "gallery_cams is <U1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(position: int, value: Any, message: str) -> None:
    arguments: list[Any] = [np.ones((2, 3)), [1, 2], [1, 1], np.ones((2, 3)), [1, 2], [2, 2]]
    evaluate(*arguments)
    arguments[position] = value
    with pytest.raises(DataError, match=message):
        evaluate(*arguments)
    with pytest.raises(DataError, match=message):
        top(*arguments, 1)


def test_an_empty_gallery_is_refused() -> None:
    with pytest.raises(DataError, match="gallery_ids has 0 entries"):
        evaluate(np.ones((1, 2)), [1], [1], np.ones((0, 2)), np.zeros(0, int), np.zeros(0, int))


def test_the_zero_vector_has_a_euclidean_distance() -> None:
    result = evaluate([[0.0]], [1], [1], [[0.0], [1.0]], [2, 1], [2, 2], metric="euclidean")
    assert result.first_hit.tolist() == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "cosin"}, r"unknown metric 'cosin' \(did you mean 'cosine'\?\)"),
        ({"max_rank": 0}, "max_rank must be at least 1"),
        ({"block": 0}, "block must be at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate([[1.0]], [1], [1], [[1.0]], [1], [2], **options)


def test_top_needs_a_place() -> None:
    with pytest.raises(UsageError, match="k must be at least 1"):
        top([[1.0]], [1], [1], [[1.0]], [1], [2], 0)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_features_may_be_of_any_float_type(kind: type) -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(30, 80, 8)
    half = [side.astype(np.float16) for side in (q, g)]
    expected = evaluate(half[0], q_ids, q_cams, half[1], g_ids, g_cams)
    result = evaluate(half[0].astype(kind), q_ids, q_cams, half[1].astype(kind), g_ids, g_cams)
    assert result.as_dict() == expected.as_dict()
