"""The gate of RGA: tokens weighed by their relations to all others. The symbols are rga.py's."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._published import Sources, renamed


class Sizes(NamedTuple):
    """Of one gate: F and n of its input, d, m, and the width inside its head."""

    features: int
    tokens: int
    embedded: int
    related: int
    down_ratio: int

    def hidden(self, inputs: int) -> int:
        """Width between the two convolutions of the head."""
        return max(inputs // self.down_ratio, 1)


class RelationGate(nn.Module):
    """One gate for each token, from its relations to all tokens and from its own feature."""

    def __init__(self, sizes: Sizes, relation: bool, original: bool, identity_start: bool) -> None:
        super().__init__()
        self.own = sizes.embedded if original else 0  # of the embedded channels, those of g
        embedded = self.own + 2 * sizes.embedded * relation
        inputs = original + sizes.related * relation
        hidden = sizes.hidden(inputs)
        self.scale = 2.0 if identity_start else 1.0
        self.embed = _convolution(sizes.features, embedded)  # g, Θ, Φ
        self.embed_norm = nn.BatchNorm1d(embedded)
        self.relate = nn.Linear(2 * sizes.tokens, sizes.related, bias=False) if relation else None
        self.relate_norm = nn.BatchNorm1d(sizes.related) if relation else None
        last_norm = nn.BatchNorm1d(1)
        if identity_start:
            nn.init.zeros_(last_norm.weight)
        self.head = nn.Sequential(
            _convolution(inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            _convolution(hidden, 1),
            last_norm,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, F, n) -> (N, 1, n)."""
        embedded = self._embed(tokens)
        parts = [embedded[:, : self.own].mean(dim=1, keepdim=True)] if self.own else []
        if self.relate is not None and self.relate_norm is not None:
            related = self._relate(embedded[:, self.own :], self.relate.weight)
            parts.append(torch.relu_(self.relate_norm(related)))
        gate = torch.sigmoid(self.head(torch.cat(parts, dim=1)))
        return gate * self.scale if self.scale != 1 else gate

    def _embed(self, tokens: Tensor) -> Tensor:
        """(N, F, n) -> [g; Θ; Φ], each (N, d, n) as far as it is there."""
        return torch.relu_(self.embed_norm(self.embed(tokens)))

    def _relate(self, pair: Tensor, weight: Tensor) -> Tensor:
        """[Θ; Φ] (N, 2d, n) -> W [G; Gᵀ] (N, m, n) = [W1 Φᵀ | W2 Θᵀ] [Θ; Φ]."""
        theta, phi = pair.chunk(2, dim=1)
        w1, w2 = weight.chunk(2, dim=1)  # (m, n) each
        return torch.cat([w1 @ phi.mT, w2 @ theta.mT], dim=2) @ pair

    def affinity(self, tokens: Tensor, index: int) -> Tensor:
        """G(index, :) of tokens (N, F, n): (N, n)."""
        theta, phi = self._embed(tokens)[:, self.own :].chunk(2, dim=1)
        return (theta[:, :, index, None] * phi).sum(dim=1)

    def sources(self, branch: str) -> Sources:
        """Our key -> the published keys of the branch `spatial` or `channel`."""
        own = ("gx",) if self.own else ()
        embeddings = own if self.relate is None else (*own, "theta", "phi")
        modules = {
            "embed": [f"{name}_{branch}.0" for name in embeddings],
            "embed_norm": [f"{name}_{branch}.1" for name in embeddings],
            "relate": f"gg_{branch}.0",
            "relate_norm": f"gg_{branch}.1",
        } | {f"head.{index}": f"W_{branch}.{index}" for index in (0, 1, 3, 4)}
        return renamed(self.state_dict(), modules)


def _convolution(inputs: int, outputs: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, kernel_size=1, bias=False)
