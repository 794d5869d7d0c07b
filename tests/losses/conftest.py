"""A batch in float64 that every loss is compared on."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor


class Batch(NamedTuple):
    feature: Tensor
    """(9, 4)"""
    logits: Tensor
    """(9, 5), as wide as cosines."""
    labels: Tensor
    """Three persons with 4, 3 and 2 pictures, in no order."""


@pytest.fixture
def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    feature = torch.randn(9, 4, generator=random, dtype=torch.float64)
    logits = 2 * torch.rand(9, 5, generator=random, dtype=torch.float64) - 1
    return Batch(feature, logits, torch.tensor([0, 3, 0, 1, 3, 0, 1, 3, 0]))


@pytest.fixture(params=[0, 1, 2, 3], ids=["no_negative", "no_positive", "single", "equal_30"])
def degenerate(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """Features and labels of a batch that a loss between pictures can say nothing or little about.

    With more than 25 rows torch computes distances by a matrix product, which is not exactly 0 for
    two equal rows.
    """
    features = [torch.randn(4, 3), torch.randn(4, 3), torch.randn(1, 3), torch.ones(30, 3) / 3]
    labels = [torch.zeros(4), torch.arange(4), torch.zeros(1), torch.arange(30) // 5]
    return features[request.param].requires_grad_(), labels[request.param].long()
