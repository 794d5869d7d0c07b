"""What a test of a page looks at: its elements and text, and what must not be in it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from reid_attn.reports.page import Report, write_report

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PARTS: dict[str, dict[str, Any]] = {
    "verification": {
        "fpr": [0.0, 0.001, 0.01, 1.0],
        "tpr": [0.2, 0.5, 0.9, 1.0],
        "area": 0.9912,
        "genuine": 1234,
        "impostors": 45678,
        "tpr_at_fpr": {"0.1": 0.9712, "0.01": 0.9013, "0.0001": None},
    },
    "open_set": {
        "threshold": 0.612,
        "wanted_false_match_rate": 0.01,
        "false_match_rate": 0.0087,
        "false_match_interval": {"mean": 0.0087, "low": 0.0012, "high": 0.0234},
        "detection_identification_rate": 0.6432,
        "missed": 0.2999,
        "misidentified": 0.0569,
        "known_queries": 1001,
        "unknown_queries": 50,
        "gallery": 300,
    },
    "camera_pairs": {
        "query_cameras": [1, 2],
        "gallery_cameras": [1, 2],
        "mAP": [[None, 0.7123], [0.3321, None]],
        "rank1": [[None, 0.8], [0.4, None]],
        "queries": [[0, 24], [21, 0]],
    },
    "all_queries": {"rank1": 0.9441, "mAP": 0.8582, "mAP_trapezoid": 0.8463, "mINP": 0.6029},
}
"""What a `metrics.json` may have beside the scores."""


class Page(HTMLParser):
    """The elements, attributes and visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def with_class(self, word: str) -> int:
        return sum(word in (a.get("class") or "").split() for _, a in self.elements)


def written(path: Path, report: Report) -> Page:
    write_report(path, report)
    return Page(path)


def assert_harmless(page: Page) -> None:
    """No script, no request, no handler, only pictures that lie inside the page."""
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "form", "base")
        assert tag != "a" or (attributes["href"] or "").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name) or "data:"
            assert value.startswith(("data:image/jpeg;base64,", "#")) or value == "data:"
        assert "url(http" not in (attributes.get("style") or "")
    assert page.named("meta")[1] == {"http-equiv": "Content-Security-Policy", "content": POLICY}
