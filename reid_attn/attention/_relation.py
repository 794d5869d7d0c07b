"""One gate for each token, weighed by its relations to all others. The symbols are rga.py's.

Every convolution is 1×1, a product of matrices, and is computed as one: torch's own 1×1 in one
dimension brings each map of a CPU into another layout and back. With the features first, the tokens
of a whole batch are one matrix (F, N·n), and so are g, Θ and Φ, which are then taken apart without
a copy. The matrix is a view of the map where a token's features lie next to each other, otherwise a
copy of whole rows.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

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
        self.embed = _Pointwise(sizes.features, embedded)  # g, Θ, Φ
        self.embed_norm = nn.BatchNorm1d(embedded)
        self.relate = nn.Linear(2 * sizes.tokens, sizes.related, bias=False) if relation else None
        self.relate_norm = nn.BatchNorm1d(sizes.related) if relation else None
        last_norm = nn.BatchNorm1d(1)
        if identity_start:
            nn.init.zeros_(last_norm.weight)
        self.head = nn.Sequential(
            _Pointwise(inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            _Pointwise(hidden, 1),
            last_norm,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, F, n) -> (N, 1, n)."""
        embedded = self._embed(tokens)
        own, pair = torch.split(embedded, [self.own, len(embedded) - self.own])
        reduce = cast(Tensor, self.head[0].weight).flatten(1).to(embedded.dtype)  # (k, 1 + m)
        parts = []  # of [g; Z], whose stacking would copy Z
        if self.own:
            parts.append(reduce[:, :1] * own.mean(dim=0)[:, None])
        if self.relate is not None and self.relate_norm is not None:
            related = torch.relu_(self.relate_norm(self._relate(pair, self.relate.weight)))
            parts.append(_product(reduce[:, -related.shape[1] :], related))
        gate = torch.sigmoid(self.head[1:](sum(parts[1:], start=parts[0])))
        return gate * self.scale if self.scale != 1 else gate

    def _embed(self, tokens: Tensor) -> Tensor:
        """(N, F, n) -> [g; Θ; Φ], each (d, N, n) as far as it is there."""
        pictures, features, positions = tokens.shape
        matrix = tokens.permute(1, 0, 2).reshape(features, pictures * positions)
        embedded = self.embed_norm((self.embed.weight.flatten(1) @ matrix)[None])
        return torch.relu_(embedded).reshape(-1, pictures, positions)

    def _relate(self, pair: Tensor, weight: Tensor) -> Tensor:
        """[Θ; Φ] (2d, N, n) -> W [G; Gᵀ] (N, m, n) = [W1 Φᵀ | W2 Θᵀ] [Θ; Φ]."""
        theta, phi = pair.chunk(2)
        w1, w2 = weight.chunk(2, dim=1)  # (m, n) each
        mixed = torch.cat([linear(phi, w1), linear(theta, w2)])  # (2d, N, m)
        return torch.bmm(mixed.permute(1, 2, 0), pair.permute(1, 0, 2))

    def affinity(self, tokens: Tensor, index: int) -> Tensor:
        """G(index, :) of tokens (N, F, n): (N, n)."""
        theta, phi = self._embed(tokens)[self.own :].chunk(2)
        return (theta[:, :, index, None] * phi).sum(dim=0)

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


class _Pointwise(nn.Conv1d):
    """A 1×1 convolution without bias, as one product for each picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, n) -> (N, m, n)."""
        return _product(self.weight.flatten(1), x)


def _product(weight: Tensor, x: Tensor) -> Tensor:
    """(m, F) times (N, F, n) -> (N, m, n); `@` would copy x to make one product of the batch."""
    return torch.bmm(weight.expand(len(x), *weight.shape), x)
