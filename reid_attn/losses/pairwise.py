"""Losses on the cosines between all pictures of a batch: their mean over the batch.

A picture that has no other of its person, or none of another person, adds 0.
"""

from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn


class _PairwiseLoss(nn.Module):
    """A loss of pytorch-metric-learning over all pairs, or over those of a miner."""

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner

    def forward(self, feature: Tensor, labels: Tensor) -> Tensor:
        """Features (N, D), labels (N,); a scalar."""
        pairs = self.miner(feature, labels) if self.miner is not None else None
        loss: Tensor = self.loss(feature, labels, pairs)
        return loss


class CircleLoss(_PairwiseLoss):
    """ln(1 + Σ exp(γ [cos⁻ + m]₊ (cos⁻ − m)) · Σ exp(−γ [1 + m − cos⁺]₊ (cos⁺ − (1 − m)))).

    The sums are over the pictures of other persons and over the others of the anchor's; γ 128 and
    m 0.25 are the paper's for persons (Sun et al., CVPR 2020, arXiv 2002.10857, eqs. 5, 6 and 8).
    """

    def __init__(self) -> None:
        super().__init__(losses.CircleLoss(m=0.25, gamma=128, reducer=MeanReducer()))


class MultiSimilarityLoss(_PairwiseLoss):
    """ln(1 + Σ exp(−α (cos⁺ − λ))) / α + ln(1 + Σ exp(β (cos⁻ − λ))) / β, over mined pairs.

    A positive is mined if its cosine is less than the highest of a negative + ε, a negative if its
    is more than the lowest of a positive − ε (Wang et al., CVPR 2019, arXiv 1904.06627). α 2, β 50,
    ε 0.1; λ 0.5 as in the authors' code.
    """

    def __init__(self) -> None:
        loss = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5, reducer=MeanReducer())
        super().__init__(loss, miners.MultiSimilarityMiner(epsilon=0.1))


class SupervisedContrastiveLoss(_PairwiseLoss):
    """−ln(exp(cos⁺ / τ) / Σ exp(cos / τ)), averaged over positives; the sum is over all others.

    τ 0.1 (Khosla et al., NeurIPS 2020, arXiv 2004.11362, eq. 2).
    """

    def __init__(self) -> None:
        super().__init__(losses.SupConLoss(temperature=0.1, reducer=MeanReducer()))
