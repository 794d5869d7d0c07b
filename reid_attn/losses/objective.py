"""The standard objective of re-identification: identity loss plus batch-hard triplet loss."""

from typing import NamedTuple

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from ..settings import LossSettings


class Losses(NamedTuple):
    """The terms of one batch, scalars; `total` carries the gradient."""

    total: Tensor
    identity: Tensor
    triplet: Tensor


class Objective(nn.Module):
    """identity · CE(logits) + triplet · batch-hard(feature before the neck).

    Identity: cross-entropy with label smoothing ε, target (1 − ε) for the person plus ε/K for each
    of K (Szegedy et al., CVPR 2016, arXiv 1512.00567, section 7). Triplet: for every picture the
    farthest of its own person and the nearest of another one, hinge with a margin, Euclidean
    distance of un-normalised features, mean over the batch (Hermans et al. 2017, arXiv 1703.07737,
    eq. 5). Computed in float32.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.weights = (settings.identity, settings.triplet)
        self.identity = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        distance = LpDistance(normalize_embeddings=False, p=2, power=1)
        self.miner = BatchHardMiner(distance=distance)
        self.triplet = TripletMarginLoss(
            margin=settings.margin, distance=distance, reducer=MeanReducer()
        )

    def forward(self, feature: Tensor, logits: Tensor, labels: Tensor) -> Losses:
        """Feature (N, D) before the neck, logits (N, K), labels (N,) in 0..K-1."""
        with torch.autocast(feature.device.type, enabled=False):
            feature, logits = feature.float(), logits.float()
            identity = self.identity(logits, labels)
            triplet = self.triplet(feature, labels, self.miner(feature, labels))
            total = self.weights[0] * identity + self.weights[1] * triplet
        return Losses(total, identity, triplet)
