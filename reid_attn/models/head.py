"""What stands on the pooled feature: the batch-normalised neck and the identity classifier."""

from torch import Tensor, nn


class BNNeck(nn.BatchNorm1d):
    """The neck of "Bag of Tricks" (Luo et al., CVPRW 2019, arXiv 1903.07071): BN, bias frozen at 0.

    The triplet loss sees the feature before it, the identity loss the one after it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


class LinearClassifier(nn.Linear):
    """Identity scores of the feature after the neck; no bias, weights N(0, 0.001²)."""

    def __init__(self, channels: int, identities: int) -> None:
        super().__init__(channels, identities, bias=False)
        nn.init.normal_(self.weight, std=0.001)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:  # type: ignore[override]
        """Map (N, C, H, W), unused here, and feature (N, C) -> scores (N, identities)."""
        del x  # other classifiers score the positions of the map
        return super().forward(feature)
