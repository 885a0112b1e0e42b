"""A model, its formats, layout and engine, a machine's price and the traffic: as plain data and in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..answers.text import cell
from ..units import show
from ..world.lora import parameters

if TYPE_CHECKING:
    from ..layout.parallelism import Layout
    from ..world.engine import Engine
    from ..world.machine import Machine
    from ..world.model import Model
    from ..world.precision import Precision
    from ..world.workload import Objectives, Traffic

Record = dict[str, Any]

RESOURCES = {
    "compute": "computing",
    "weights": "reading weights",
    "cache": "reading the cache",
    "network": "collectives",
    "overhead": "launches and step overhead",
}
"""The binding terms in words."""


WEIGHTS = ("attention", "mlp", "experts", "shared_experts", "router", "embedding", "head", "norm")


def engine(of: Engine) -> Record:
    """The serving engine by name, and its version where one was given."""
    return {"name": of.name, "version": of.version or None}


def lora(model: Model) -> Record | None:
    """Adapters beside a model: how many, and what one stores and costs each token that uses it; None without any."""
    if model.lora is None:
        return None
    size = parameters(model)
    return {
        "rank": model.lora.rank,
        "adapters": model.lora.adapters,
        "on": list(model.lora.on),
        "bytes_per_adapter": size * model.lora.bytes,
        "flops_per_token": 2 * size,
    }


def adapters(model: Model) -> str:
    """What one of the adapters stores and costs each token that uses it; empty without any."""
    one = lora(model)
    if one is None:
        return ""
    each = f"{cell(one['bytes_per_adapter'], 'B')} each, {cell(one['flops_per_token'], 'FLOP')} per token"
    return f"\n{one['adapters']:,.0f} adapters of rank {one['rank']:g}: {each}"


def known_price(machine: Machine) -> float | None:
    """Dollars per device-hour, or None where no price is known."""
    price = float(machine.price_per_hour)
    return price if price > 0 else None


def layout(one: Layout) -> Record:
    return {"label": one.label()} | {name: getattr(one, name) for name in ("tp", "pp", "dp", "cp", "dcp", "ep", "gpus")}


def precision(one: Precision) -> Record:
    return {"name": one.name, **{part: one.of(part).name for part in WEIGHTS}, "kv": one.kv.name}


def under(engine: Engine) -> tuple[str, ...]:
    """The serving engine in words to add, where one was named.

    >>> from rackmath.world.engine import TYPICAL
    >>> from rackmath.world.engine_names import engine
    >>> "".join(under(engine("sglang 0.5.9"))), under(TYPICAL)
    (' under SGLang 0.5.9', ())
    """
    from ..world.engine import TYPICAL, titles

    if engine.name == TYPICAL.name:
        return ()
    name = titles().get(engine.name, engine.name)
    return (f" under {name}", *((f" {engine.version}",) if engine.version else ()))


def traffic_words(traffic: Traffic, limits: Objectives) -> str:
    """Traffic and objectives in a line."""
    from ..units import plural

    cached = f"{float(traffic.cached):.0%} cached" if float(traffic.cached) > 0 else "nothing cached"
    words = [f"{cell(float(traffic.isl), 'count')} tokens in ({cached})", f"{cell(float(traffic.osl), 'count')} out"]
    if traffic.users is not None:
        words.append("one user" if traffic.users == 1 else plural(traffic.users, "user"))
    if limits.max_ttft < math.inf:
        words.append(f"TTFT ≤ {show(limits.max_ttft, 's')}")
    if limits.max_tpot < math.inf:
        words.append(f"TPOT ≤ {show(limits.max_tpot, 's')} ({cell(1 / limits.max_tpot, 'number')} tok/s/user)")
    if limits.max_ttft == limits.max_tpot == math.inf and traffic.users != 1:
        words.append("no limits on latency: the cheapest of all")
    if traffic.utilisation < 1:
        words.append(f"{traffic.utilisation:.0%} utilised")
    return " · ".join(words)


def formats(p: Precision) -> str:
    """The number formats in a few words: experts and attention where they differ, then the cache.

    >>> from rackmath.world.precision import Precision
    >>> formats(Precision.uniform("fp8"))
    'fp8 weights, bf16 cache'
    """
    kinds = {p.attention.name, p.mlp.name, p.experts.name, p.shared_experts.name}
    if any("ggml_" in kind for kind in kinds):
        return f"{p.name} weights, {p.kv.name} cache"
    weights = kinds.pop() if len(kinds) == 1 else f"{p.experts.name} experts, {p.attention.name} attention"
    return f"{weights}{' weights' if ',' not in weights else ''}, {p.kv.name} cache"
