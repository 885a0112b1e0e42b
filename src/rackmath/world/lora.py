"""Low-rank adapters served beside a model: what they store and what they cost a pass.

An adapter of rank r adds to a matrix of shape (d_in, d_out) two thin ones, r (d_in + d_out) parameters, and
2 r (d_in + d_out) FLOPs for every token. The adapters in use are read once per pass, whichever tokens use them.
Routed experts carry none.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import BadInput, unknown
from .model import TARGETS, LayerGroup, Lora, Matrix, Model


def parse_lora(text: str) -> Lora:
    """Adapters from words.

    >>> parse_lora("rank=16,adapters=64,on=attention").on
    ('attention',)
    """
    from ..units import parse

    values: dict[str, str] = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        if not equals or not value.strip():
            raise BadInput(f"lora {text!r} has the part {word.strip()!r}; write it like rank=16,adapters=64")
        if key.strip() not in ("rank", "adapters", "on"):
            raise unknown("lora value", key.strip(), ("rank", "adapters", "on"))
        values[key.strip()] = value.strip()
    numbers = {}
    for name in ("rank", "adapters"):
        if name not in values:
            raise BadInput(f"lora {text!r} lacks {name}; write it like rank=16,adapters=64")
        numbers[name] = parse(values[name], "count", name=f"lora {name}")
        if not 1 <= numbers[name] <= 1e6 or numbers[name] != int(numbers[name]):
            raise BadInput(f"lora {name} = {values[name]!r} is out of range; give a whole number from 1 to 1e6")
    on = TARGETS if "on" not in values else tuple(values["on"].split("+"))
    for one in on:
        if one not in TARGETS:
            raise unknown("lora target", one, TARGETS)
    return Lora(rank=numbers["rank"], adapters=numbers["adapters"], on=on)


def with_lora(model: Model, lora: Lora) -> Model:
    """The model with adapters on its layers; refused where no matrix takes one.

    Rank 16 on all matrices of Llama-3.1-8B adds 42 million parameters:

    >>> from rackmath.world.catalog import model
    >>> llama = with_lora(model("meta-llama/Llama-3.1-8B"), Lora(rank=16, adapters=1))
    >>> round(sum(g.count * sum(m.parameters for m in adapter(g, llama.lora)) for g in llama.groups) / 1e6, 1)
    41.9
    """
    if not any(adapter(group, lora) for group in model.groups):
        raise BadInput(f"{model.name} has no matrix in {' or '.join(lora.on)} that an adapter could sit on")
    return replace(model, lora=lora)


def parameters(model: Model) -> float:
    """Parameters of one adapter over all layers; 0 without adapters.

    It stores `Lora.bytes` of each and spends 2 FLOPs on each for every token that uses it. Rank 8 on the attention
    of Llama-3.1-8B, 32 layers of q and o with 8,192 and k and v with 5,120 rows and columns:

    >>> from rackmath.world.catalog import model
    >>> parameters(with_lora(model("meta-llama/Llama-3.1-8B"), Lora(rank=8, adapters=64, on=("attention",))))
    6815744.0
    """
    return float(sum(g.count * sum(m.parameters for m in adapter(g, model.lora)) for g in model.groups))


def adapter(group: LayerGroup, lora: Lora | None) -> tuple[Matrix, ...]:
    """The two thin matrices of one adapter beside each matrix of a layer, as one matrix of the same size each."""
    if lora is None:
        return ()
    parts = (group.mixer.matrices if group.mixer else ()) + (group.ffn.matrices if group.ffn else ())
    return tuple(replace(m, name=f"adapter of {m.name}", d_in=lora.rank, d_out=m.d_in + m.d_out) for m in parts if m.component in lora.on)
