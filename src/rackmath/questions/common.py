"""Inputs that several questions share, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

from .fields import Field, flag

TRAFFIC, OBJECTIVES, CHOICES, FLEET = "Traffic", "Objectives", "Choices", "Fleet"
"""Panels of the help."""

PRICES = ("on_demand", "reserved", "spot", "owned")


def model(missing: str = "") -> Field:
    """The field of a model; `missing`: what else a command without one may have meant."""
    text = "A model of the catalogue (deepseek-ai/DeepSeek-V3), or the path of a config.json or description."
    return Field(help=text, argument=True, metavar="MODEL", complete="models", missing=missing)


ModelName = Annotated[Any, model()]
MachineName = Annotated[
    Any, Field(help="The machine: 8xh100, gb200-nvl72, ...", flag="--on", metavar="MACHINE", complete="machines")
]
WeightFormat = Annotated[
    str | None, Field(help="Format of the weights: fp8, nvfp4, ...", metavar="FORMAT", panel=CHOICES)
]
CacheFormat = Annotated[
    str | None, Field(help="Format of the cache: bf16, fp8, ...", metavar="FORMAT", panel=CHOICES)
]
LayoutWords = Annotated[
    str | None,
    Field(
        help="Such as 'TP8 DP4 EP32 PP2'. If not given, the one with the cheapest tokens for what is asked.",
        metavar="LAYOUT",
        panel=CHOICES,
    ),
]
EngineName = Annotated[
    str | None,
    Field(
        help="The serving engine: vllm, sglang, trtllm, atom, with a version or without (vllm 0.15.1). Or one of your"
        " own. A typical one if not given.",
        metavar="ENGINE",
        panel=CHOICES,
        complete="engines",
    ),
]
PriceKind = Annotated[str | None, Field(help="Which price.", choices=PRICES, metavar="KIND", panel=CHOICES)]
Adapters = Annotated[
    str | None,
    Field(
        help="Adapters served beside the model: rank=16,adapters=64. Also on=attention or on=mlp. Bytes and FLOPs of"
        " each are stated.",
        metavar="ADAPTERS",
        panel=CHOICES,
    ),
]
Settings = Annotated[
    dict[str, Any],
    Field(
        help="Replace one value: machine.hbm_bandwidth=8TB/s, engine.chunk_tokens=4096. Repeatable.",
        flag="--set",
        metavar="KEY=VALUE",
        panel=CHOICES,
        example="machine.hbm_bandwidth=8TB/s",
    ),
]

Extrapolate = Annotated[
    bool,
    flag("Allow contexts longer than the model was made for; what is computed then is arithmetic.", panel=CHOICES),
]
FormerExtrapolate = Annotated[
    bool, flag("Does nothing now: beyond the runs behind a law its answer is marked and its interval wider.")
]
NO_EXTRAPOLATE = (
    "--extrapolate does nothing now: beyond the runs behind a law its answer is marked and its interval wider"
)


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """What every question about a model on one machine has."""

    model: ModelName
    on: MachineName
    precision: WeightFormat = None
    kv: CacheFormat = None
    engine: EngineName = None
    sets: Settings = default(default_factory=dict)
    extrapolate: Extrapolate = False
