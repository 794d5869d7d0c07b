"""What is planned: places, order, shared runs, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from reid_attn import attention
from reid_attn.ablation import Plan, Request, make_plan, read_options
from reid_attn.errors import UsageError
from reid_attn.settings import Settings, resolve


def plan(recipe: Settings, tmp_path: Path, blocks: tuple[str, ...] = ("rga",), **more: Any) -> Plan:
    return make_plan(Request(recipe, blocks, **{"seeds": 2, "folds": 2, "output": tmp_path} | more))


def test_a_seed_goes_over_all_folds_first_and_the_baseline_leads(
    recipe: Settings, tmp_path: Path
) -> None:
    names = [run.settings.name for run in plan(recipe, tmp_path, ("cbam",)).runs()]
    assert names[:4] == ["none-seed0-fold0", "cbam-seed0-fold0", "cbam-stage-seed0-fold0",
                         "none-seed0-fold1"]  # fmt: skip
    assert len(names) == len(set(names)) == 3 * 2 * 2


def test_a_block_whose_paper_has_the_common_place_is_trained_once(
    recipe: Settings, tmp_path: Path
) -> None:
    both = plan(recipe, tmp_path, ("rga",))
    assert [row.key for row in both.rows()] == ["none", "rga"]
    assert [row.key for row in both.tables["common"]] == ["none", "rga"]


def test_all_blocks_have_a_row_in_both_tables(recipe: Settings, tmp_path: Path) -> None:
    tables = plan(recipe, tmp_path, ()).tables
    for rows in tables.values():
        assert [row.block for row in rows] == ["", *attention.names()]
    refused = {row.block: row.refused for row in tables["common"] if row.refused}
    assert "its slots: classifier" in refused["csra"]


def test_each_run_can_stand_by_itself(recipe: Settings, tmp_path: Path) -> None:
    run = list(plan(recipe, tmp_path, options={"rga": {"identity_start": True}}).runs())[-1]
    assert run.settings == resolve(run.settings.model_dump(mode="json"), "tests")
    assert run.settings.model.attention[0].options == {"identity_start": True}
    assert run.settings.data.source == f"csv:{tmp_path / 'folds' / 'fold1.csv'}"
    assert run.settings.seed == 1


def test_nothing_is_written_by_planning(recipe: Settings, tmp_path: Path) -> None:
    plan(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"blocks": ("rgaa",)}, "did you mean 'rga'"),
        ({"seeds": 0}, "use at least 1"),
        ({"common": "classifier"}, "use one of stage"),
        ({"options": {"cbam": {}}}, "which is not trained"),
    ],
)
def test_a_wrong_request_is_refused(
    recipe: Settings, tmp_path: Path, request_: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        plan(recipe, tmp_path, **request_)


def test_a_recipe_with_attention_is_refused(tiny: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"add model.attention=\[\]"):
        plan(tiny, tmp_path)


def test_options_are_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("rga: {identity_start: true}\n")
    assert read_options(file) == {"rga": {"identity_start": True}}
    file.write_text("rga: 3\n")
    with pytest.raises(UsageError, match="'rga' must hold options"):
        read_options(file)
    file.write_text("rga: {}\nrga: {}\n")
    with pytest.raises(UsageError, match="written twice"):
        read_options(file)
