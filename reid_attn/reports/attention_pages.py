"""Attention maps on paper: the page and files of one picture, and the section of a run's report."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from torch import nn

from .. import storage
from ..data.augment import normalise
from ..data.images import Pixels, decode, resize
from ..errors import DataError, UsageError
from ..models import fingerprint, load_trained
from ..settings import DataSettings
from . import figures
from .attention_maps import AttentionMap, attention_maps, overlay
from .page import Attended, Panel, write_attention_page
from .ranked_lists import RankedList

PAGE = "attention.html"
HEIGHT, SMALL_HEIGHT = 384, 128
"""Pixels of an overlay, alone and in the report of a run."""
LOOKED_AT_HITS = 2
"""Answers of a query that are drawn beside it."""
DIGITS = 6
"""Significant ones, of a value that is stored."""


def attend(
    run: Path, checkpoint: str, picture: Path, output: Path, pixel: tuple[int, int] | None = None
) -> Path:
    """Draw the maps of a picture by a run's network, on the CPU; returns the page's path.

    `pixel` (y, x) of the picture is the position whose affinities are drawn; the middle if None.

    Raises:
        UsageError: the position is not in the picture, or the network has nothing to draw.
    """
    trained = load_trained(run, checkpoint)
    data = trained.settings.data
    pixels = decode(picture)
    y, x = pixel or (pixels.shape[0] // 2, pixels.shape[1] // 2)
    if y >= pixels.shape[0] or x >= pixels.shape[1]:
        raise UsageError(
            f"--at {y},{x} is not in {picture}, which has {pixels.shape[0]} rows and "
            f"{pixels.shape[1]} columns of pixels"
        )
    at = (y + 0.5) / pixels.shape[0], (x + 0.5) / pixels.shape[1]
    placed = resize(pixels, (data.height, data.width), data.interpolation)
    image = normalise(placed, data.normalisation)
    maps = attention_maps(trained.network, image, at)
    if not maps:
        raise UsageError(
            f"the network of {run} has no block with a gate or an affinity to draw: name a run "
            "whose model.attention has one"
        )
    canvas = resize(pixels, _canvas(data, HEIGHT))
    panels = tuple(_panel(one, canvas) for one in maps)
    _write_files(output, maps, panels)
    notes = {
        "run": str(run),
        "picture": str(picture),
        "position": f"pixel {y},{x} (rows, then columns, from the top left)",
        "image size": f"{data.height}×{data.width}",
        "fingerprint": fingerprint(trained.network, trained.settings),
    }
    attended = Attended(picture.name, canvas, panels, f"{pixels.shape[0]}×{pixels.shape[1]}")
    write_attention_page(output / PAGE, f"{picture.name} in {run.resolve().name}", attended, notes)
    return output / PAGE


def look_at_queries(
    network: nn.Module, data: DataSettings, lists: Sequence[RankedList]
) -> list[dict[str, Any]]:
    """The gates over positions for each query and its first answers, as plain values for `drawn`.

    Of blocks in several bottlenecks of a stage, the last; where there is no picture, nothing.
    """
    device, canvas = next(network.parameters()).device, _canvas(data, SMALL_HEIGHT)
    looks: list[dict[str, Any]] = []
    for picture, note in (seen for ranked in lists for seen in _seen(ranked)):
        pixels = decode(picture, (data.height, data.width), data.interpolation)
        image = normalise(pixels, data.normalisation).to(device)
        maps = [one for one in attention_maps(network, image) if one.values.ndim == 2]
        last = {(one.block, one.place): one for one in maps}
        if last:
            plain = [_plain(one) for one in last.values()]
            looks.append({"query": str(picture), "note": note, "canvas": canvas, "maps": plain})
    return looks


def drawn(look: Mapping[str, Any]) -> Attended:
    """One of the looks of `look_at_queries` with its overlays, small."""
    path, canvas = Path(look["query"]), tuple(look["canvas"])
    try:
        picture = decode(path, canvas)
    except DataError:  # it was there when the network looked at it
        picture = None
    below = np.full((*canvas, 3), 127, np.uint8) if picture is None else picture
    maps = (
        AttentionMap(**{**one, "values": np.array(one["values"], np.float32)})
        for one in look["maps"]
    )
    return Attended(path.name, picture, tuple(_panel(one, below) for one in maps), look["note"])


def _canvas(data: DataSettings, height: int) -> tuple[int, int]:
    """(H, W) in the proportions of the network's input."""
    return height, max(round(height * data.width / data.height), 1)


def _panel(one: AttentionMap, canvas: Pixels) -> Panel:
    ends = _ends(float(one.values.min()), float(one.values.max()))
    if one.values.ndim == 1:
        curve = figures.sorted_curve(one.values.tolist())
        return Panel(one.caption, "gate of each channel", ends, curve=curve)
    what = one.kind if one.cell is None else f"affinity of cell {one.cell[0]},{one.cell[1]}"
    return Panel(one.caption, what, ends, overlay(canvas, one.values, one.cell))


def _ends(low: float, high: float) -> tuple[str, str]:
    """Both with as many digits, from 3, as it takes to tell them apart."""
    for digits in range(3, DIGITS + 1):
        texts = f"{low:.{digits}g}", f"{high:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def _write_files(output: Path, maps: Sequence[AttentionMap], panels: Sequence[Panel]) -> None:
    """Each overlay as a PNG, each curve as an SVG; `DiskError` when that fails."""
    storage.make_folder(output)
    for number, (one, panel) in enumerate(zip(maps, panels, strict=True), start=1):
        name = f"{number:02}-{re.sub('[^a-z0-9_]+', '-', one.caption)}-{one.kind}"
        if panel.overlay is None:
            storage.write_text(output / f"{name}.svg", panel.curve)
        else:
            storage.write_bytes(output / f"{name}.png", _png(panel.overlay))


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", metadata={"Software": ""})
    return buffer.getvalue()


def _plain(one: AttentionMap) -> dict[str, Any]:
    rounded = [[float(f"{value:.{DIGITS}g}") for value in row] for row in one.values.tolist()]
    return {**vars(one), "values": rounded}


def _seen(ranked: RankedList) -> Iterator[tuple[Path, str]]:
    """The query and its first counted answers, as far as they have pictures, each with a note."""
    precision = ranked.average_precision
    if ranked.query is not None:
        yield ranked.query, "query" if precision is None else f"query, AP {precision:.1%}"
    counted = [hit for hit in ranked.hits if hit.verdict != "junk"]
    for place, hit in enumerate(counted[:LOOKED_AT_HITS], start=1):
        if hit.picture is not None:
            yield hit.picture, f"answer {place}: {hit.verdict}"
