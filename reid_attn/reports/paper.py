r"""One table of scores for papers and spreadsheets: Markdown, LaTeX (booktabs) and CSV.

Names of runs come from outside. In each format they stay text: what Markdown, HTML or LaTeX would
act on is escaped, and a spreadsheet takes no name for a formula.
"""

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .. import storage
from .ranked_lists import printable

NOTHING = "–"
SCORES = {
    "mAP": "mAP (plain)",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "mAP_trapezoid": "mAP (trapezoid)",
    "mINP": "mINP",
}
"""The columns of a table of runs, by their keys in `metrics.json`."""
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "−": r"$-$",
    "Δ": r"$\Delta$",
}
_MARKDOWN = re.compile(r"[\\`*_\[\]|~$]")
_FORMULA = ("=", "+", "-", "@")


class Difference(NamedTuple):
    """A paired difference as a fraction, with its 95 % interval and two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float

    @property
    def points(self) -> str:
        """The difference in percentage points."""
        return _signed(self.mean)

    @property
    def interval(self) -> str:
        """The ends of the interval in percentage points."""
        return f"{_signed(self.low)} to {_signed(self.high)}"

    @property
    def probability(self) -> str:
        """`p = 0.012`, or `p < 0.001` for what is smaller than anybody can tell apart."""
        return "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"


Value = str | int | float | Difference | None
"""Text; a count; a fraction, shown in percent; a difference; nothing known."""


@dataclass(frozen=True)
class Table:
    """Rows of values below `head`; the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[Value]]
    note: str = ""
    """One sentence or more below the table."""
    comparable: bool = True
    """Whether the best score of a column may be told; False where rows have other queries."""

    def best(self, row: int, column: int) -> bool:
        """Whether the fraction there is the highest of two or more, as far as it is shown."""
        if not self.comparable or not isinstance(self.rows[row][column], float):
            return False
        known = [shown(r[column]) for r in self.rows if isinstance(r[column], float)]
        return len(known) > 1 and shown(self.rows[row][column]) == max(known, key=float)


def shown(value: Value) -> str:
    """`value` for people: fractions in percent with one decimal and without the sign."""
    if value is None:
        return NOTHING
    if isinstance(value, Difference):
        return f"{value.points} ({value.interval}), {value.probability}"
    if isinstance(value, float):
        return f"{100 * value:.1f}"
    return printable(value)


def of_run(name: str, metrics: Mapping[str, Any]) -> Table:
    """The scores of one run, and of what its `metrics.json` has beside them."""
    others = {**other_measurements(metrics), **(metrics.get("baselines") or {})}
    rows = [[label, *scores(values)] for label, values in {name: metrics, **others}.items()]
    return Table(["run", *SCORES.values()], rows, comparable=False)


def other_measurements(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """The `comparisons` of a `metrics.json`, and all its queries where not all are valid."""
    others = dict(metrics.get("comparisons") or {})
    if metrics.get("all_queries") and metrics.get("valid_queries", 0) < metrics.get("queries", 0):
        others["all queries, invalid ones counted as 0"] = metrics["all_queries"]
    return others


def scores(metrics: Mapping[str, Any]) -> list[float | None]:
    """The values for the columns `SCORES`."""
    return [None if metrics.get(key) is None else float(metrics[key]) for key in SCORES]


def write_tables(folder: Path, table: Table) -> None:
    """Write `table.csv`, `table.md` and `table.tex` into `folder`; `DiskError` when that fails."""
    storage.write_text(folder / "table.csv", as_csv(table))
    storage.write_text(folder / "table.md", as_markdown(table))
    storage.write_text(folder / "table.tex", as_latex(table))


def as_markdown(table: Table) -> str:
    """The table in the Markdown of GitHub, its note below."""
    lines = [_line(map(_markdown, table.head)), "|---|" + "---:|" * (len(table.head) - 1)]
    lines += [_line(row) for row in _cells(table, _markdown, "**{}**")]
    note = f"\n{_markdown(table.note)}\n" if table.note else ""
    return "\n".join(lines) + "\n" + note


def as_latex(table: Table) -> str:
    r"""The table as `tabular` with the rules of booktabs: `\usepackage{booktabs}`."""
    rows = _cells(table, _latex, r"\textbf{{{}}}")
    note = f"% {_latex(table.note)}\n" if table.note else ""
    body = [" & ".join(row) + r" \\" for row in rows]
    columns = "l" + "r" * (len(table.head) - 1)
    lines = [
        r"\begin{tabular}{" + columns + "}",
        r"\toprule",
        " & ".join(map(_latex, table.head)) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "% needs \\usepackage{booktabs}\n" + note + "\n".join(lines) + "\n"


def as_csv(table: Table) -> str:
    """Plain numbers in percent; a difference takes four columns: itself, its interval, p."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    wide = [
        any(isinstance(row[column], Difference) for row in table.rows)
        for column in range(len(table.head))
    ]
    head = [_heads(name, spread) for name, spread in zip(table.head, wide, strict=True)]
    writer.writerow([cell for part in head for cell in part])
    for row in table.rows:
        parts = (_plain(value, spread) for value, spread in zip(row, wide, strict=True))
        writer.writerow([cell for part in parts for cell in part])
    return text.getvalue()


def guarded(text: str) -> str:
    """Behind an apostrophe where a spreadsheet would calculate it."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _heads(title: str, wide: bool) -> list[str]:
    name = guarded(printable(title))
    return [name, f"{name} low", f"{name} high", f"{name} p"] if wide else [name]


def _plain(value: Value, wide: bool) -> list[str]:
    if isinstance(value, Difference):
        ends = (f"{100 * end:.1f}" for end in value[:3])
        return [*ends, f"{value.p:.4f}"]
    text = "" if value is None else shown(value)
    text = guarded(text) if isinstance(value, str) else text
    return [text, *[""] * 3] if wide else [text]


def _cells(table: Table, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    return [
        [
            bold.format(escape(shown(value))) if table.best(i, j) else escape(shown(value))
            for j, value in enumerate(row)
        ]
        for i, row in enumerate(table.rows)
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown(text: str) -> str:
    escaped = _MARKDOWN.sub(r"\\\g<0>", printable(text))
    return html.escape(escaped, quote=False)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
