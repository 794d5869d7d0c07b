"""SimAM: its written-out derivative, what it keeps, and its edges."""

import pytest
import torch
from reference import CASES, Reference, close
from torch import Tensor

from reid_attn import attention
from reid_attn.errors import UsageError


@pytest.mark.parametrize("e_lambda", [1e-4, 0.1])
@pytest.mark.parametrize("size", [(4, 3), (1, 2), (1, 1)], ids=str)
def test_the_derivative_is_right(size: tuple[int, int], e_lambda: float) -> None:
    torch.manual_seed(0)
    block = attention.build("simam", 3, size, e_lambda=e_lambda)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, x)


def test_keeps_its_input_and_two_numbers_a_channel() -> None:
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x = torch.randn(2, 64, 16, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        attention.build("simam", 64, (16, 8))(x)
    assert sorted(tensor.numel() for tensor in kept) == [128, 128, x.numel()]
    assert x.data_ptr() in {tensor.data_ptr() for tensor in kept}


def test_a_second_derivative_is_refused() -> None:
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    y = attention.build("simam", 4, (3, 3))(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_flat_maps_are_multiplied_by_the_smallest_gate(value: float) -> None:
    for size in ((1, 1), (8, 4)):
        x = torch.full((2, 4, *size), value, dtype=torch.float64)
        smallest = torch.sigmoid(torch.tensor(0.5, dtype=torch.float64))
        close(attention.build("simam", 4, size)(x), x * smallest)


def test_the_biased_variance_is_seen() -> None:
    case = next(case for case in CASES if case["case"] == "simam_l1e-4")
    reference = Reference(case, attention.build("simam", 32, (7, 5)), lambda state: state)
    x = reference.tensor("x")
    squares = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    variance = squares.mean(dim=(2, 3), keepdim=True)
    wrong = x * torch.sigmoid(squares / (4 * (variance + 1e-4)) + 0.5)
    assert (wrong - reference.tensor("y_eval")).abs().max() > 1e-2


def test_half_precision_survives_values_whose_squares_overflow() -> None:
    x = torch.randn(2, 4, 8, 4).mul(1e4).half().requires_grad_()
    y = attention.build("simam", 4, (8, 4))(x)
    y.float().sum().backward()
    assert y.dtype == torch.float16
    assert y.isfinite().all() and x.grad.isfinite().all()


def test_lambda_must_be_positive() -> None:
    with pytest.raises(UsageError, match="e_lambda of 0"):
        attention.build("simam", 4, (8, 4), e_lambda=0.0)
