"""The parts that a run's page may have: what they say, and that a page needs none of them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pages import PARTS, Page, assert_harmless, written

from reid_attn.reports.page import Report

SECTIONS = [
    "matching", "comparisons", "unknown", "cameras", "training", "failures", "hardest", "easiest",
    "random", "persons", "map", "definitions", "provenance", "settings",
]  # fmt: skip


@pytest.fixture
def page(tmp_path: Path, full: Report) -> Page:
    """The page with everything."""
    return written(tmp_path / "report.html", full)


def test_the_navigation_names_every_section(page: Page) -> None:
    assert_harmless(page)
    assert [section["id"] for section in page.named("section")] == SECTIONS
    skip, *links = [link["href"] for link in page.named("a")]
    assert links == [f"#{name}" for name in SECTIONS]
    assert skip == "#matching"
    assert page.elements.index(("a", {"class": "skip", "href": skip})) < next(
        place for place, (tag, _) in enumerate(page.elements) if tag == "main"
    )


def test_what_scrolls_can_be_reached_by_the_keyboard(page: Page) -> None:
    scrolling = [a for _, a in page.elements if "scroll" in (a.get("class") or "").split()]
    assert scrolling
    assert {a.get("tabindex") for a in scrolling} == {"0"}


def test_verification(page: Page) -> None:
    for shown in ("97.1%", "90.1%", "too few pairs", "0.01%", "0.9912", "1,234", "45,678"):
        assert shown in page.text


def test_open_set_in_plain_words(page: Page) -> None:
    for shown in ("64.3%", "30.0%", "5.7%", "0.9%", "0.1% to 2.3%", "1,001 queries", "0.612"):
        assert shown in page.text


def test_camera_pairs_are_numbers_with_a_colour(page: Page) -> None:
    cells = [cell for cell in page.named("td") if "style" in cell]
    assert [cell["style"] for cell in cells] == ["--heat: 1.000", "--heat: 0.000"]
    assert [cell["title"] for cell in cells] == ["Rank-1 80.0%", "Rank-1 40.0%"]
    assert "71.2" in page.text and "33.2" in page.text
    assert page.with_class("empty") == 2


def test_all_queries_are_a_row_only_where_some_are_invalid(tmp_path: Path, full: Report) -> None:
    assert "invalid ones counted as 0" in written(tmp_path / "report.html", full).text
    metrics = {**full.metrics, "queries": full.metrics["valid_queries"]}
    page = written(tmp_path / "report.html", dataclasses.replace(full, metrics=metrics))
    assert "invalid ones counted as 0" not in page.text


def test_failures_tell_their_cost_in_the_order_given(page: Page) -> None:
    assert page.text.index("costs 0.42") < page.text.index("costs 0.12")


def test_kinds_differ_without_colour(page: Page) -> None:
    for kind, mark in (("junk", "J"), ("distractor", "D")):
        assert ("li", {"class": f"tile {kind}"}) in page.elements
        assert f"{mark}\n0.500" in page.text.replace(" ", "")


def test_the_twenty_hardest_persons(page: Page) -> None:
    assert "no. 19" in page.text and "no. 20" not in page.text
    assert "the first 20 of 30" in page.text


def test_persons_are_not_named_in_the_map(page: Page, tmp_path: Path) -> None:
    source = (tmp_path / "report.html").read_text()
    assert "ben" not in source
    for shown in ("gallery picture", "query", "t-SNE", "4 pictures"):
        assert shown in page.text


def test_definitions_say_how_ties_were_broken(tmp_path: Path, full: Report) -> None:
    plain = written(tmp_path / "report.html", full)
    assert "equal scores by gallery order" in plain.text
    provenance = {**full.provenance, "ties": "by file name"}
    told = written(tmp_path / "report.html", dataclasses.replace(full, provenance=provenance))
    assert "by file name" in told.text and "by gallery order" not in told.text


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_is_enough(tmp_path: Path, metrics: dict[str, Any], part: str) -> None:
    page = written(tmp_path / "report.html", Report("run", {**metrics, part: PARTS[part]}))
    links = {link["href"] for link in page.named("a")}
    assert links == {f"#{section['id']}" for section in page.named("section")}
