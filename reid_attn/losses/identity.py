"""The identity loss: cross-entropy of the classifier's scores, cosines with a margin first."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ..settings import LossSettings


class IdentityLoss(nn.Module):
    """Mean over pictures, and over heads where the network has several, of CE(scores, person).

    The target has 1 − ε for the person and ε spread evenly (Szegedy et al., CVPR 2016, arXiv
    1512.00567, section 7): over all K identities, the true one included, or over the K − 1 others.
    Scores are the logits (`softmax`) or, where these are cosines, s times `circle`, `cosface` or
    `arcface` of them.

    Raises:
        UsageError: ε is so large that the other identities would get more than the true one.
    """

    def __init__(self, settings: LossSettings, identities: int) -> None:
        super().__init__()
        self.kind = settings.identity_kind
        self.scale, self.margin = settings.identity_scale, settings.identity_margin
        self.smoothing = settings.label_smoothing
        if settings.smoothing_over == "others":
            self.smoothing = _over_others(settings.label_smoothing, identities)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, K) or (heads, N, K), labels (N,) in 0..K−1; a scalar."""
        scores = logits.flatten(0, -2)  # (heads · N, K)
        labels = labels.repeat(len(scores) // len(labels))
        if self.kind != "softmax":
            add_margin = {"circle": circle, "cosface": cosface, "arcface": arcface}[self.kind]
            own = functional.one_hot(labels, scores.shape[1]).bool()
            scores = self.scale * add_margin(scores, own, self.margin)
        return functional.cross_entropy(scores, labels, label_smoothing=self.smoothing)


def circle(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """Cosines (N, K) further from their goal count more; `own` (N, K) is true at the person.

    Own: [1 + m − cos]₊ (cos − (1 − m)), others: [cos + m]₊ (cos − m), with weights [·]₊ that get no
    gradient (Sun et al., CVPR 2020, arXiv 2002.10857, eqs. 5, 6 and 8, with class-level labels).
    """
    weight = torch.where(own, 1 + margin - cosines, cosines + margin).clamp(min=0).detach()
    return weight * torch.where(own, cosines - (1 - margin), cosines - margin)


def cosface(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """Own: cos − m, others: cos (Wang et al., CVPR 2018, arXiv 1801.09414, eq. 4)."""
    return torch.where(own, cosines - margin, cosines)


def arcface(cosines: Tensor, own: Tensor, margin: float) -> Tensor:
    """Own: cos(θ + m), others: cos θ (Deng et al., CVPR 2019, arXiv 1801.07698, eq. 3).

    Beyond θ = π − m, where cos(θ + m) would rise again, own is cos θ − m sin m, as in the authors'
    code. The slope sin(θ + m) / sin θ has no bound at θ = 0, so sin² θ is taken as at least 10⁻⁶,
    also for a cosine that rounding has carried beyond 1.
    """
    sines = (1 - cosines.square()).clamp(min=1e-6).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    beyond = cosines - margin * math.sin(margin)
    return torch.where(own, torch.where(cosines >= -math.cos(margin), turned, beyond), cosines)


def _over_others(share: float, identities: int) -> float:
    """The ε over all K that leaves each of the K − 1 others with share / (K − 1)."""
    most = (identities - 1) / identities
    if share > most:
        raise UsageError(
            f"loss.label_smoothing={share} is too much for {identities} persons with "
            f"loss.smoothing_over=others: lower it to {most:.3g} or less"
        )
    return share / most if share else 0.0
