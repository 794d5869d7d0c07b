"""Triplet losses on Euclidean distances of features as they are, not normalised.

An anchor counts when the batch has another picture of its person and one of another person; the
loss is the mean over these anchors, and 0 without any.
"""

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch.nn import functional

from ..settings import LossSettings


def triplet_loss(settings: LossSettings) -> nn.Module:
    """The loss of `triplet_kind`: (N, D) features and (N,) labels to a scalar."""
    if settings.triplet_kind == "weighted":
        return WeightedTriplet()
    if settings.triplet_kind == "soft":
        return HardestTriplet(margin=0.0, smooth=True)
    return HardestTriplet(settings.margin, smooth=False)


class HardestTriplet(nn.Module):
    """[d⁺ − d⁻ + margin]₊, or ln(1 + exp(d⁺ − d⁻ + margin)) when `smooth`.

    d⁺ is the distance to the farthest picture of the anchor's person, d⁻ to the nearest of another
    one (Hermans et al. 2017, arXiv 1703.07737, eq. 5 and the soft margin of section 2).
    """

    def __init__(self, margin: float, smooth: bool) -> None:
        super().__init__()
        distance = LpDistance(normalize_embeddings=False, p=2, power=1)
        self.miner = BatchHardMiner(distance=distance)
        self.loss = TripletMarginLoss(
            margin=margin, smooth_loss=smooth, distance=distance, reducer=MeanReducer()
        )

    def forward(self, feature: Tensor, labels: Tensor) -> Tensor:
        """Features (N, D), labels (N,); a scalar."""
        loss: Tensor = self.loss(feature, labels, self.miner(feature, labels))
        return loss


class WeightedTriplet(nn.Module):
    """ln(1 + exp(Σ w⁺ d⁺ − Σ w⁻ d⁻)), w⁺ = softmax of d⁺ over positives, w⁻ of −d⁻ over negatives.

    The weighted regularised triplet loss of AGW (Ye et al., TPAMI 2021, arXiv 2001.04193): no
    margin, and every pair counts, the harder ones more. Gradients flow through the weights as well.
    The authors' code differs from their formula: it counts the anchor as a positive of its own, and
    the 10⁻⁶ in its denominator lets negatives vanish that are farther than about 15.
    """

    def __init__(self) -> None:
        super().__init__()
        self.distance = LpDistance(normalize_embeddings=False, p=2, power=1)

    def forward(self, feature: Tensor, labels: Tensor) -> Tensor:
        """Features (N, D), labels (N,); a scalar."""
        same = labels[:, None] == labels
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        anchors = positive.any(1) & ~same.all(1)
        if not anchors.any():
            return 0 * feature.sum()
        distances = self.distance(feature)[anchors]
        farthest = _soft_maximum(distances, positive[anchors])
        nearest = -_soft_maximum(-distances, ~same[anchors])
        return functional.softplus(farthest - nearest).mean()


def _soft_maximum(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of the valid values of each row, weighted by their softmax."""
    weights = values.masked_fill(~valid, -torch.inf).softmax(1)
    return (weights * values).sum(1)
