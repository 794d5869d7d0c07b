"""The objective over shards of a batch, as several processes see it, against the whole batch."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid_attn.losses import Objective
from reid_attn.settings import LossSettings

TERMS = ("identity", "triplet", "center", "circle", "multi_similarity", "supervised_contrastive")


class Process(nn.Module):
    """A network of one layer, two heads and the objective, as each process has a copy of it."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.heads = nn.Linear(6, 4), nn.Linear(4, 10)
        self.objective = Objective(settings, 5, 4)
        self.double()

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.layer(pictures)
        return feature, self.heads(feature).tanh().unflatten(1, (2, 5)).transpose(0, 1)


def train_step(settings: LossSettings, pictures: Tensor, labels: Tensor, world: int) -> list[Any]:
    """The mean loss over `world` processes and its mean gradient, all in this one process.

    The graph is that of differentiable gathering: what one process's loss sends into another's rows
    is added to what that one's own loss sends there.
    """
    processes = [Process(settings) for _ in range(world)]
    shards = [
        process.features(rows)
        for process, rows in zip(processes, pictures.chunk(world), strict=True)
    ]
    everyone = torch.cat([feature for feature, _ in shards])
    total, terms = torch.zeros(()), dict.fromkeys(TERMS, 0.0)
    for process, (feature, logits), own in zip(processes, shards, labels.chunk(world), strict=True):
        losses = process.objective(
            feature, feature + 1, logits, own,
            gather=lambda rows: everyone if rows.is_floating_point() else labels,
        )  # fmt: skip
        total = total + losses.total
        terms = {name: value + losses.terms[name].item() / world for name, value in terms.items()}
    total.backward()
    gradients = zip(*[[p.grad for p in process.parameters()] for process in processes], strict=True)
    return [*terms.values(), *(sum(copies) / world for copies in gradients)]


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kinds", [("softmax", "hard"), ("arcface", "weighted")])
def test_shards_have_the_loss_and_the_gradient_of_the_whole_batch(
    kinds: tuple[Any, Any], world: int
) -> None:
    """Persons lie across shards: one shard alone would find other triplets."""
    weights = dict(zip(TERMS, (0.5, 2.0, 0.1, 0.3, 0.7, 1.1), strict=True))
    settings = LossSettings(**weights, identity_kind=kinds[0], triplet_kind=kinds[1])
    random = torch.Generator().manual_seed(1)
    pictures = torch.randn(16, 6, generator=random, dtype=torch.float64)
    labels = torch.arange(16) % 4
    whole, shared = (train_step(settings, pictures, labels, n) for n in (1, world))
    assert len(whole) == 6 + 5
    for expected, found in zip(whole, shared, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
