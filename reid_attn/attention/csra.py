"""Class-specific residual attention, CSRA (Zhu & Wu, ICCV 2021, arXiv 2108.02456).

A classifier that looks at the map X ∈ R^{C×N}, N = H·W, instead of its mean. With rows w_k of unit
length, one for each of K identities, and no bias:

    S = W X / ‖w_k‖                               ∈ R^{K×N}
    base = mean_N S,  att = Σ_N S softmax_N(T S), or max_N S where T = ∞ (written 99)
    logit = base + λ att                          ∈ R^K

H heads: the sum of H such classifiers, with the temperatures 1, 2, …, H−1, 99 (six and eight
heads), 1, 2, 4, 99 (four), 1, 99 (two) or 1 (one).

**Exact and lean.** base is linear, so it is one product of W and mean_N X; all heads are one
convolution of X; the lengths of the weights divide pooled scores and temperatures instead of S.
S is (N, H·K, H·W), 49 MiB for each picture and head at K = 10⁵: `chunk` computes that many
identities at a time and again in backward, so that only their scores exist at once.

Place: instead of pooling and linear classifier; as an identity loss in training, while retrieval
uses the pooled feature. It reads the map, so a neck between pooling and classifier acts on
retrieval alone.
Differences from the published code: none in the mathematics. The common snippet does not normalise
W and knows T = ∞ alone. λ is tuned for each set there (0.1 to 0.6); the four-line form with
T = ∞ is meant for a trained network. Made for many labels to a picture, without results for re-ID.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..errors import UsageError
from ._block import Block, Place
from ._precision import widened

Heads = Literal[1, 2, 4, 6, 8]
_MAXIMUM = 99.0
_TEMPERATURES: Mapping[int, Sequence[float]] = {
    1: (1,),
    2: (1, _MAXIMUM),
    4: (1, 2, 4, _MAXIMUM),
    6: (1, 2, 3, 4, 5, _MAXIMUM),
    8: (1, 2, 3, 4, 5, 6, 7, _MAXIMUM),
}


class CSRA(Block):
    """Class-specific residual attention, (N, C, H, W) -> (N, identities).

    Args:
        channels: C.
        identities: K.
        heads: H.
        temperature: T of every head, 99 for the maximum; None: the published list for H heads.
        lam: λ, the weight of the attended score.
        chunk: identities in one pass, to bound memory at the cost of time; None: all.
    """

    kind = "classifier"
    slots = ("classifier",)
    published = (Place("classifier"),)
    variants = ({"heads": 2, "lam": 0.5}, {"temperature": _MAXIMUM}, {"heads": 4, "chunk": 3})

    def __init__(
        self,
        channels: int,
        identities: int,
        heads: Heads = 1,
        temperature: float | None = None,
        lam: float = 0.3,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if temperature is not None and temperature <= 0:
            raise UsageError(f"csra got temperature={temperature}: give it more than 0, 99 for ∞")
        if chunk is not None and chunk < 1:
            raise UsageError(f"csra got chunk={chunk}: give it 1 or more, or none for one pass")
        published = _TEMPERATURES[heads]
        self.temperatures = tuple(published if temperature is None else [temperature] * heads)
        self.lam = lam
        self.chunk = chunk
        self.head = nn.Linear(channels, heads * identities, bias=False)  # head after head

    def forward(self, x: Tensor, feature: Tensor | None = None) -> Tensor:
        """Map (N, C, H, W) and the feature after the neck, unused -> scores (N, identities)."""
        del feature  # the pooled scores are those of the map itself
        weights = self.head.weight.view(len(self.temperatures), -1, x.shape[1])  # (H, K, C)
        lengths = torch.linalg.vector_norm(weights, dim=2).clamp_min(1e-12)  # (H, K)
        pooled: Tensor = self.head(x.mean(dim=(2, 3)))
        base = (pooled.view(len(x), *lengths.shape) / lengths).sum(dim=1)  # (N, K)
        logits: Tensor = base + self.lam * self._attended(x, weights, lengths)
        return logits

    def _attended(self, x: Tensor, weights: Tensor, lengths: Tensor) -> Tensor:
        """The heads' attended scores, (N, K), in one pass or chunk by chunk."""
        if self.chunk is None:
            return self._scored(x, weights, lengths)
        parts = zip(
            torch.split(weights, self.chunk, dim=1),
            torch.split(lengths, self.chunk, dim=1),
            strict=True,
        )
        again = partial(checkpoint, self._scored, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(x, *part) for part in parts], dim=1)

    def _scored(self, x: Tensor, weights: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, C, H, W), weights (H, K, C) of lengths (H, K) -> (N, K)."""
        scores = F.conv2d(x, weights.flatten(0, 1)[..., None, None]).flatten(2)  # (N, H·K, H·W)
        heads = zip(scores.chunk(len(weights), dim=1), lengths, self.temperatures, strict=True)
        return torch.stack([_pooled(*head) for head in heads]).sum(dim=0)

    def official_modules(self) -> Mapping[str, str | tuple[str, ...]]:
        """One published classifier, or one for each head."""
        heads = len(self.temperatures)
        several = tuple(f"multi_head.{index}.head" for index in range(heads))
        return {"head": "head" if heads == 1 else several}


def _pooled(score: Tensor, length: Tensor, temperature: float) -> Tensor:
    """Scores (N, K, H·W) by weights of `length` (K,) -> (N, K) by unit weights."""
    if temperature == _MAXIMUM:
        pooled = score.max(dim=2).values  # unlike amax, gradient to one of several maxima
    else:
        score = widened(score)
        weights = torch.softmax(score * (temperature / length)[:, None], dim=2)
        pooled = (score * weights).sum(dim=2)
    return pooled / length


def parameter_count(channels: int, size: tuple[int, int], identities: int, heads: Heads = 1) -> int:
    """Trainable parameters: H·C·K."""
    del size  # fits every map
    return heads * channels * identities
