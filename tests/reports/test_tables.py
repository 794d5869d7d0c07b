"""Tables: the lines that scripts look for, and names that cannot act on the terminal."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reid_attn.reports.ranked_lists import Hit, RankedList
from reid_attn.reports.tables import METRICS, counts, print_metrics, print_ranked


def console(width: int = 100, colour: bool = False) -> Console:
    file = io.StringIO()
    if colour:
        return Console(file=file, width=width, force_terminal=True, color_system="truecolor")
    return Console(file=file, width=width, color_system=None)


def printed(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


@pytest.mark.parametrize("width", [10, 100])
@pytest.mark.parametrize("colour", [False, True])
def test_the_lines_of_the_field(metrics: dict[str, Any], width: int, colour: bool) -> None:
    target = console(width, colour)
    print_metrics(target, metrics)
    assert printed(target).splitlines()[:5] == [
        "mAP: 85.9%",
        "CMC curve, Rank-1  :94.5%",
        "CMC curve, Rank-5  :97.1%",
        "CMC curve, Rank-10 :98.0%",
        "CMC curve, Rank-20 :98.9%",
    ]


def test_every_number_is_printed(metrics: dict[str, Any]) -> None:
    target = console()
    print_metrics(target, metrics)
    for shown in (
        "mAP (Market/trapezoid)",
        "84.7%",
        "mINP",
        "60.3%",
        "3,366 of 3,368",
        "15,913",
        "3,819",
    ):
        assert shown in printed(target)


def test_every_metric_has_a_name_and_a_definition(metrics: dict[str, Any]) -> None:
    assert METRICS[0].key == "mAP"
    assert {metric.key for metric in METRICS} <= set(metrics)
    assert all(metric.label and metric.definition.endswith(".") for metric in METRICS)


def test_counts_that_are_not_known_are_left_out() -> None:
    assert counts({}) == []
    assert [count.value for count in counts({"junk": 0})] == ["0"]


def test_a_ranked_list(ranked: RankedList) -> None:
    target = console(160)
    print_ranked(target, ranked)
    lines = printed(target).splitlines()
    assert "average precision 37.5%" in lines[0] and str(ranked.query)[:20] in lines[0]
    rows = [line.split() for line in lines if "0.91" in line or "0.82" in line or "0.73" in line]
    assert [row[:2] for row in rows] == [["1", "0.9100"], ["2", "0.8200"], ["3", "0.7300"]]
    assert ["✓" in row for row in rows] == [True, False, False]
    assert ["✗" in row for row in rows] == [False, True, False]


def test_hostile_names_do_not_act_on_the_terminal(ranked: RankedList) -> None:
    hit = Hit(Path("a\x1b[31m\n\udce9[bold]b[/]"), 0.5, None, "[red]anna[/]", "\a")
    hostile = dataclasses.replace(ranked, query=Path("\x1b]0;title\a[i]"), hits=(hit,))
    target = console(200)
    print_ranked(target, hostile)
    text = printed(target)
    for shown in (r"a\x1b[31m\n\udce9[bold]b[/]", "[red]anna[/]", r"\x07", r"\x1b]0;title\x07[i]"):
        assert shown in text
    assert "\x1b" not in text and "\a" not in text
    text.encode("utf-8")


def test_a_long_file_name_is_folded_and_not_cut(ranked: RankedList) -> None:
    name = "f" * 255
    hits = (Hit(Path(name), 0.5, None, "", ""),)
    target = console(60)
    print_ranked(target, dataclasses.replace(ranked, query=None, hits=hits))
    assert printed(target).count("f") == 255 + len("file") - 3
