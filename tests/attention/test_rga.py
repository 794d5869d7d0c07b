"""RGA against the numbers of the published module, in float64."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reid_attn import attention
from reid_attn.attention.rga import parameter_count
from reid_attn.errors import MismatchError

FIXTURES = Path(__file__).parent / "fixtures"
CASES = json.loads((FIXTURES / "cases.json").read_text())
RTOL, ATOL = 1e-9, 1e-10


class Reference:
    """One case: the block with the published weights, and the published numbers."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.numbers = np.load(FIXTURES / case["file"])
        self.block = attention.build(
            case["block"], channels=case["channels"], size=case["size"], **case["options"]
        ).double()
        self.block.load_state_dict(self.convert(self.official()))

    def official(self) -> dict[str, Tensor]:
        return {k: self.tensor(f"sd::{k}") for k in self.keys("sd::")}

    def keys(self, prefix: str) -> list[str]:
        return [k.removeprefix(prefix) for k in self.numbers.files if k.startswith(prefix)]

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(self.numbers[key])

    def convert(self, official: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.block.convert_official(official)

    def run(self, mode: str) -> tuple[Tensor, Tensor]:
        """Output and input gradient of the weighted sum."""
        self.block.train(mode == "train")
        x = self.tensor("x").requires_grad_()
        y = self.block(x)
        (y * self.tensor("w")).sum().backward()
        assert x.grad is not None
        return y.detach(), x.grad


@pytest.fixture(params=CASES, ids=lambda case: case["case"])
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_output_and_input_gradient(reference: Reference, mode: str) -> None:
    y, gradient = reference.run(mode)
    close(y, reference.tensor(f"y_{mode}"))
    close(gradient, reference.tensor(f"gxw_{mode}"))


def test_weight_gradients_and_running_statistics(reference: Reference) -> None:
    reference.run("train")
    zeros = {key: torch.zeros_like(tensor) for key, tensor in reference.official().items()}
    gradients = {k: reference.tensor(f"gpw_train::{k}") for k in reference.keys("gpw_train::")}
    expected = reference.convert(zeros | gradients)
    for name, parameter in reference.block.named_parameters():
        close(parameter.grad, expected[name])
    after = {k: reference.tensor(f"sd_after::{k}") for k in reference.keys("sd_after::")}
    expected = reference.convert(reference.official() | after)
    buffers = dict(reference.block.named_buffers())
    assert buffers
    for name, buffer in buffers.items():
        close(buffer, expected[name])


def test_swapped_relation_halves_are_seen(reference: Reference) -> None:
    """The mistake that shapes cannot show: [G(:,i); G(i,:)] instead of [G(i,:); G(:,i)]."""
    for gate in reference.block.children():
        weight = gate.relate.weight
        weight.data = torch.cat(list(reversed(weight.data.chunk(2, dim=1))), dim=1)
    y, _ = reference.run("eval")
    assert (y - reference.tensor("y_eval")).abs().max() > 1e-3


@pytest.mark.parametrize("change", ["missing", "unknown", "misshaped"])
def test_foreign_weights_are_refused(reference: Reference, change: str) -> None:
    official = reference.official()
    first = next(iter(official))
    if change == "missing":
        del official[first]
    elif change == "unknown":
        official["surplus"] = official[first]
    else:
        official[first] = official[first][:, 1:]
    with pytest.raises(MismatchError):
        reference.convert(official)


def published_form(gate: nn.Module, tokens: Tensor) -> Tensor:
    """The gate with its n×n affinities written out, for any size."""
    d = gate.embedded
    embedded = torch.relu(gate.embed_norm(gate.embed(tokens)))
    unary = embedded[:, :d].mean(1, keepdim=True)
    theta, phi = embedded[:, d : 2 * d], embedded[:, 2 * d :]
    affinity = theta.mT @ phi  # (N, n, n)
    stacked = torch.cat([affinity.mT, affinity], dim=1)  # column i holds G(i,:), then G(:,i)
    relation = torch.relu(gate.relate_norm(gate.relate.weight @ stacked))
    return torch.sigmoid(gate.head(torch.cat([unary, relation], dim=1)))


@pytest.mark.parametrize(("channels", "size"), [(64, (9, 7)), (24, (3, 11)), (8, (1, 5))])
def test_equals_the_form_with_affinities(channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = attention.build("rga", channels=channels, size=size).double()
    x = torch.randn(3, channels, *size, dtype=torch.float64)
    gated = x * published_form(block.spatial, x.flatten(2)).unflatten(2, size)
    expected = gated * published_form(block.channel, gated.flatten(2).mT).mT[..., None]
    close(block(x), expected)


def test_no_tensor_is_as_large_as_the_affinities() -> None:
    block = attention.build("rga", channels=64, size=(32, 16))
    positions, largest = 32 * 16, 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    x = torch.randn(1, 64, 32, 16)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(x)
    assert 0 < largest < positions * positions // 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spatial": False},
        {"channel": False},
        {"cha_ratio": 4},
        {"spa_ratio": 4},
        {"down_ratio": 2},
    ],
)
def test_parameter_count_is_the_closed_form(options: dict[str, Any]) -> None:
    block = attention.build("rga", channels=256, size=(16, 8), **options)
    count = sum(parameter.numel() for parameter in block.parameters())
    assert count == parameter_count(256, (16, 8), **options)


@pytest.mark.parametrize(
    ("channels", "size", "count"),
    [
        (256, (64, 32), 2_673_172),
        (512, (32, 16), 329_796),
        (1024, (16, 8), 668_908),
        (2048, (16, 8), 2_642_220),
    ],
)
def test_parameter_count_of_the_paper_sizes(
    channels: int, size: tuple[int, int], count: int
) -> None:
    assert parameter_count(channels, size) == count


def test_published_start_quarters_the_map_and_identity_start_keeps_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 8)
    published = attention.build("rga", channels=64, size=(16, 8))(x)
    assert 0.15 < published.norm() / x.norm() < 0.35
    kept = attention.build("rga", channels=64, size=(16, 8), identity_start=True)(x)
    torch.testing.assert_close(kept, x)


def test_a_map_of_another_size_is_refused_even_with_as_many_positions() -> None:
    block = attention.build("rga", channels=16, size=(8, 4))
    with pytest.raises(MismatchError, match="8×4 and got 4×8"):
        block(torch.randn(2, 16, 4, 8))
