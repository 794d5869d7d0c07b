"""What stands on the last map: pooled features with their necks and classifiers."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Output(NamedTuple):
    """What the network says about N pictures."""

    before_neck: Tensor
    """(N, D), D = 2048 for ResNet-50: for the triplet loss. With n parts, the global feature
    followed by theirs, D = 2048 + n · 256."""
    after_neck: Tensor
    """(N, D): for the classifier and, usually, for retrieval."""
    logits: Tensor | None
    """(N, identities) in training, None in evaluation; with n parts (1 + n, N, identities), the
    global ones first. Cosines, if the classifier gives them."""


class BNNeck(nn.BatchNorm1d):
    """The neck of "Bag of Tricks" (Luo et al., CVPRW 2019, arXiv 1903.07071): BN, bias frozen at 0.

    The triplet loss sees the feature before it, the identity loss the one after it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


class LinearClassifier(nn.Linear):
    """Identity scores of the feature after the neck; no bias, weights N(0, deviation²)."""

    def __init__(self, channels: int, identities: int, deviation: float = 0.001) -> None:
        super().__init__(channels, identities, bias=False)
        nn.init.normal_(self.weight, std=deviation)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:  # type: ignore[override]
        """Map (N, C, H, W), unused here, and feature (N, C) -> scores (N, identities)."""
        del x  # other classifiers score the positions of the map
        return super().forward(feature)


class CosineClassifier(LinearClassifier):
    """The cosine between the feature and the weight of each identity, for losses with a margin.

    Computed in the precision of the weights, since a margin loss multiplies what is lost by some
    64 (Wang et al., CVPR 2018, arXiv 1801.09414, eq. 3).
    """

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:  # type: ignore[override]
        """Map (N, C, H, W), unused here, and feature (N, C) -> cosines (N, identities)."""
        del x
        with torch.autocast(feature.device.type, enabled=False):
            unit = F.normalize(feature.to(self.weight.dtype))
            return F.linear(unit, F.normalize(self.weight))
