"""A network that mixes as a cipher does, on handwritten digits: 64 pixels, each a token.

One round mixes tokens, as ShiftRows and MixColumns spread bytes; the next
works on each token alone, as SubBytes does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .reversible import ReversibleSequence

Kind = Literal["residual", "residual-free", "reversible"]
KINDS: dict[Kind, str] = {"residual": "h + r(h)", "residual-free": "r(h)", "reversible": "(a, b) to (b, a + r(b))"}
PIXELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Images of 64 pixels from 0 to 1 with their labels, to learn from and left out."""

    images: Tensor
    labels: Tensor
    unseen: Tensor
    unseen_labels: Tensor


def digits() -> Digits:
    """The 1,797 digits that scikit-learn brings along (UCI, 8 x 8 pixels); every fourth is left out.

    >>> found = digits()
    >>> found.images.shape, len(found.unseen), float(found.images.max())
    (torch.Size([1347, 64]), 450, 1.0)
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    x, y = torch.tensor(raw.data, dtype=torch.float32) / 16, torch.tensor(raw.target, dtype=torch.long)
    out = torch.arange(len(x)) % 4 == 0
    return Digits(images=x[~out], labels=y[~out], unseen=x[out], unseen_labels=y[out])


class Across(nn.Module):
    """Mixes tokens, each channel alike."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.inner, self.out = nn.LayerNorm(width), nn.Linear(PIXELS, PIXELS), nn.Linear(PIXELS, PIXELS)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.out(functional.gelu(self.inner(self.norm(x).mT))).mT
        return mixed


class Within(nn.Sequential):
    """Mixes the channels of a token, each token alike."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class DigitsMixer(nn.Module):
    """Pixels to scores of the ten digits; `start` makes the state, `round` takes it through one round."""

    def __init__(self, kind: Kind, *, layers: int = 4, width: int = 16) -> None:
        super().__init__()
        self.kind = kind
        self.into = nn.Linear(1, width)
        self.places = nn.Parameter(0.5 * torch.randn(PIXELS, width))
        self.rounds = ReversibleSequence((Across(width), Within(width)) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def start(self, images: Tensor) -> Tensor:
        x: Tensor = self.into(images.unsqueeze(-1)) + self.places
        return torch.cat([x, x], dim=-1) if self.kind == "reversible" else x

    def round(self, i: int, state: Tensor) -> Tensor:
        module = self.rounds.rounds[i]
        if self.kind == "reversible":
            a, b = state.chunk(2, dim=-1)
            return torch.cat([b, a + module(b)], dim=-1)
        result: Tensor = module(state)
        return result if self.kind == "residual-free" else state + result

    def scores(self, state: Tensor) -> Tensor:
        if self.kind == "reversible":
            a, b = state.chunk(2, dim=-1)
            state = (a + b) / 2
        found: Tensor = self.head(self.norm(state).mean(dim=-2))
        return found

    def forward(self, images: Tensor) -> Tensor:
        state = self.start(images)
        if self.kind == "reversible" and torch.is_grad_enabled():
            return self.scores(self.rounds(state))
        for i in range(len(self.rounds.rounds)):
            state = self.round(i, state)
        return self.scores(state)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose digit is told."""
    with torch.no_grad():
        return float((model(images).argmax(-1) == labels).double().mean())


def train(
    kind: Kind,
    data: Digits,
    *,
    seed: int = 0,
    epochs: int = 20,
    layers: int = 4,
    width: int = 16,
    tick: Callable[[], object] = lambda: None,
) -> DigitsMixer:
    """A network trained on the digits; `tick` is called after each epoch."""
    torch.manual_seed(seed)
    model, draw = DigitsMixer(kind, layers=layers, width=width), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    for _ in range(epochs):
        for some in torch.randperm(len(data.images), generator=draw).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(data.images[some]), data.labels[some]).backward()
            optimizer.step()
        tick()
    model.eval()
    return model
