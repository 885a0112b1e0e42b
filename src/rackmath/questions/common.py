"""Inputs that several questions share, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

from .fields import Field, count, flag, needs, seconds, share, speed, tokens, words

TRAFFIC, OBJECTIVES, CHOICES, FLEET = "Traffic", "Objectives", "Choices", "Fleet"
"""Panels of the help."""

PRICES = ("on_demand", "reserved", "spot", "owned")


def model(missing: str = "") -> Field:
    """The field of a model; `missing`: what else a command without one may have meant."""
    text = "A model of the catalogue (deepseek-ai/DeepSeek-V3), or the path of a config.json or description."
    return Field(help=text, argument=True, metavar="MODEL", complete="models", missing=missing)


ModelName = Annotated[Any, model()]
MachineName = Annotated[Any, Field(help="The machine: 8xh100, gb200-nvl72, ...", flag="--on", metavar="MACHINE", complete="machines")]
Machines = Annotated[
    tuple[Any, ...],
    Field(
        help="The machine: 8xh100, gb200-nvl72, ... Repeat it, or separate with commas, to choose among several.",
        flag="--on",
        also=("--machines",),
        metavar="MACHINE",
        complete="machines",
    ),
]
WeightFormat = Annotated[str | None, Field(help="Format of the weights: fp8, nvfp4, ...", metavar="FORMAT", panel=CHOICES)]
CacheFormat = Annotated[str | None, Field(help="Format of the cache: bf16, fp8, ...", metavar="FORMAT", panel=CHOICES)]
WeightFormats = Annotated[
    tuple[str, ...] | None,
    words("Formats of the weights to try: fp8,nvfp4, q4_k_m (a GGUF file), or any. As published if not given.", "FORMATS", panel=CHOICES),
]
CacheFormats = Annotated[
    tuple[str, ...] | None, words("Formats of the cache to try: bf16,fp8, or any. As published if not given.", "FORMATS", panel=CHOICES)
]
LayoutWords = Annotated[
    str | None,
    Field(
        help="Such as 'TP8 DP4 EP32 PP2' or 'TP8 DCP8'. If not given, the one with the cheapest tokens for what is asked.",
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
        help="Adapters served beside the model: rank=16,adapters=64. Also on=attention or on=mlp. Bytes and FLOPs of each are stated.",
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

FamilyFile = Annotated[
    str | None,
    Field(
        help="A TOML file of families of models that are not known yet: rows of key names (docs/concepts/models.md).",
        metavar="FILE",
        panel=CHOICES,
    ),
]
Extrapolate = Annotated[
    bool, flag("Allow contexts longer than the model was made for; what is computed then is arithmetic.", panel=CHOICES)
]
FormerExtrapolate = Annotated[bool, flag("Does nothing now: beyond the runs behind a law its answer is marked and its interval wider.")]
NO_EXTRAPOLATE = "--extrapolate does nothing now: beyond the runs behind a law its answer is marked and its interval wider"


InputTokens = Annotated[float, tokens("Input tokens of a request.", panel=TRAFFIC)]
OutputTokens = Annotated[float, tokens("Output tokens of a request.", panel=TRAFFIC)]
CachedShare = Annotated[float, share("Share of the input found in the prefix cache: 0.6 or 60%.", panel=TRAFFIC)]
Utilisation = Annotated[
    float, Field(help="Share of paid machine time that carries load.", unit="share", above=0, most=1, metavar="SHARE", panel=TRAFFIC)
]
MaxTtft = Annotated[float | None, seconds("Median time to first token at the plan's load: 2s.", panel=OBJECTIVES)]
MaxTpot = Annotated[float | None, seconds("Median time per output token: 40ms.", panel=OBJECTIVES)]
MinInteractivity = Annotated[float | None, speed("Tokens per second for each user: 20.", panel=OBJECTIVES)]
ReplicaSize = Annotated[float | None, count("Use at most so many devices for a replica.", least=1, most=1e6, whole=True, panel=CHOICES)]

Users = Annotated[
    float | None,
    count(
        "So many people, each sending the next request when the last is answered; 1 on a home machine. Otherwise"
        " requests arrive at random.",
        least=1,
        whole=True,
        panel=TRAFFIC,
    ),
]
GpuLayers = Annotated[
    float | None,
    count(
        "llama.cpp: so many layers on the cards, the output counted as one, the rest with the host. As many as fit if not given.",
        most=1e5,
        whole=True,
        panel=CHOICES,
    ),
]
CpuExperts = Annotated[
    float | None, count("llama.cpp: the experts of the first so many layers stay with the host.", most=1e5, whole=True, panel=CHOICES)
]
AllExperts = Annotated[bool, flag("llama.cpp: all routed experts stay with the host.", panel=CHOICES)]
DomainSize = Annotated[
    float | None, count("Use scale-up domains of at most so many devices.", least=1, most=1e6, whole=True, panel=CHOICES)
]
Rate = Annotated[float | None, speed("Requests per second to serve: 30/s. Sizes a fleet.", metavar="RATE", panel=FLEET)]
Spare = Annotated[int, count("Replicas beyond those needed.", most=1e6, whole=True, panel=FLEET), needs("rate")]
PowerLimit = Annotated[
    float | None, Field(help="Facility power of the fleet: 5MW.", unit="W", above=0, most=1e12, metavar="POWER", panel=FLEET), needs("rate")
]


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """What every question about a model on one machine has."""

    model: ModelName
    on: MachineName
    precision: WeightFormat = None
    kv: CacheFormat = None
    engine: EngineName = None
    family: FamilyFile = None
    sets: Settings = default(default_factory=dict)
    extrapolate: Extrapolate = False
