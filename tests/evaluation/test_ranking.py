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
from hypothesis import given
from hypothesis import strategies as st

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import Ranking, evaluate, ranking, top

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
        monkeypatch.setattr(ranking, "_TILE", tile)
        result = evaluate(*problem, metric=metric, block=block)
        for one, other in zip(per_query(reference), per_query(result), strict=True):
            np.testing.assert_array_equal(one, other)


def test_copies_of_a_picture_tie_in_every_column() -> None:
    q, q_ids, q_cams, g, g_ids, g_cams = random_problem(20, 61, 96)
    copies = np.tile(g[:1], (61, 1))
    for found in top(q, q_ids + 100, q_cams, copies, g_ids, g_cams, 61):
        assert found.indices.tolist() == list(range(61))


def test_a_huge_gallery_makes_the_blocks_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_problem(400, 1000, 4)
    monkeypatch.setattr(ranking, "_SCORES", 20_000)
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
        (0, np.ones((3, 3)), "query_features has 3 rows, query_ids 2 and query_cams 2"),
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
    with pytest.raises(DataError, match="gallery_features has 0 rows"):
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
