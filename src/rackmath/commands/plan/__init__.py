"""The cheapest layout, batch and precision that meets the objectives: speed, memory, price, and why.

Group: Serving
Example: rackmath plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --isl 8192 --osl 1024 --min-interactivity 20

Exits with 1 where nothing meets them, and then says what stood in the way and what comes nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default
from typing import Annotated, Any

from ...answers.parts import Answer
from ...questions.common import (
    CHOICES,
    Adapters,
    AllExperts,
    CachedShare,
    CacheFormats,
    CpuExperts,
    DomainSize,
    EngineName,
    Extrapolate,
    FamilyFile,
    GpuLayers,
    InputTokens,
    Machines,
    MaxTpot,
    MaxTtft,
    MinInteractivity,
    ModelName,
    OutputTokens,
    PowerLimit,
    PriceKind,
    Rate,
    ReplicaSize,
    Settings,
    Spare,
    Users,
    Utilisation,
    WeightFormats,
)
from ...questions.drafts import DRAFTS, Acceptance, Depth
from ...questions.fields import flag, needs, one_of, words
from ...search.either import PlanAnswer
from ...search.launch import launched
from . import launch, one, two
from .found import found


@dataclass(frozen=True, kw_only=True)
class Planning:
    """A model, machines, traffic, objectives, and what the search may choose among."""

    model: ModelName
    on: Machines
    isl: InputTokens = 8192
    osl: OutputTokens = 1024
    cached: CachedShare = 0
    utilisation: Utilisation = 1
    users: Users = None
    max_ttft: MaxTtft = None
    max_tpot: MaxTpot = None
    min_interactivity: MinInteractivity = None
    precision: WeightFormats = None
    kv: CacheFormats = None
    gpus: ReplicaSize = None
    max_domain: DomainSize = None
    gpu_layers: Annotated[GpuLayers, needs("mode", among=("aggregated",))] = None
    n_cpu_moe: Annotated[CpuExperts, needs("mode", among=("aggregated",))] = None
    cpu_moe: Annotated[AllExperts, needs("mode", among=("aggregated",))] = False
    mode: Annotated[
        str,
        one_of(
            "aggregated: every replica prefills and decodes. disaggregated: a pool for each. any: the cheaper one, both on one front.",
            "aggregated",
            "disaggregated",
            "any",
            panel=CHOICES,
        ),
    ] = "aggregated"
    prefill_on: Annotated[
        tuple[Any, ...],
        words("Machine of the prefill pool, where it is another one.", "MACHINE", complete="machines", panel=CHOICES),
        needs("mode", among=("disaggregated", "any")),
    ] = ()
    lora: Adapters = None
    draft: Annotated[
        Any,
        words(
            "Decode speculatively with drafts by mtp (the model's own layers), ngram (free) or a smaller model.",
            "DRAFT",
            panel=DRAFTS,
            complete="models",
        ),
    ] = None
    depth: Annotated[Depth, needs("draft")] = 1
    acceptance: Annotated[Acceptance, needs("draft")] = 0.7
    price: PriceKind = None
    engine: EngineName = None
    family: FamilyFile = None
    sets: Settings = default(default_factory=dict)
    extrapolate: Extrapolate = False
    rate: Rate = None
    spare: Spare = 1
    power_limit: PowerLimit = None
    launch: Annotated[bool, flag("Give the commands that start the plan in vLLM, SGLang and TensorRT-LLM instead.")] = False


def answer(q: Planning) -> Answer:
    """The plan in one pool, in two, or in whichever is cheaper; or the commands that start it."""
    plan = found(q)
    if q.launch and plan.best is not None:
        return launch.answer(launched(plan))
    return one.answer(plan) if isinstance(plan, PlanAnswer) else two.answer(plan)
