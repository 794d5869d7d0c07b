"""What training minimises: the weighted sum of the terms that the settings give a weight."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..settings import LossSettings
from .center import CenterLoss
from .identity import IdentityLoss
from .pairwise import CircleLoss, MultiSimilarityLoss, SupervisedContrastiveLoss
from .triplet import triplet_loss

Gather = Callable[[Tensor], Tensor]


class Losses(NamedTuple):
    """The loss of one batch, in scalars."""

    total: Tensor
    """The weighted sum, which carries the gradient."""
    terms: dict[str, Tensor]
    """Every term with a weight above 0, by its name in `LossSettings`, not multiplied by it."""


class Objective(nn.Module):
    """Σ weight · term over the terms of `LossSettings` with a weight above 0.

    `identity` compares the classifier's scores with the persons, `center` the features with the
    persons' centers; `triplet`, `circle`, `multi_similarity` and `supervised_contrastive` compare
    the pictures of a batch with each other. Everything is computed in float32, or float64 for
    features and scores in float64, inside an autocast region too.

    **Several processes.** `gather` makes of the rows of this process (n, …) those of all processes
    (N, …), in the same order everywhere, and the terms between pictures are computed over all of
    them: each process has the same value. Identity and center are means over the process's own n
    rows, and the mean over processes of equal n is the whole batch's. So that averaging the
    gradients of parameters over processes (as DistributedDataParallel does) gives exactly the
    gradient of the whole batch in one process, the backward pass of `gather` must hand each process
    the *sum* over processes of the gradients of its rows (all-gather forward, reduce-scatter with
    sum backward).

    **Centers** are no part of the network: `center_parameters` belong in an SGD of their own,
    `SGD(objective.center_parameters(), lr=settings.center_rate)`. Their gradient does not depend on
    the term's weight; like any other it has the scale of a gradient scaler in it.
    """

    def __init__(self, settings: LossSettings, identities: int, dimension: int) -> None:
        """For `identities` training persons and features of `dimension` numbers.

        Raises:
            UsageError: no term has a weight, or the label smoothing is too much.
        """
        super().__init__()
        between: dict[str, Callable[[], nn.Module]] = {
            "triplet": lambda: triplet_loss(settings),
            "circle": CircleLoss,
            "multi_similarity": MultiSimilarityLoss,
            "supervised_contrastive": SupervisedContrastiveLoss,
        }
        names = ("identity", "center", *between)
        self.weights = {name: getattr(settings, name) for name in names if getattr(settings, name)}
        if not self.weights:
            raise UsageError(
                f"the loss is empty: give one of loss.{', loss.'.join(names)} a weight"
            )
        self.after_neck = settings.metric_feature == "after_neck"
        self.identity = IdentityLoss(settings, identities) if settings.identity else None
        self.center = (
            CenterLoss(identities, dimension, settings.center) if settings.center else None
        )
        self.between = nn.ModuleDict(
            {n: build() for n, build in between.items() if n in self.weights}
        )

    def forward(
        self,
        before_neck: Tensor,
        after_neck: Tensor,
        logits: Tensor,
        labels: Tensor,
        gather: Gather = lambda rows: rows,
    ) -> Losses:
        """Features (n, D), logits (n, K) or (heads, n, K), labels (n,) in 0..K−1."""
        terms: dict[str, Tensor] = {}
        with torch.autocast(before_neck.device.type, enabled=False):
            feature = _precise(after_neck if self.after_neck else before_neck)
            if self.identity is not None:
                terms["identity"] = self.identity(_precise(logits), labels)
            if self.between:
                everyone, persons = gather(feature), gather(labels)
                terms |= {name: term(everyone, persons) for name, term in self.between.items()}
            if self.center is not None:
                terms["center"] = self.center(feature, labels)
            total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return Losses(total, terms)

    def center_parameters(self) -> list[nn.Parameter]:
        """The centers of the center loss; empty without it."""
        return list(self.center.parameters()) if self.center is not None else []


def _precise(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
