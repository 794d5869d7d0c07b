"""Several runs: paired where they answered the same queries, and told why where they did not."""

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Page, assert_harmless

from reid_attn.errors import DamagedError, DataError, UsageError
from reid_attn.evaluation import paired_bootstrap, uncertainty
from reid_attn.reports.compare import compare, report

QUERIES = 30
PERSONS = [query // 3 for query in range(QUERIES)]
FILES = ["compare.html", "metrics.json", "table.csv", "table.md", "table.tex"]

MakeRun = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, metrics: dict[str, Any]) -> MakeRun:
    """A run folder of made-up scores; its AP is 0.5 everywhere but for `changes`."""

    def run(name: str, changes: dict[int, float | None] | None = None, /, **queries: Any) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        precision: list[float | None] = [0.5] * QUERIES
        for row, value in (changes or {}).items():
            precision[row] = value
        first = [None if p is None else int(p < 0.5) for p in precision]
        stored = {"persons": PERSONS, "average_precision": precision, "first_hit": first}
        known = [p for p in precision if p is not None]
        scores = {**metrics, "mAP": float(np.mean(known)), "valid_queries": len(known)}
        (folder / "metrics.json").write_text(json.dumps({**scores, "provenance": {}}))
        (folder / "queries.json").write_text(
            json.dumps({**stored, "best": [], "worst": [], **queries})
        )
        return folder

    return run


def compared(runs: list[Path], output: Path) -> tuple[dict[str, Any], Page]:
    assert compare(runs, output) == output / "compare.html"
    return json.loads((output / "metrics.json").read_text()), Page(output / "compare.html")


def test_a_difference_is_that_of_the_bootstrap_and_the_test(make: MakeRun, tmp_path: Path) -> None:
    changes = {row: 0.5 + row / 100 for row in range(QUERIES)} | {4: None}
    runs = [make("base", {3: 0.2, 9: None}), make("new", changes)]
    found, page = compared(runs, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES
    a = np.array([0.5] * QUERIES)
    b = 0.5 + np.arange(QUERIES) / 100
    a[3], a[9], b[4] = 0.2, np.nan, np.nan
    interval = paired_bootstrap(a, b, PERSONS)
    difference = found["runs"][1]["differences"]["mAP"]
    assert difference == {
        "mean": pytest.approx(interval.mean),
        "low": pytest.approx(interval.low),
        "high": pytest.approx(interval.high),
        "p": pytest.approx(uncertainty.paired_test(a, b, PERSONS)),
    }
    assert found["runs"][0]["differences"] == {}
    assert f"{100 * interval.mean:+.1f}" in page.text
    assert_harmless(page)
    assert len(page.named("svg")) == 1


def test_the_queries_that_changed_most_come_first(
    make: MakeRun, tmp_path: Path, picture: Path
) -> None:
    names = [str(picture)] + [f"/nowhere/{row}.jpg" for row in range(1, QUERIES)]
    base = make("base", {5: None}, names=names, cameras=[1] * QUERIES)
    new = make("new", {0: 0.9, 7: 0.05, 8: 0.55, 5: 0.9}, names=names, cameras=[1] * QUERIES)
    found, page = compared([base, new], tmp_path / "out")
    changed = found["runs"][1]["changed"]
    assert [query["name"] for query in changed] == ["7.jpg", picture.name, "8.jpg"]
    assert [query["before"] for query in changed] == [0.5] * 3
    assert [query["after"] for query in changed] == [0.05, 0.9, 0.55]
    assert page.text.index("−45.0") < page.text.index("+40.0") < page.text.index("+5.0")
    assert len(page.named("img")) == 1  # the only one that can be read
    assert "person 2" in page.text and "cam 1" in page.text


def test_at_most_twelve_changes_are_shown(make: MakeRun, tmp_path: Path) -> None:
    runs = [make("base"), make("new", dict.fromkeys(range(QUERIES), 0.9))]
    found, _ = compared(runs, tmp_path / "out")
    assert len(found["runs"][1]["changed"]) == 12


def test_runs_that_agree(make: MakeRun, tmp_path: Path) -> None:
    _, page = compared([make("base"), make("new")], tmp_path / "out")
    assert "No query changed." in page.text
    assert "p = 1.000" in page.text


@pytest.mark.parametrize(
    "other",
    [
        {"persons": [person + 1 for person in PERSONS]},
        {"names": [f"other/{row}.png" for row in range(QUERIES)]},
    ],
)
def test_other_queries_are_not_paired(make: MakeRun, tmp_path: Path, other: dict[str, Any]) -> None:
    names = {"names": [f"{row}.jpg" for row in range(QUERIES)]}
    runs = [make("base", **names), make("new", {1: 0.9}, **{**names, **other})]
    found, page = compared(runs, tmp_path / "out")
    assert found["runs"][1]["differences"] == {}
    assert found["runs"][1]["changed"] == []
    assert "other queries than the first run: no paired difference" in page.text
    assert "Queries that changed" not in page.text
    table = (tmp_path / "out" / "table.md").read_text()
    assert "other queries than the first run" in table
    assert "**" not in table  # which would say that one is better


def test_the_same_queries_in_another_folder_are_paired(make: MakeRun, tmp_path: Path) -> None:
    there, here = ([f"{place}/{row}.jpg" for row in range(QUERIES)] for place in ("a", "b"))
    runs = [make("base", names=there), make("new", names=here), make("unnamed", names=[])]
    found, _ = compared(runs, tmp_path / "out")
    assert all(run["differences"] for run in found["runs"][1:])


def test_too_few_persons_are_told(make: MakeRun, tmp_path: Path) -> None:
    one = {"persons": [7] * QUERIES}
    found, _ = compared([make("base", **one), make("new", **one)], tmp_path / "out")
    assert "needs two of them" in found["runs"][1]["not_paired"]


def test_many_comparisons_are_remarked(make: MakeRun, tmp_path: Path) -> None:
    runs = [make("a"), make("b"), make("c")]
    _, two = compared(runs[:2], tmp_path / "two")
    _, three = compared(runs, tmp_path / "three")
    assert "Bonferroni" not in two.text
    assert "p below 0.025" in three.text


def test_where_no_or_one_p_is_shown_no_level_is_named(make: MakeRun, tmp_path: Path) -> None:
    other = {"persons": [person + 1 for person in PERSONS]}
    runs = [make("a"), make("b", **other), make("c", **other), make("d"), make("e")]
    for shown, bonferroni in ((3, False), (4, False), (5, True)):
        _, page = compared(runs[:shown], tmp_path / str(shown))
        assert ("Bonferroni" in page.text) == bonferroni
    assert "Comparisons with the first run: 2, and p" in page.text
    assert "p below 0.025" in page.text


def test_runs_that_are_called_alike_are_told_apart(make: MakeRun, tmp_path: Path) -> None:
    runs = [make("a/run"), make("b/run")]
    found, _ = compared([*runs, runs[0]], tmp_path / "out")
    names = [run["run"] for run in found["runs"]]
    assert names == [f"{runs[0]} (1)", str(runs[1]), f"{runs[0]} (2)"]


@pytest.mark.parametrize("name", ['"><script>alert(1)<', "a|b", "$_{}&%#", "=1\n2", "\u202egpj"])
def test_hostile_names_are_text(make: MakeRun, tmp_path: Path, name: str) -> None:
    def pages(name: str, out: Path) -> Page:
        runs = [make(f"{out.name}1"), make(name, {1: 0.9}, names=[name] * QUERIES)]
        return compared(runs, out)[1]

    clean, hostile = pages("name", tmp_path / "clean"), pages(name, tmp_path / "hostile")
    assert_harmless(hostile)
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in clean.elements]
    with (tmp_path / "hostile" / "table.csv").open() as file:
        assert not list(csv.reader(file))[2][0].startswith("=")


