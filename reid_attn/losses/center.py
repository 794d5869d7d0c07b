"""The center loss: every person has a learnt center that the person's features are drawn to."""

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Mean over pictures of ‖feature − center of its person‖² (Wen et al., ECCV 2016, eq. 2).

    Without the paper's factor ½, and with centers that begin as N(0, 1), as bag of tricks has it
    (Luo et al., CVPRW 2019, arXiv 1903.07071). The centers are to follow the features at a rate of
    their own, whatever the `weight` of the term in the objective: it is divided out of their
    gradient, which is that of this mean itself.
    """

    def __init__(self, identities: int, dimension: int, weight: float) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(identities, dimension))
        self.weight = weight

    def forward(self, feature: Tensor, labels: Tensor) -> Tensor:
        """Features (N, D), labels (N,); a scalar, to be multiplied by `weight`."""
        centers = self.centers[labels]
        if centers.requires_grad:
            centers.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: gradient / self.weight
            )
        return (feature - centers).square().sum(1).mean()
