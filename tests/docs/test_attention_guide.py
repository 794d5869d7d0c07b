"""The guide to the blocks: complete, drawn by its script, and of the numbers that the code has."""

import importlib
import inspect
import re
from html import escape
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from reid_attn import attention
from reid_attn.models.network import build_network
from reid_attn.settings import resolve

GUIDE = Path(__file__).parents[2] / "docs/attention.md"
FOLDER = GUIDE.with_suffix("")
PAGES = [GUIDE, *sorted(FOLDER.glob("*.md"))]
FLOWS = sorted(path.stem for path in FOLDER.glob("*.flow"))

DESCRIBED = sorted(
    path.stem for path in FOLDER.glob("*.md")
)  # a new block may come before its page

Block = pytest.mark.parametrize("name", DESCRIBED)
Drawing = pytest.mark.parametrize("drawing", FLOWS)
Page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """The script of docs/attention/ that the test names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(request.param)


draw = pytest.mark.parametrize("script", ["draw"], indirect=True)
costs = pytest.mark.parametrize("script", ["costs"], indirect=True)
measured = pytest.mark.parametrize("script", ["measured"], indirect=True)


@Block
def test_page_has_drawing_formula_paper_and_every_option(name: str) -> None:
    page = (FOLDER / f"{name}.md").read_text()
    assert f"`{name}` · " in page
    assert f"]({name}.svg)" in page
    assert re.search(r"^```\n.+?^```$", page, re.M | re.S)
    assert re.search(r"\]\(https://", page)
    options = set(inspect.signature(attention.block_class(name)).parameters)
    documented = set(re.findall(r"`(\w+)`", page))
    assert options - {"channels", "size"} <= documented


def test_nothing_is_described_that_is_not_there() -> None:
    assert set(DESCRIBED) <= set(attention.names())
    assert set(FLOWS) == {*DESCRIBED, "network", "bottleneck"}
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(FLOWS)


@draw
@Drawing
def test_drawing_is_what_the_script_makes(script: ModuleType, drawing: str) -> None:
    flow = script.parse((FOLDER / f"{drawing}.flow").read_text(encoding="utf-8"))
    committed = (FOLDER / f"{drawing}.svg").read_text(encoding="utf-8")
    assert committed == script.svg(flow)
    assert f"<title>{escape(flow.title)}</title>" in committed


@draw
@Drawing
def test_drawing_is_legible(script: ModuleType, drawing: str) -> None:
    flow = script.parse((FOLDER / f"{drawing}.flow").read_text(encoding="utf-8"))
    boxes = [flow.rectangle(box) for box in flow.boxes.values()]
    labels = [flow.label(arrow)[1] for arrow in flow.arrows if arrow.label]
    assert not [pair for pair in combinations([*boxes, *labels], 2) if overlap(*pair)]
    width, height = flow.size
    assert all(min(box[:2]) > 0 and box[2] < width and box[3] < height for box in boxes)
    for arrow in flow.arrows:
        lines = [line(*ends) for ends in pairwise(flow.path(arrow))]
        assert not [(a, b) for a in lines for b in boxes if overlap(a, b)]
        upright = [a for a in lines if a[2] - a[0] < a[3] - a[1]]
        assert not [(a, b) for a in upright for b in labels if overlap(a, b)]


@draw
def test_line_that_is_neither_box_nor_arrow_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="neither a box nor an arrow: 'x -> '"):
        script.parse("a title\nx -> ")


def overlap(a: tuple[float, ...], b: tuple[float, ...], tolerance: float = 1.5) -> bool:
    """Whether two rectangles share more than a rim."""
    return all(a[i] < b[i + 2] - tolerance and b[i] < a[i + 2] - tolerance for i in (0, 1))


def line(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, ...]:
    """The rectangle of a line as it is drawn."""
    (x0, y0), (x1, y1) = start, end
    return min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1


@Page
def test_links_resolve(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
    files = [target for target in targets if "://" not in target]
    assert not [target for target in files if not (page.parent / target).exists()]
    assert not [target for target in targets if "://" in target and target.startswith("http:")]


@Page
def test_settings_build_their_network(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S):
        with torch.device("meta"):
            build_network(resolve(yaml.safe_load(block), str(page)), 10)


@Block
def test_table_has_the_parameters(name: str) -> None:
    (cells,) = re.findall(
        rf"^\| \[[^]]+\]\(attention/{name}\.md\) \|(.+)\|$", GUIDE.read_text(), re.M
    )
    options = {"identities": 751} if attention.block_class(name).kind == "classifier" else {}
    counts = [
        attention.parameter_count(name, channels, size, **options)
        for channels, size in ((256, (64, 32)), (2048, (16, 8)))
    ]
    shown = [cell.split(" / ")[0].strip() for cell in cells.split("|")[2:4]]
    assert [rounded(count) for count in counts] == shown


def rounded(count: int) -> str:
    """A number of parameters as the table shows it."""
    if count >= 1_000_000:
        return f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.1f}k" if count >= 1000 else str(count)


@costs
@Block
@pytest.mark.full
def test_table_is_what_the_script_makes(script: ModuleType, name: str) -> None:
    assert script.row(name, script.network()) in GUIDE.read_text()


@measured
@Block
def test_page_ends_in_what_was_measured(script: ModuleType, name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text().endswith(f"\n\n{script.paragraph(name)}")


@measured
def test_a_measured_effect_has_its_interval(script: ModuleType) -> None:
    assert re.search(r"[+-]\d+\.\d \([+-]\d+\.\d to [+-]\d+\.\d\) in", script.paragraph("mca"))
    assert script.paragraph("no_such_block") == f"{script.BEGIN} Not yet.\n"