def test_a_run_that_was_not_evaluated(make: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/metrics\.json: run `reid-attn evaluate"):
        compare([make("a"), tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_another_version_stored(make: MakeRun, tmp_path: Path) -> None:
    run = make("a")
    (run / "queries.json").write_text('{"persons": [1]}')
    with pytest.raises(DataError, match="another version"):
        compare([make("b"), run], tmp_path / "out")
    (run / "queries.json").write_text("[]")
    with pytest.raises(DamagedError, match=r"queries\.json"):
        compare([run, run], tmp_path / "out")
    damaged = make("c", first_hit=[0])
    with pytest.raises(DamagedError, match="unequal length"):
        compare([damaged, damaged], tmp_path / "out")


NO_SCORES = ["x", float("nan"), -1, [["a"]], {"a": 1}, True, 10**400]


@pytest.mark.parametrize(
    ("key", "value"),
    [*itertools.product(["rank1", "rank20", "queries", "cmc"], NO_SCORES), ("mAP", None)],
)
def test_scores_that_are_none(make: MakeRun, tmp_path: Path, key: str, value: object) -> None:
    sound, altered = make("sound"), make("altered")
    file = altered / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    told = rf"altered/metrics\.json has no numbers from 0 on as {key}: run `reid-attn evaluate"
    for runs in ([altered], [sound, altered]):
        with pytest.raises(DamagedError, match=told):
            report(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


NO_LISTS: list[object] = [5, {"a": 1}]
NO_NUMBERS: list[object] = [["x"] * QUERIES, [[1]] * QUERIES, [float("inf")] * QUERIES]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *itertools.product(["names", "cameras"], NO_LISTS),
        *itertools.product(["persons", "average_precision", "first_hit"], NO_LISTS + NO_NUMBERS),
    ],
)
def test_lists_of_queries_that_are_none(
    make: MakeRun, tmp_path: Path, key: str, value: object
) -> None:
    runs = [make("sound"), make("altered", **{key: value})]
    with pytest.raises((DamagedError, DataError), match=r"altered.* again$"):
        report(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("queries.json", {"best": None}),
        ("queries.json", {"best": [{"query": "a.jpg", "hits": [{"score": "x"}]}]}),
        ("queries.json", {"worst": [{}]}),
        ("queries.json", {"hardest": [{"person": "1", "queries": 1, "mAP": "x", "rank1": 0}]}),
        ("metrics.json", {"comparisons": {"other": {"mAP": "x"}}}),
        ("metrics.json", {"baselines": [1]}),
        ("metrics.json", {"provenance": 5}),
    ],
)
def test_other_values_that_are_none(
    make: MakeRun, tmp_path: Path, file: str, change: dict[str, Any]
) -> None:
    run = make("altered")
    stored = json.loads((run / file).read_text()) | change
    (run / file).write_text(json.dumps(stored))
    with pytest.raises(DamagedError, match=r"altered.* again$"):
        report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_run_has_its_page_and_tables(make: MakeRun, tmp_path: Path) -> None:
    run = make("a|b")
    assert report([run], tmp_path / "out") == tmp_path / "out" / "report.html"
    assert report([run], None) == run / "report.html"
    assert (run / "table.md").read_text() == (tmp_path / "out" / "table.md").read_text()
    assert r"| a\|b | 50.0 | 94.5 |" in (run / "table.md").read_text()


def test_several_runs_need_a_place(make: MakeRun) -> None:
    with pytest.raises(UsageError, match="-o DIR"):
        report([make("a"), make("b")], None)
