"""CSRA: what its chunks keep, and its options."""

from typing import Any

import pytest
import torch
from torch import Tensor

from reid_attn import attention
from reid_attn.errors import UsageError

SIZE = (8, 4)


def build(**options: Any) -> attention.Block:
    torch.manual_seed(0)
    return attention.build("csra", channels=16, size=SIZE, identities=50, **options).double()


def test_chunks_change_no_number() -> None:
    x = torch.randn(2, 16, *SIZE, dtype=torch.float64)
    results = []
    for chunk in (None, 7, 50, 1000):
        block, own = build(heads=4, chunk=chunk), x.clone().requires_grad_()
        y = block(own)
        (y * torch.arange(50)).sum().backward()
        results.append((y, own.grad, block.head.weight.grad))
    for found in results[1:]:
        torch.testing.assert_close(found, results[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("chunk", "scores_kept"), [(None, True), (10, False)])
def test_chunks_keep_no_scores(chunk: int | None, scores_kept: bool) -> None:
    block = build(chunk=chunk)
    x = torch.randn(8, 16, *SIZE, dtype=torch.float64)
    largest = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(x)
    assert (largest > x.numel()) == scores_kept


def test_scores_do_not_depend_on_the_length_of_the_weights() -> None:
    block = build(heads=2)
    x = torch.randn(2, 16, *SIZE, dtype=torch.float64)
    expected = block(x)
    block.head.weight.data *= 3
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("options", [{"heads": 3}, {"temperature": 0}, {"chunk": 0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="csra"):
        build(**options)
