"""Which function reads which family: names are `model_type` values and `architectures` entries alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .config import Config

Family = Callable[[Config], dict[str, Any]]
"""A reader: the text model's config in, our description without name, family and precision out."""

FAMILIES: dict[str, Family] = {}


def family(*names: str) -> Callable[[Family], Family]:
    """Register a reader under every `model_type` and architecture it serves.

    The reader returns `d_model`, `vocab`, `groups` and whatever else of the schema differs from its defaults
    (`draft`, `tied_embeddings`, `embedding_parameters`, `head_parameters`, `norm_parameters`, `notes`).
    """

    def register(reader: Family) -> Family:
        for name in names:
            if name in FAMILIES:
                raise ValueError(f"two readers claim the family {name!r}")
            FAMILIES[name] = reader
        return reader

    return register
