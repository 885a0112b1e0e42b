"""A small transformer of the GPT kind, run in several ways: the worked model of the lab's measurements.

The reversible one has two streams of the residual width: attention reads the second and adds to the first, the
feed-forward reads the first and adds to the second. The ordinary one has a single stream and the same parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ..errors import BadInput, unknown
from .reversible import ReversibleSequence

Way = Literal["residual", "stored", "checkpointed", "square root", "reversible"]
WAYS: dict[Way, str] = {
    "residual": "one stream, every activation stored",
    "stored": "two streams, every activation stored",
    "checkpointed": "two streams, one activation stored for each layer",
    "square root": "two streams, one activation stored for each square root of the layers",
    "reversible": "two streams, the last activation stored alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a transformer. `width`: of one stream; `context`: the most tokens in a sequence."""

    layers: int = 4
    width: int = 64
    heads: int = 4
    context: int = 64
    vocabulary: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "context", "vocabulary"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)} is out of range; give a whole number from 1")
        if self.width % self.heads:
            raise BadInput(f"width {self.width} is no multiple of {self.heads} heads; give one that is")


class Attention(nn.Module):
    """Causal self-attention behind a layer norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.dropout = shape.heads, shape.dropout
        self.norm = nn.LayerNorm(shape.width)
        self.into = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.into(self.norm(x)).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = functional.dropout(self.out(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        return out


class Mlp(nn.Sequential):
    """Two matrices four times as wide inside, behind a layer norm."""

    def __init__(self, shape: Shape) -> None:
        wide = 4 * shape.width
        super().__init__(
            nn.LayerNorm(shape.width), nn.Linear(shape.width, wide), nn.GELU(), nn.Linear(wide, shape.width), nn.Dropout(shape.dropout)
        )


class Gpt(nn.Module):
    """Tokens to scores of the next token. `way`: how the layers are run, of WAYS; it can be changed at any time.

    >>> _ = torch.manual_seed(0)
    >>> model, tokens = Gpt(Shape(layers=2)), torch.arange(12).reshape(1, 12)
    >>> one = model(tokens)
    >>> model.way = "stored"
    >>> one.shape, bool(torch.allclose(one, model(tokens)))
    (torch.Size([1, 12, 128]), True)
    """

    def __init__(self, shape: Shape, way: Way = "reversible") -> None:
        super().__init__()
        if way not in get_args(Way):
            raise unknown("way", way, list(WAYS))
        self.shape, self.way = shape, way
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.context, shape.width)
        self.layers = ReversibleSequence((Attention(shape), Mlp(shape)) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 / math.sqrt(2 * shape.layers) if name.endswith(("out.weight", "3.weight")) else 0.02
                nn.init.normal_(p, std=scale)

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[-1] > self.shape.context:
            raise BadInput(f"{tokens.shape[-1]} tokens exceed the context of {self.shape.context}; give fewer")
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[-1]]
        if self.way == "residual":
            for module in self.layers.rounds:
                x = x + module(x)
        else:
            x1, x2 = self._two_streams(torch.cat([x, x], dim=-1)).chunk(2, dim=-1)
            x = (x1 + x2) / 2
        scores: Tensor = self.head(self.norm(x))
        return scores

    def _two_streams(self, x: Tensor) -> Tensor:
        if self.way == "reversible":
            out: Tensor = self.layers(x)
            return out
        if self.way == "stored":
            return self.layers.stored(x)
        layers = self.shape.layers
        step = 1 if self.way == "checkpointed" else max(1, math.isqrt(layers))
        rounds = list(self.layers.rounds)
        for start in range(0, layers, step):
            x = checkpoint(_several, x, rounds[2 * start : 2 * (start + step)], use_reentrant=False)
        return x


def _several(x: Tensor, rounds: list[nn.Module]) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    for module in rounds:
        a, b = b, a + module(b)
    return torch.cat([a, b], dim=-1)


def loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token given those before it."""
    scores = model(tokens[:, :-1])
    found: Tensor = functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
    return found
