"""`scripts/bench training`: what is counted, what takes the place of what, what is written."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks import training
from benchmarks.forms import network_of, settings_of
from benchmarks.market import market
from benchmarks.published.rga import Published
from benchmarks.traffic import traffic
from reid_attn.attention.rga import RGA

SMALL = ["model.width=8"]
NARROW = ["model.width=16"]
"""The least for which the published widths are not 0."""


class Scaled(nn.Module):
    """relu(wx) with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x * self.weight)


def test_traffic_is_that_of_the_operations() -> None:
    """Forward: the product and ReLU read and write, the sum reads. Backward: ReLU's, whose gradient
    is one number for all, the product with x, which reads two, and its sum."""
    values, passes = 2 * 3 * 4 * 5, (2 + 2 + 1) + (2 + 3 + 1)
    found = traffic(Scaled, (2, 3, 4, 5), bf16=False)
    assert 0 <= found - 4 * values * passes < 4 * 20  # single numbers come on top


def test_traffic_does_not_count_views() -> None:
    shape = (2, 3, 4, 5)
    with_view = traffic(lambda: nn.Sequential(Scaled(), nn.Unflatten(1, (3, 1))), shape, bf16=False)
    assert with_view == traffic(Scaled, shape, bf16=False)


def test_the_published_form_stands_where_ours_was() -> None:
    network = network_of("published", settings_of("published", NARROW))
    kinds = [type(slot[0]) for slot in network.backbone.stage_attention]
    assert kinds == [Published] * 4
    assert network(torch.randn(2, 3, 256, 128)).logits.shape[0] == 2
    ours = network_of("ours", settings_of("ours", NARROW))
    assert [type(slot[0]) for slot in ours.backbone.stage_attention] == [RGA] * 4
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in network.parameters())


def test_a_line_for_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests want theirs
    monkeypatch.setattr(training, "_counted", lambda _: "")  # half a minute, and no time in it
    table = tmp_path / "table.md"
    words = [*SMALL, "data.height=64", "data.width=32", "--batches", "8", "--rounds", "1"]
    more = ["--forms", "bare,ours", "--precisions", "fp32", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["training", *words, *more, "--table", str(table)])
    assert training.main() == 0
    lines = [line.split("|")[1:-1] for line in table.read_text().splitlines() if "| 8 |" in line]
    assert [cells[0].strip() for cells in lines] == ["bare", "ours"]
    assert all(float(cells[3]) > 0 and float(cells[4]) > 0 for cells in lines)
    assert float(lines[0][5]) == 1


def test_a_whole_run_has_as_many_pictures_and_persons_as_asked(tmp_path: Path) -> None:
    words = ["training.epochs=1", *SMALL, "data.height=32", "data.width=32", "batch.persons=2"]
    run = market(tmp_path, 3, 29, words, Console(quiet=True))
    assert (run.pictures, run.persons, run.epochs) == (29, 3, 1)
    assert run.seconds > 0
    assert (tmp_path / "run/settings.yaml").exists()
