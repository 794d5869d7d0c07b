"""Costs: equal to those of real tensors, to the published table, and complete for a new block."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reid_attn import attention
from reid_attn.models.cost import Cost, measure, table
from reid_attn.models.resnet import ResNet50

LAYOUTS = (torch.contiguous_format, torch.channels_last)
MIB = 2**20

NEW_BLOCK = '''
"""Nothing but a factor for each channel, on maps of more than one position."""

import torch
from torch import Tensor, nn

from ..errors import MismatchError
from ._block import Block, Place


class Scaling(Block):
    """One factor for each channel."""

    published = (Place("residual"),)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if x.shape[2] < 8:
            raise MismatchError("scaling needs maps of 8 rows: take larger pictures")
        return x * self.factor


def parameter_count(channels: int, size: tuple[int, int]) -> int:
    """C."""
    return channels
'''


def storages(tensors: list[Tensor]) -> dict[int, int]:
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


def on_real_tensors(module: nn.Module, shape: tuple[int, ...], layout: torch.memory_format) -> Cost:
    """The same numbers the slow way: with values, by the addresses of the memory."""

    def kept(pictures: int) -> int:
        held: list[Tensor] = []
        x = torch.randn(pictures, *shape).to(memory_format=layout).requires_grad_()
        pack: Callable[[Tensor], Tensor] = lambda t: held.append(t) or t  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            y = module(x)
        known = storages([x, *module.parameters(), *module.buffers()])
        del y
        return sum(size for key, size in storages(held).items() if key not in known)

    with FlopCounterMode(display=False) as flops, torch.no_grad():
        module.eval()(torch.randn(1, *shape))
    module.train()
    parameters = sum(p.numel() for p in module.parameters())
    return Cost(parameters, flops.get_total_flops() / 1e9, (kept(3) - kept(2)) / MIB)


class Attending(nn.Module):
    """Views, a fused attention, and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Conv2d(16, 48, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).flatten(2).mT.unsqueeze(1).chunk(3, dim=-1)
        return x + F.scaled_dot_product_attention(q, k, v).squeeze(1).mT.reshape(x.shape)


class Square(torch.autograd.Function):
    """x² that keeps a copy of x."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.clone())
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class Squaring(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Square.apply(x)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(16, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.GELU(),
        nn.GroupNorm(2, 8),
        nn.Dropout(0.5),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("build", [convolutional, Attending, Squaring])
def test_equals_real_tensors(build: Callable[[], nn.Module], layout: torch.memory_format) -> None:
    module = build()
    cost = measure(module, (16, 8, 4), layout)
    assert cost == pytest.approx(on_real_tensors(module, (16, 8, 4), layout), abs=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in attention.names() if attention.block_class(name).kind == "map"]
)
def test_every_block_costs_what_it_does_on_real_tensors(name: str) -> None:
    place = attention.block_class(name).published[0]
    needed = {"stride": 1} if place.slot == "replace" else {}
    block = attention.build(name, 32, (16, 8), **place.options, **needed)
    real = on_real_tensors(block, (32, 16, 8), torch.contiguous_format)
    cost = measure(block, (32, 16, 8))
    assert cost[::2] == pytest.approx(real[::2], abs=1e-12)
    assert cost.gflop >= real.gflop  # torch leaves out products with a vector


def test_the_parts_of_a_convolution_and_a_rectifier() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.ReLU())
    assert measure(module, (3, 4, 6)) == pytest.approx((135, 2 * 135 * 24e-9, 5 * 24 * 4 / MIB))


def test_a_product_with_a_vector_counts() -> None:
    class Weighted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).mT @ torch.ones(x.shape[1])

    assert measure(Weighted(), (5, 4, 3)).gflop == pytest.approx(2 * 5 * 12e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((256, 64, 32), (2_673_172, 1.091, 11.7)),
        ((512, 32, 16), (329_796, 0.236, 4.1)),
        ((1024, 16, 8), (668_908, 0.136, 2.9)),
        ((2048, 16, 8), (2_642_220, 0.533, 8.1)),
    ],
)
def test_rga_costs_what_its_exact_form_should(
    shape: tuple[int, int, int], expected: tuple[int, float, float], layout: torch.memory_format
) -> None:
    with torch.device("meta"):
        block = attention.build("rga", shape[0], shape[1:])
    parameters, gflop, kept = measure(block, shape, layout)
    assert (parameters, round(gflop, 3), round(kept, 1)) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_backbone_costs_what_is_known_of_it(layout: torch.memory_format) -> None:
    with torch.device("meta"):
        backbone = ResNet50((256, 128))
    cost = measure(backbone, (3, 256, 128), layout)
    assert cost == pytest.approx((23_508_032, 8.107, 60.25), abs=5e-4)


def test_measuring_leaves_the_module_as_it_was() -> None:
    module = convolutional().eval()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    measure(module, (16, 8, 4))
    assert not module.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_frozen_parameters_are_not_counted() -> None:
    module = nn.Conv2d(4, 4, 1, bias=True)
    module.bias.requires_grad_(False)
    assert measure(module, (4, 2, 2)).parameters == 16


@pytest.fixture
def new_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a block that is one new file and nothing else."""
    (tmp_path / "scaling_of_a_test.py").write_text(NEW_BLOCK)
    monkeypatch.setattr(attention, "__path__", [*attention.__path__, str(tmp_path)])
    return "scaling_of_a_test"


def test_a_new_block_is_one_new_file(new_block: str) -> None:
    assert new_block in attention.names()
    (plain,), entries = table([new_block], (128, 64))
    assert plain.block == "" and plain.cost is not None
    *stages, network, beyond = entries
    assert [entry.place for entry in stages] == [f"stage {k} residual" for k in (1, 2, 3, 4)]
    assert [entry.shape for entry in stages] == [
        (256, 32, 16), (512, 16, 8), (1024, 8, 4), (2048, 8, 4),
    ]  # fmt: skip
    assert [entry.cost.parameters for entry in stages if entry.cost] == [256, 512, 1024, 2048]
    added = 3 * 256 + 4 * 512 + 6 * 1024 + 3 * 2048
    assert beyond.cost is not None and beyond.cost.parameters == added
    assert network.cost is not None and network.cost.beyond(plain.cost) == beyond.cost


def test_a_block_that_cannot_stand_says_why(new_block: str) -> None:
    _, entries = table([new_block], (64, 32))
    assert [entry.cost is None for entry in entries] == [False, False, True, True, True]
    assert {entry.note for entry in entries[2:]} == {
        "scaling needs maps of 8 rows: take larger pictures"
    }
