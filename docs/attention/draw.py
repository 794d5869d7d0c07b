"""Draw the data flow of every block: each NAME.flow of this folder becomes NAME.svg.

.venv/bin/python docs/attention/draw.py
"""

from html import escape
from pathlib import Path

from flow import MARGIN, SMALL, TEXT, Arrow, Box, Flow, parse, width_of

FOLDER = Path(__file__).parent

STYLE = f"""text {{ font: {TEXT}px Helvetica, Arial, sans-serif; fill: #1f2328 }}
text {{ text-anchor: middle }}
.title {{ font-weight: bold; text-anchor: start }}
.shape {{ font-size: {SMALL}px; fill: #4a5158; stroke: #fcfbf7; stroke-width: 3px; \
paint-order: stroke }}
.map {{ fill: #e8e6df; stroke: #4a5158 }}
.op, .join {{ fill: #ffffff; stroke: #4a5158 }}
.weight {{ fill: #d9e6f5; stroke: #2f5f98 }}
.slot {{ fill: #efe2f8; stroke: #7a3fa8; stroke-dasharray: 5 3 }}
.gated {{ stroke: #b8480a; stroke-width: 1.6 }}
path {{ fill: none; stroke: #4a5158; stroke-width: 1.4; marker-end: url(#tip) }}
path.gate {{ stroke: #b8480a; stroke-width: 2; marker-end: url(#gate-tip) }}"""


def svg(flow: Flow) -> str:
    """The drawing."""
    width, height = flow.size
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">\n'
        f"<title>{escape(flow.title)}</title>\n<style>\n{STYLE}\n</style>\n"
        f"<defs>{_tip('tip', '#4a5158')}{_tip('gate-tip', '#b8480a')}</defs>\n"
        f'<rect x="1" y="1" width="{width - 2:.0f}" height="{height - 2:.0f}" rx="8" '
        'fill="#fcfbf7" stroke="#cfcabd"/>\n'
        f'<text class="title" x="{MARGIN}" y="26">{escape(flow.title)}</text>\n'
    )
    gates = {arrow.start for arrow in flow.arrows if arrow.gate}
    arrows = "".join(_arrow(flow, arrow) for arrow in flow.arrows)
    boxes = "".join(_box(flow, box, key in gates) for key, box in flow.boxes.items())
    return f"{head}{arrows}{boxes}{_legend(flow)}</svg>\n"


def _arrow(flow: Flow, arrow: Arrow) -> str:
    corners = " L".join(f"{x:.1f} {y:.1f}" for x, y in flow.path(arrow))
    line = f'<path class="{"gate" if arrow.gate else "feature"}" d="M{corners}"/>\n'
    if not arrow.label:
        return line
    (x, y), _ = flow.label(arrow)
    return line + f'<text class="shape" x="{x:.1f}" y="{y:.1f}">{escape(arrow.label)}</text>\n'


def _box(flow: Flow, box: Box, gate: bool) -> str:
    left, top, right, bottom = flow.rectangle(box)
    x, y = flow.centre(box)
    look = f'class="{box.kind}{" gated" if gate and box.kind != "map" else ""}"'
    radius = 15 if box.kind == "join" else 5
    outline = (
        f'<rect {look} x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{bottom - top:.1f}" rx="{radius}"/>\n'
    )
    first = y + 4.5 - 8 * (len(box.lines) - 1)
    return outline + "".join(
        f'<text x="{x:.1f}" y="{first + 16 * index:.1f}">{escape(line)}</text>\n'
        for index, line in enumerate(box.lines)
    )


def _legend(flow: Flow) -> str:
    y = flow.size[1] - 22
    entries = [("weight", "with weights"), ("op", "without weights")]
    if any(arrow.gate for arrow in flow.arrows):
        entries.append(("gate", "path of the gate"))
    if any(box.kind == "slot" for box in flow.boxes.values()):
        entries.append(("slot", "slot of a block"))
    parts, x = [], MARGIN
    for kind, words in entries:
        if kind == "gate":
            parts.append(f'<path class="gate" d="M{x} {y + 6} L{x + 22} {y + 6}"/>\n')
        else:
            parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="22" height="12" rx="3"/>\n')
        start = f'x="{x + 28}" y="{y + 10}" style="text-anchor: start"'
        parts.append(f'<text class="shape" {start}>{words}</text>\n')
        x += 50 + round(width_of(words))
    return "".join(parts)


def _tip(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><polygon points="0 0, 8 4, 0 8" '
        f'fill="{colour}"/></marker>'
    )


def main() -> None:
    """Draw all of them."""
    for path in sorted(FOLDER.glob("*.flow")):
        drawing = svg(parse(path.read_text(encoding="utf-8")))
        path.with_suffix(".svg").write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
