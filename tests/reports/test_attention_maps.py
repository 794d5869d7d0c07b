"""Attention maps: what is taken from which block, and how it is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reid_attn.attention import Block, Place
from reid_attn.errors import UsageError
from reid_attn.models import build_network
from reid_attn.reports.attention_maps import attention_maps, overlay
from reid_attn.reports.attention_pages import drawn, look_at_queries
from reid_attn.reports.ranked_lists import RankedList
from reid_attn.settings import DataSettings, resolve

SIZE = (64, 32)


class Gated(Block):
    """Half the map's sigmoid; the affinity tells where it was asked for."""

    published = (Place("stage"),)

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(self.gate(x))  # in place, which what is drawn must not see

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) / 2

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        out = torch.zeros(len(x), *x.shape[2:])
        out[:, row, column] = 1
        return out


class OfChannels(Block):
    """The same gate at every position, and relations that these options do not have."""

    published = (Place("stage"),)

    def __init__(self) -> None:
        super().__init__()
        self.inside = Gated()

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x * self.gate(x))

    def gate(self, x: Tensor) -> Tensor:
        return torch.arange(x.shape[1]).view(1, -1, 1, 1) / x.shape[1]

    def affinity(self, x: Tensor, row: int, column: int) -> Tensor:
        raise UsageError("no relations")


class Ungated(Block):
    """Has a submodule of that name, and nothing to draw."""

    published = (Place("stage"),)

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(x)


def test_a_gate_is_the_mean_over_channels_of_what_the_block_got() -> None:
    image = torch.randn(3, 8, 4)
    network = nn.Sequential(Gated()).train()
    (gate, affinity) = attention_maps(network, image.clone(), (0.5, 0.99))
    np.testing.assert_allclose(gate.values, (torch.sigmoid(image) / 2).mean(0), rtol=1e-6)
    assert (affinity.kind, affinity.cell) == ("affinity", (4, 3))
    assert affinity.values.sum() == affinity.values[4, 3] == 1
    assert network.training
    assert not network[0]._forward_pre_hooks


def test_without_a_position_there_is_no_affinity() -> None:
    assert [one.kind for one in attention_maps(Gated(), torch.randn(3, 8, 4))] == ["gate"]


def test_a_gate_of_channels_has_no_positions_and_an_inner_block_is_not_asked() -> None:
    (one,) = attention_maps(OfChannels(), torch.randn(3, 8, 4), (0, 0))
    np.testing.assert_allclose(one.values, [0, 1 / 3, 2 / 3])


def test_a_submodule_called_gate_is_not_one() -> None:
    assert attention_maps(Ungated(), torch.randn(3, 8, 4), (0, 0)) == []


@pytest.mark.parametrize(
    ("slot", "places"),
    [
        ("stage", ["stage 2"]),
        ("residual", [f"stage 2, residual, bottleneck {k}" for k in (1, 2, 3, 4)]),
        ("conv2", [f"stage 2, conv2, bottleneck {k}" for k in (1, 2, 3, 4)]),
        ("bn2", [f"stage 2, bn2, bottleneck {k}" for k in (1, 2, 3, 4)]),
        ("head", ["head"]),
    ],
)
def test_every_place_has_its_name(slot: str, places: list[str]) -> None:
    block = {"name": "rga", "slot": slot} | ({} if slot == "head" else {"stages": [2]})
    data = {"height": SIZE[0], "width": SIZE[1]}
    settings = resolve({"data": data, "model": {"width": 8, "attention": [block]}}, "test")
    maps = attention_maps(build_network(settings, 5), torch.randn(3, *SIZE))
    assert [one.caption for one in maps] == [f"rga, {place}" for place in places]
    assert {one.values.shape for one in maps} == {(4, 2) if slot == "head" else (8, 4)}


def test_an_overlay_draws_each_cell_as_its_rectangle() -> None:
    picture = np.full((7, 4, 3), 100, np.uint8)
    drawn_map = overlay(picture, np.array([[0.2, 0.4], [0.6, 1.0], [0.2, 0.2]], np.float32))
    assert drawn_map.shape == picture.shape and drawn_map.dtype == np.uint8
    assert len({tuple(colour) for colour in drawn_map[:3, :2].reshape(-1, 3)}) == 1
    dark, bright = drawn_map[0, 0].astype(int), drawn_map[3, 3].astype(int)
    assert bright[1] > dark[1] + 100  # yellow against violet
    assert (drawn_map[6] == dark).all()


def test_what_is_only_rounding_has_one_colour() -> None:
    values = np.array([[0.5, 0.5 + 1e-7]], np.float32)
    pixels = overlay(np.zeros((4, 4, 3), np.uint8), values)
    assert (pixels == pixels[0, 0]).all()


def test_the_position_is_framed_and_not_covered() -> None:
    values = np.zeros((4, 2), np.float32)
    framed = overlay(np.zeros((64, 32, 3), np.uint8), values, (1, 0))
    assert (framed[16:32, :16] != 255).any(axis=2).all()
    assert (framed[14:16, :16] == 255).all() and (framed[:, 18:] != 255).any(axis=2).all()


@pytest.fixture
def looks(picture: Path) -> list[dict]:
    lists = [RankedList(path, "1", "1", (), 0.375) for path in (picture, None)]
    network = nn.Sequential(Gated(), OfChannels())
    found = look_at_queries(
        nn.Sequential(nn.Conv2d(3, 3, 1), network), DataSettings(height=64, width=32), lists
    )
    return json.loads(json.dumps(found))


def test_looks_survive_being_stored(looks: list[dict]) -> None:
    (look,) = looks  # a query without a picture has none
    attended = drawn(look)
    assert attended.note == "query, AP 37.5%"
    (panel,) = attended.panels  # the gate of channels has no place on the picture
    assert attended.picture is not None and panel.overlay is not None
    assert panel.overlay.shape == attended.picture.shape == (128, 64, 3)


def test_a_picture_that_is_gone_leaves_its_maps(looks: list[dict], picture: Path) -> None:
    picture.unlink()
    attended = drawn(looks[0])
    assert attended.picture is None
    assert attended.panels[0].overlay is not None


def test_the_ends_of_the_bar_differ_where_the_values_do(picture: Path) -> None:
    one = {"block": "b", "place": "p", "bottleneck": 0, "kind": "gate", "cell": None}
    for values, ends in (
        ([[0.1, 0.9]], ("0.1", "0.9")),
        ([[0.25001, 0.25002]], ("0.25001", "0.25002")),
        ([[0.5, 0.5]], ("0.5", "0.5")),
    ):
        look = {"query": str(picture), "note": "", "canvas": [8, 4]}
        attended = drawn({**look, "maps": [{**one, "values": values}]})
        assert attended.panels[0].ends == ends
