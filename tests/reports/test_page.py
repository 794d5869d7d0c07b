"""Pages: complete, self-contained, the same bytes again, and deaf to hostile names."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pages import Page, assert_harmless, written

from reid_attn.errors import DiskError
from reid_attn.reports.page import (
    Cell,
    Changed,
    Comparison,
    Report,
    write_comparison,
    write_ranked_page,
    write_report,
)
from reid_attn.reports.ranked_lists import Failure, Hit, RankedList

HEADINGS = (
    "Matching",
    "Comparisons",
    "Training",
    "Hardest queries",
    "Easiest queries",
    "Definitions",
    "How it was measured",
    "Settings",
)
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "</pre></details><iframe src='http://example.org'>",
    "<!-- -->&lt;b&gt;",
)


def test_the_page_is_self_contained(tmp_path: Path, report: Report) -> None:
    page = written(tmp_path / "report.html", report)
    assert_harmless(page)
    source = (tmp_path / "report.html").read_text()
    for attribute in ("xmlns", "xmlns:xlink"):  # names of vocabularies, not addresses to load
        source = re.sub(rf'{attribute}="http://www\.w3\.org/[^"]*"', "", source)
    assert "http" not in source.replace("http-equiv", "")
    assert "@import" not in source


def test_every_metric_appears_with_its_definition(tmp_path: Path, report: Report) -> None:
    text = written(tmp_path / "report.html", report).text
    for shown in ("85.9%", "84.7%", "60.3%", "94.5%", "97.1%", "98.0%", "98.9%"):
        assert shown in text
    for shown in ("3,366 of 3,368", "15,913", "3,819", "trapezoid", "Junk pairs"):
        assert shown in text
    assert text.index("85.9%") < text.index("94.5%") < text.index("84.7%")


def test_a_full_report_has_every_section(tmp_path: Path, report: Report) -> None:
    page = written(tmp_path / "report.html", report)
    for heading in HEADINGS:
        assert heading in page.text
    for shown in ("colour histogram", "16.4%", "before the neck", "81.2%", "9f2c", "seed: 0"):
        assert shown in page.text
    assert len(page.named("svg")) == 4  # CMC, losses, scores, learning rate


def test_intervals_stand_below_their_number(tmp_path: Path, metrics: dict[str, Any]) -> None:
    without = written(tmp_path / "report.html", Report("features.npz", metrics))
    metrics["intervals"] = {"mAP": [0.8412, 0.8769]}
    page = written(tmp_path / "report.html", Report("features.npz", metrics))
    assert "84.1% to 87.7%" in page.text and page.text.count("95% interval") == 1
    assert "95% interval" not in without.text


def test_comparisons_have_no_empty_columns(tmp_path: Path, report: Report) -> None:
    page = written(tmp_path / "report.html", report)
    assert len([cell for cell in page.named("th") if cell.get("class") == "count"]) == 1  # mAP


def test_sections_without_content_are_absent(tmp_path: Path, metrics: dict[str, Any]) -> None:
    del metrics["cmc"]
    page = written(tmp_path / "report.html", Report("features.npz", metrics))
    assert page.named("svg") == page.named("img") == []
    assert [section["id"] for section in page.named("section")] == ["definitions"]
    for heading in HEADINGS:
        assert heading not in page.text or heading == "Definitions"
    assert "85.9%" in page.text


def test_a_report_needs_no_pictures(tmp_path: Path, metrics: dict[str, Any]) -> None:
    page = written(tmp_path / "report.html", Report("features.npz", metrics))
    assert [section["id"] for section in page.named("section")] == ["matching", "definitions"]
    assert len(page.named("svg")) == 1


def test_right_and_wrong_differ_without_colour(tmp_path: Path, ranked: RankedList) -> None:
    write_ranked_page(tmp_path / "ranked.html", "query", [ranked], {})
    page = Page(tmp_path / "ranked.html")
    marks = page.text.count("✓"), page.text.count("✗"), page.with_class("mark")
    assert marks == (1 + 1, 1 + 1, 2)  # the style sheet draws the legend's marks
    alternatives = [image["alt"] for image in page.named("img")]
    assert alternatives == ["query", "rank 1 right", "rank 2 wrong", "rank 3 "]
    for shown in ("0.910", "0.820", "0.730", "AP 37.5%", "anna", "cam c2", "1 query"):
        assert shown in page.text


def test_of_many_queries_the_first_are_shown(tmp_path: Path) -> None:
    lists = [RankedList(None, f"person {number}", "", (), None) for number in range(60)]
    write_ranked_page(tmp_path / "ranked.html", "query", lists, {})
    page = Page(tmp_path / "ranked.html")
    assert "The first 50 of 60 queries" in page.text
    assert "person 49" in page.text and "person 50" not in page.text


def test_the_legend_is_left_out_where_nothing_was_judged(tmp_path: Path, picture: Path) -> None:
    lists = [RankedList(picture, "", "", (Hit(picture, 0.5, None, "", ""),), None)]
    write_ranked_page(tmp_path / "ranked.html", "query", lists, {"gallery": "people"})
    page = Page(tmp_path / "ranked.html")
    assert page.with_class("legend") == 0
    assert "AP" not in page.text and "cam " not in page.text
    assert "How it was searched" in page.text and "people" in page.text


def test_a_picture_that_cannot_be_read_leaves_a_tile(tmp_path: Path, picture: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(picture.read_bytes()[:40])
    hits = tuple(Hit(path, 0.5, True, "", "") for path in (tmp_path / "gone.jpg", broken, None))
    lists = [RankedList(None, "", "", hits, None)]
    write_ranked_page(tmp_path / "ranked.html", "query", lists, {})
    page = Page(tmp_path / "ranked.html")
    assert page.named("img") == []
    assert page.text.count("cannot be read") == 2
    assert page.text.count("no picture") == 2  # the query and the last hit
    assert page.with_class("right") == 3 + 1  # the tiles keep their frames; one in the legend


def _named(name: str) -> tuple[Report, tuple[RankedList, ...]]:
    """A report and ranked lists that hold `name` in every place for a text."""
    hits = (Hit(Path(name), 0.5, False, name, name), Hit(Path(name), 0.4, True, name, name))
    lists = (RankedList(Path(name), name, name, hits, 0.5),)
    pairs = {"query_cameras": [name], "gallery_cameras": [name], "queries": [[3]]}
    pairs |= {"mAP": [[0.5]], "rank1": [[0.5]]}
    metrics = {"mAP": 0.5, "rank1": 0.5, "comparisons": {name: {"mAP": 0.5}}, "camera_pairs": pairs}
    protocol = {"dataset": name, name: name, "ties": name}
    embedding = {"x": [0.0], "y": [0.0], "person": [name], "camera": [name], "query": [True]}
    report = Report(
        name, metrics, (), lists, lists, {name: 0.5}, name, protocol,
        random=lists,
        failures=(Failure(lists[0], 0.1),),
        persons=[{"person": name, "queries": 1, "mAP": 0.5, "rank1": 0.5}],
        embedding={**embedding, "method": name},
    )  # fmt: skip
    return report, lists


def _compared(name: str) -> Comparison:
    changed = Changed(Path(name), name, name, name, 0.2, 0.4)
    row = [Cell(name, name), Cell(name, name, bold=True), Cell(name, span=2)]
    curves = {name: [0.5, 0.6], f"{name}2": [0.6, 0.7]}
    return Comparison(name, [name], [name, name], [row], curves, {name: [changed]}, {name: name})


def _pages(folder: Path, name: str) -> list[Page]:
    report, lists = _named(name)
    write_report(folder / "report.html", report)
    write_ranked_page(folder / "ranked.html", name, lists, {name: name})
    write_comparison(folder / "compare.html", _compared(name))
    return [Page(folder / f"{page}.html") for page in ("report", "ranked", "compare")]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_are_text(tmp_path: Path, payload: str) -> None:
    clean, hostile = _pages(tmp_path, "name"), _pages(tmp_path, payload)
    for expected, page in zip(clean, hostile, strict=True):
        assert_harmless(page)
        assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]
        assert payload in page.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines.jpg", r"two\nlines.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\udce9.jpg"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\ud800.jpg", r"\ud800.jpg"),
        ("nul\0.jpg", r"nul\x00.jpg"),
        ("e\u0301.jpg", "e\u0301.jpg"),
    ],
)
def test_odd_names_show_what_they_are(tmp_path: Path, name: str, shown: str) -> None:
    for page in _pages(tmp_path, name):
        assert shown in page.text


def test_the_same_report_gives_the_same_bytes(tmp_path: Path, report: Report) -> None:
    write_report(tmp_path / "a.html", report)
    write_report(tmp_path / "b.html", report)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, report: Report) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"report\.html"):
        write_report(tmp_path / "file" / "report.html", report)
