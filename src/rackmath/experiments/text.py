"""Real text that Python brings along: the language reference of its help system, as tokens of one byte."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor

VOCABULARY = 128


def python_reference() -> Tensor:
    """The chapters behind help("topics") in order of their names; a letter that is not ASCII becomes "?".

    >>> tokens = python_reference()
    >>> len(tokens) > 300_000, int(tokens.max()) < VOCABULARY
    (True, True)
    """
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return torch.tensor(list(text.encode("ascii", "replace")), dtype=torch.long)


def batch(tokens: Tensor, size: int, length: int, generator: torch.Generator) -> Tensor:
    """`size` stretches of `length` tokens each, at random places.

    >>> batch(torch.arange(100), 2, 5, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 5])
    """
    starts = torch.randint(len(tokens) - length + 1, (size,), generator=generator)
    return torch.stack([tokens[s : s + length] for s in starts.tolist()])
