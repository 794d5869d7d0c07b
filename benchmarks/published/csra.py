"""CSRA as published: each head is a 1×1 convolution of the map, divided by its weights' norms."""

import torch
from torch import Tensor, nn

TEMPERATURES = {1: [1], 2: [1, 99], 4: [1, 2, 4, 99], 6: [*range(1, 6), 99], 8: [*range(1, 8), 99]}


class _Classifier(nn.Module):
    def __init__(self, channels: int, identities: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, identities, 1, bias=False)

    def logits(self, x: Tensor, temperature: float, lam: float) -> Tensor:
        norms = torch.norm(self.head.weight, dim=1, keepdim=True).transpose(0, 1)  # (1, K, 1, 1)
        score = (self.head(x) / norms).flatten(2)  # (N, K, H·W)
        base = score.mean(dim=2)
        if temperature == 99:
            attended = torch.max(score, dim=2)[0]
        else:
            attended = (score * torch.softmax(score * temperature, dim=2)).sum(dim=2)
        return base + lam * attended


class Published(_Classifier):
    """(N, C, H, W) -> (N, identities), under the published keys of one head or of several."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        identities: int,
        heads: int = 1,
        temperature: float | None = None,
        lam: float = 0.3,
    ) -> None:
        super().__init__(channels, identities)
        del size
        self.lam = lam
        self.temperatures = TEMPERATURES[heads] if temperature is None else [temperature] * heads
        if heads > 1:
            del self.head
            self.multi_head = nn.ModuleList(_Classifier(channels, identities) for _ in range(heads))

    def forward(self, x: Tensor, feature: Tensor | None = None) -> Tensor:
        """The sum of the heads' logits, one after the other; they do not read the feature."""
        del feature
        classifiers = getattr(self, "multi_head", [self])
        logits = 0.0
        for classifier, temperature in zip(classifiers, self.temperatures, strict=True):
            logits = logits + classifier.logits(x, temperature, self.lam)
        return logits
