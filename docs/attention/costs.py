"""Write the table of all blocks into docs/attention.md, from the code and the pages beside this.

    .venv/bin/python docs/attention/costs.py

The name and what a block does are the heading and the first sentence of its page.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from reid_attn import attention
from reid_attn.models.cost import IDENTITIES, Cost, measure
from reid_attn.models.network import build_network
from reid_attn.settings import resolve

FOLDER = Path(__file__).parent
GUIDE = FOLDER.parent / "attention.md"
MAPS = ((256, 64, 32), (2048, 16, 8))
PICTURE = (3, 256, 128)
BEGIN, END = "<!-- from docs/attention/costs.py -->\n", "<!-- end -->\n"
HEAD = (
    "| block | what it does | the paper's place | 256×64×32 | 2048×16×8 | network |\n"
    "|---|---|---|---|---|---|\n"
)


def row(name: str, plain: Cost) -> str:
    """One line; `plain` is the network without attention."""
    heading, what = (FOLDER / f"{name}.md").read_text(encoding="utf-8").split("\n\n")[:2]
    title = heading.removeprefix("# ").split(":")[0]
    alone = [_cells(measure(_block(name, shape), shape)) for shape in MAPS]
    beyond = _cells(network(name).beyond(plain), "+")
    cells = (f"[{title}](attention/{name}.md)", what.rstrip("."), _places(name), *alone, beyond)
    return f"| {' | '.join(cells)} |\n"


def network(name: str = "") -> Cost:
    """Of the whole network with the block where its paper puts it."""
    model = {"attention": [{"name": name}]} if name else {}
    with torch.device("meta"):
        built = build_network(resolve({"model": model}, "the table"), IDENTITIES)
    return measure(built, PICTURE)


class _OnMap(nn.Module):
    """A classifier that is handed the map alone."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.block(x, x.mean(dim=(2, 3)))
        return scores


def _block(name: str, shape: tuple[int, int, int]) -> nn.Module:
    channels, height, width = shape
    classifies = attention.block_class(name).kind == "classifier"
    options = {"identities": IDENTITIES} if classifies else {}
    with torch.device("meta"):
        block = attention.build(name, channels, (height, width), **options)
    return _OnMap(block) if classifies else block


def _cells(cost: Cost, sign: str = "") -> str:
    parameters = f"{cost.parameters / 1000:{sign}.1f}k"
    if abs(cost.parameters) >= 1e6:
        parameters = f"{cost.parameters / 1e6:{sign}.2f}M"
    if abs(cost.parameters) < 1000:
        parameters = f"{cost.parameters:{sign}d}"
    return f"{parameters} / {cost.gflop:{sign}.3f} / {cost.kept_mib:{sign}.2f}"


def _places(name: str) -> str:
    places = list(_grouped(attention.block_class(name).published))
    return "; ".join(places)


def _grouped(published: tuple[attention.Place, ...]) -> Iterator[str]:
    keys = dict.fromkeys((place.slot, place.blocks) for place in published)
    for slot, blocks in keys:
        inside = [p.stages for p in published if (p.slot, p.blocks) == (slot, blocks)]
        stages = [str(stage) for group in inside for stage in group]
        where = "" if slot in ("head", "classifier") else f" {', '.join(stages)}"
        yield f"`{slot}`{where}" + (" (last)" if blocks == "last" else "")


def main() -> None:
    """Measure and write."""
    plain = network()
    table = HEAD + "".join(row(name, plain) for name in attention.names())
    before, rest = GUIDE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    GUIDE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
