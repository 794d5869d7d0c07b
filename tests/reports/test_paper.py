"""Tables for papers: the right numbers, the best in bold, and names that stay text."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from reid_attn.reports.paper import (
    Difference,
    Table,
    as_csv,
    as_latex,
    as_markdown,
    of_run,
    shown,
    write_tables,
)

DIFFERENCE = Difference(0.0123, -0.001, 0.034, 0.0004)
TABLE = Table(
    ["run", "mAP", "queries", "to first"],
    [["a", 0.8123, 10, None], ["b", 0.8594, 10, DIFFERENCE], ["c", None, 10, None]],
    "100% honest.",
)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_markdown() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "| run | mAP | queries | to first |",
        "|---|---:|---:|---:|",
        "| a | 81.2 | 10 | – |",
        "| b | **85.9** | 10 | +1.2 (−0.1 to +3.4), p &lt; 0.001 |",
        "| c | – | 10 | – |",
        "",
        "100% honest.",
    ]


def test_latex() -> None:
    lines = as_latex(TABLE).splitlines()
    assert lines[1:4] == [r"% 100\% honest.", r"\begin{tabular}{lrrr}", r"\toprule"]
    assert r"a & 81.2 & 10 & -- \\" in lines
    assert r"b & \textbf{85.9} & 10 & +1.2 ($-$0.1 to +3.4), p \textless{} 0.001 \\" in lines
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_csv_has_plain_numbers() -> None:
    head, *body = rows(as_csv(TABLE))
    assert head == [
        "run", "mAP", "queries", "to first", "to first low", "to first high", "to first p",
    ]  # fmt: skip
    assert body[0] == ["a", "81.2", "10", "", "", "", ""]
    assert body[1] == ["b", "85.9", "10", "1.2", "-0.1", "3.4", "0.0004"]


@pytest.mark.parametrize(
    ("values", "comparable", "bold"),
    [
        ([0.5, 0.6], True, [False, True]),
        ([0.5001, 0.5002], True, [True, True]),  # alike as far as is shown
        ([0.095, 0.5], True, [False, True]),  # as numbers, not as text
        ([0.5], True, [False]),
        ([0.5, None], True, [False, False]),
        ([0.5, 0.6], False, [False, False]),
        ([5, 6], True, [False, False]),  # counts have no best
    ],
)
def test_the_best_of_two_or_more_is_bold(
    values: list[Any], comparable: bool, bold: list[bool]
) -> None:
    table = Table(["run", "mAP"], [["x", value] for value in values], "", comparable)
    assert [table.best(row, 1) for row in range(len(values))] == bold


@pytest.mark.parametrize(
    ("name", "markdown", "latex", "plain"),
    [
        ("a|b", r"a\|b", r"a\textbar{}b", "a|b"),
        ("two\nlines", r"two\\nlines", r"two\textbackslash{}nlines", r"two\nlines"),
        ("<script>", "&lt;script&gt;", r"\textless{}script\textgreater{}", "<script>"),
        ('"onerror=', '"onerror=', r"\textquotedbl{}onerror=", '"onerror='),
        ("${_}&%#", r"\${\_}&amp;%#", r"\$\{\_\}\&\%\#", "${_}&%#"),
        ("~^\\", r"\~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}", "~^\\"),
        ("a\u202eb", r"a\\u202eb", r"a\textbackslash{}u202eb", r"a\u202eb"),
        ("*[x](y)`", r"\*\[x\](y)\`", "*[x](y)`", "*[x](y)`"),
        ("=1+1", "=1+1", "=1+1", "'=1+1"),
        ("+1", "+1", "+1", "'+1"),
        ("-1", "-1", "-1", "'-1"),
        ("@SUM(A1)", "@SUM(A1)", "@SUM(A1)", "'@SUM(A1)"),
        (" =1", " =1", " =1", "' =1"),
    ],
)
def test_hostile_names_stay_text(name: str, markdown: str, latex: str, plain: str) -> None:
    table = Table(["run", name], [[name, 0.5]], name)
    first, _, row, _, note = as_markdown(table).splitlines()
    assert (first, row, note) == (f"| run | {markdown} |", f"| {markdown} | 50.0 |", markdown)
    assert f"\n{latex} & 50.0 \\\\\n" in as_latex(table)
    assert f"\n% {latex}\n" in as_latex(table)
    assert rows(as_csv(table)) == [["run", plain], [plain, "50.0"]]


def test_a_run_with_what_was_measured_beside_it(metrics: dict[str, Any]) -> None:
    metrics["comparisons"] = {"before the neck": {"mAP": 0.8}}
    metrics["baselines"] = {"colour histogram": {"rank1": 0.1}}
    metrics["all_queries"] = {"mAP": 0.85}
    table = of_run("rga", metrics)
    assert [row[:3] for row in table.rows] == [
        ["rga", 0.8591, 0.9452],
        ["before the neck", 0.8, None],
        ["all queries, invalid ones counted as 0", 0.85, None],
        ["colour histogram", None, 0.1],
    ]
    assert "**" not in as_markdown(table)


def test_three_files(tmp_path: Path) -> None:
    write_tables(tmp_path / "new", TABLE)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "table.csv", "table.md", "table.tex",
    ]  # fmt: skip


@pytest.mark.parametrize(("p", "text"), [(0.0009, "p < 0.001"), (0.0123, "p = 0.012")])
def test_p(p: float, text: str) -> None:
    assert shown(Difference(0.0, 0.0, 0.0, p)).endswith(text)
