"""How long a context may be: one rule for every command that takes a length.

A model states the longest context it was made for (`Model.max_context`). A longer one is refused, unless it is asked
for all the same: what is computed then is arithmetic, and the answer says so. Another limit is set by
`--set model.max_context=...`, as positions that are scaled further (YaRN) allow.
"""

from __future__ import annotations

import math

from ..errors import BadInput
from .model import Model

UNLIMITED = 2.0**20
"""The longest context drawn, in tokens, for a model that states no limit."""


def longest(model: Model) -> float:
    """The longest context, in tokens, that is looked at where none was asked for.

    >>> from rackmath.world.precision import Precision
    >>> longest(Model(name="m", d_model=8, vocab=8, groups=(), precision=Precision(name="bf16")))
    1048576.0
    """
    return model.max_context if math.isfinite(model.max_context) else UNLIMITED


def within(model: Model, tokens: float, given: str, *, extrapolate: bool = False) -> list[str]:
    """Refuse a context of more `tokens` than the model was made for; `given` names what was asked for.

    With `extrapolate` it is allowed, and the notes that go with the answer are returned.

    >>> from rackmath.world.precision import Precision
    >>> small = Model(name="m", d_model=8, vocab=8, groups=(), precision=Precision(name="bf16"), max_context=4096)
    >>> within(small, 4096, "context"), within(small, 5000, "context", extrapolate=True)
    ([], ['beyond 4,096 tokens this is arithmetic only: m was not made for them'])
    >>> within(small, 5000, "isl or osl")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    rackmath.errors.BadInput: 5,000 tokens are more than the 4,096 that m was made for; shorten isl or osl, ...
    """
    if tokens <= model.max_context:
        return []
    limit = f"{model.max_context:,.0f}"
    if not extrapolate:
        raise BadInput(
            f"{tokens:,.0f} tokens are more than the {limit} that {model.name} was made for; shorten {given}, give"
            f" --extrapolate to compute beyond it, or --set model.max_context={math.ceil(tokens)} where its positions"
            " are scaled that far (YaRN)"
        )
    return [f"beyond {limit} tokens this is arithmetic only: {model.name} was not made for them"]
