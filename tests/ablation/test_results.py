"""Means, spreads and paired differences, against plain loops."""

import json
from pathlib import Path

import numpy as np
import pytest

from reid_attn.ablation import Plan, Request, make_plan
from reid_attn.ablation.page import write_results
from reid_attn.ablation.results import Result, summarise
from reid_attn.models.cost import Cost
from reid_attn.settings import Settings

RUNS = {  # (row, seed, fold) -> average precision of its queries
    ("none", 0, "fold0"): [0.1, 0.3],
    ("none", 0, "fold1"): [0.5, None, 0.7],
    ("none", 1, "fold0"): [0.2, 0.4],
    ("none", 1, "fold1"): [0.6, None, 0.8],
    ("rga", 0, "fold0"): [0.4, 0.4],
    ("rga", 0, "fold1"): [0.5, None, 0.9],
    ("rga", 1, "fold0"): [0.3, 0.9],
}


@pytest.fixture
def plan(recipe: Settings, tmp_path: Path) -> Plan:
    plan = make_plan(Request(recipe, ("rga", "csra"), 2, 2, tmp_path))
    for (row, seed, fold), values in RUNS.items():
        run = tmp_path / "runs" / f"{row}-seed{seed}-{fold}"
        run.mkdir(parents=True)
        first = [None if v is None else float(v < 0.5) for v in values]
        persons = [1, 2] if fold == "fold0" else [3, 4, 5]
        queries = {"persons": persons, "average_precision": values, "first_hit": first}
        (run / "queries.json").write_text(json.dumps(queries))
        (run / "metrics.json").write_text("{}")
        (run / "metrics.jsonl").write_text('{"kind": "train", "epoch": 1, "seconds": 30.0}\n' * 2)
    return plan


@pytest.fixture
def results(plan: Plan) -> dict[str, list[Result]]:
    return summarise(plan, {"none": Cost(10, 1.0, 2.0), "rga": Cost(12, 1.5, 3.0)})


def test_the_mean_is_over_the_queries_with_seeds_averaged(results: dict[str, list[Result]]) -> None:
    baseline, rga, _ = results["published"]
    assert baseline.scores["mAP"].mean == pytest.approx(np.mean([0.15, 0.35, 0.55, 0.75]))
    assert rga.scores["mAP"].mean == pytest.approx(np.mean([0.35, 0.65, 0.5, 0.9]))
    assert baseline.scores["rank1"].mean == pytest.approx(0.5)


def test_the_spread_over_seeds_needs_whole_seeds(results: dict[str, list[Result]]) -> None:
    baseline, rga, _ = results["published"]
    assert baseline.scores["mAP"].over_seeds == pytest.approx(np.std([0.4, 0.5], ddof=1))
    assert rga.scores["mAP"].over_seeds is None
    assert rga.scores["mAP"].over_folds == pytest.approx(np.std([0.5, 0.7], ddof=1))


def test_the_difference_takes_what_both_have_finished(results: dict[str, list[Result]]) -> None:
    baseline, rga, _ = results["published"]
    assert not baseline.difference
    expected = [0.35 - 0.15, 0.65 - 0.35, 0.5 - 0.5, 0.9 - 0.7]  # fold 1 from seed 0 alone
    change = rga.difference["mAP"]
    assert change.mean == pytest.approx(np.mean(expected))
    assert change.low < change.mean < change.high
    assert rga.compared == 3


def test_the_files_agree_with_the_results(plan: Plan, results: dict[str, list[Result]]) -> None:
    write_results(plan, results)
    stored = json.loads((plan.output / "metrics.json").read_text())
    assert stored["tables"]["published"][1]["mAP"]["mean"] == pytest.approx(0.6)
    assert stored["tables"]["common"][2]["failure"].startswith("does not fit slot stage")
    lines = (plan.output / "table.csv").read_text().splitlines()
    assert lines[0].startswith("table,block,place,runs,planned")
    assert len(lines) == 1 + 2 * 3
    markdown = (plan.output / "table.md").read_text()
    assert "| rga (stage 1–4) | 62.5 (± " in markdown
    assert "| csra (classifier) | *not run* |" in markdown
    assert "3 of 4" in markdown


def test_the_page_is_self_contained_and_escapes(
    plan: Plan, results: dict[str, list[Result]]
) -> None:
    (plan.output / "runs" / "csra-seed0-fold0").mkdir()
    failure = '{"error": "<script>alert(1)</script>"}'
    (plan.output / "runs" / "csra-seed0-fold0" / "failed.json").write_text(failure)
    write_results(plan, summarise(plan, {"none": Cost(10, 1.0, 2.0), "rga": Cost(12, 1.5, 3.0)}))
    page = (plan.output / "ablation.html").read_text()
    assert "<script" not in page
    assert "failed: &lt;script&gt;" in page
    assert page.count("<figure") == 2
    assert "One seed" not in page
    assert "Not finished" in page
