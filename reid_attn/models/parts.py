"""Branches for horizontal stripes of the last map, beside the global feature.

A person stands upright, so a stripe sees about the same part of the body in every picture. As in
PCB (Sun et al., ECCV 2018, arXiv 1711.09349) and MGN (Wang et al., ACM MM 2018, arXiv 1804.01438)
each stripe is pooled, brought to 256 values by a 1×1 convolution, and classified on its own. The
norm after that convolution is the branch's neck, so the triplet loss sees what comes before it; the
papers have a ReLU there as well. One map carries both the global feature and the stripes; MGN gives
each granularity its own last stage.
"""

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .head import Output

WIDTH = 256
"""Values of a stripe's feature, in both papers."""


class PartBranch(nn.Module):
    """One stripe's feature and classifier.

    Args:
        channels: C of the map.
        pooling: (N, C, h, W) -> (N, C).
        neck: of `WIDTH` values.
        classifier: of `WIDTH` values.
    """

    def __init__(
        self, channels: int, pooling: nn.Module, neck: nn.Module, classifier: nn.Module
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.reduce = nn.Linear(channels, WIDTH, bias=False)  # a 1×1 convolution of a pooled map
        self.neck, self.classifier = neck, classifier
        nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")

    def forward(self, stripe: Tensor) -> Output:
        """(N, C, h, W) -> `Output` of `WIDTH` values."""
        before = self.reduce(self.pooling(stripe))
        after = self.neck(before)
        return Output(before, after, self.classifier(stripe, after) if self.training else None)


def stripes(x: Tensor, count: int) -> list[Tensor]:
    """`count` stripes of (N, C, H, W), of H / count rows each.

    Where `count` does not divide H, stripes share a row, as in adaptive pooling: stripe i holds the
    rows from ⌊i H / count⌋ to ⌈(i + 1) H / count⌉.
    """
    rows = x.shape[2]
    bounds = [(i * rows // count, -(-(i + 1) * rows // count)) for i in range(count)]
    return [x[:, :, first:end] for first, end in bounds]


def refuse_too_many(count: int, rows: int) -> None:
    """`UsageError` when a map of `rows` rows cannot be divided into `count` stripes."""
    if count > rows:
        raise UsageError(
            f"model.parts={count}: the last map has {rows} rows only; take fewer parts, higher "
            "pictures, or model.last_stride=1"
        )


def joined(outputs: list[Output]) -> Output:
    """Features side by side, (N, D + …), and logits in a new first dimension."""
    before, after, logits = zip(*outputs, strict=True)
    scores = None if logits[0] is None else torch.stack(logits)
    return Output(torch.cat(before, dim=1), torch.cat(after, dim=1), scores)
