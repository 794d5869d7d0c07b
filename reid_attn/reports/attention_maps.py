"""What the attention blocks of a network make of a picture, and how it is drawn on that picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..attention import Block
from ..data.images import Pixels
from ..errors import UsageError

BLEND = 0.6
"""Share of the colour; the rest is the picture in grey."""
FLAT = 1e-5
"""A map whose values differ by a smaller share than this has one colour: it is rounding."""

Position = tuple[float, float]
"""(down, right) as shares of the picture's height and width, 0 to 1."""

_SLOT = re.compile(
    r"backbone\.(?:layer(?P<stage>\d)\.(?P<bottleneck>\d+)\.(?P<slot>\w+?)(?P<beside>_attention)?"
    r"|stage_attention\.(?P<after>\d)|(?P<head>head)_attention)\.\d+"
)


@dataclass(frozen=True)
class AttentionMap:
    """The gate of a block, or the affinity of one position, for one picture."""

    block: str
    """Its name in `attention.names()`."""
    place: str
    """Stage and slot, for example `stage 3, residual`."""
    bottleneck: int
    """Of its stage, from 1; 0 for a block that stands in none."""
    kind: Literal["gate", "affinity"]
    values: NDArray[np.float32]
    """(H, W); or (C,), the gate of each channel, where it is the same at every position."""
    cell: tuple[int, int] | None = None
    """Row and column of the position whose affinity it is."""

    @property
    def caption(self) -> str:
        """Block and place for people."""
        inside = f", bottleneck {self.bottleneck}" if self.bottleneck else ""
        return f"{self.block}, {self.place}{inside}"


def attention_maps(
    network: nn.Module, image: Tensor, at: Position | None = None
) -> list[AttentionMap]:
    """The maps of `image` (3, H, W), normalised, in the order in which it passes the blocks.

    Of each block its `gate`, if it has one, and with `at` its `affinity`, if it has one. A map is
    taken as its block is reached, so that nothing later can have changed the block's input.
    """
    found: list[AttentionMap] = []

    def look(name: str, block: nn.Module, arguments: tuple[Any, ...]) -> None:
        found.extend(_look(name, block, arguments[0], at))

    handles = [
        block.register_forward_pre_hook(partial(look, name)) for name, block in _blocks(network)
    ]
    training = network.training
    try:
        with torch.inference_mode():
            network.eval()(image[None])
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return found


def overlay(
    picture: Pixels, values: NDArray[np.float32], cell: tuple[int, int] | None = None
) -> Pixels:
    """`values` (h, w) in colour over the grey `picture` (H, W, 3), with a frame around `cell`.

    Each cell of the map is drawn as the rectangle that it stands for, nothing interpolated. Dark
    is the smallest of the values, yellow the largest.
    """
    low, high = float(values.min()), float(values.max())
    flat = high - low <= FLAT * max(abs(low), abs(high))
    share = np.zeros_like(values) if flat else (values - low) / (high - low)
    colours = 255 * matplotlib.colormaps["viridis"](share)[..., :3]  # (h, w, 3)
    rows = np.arange(picture.shape[0]) * values.shape[0] // picture.shape[0]
    columns = np.arange(picture.shape[1]) * values.shape[1] // picture.shape[1]
    grey = picture.mean(axis=2, keepdims=True)
    blended = BLEND * colours[rows][:, columns] + (1 - BLEND) * grey
    if cell is not None:
        blended[_frame(rows == cell[0], columns == cell[1])] = 255
    drawn: Pixels = blended.round().astype(np.uint8)
    return drawn


def _blocks(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The attention blocks by their names, those inside another block left out."""
    inside: set[nn.Module] = set()
    for name, module in network.named_modules():
        if isinstance(module, Block) and module not in inside:
            inside.update(module.modules())
            yield name, module


def _look(name: str, block: nn.Module, x: Tensor, at: Position | None) -> Iterator[AttentionMap]:
    named = (type(block).__module__.rpartition(".")[2], *_place(name))
    if _offers(block, "gate"):
        values = _over_positions(block.gate(x), x)  # type: ignore[operator]
        yield AttentionMap(*named, "gate", values)
    if at is not None and _offers(block, "affinity"):
        cell = int(at[0] * x.shape[2]), int(at[1] * x.shape[3])
        try:
            row = block.affinity(x, *cell)[0]  # type: ignore[operator]
        except UsageError:  # these options of the block relate no positions
            return
        yield AttentionMap(*named, "affinity", row.float().cpu().numpy(), cell)


def _offers(block: nn.Module, name: str) -> bool:
    """Whether its class has the method; a submodule may well have the same name."""
    return callable(getattr(type(block), name, None))


def _over_positions(gate: Tensor, x: Tensor) -> NDArray[np.float32]:
    """The gate of the first picture: (H, W), or (C,) when it is the same at every position."""
    gate = gate[0].float()
    if gate.shape[1:] == (1, 1) and x.shape[2:] != (1, 1):
        return gate.flatten().cpu().numpy()
    return gate.mean(dim=0).expand(x.shape[2:]).cpu().numpy()


def _place(name: str) -> tuple[str, int]:
    """Of a module's name in a `Network`: stage and slot, and the bottleneck from 1, or 0."""
    found = _SLOT.fullmatch(name)
    if found is None:
        return name, 0
    if found["head"]:
        return "head", 0
    if found["after"]:
        return f"stage {int(found['after']) + 1}", 0
    slot = found["slot"] if found["beside"] else "replace"
    return f"stage {found['stage']}, {slot}", int(found["bottleneck"]) + 1


def _frame(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The border of the rectangle, (H, W), two pixels wide, drawn around it."""
    wider = [np.convolve(line, np.ones(5), mode="same") > 0 for line in (rows, columns)]
    return np.outer(*wider) & ~np.outer(rows, columns)
