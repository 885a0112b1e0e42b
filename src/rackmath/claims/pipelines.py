"""The claims about pipeline stages: rows 9, 14 and 15 of the lecture's table, and sections 14c and 14d."""

from __future__ import annotations

from collections.abc import Mapping

from ..layout.pipeline import hop, per_device, stages_until_cache_leads, token_latency
from ..training.schedules import bubble_time
from ..world.machine import Machine
from .ledger import Claim, Outcome, Part
from .rules import Compute, Values, by_conditions, by_distance


def _cache_leads(claim: Claim, x: Values) -> Outcome:
    weights = x["total"] * x["weight_bytes"]
    cache = x["batch"] * x["context"] * x["bytes_per_token"]
    ours = float(stages_until_cache_leads(weights, cache))
    assert claim.lecture is not None
    at = claim.lecture
    needed = weights / (at * x["batch"] * x["context"])
    held, kept = per_device(weights, cache, x["devices"], at, fixed="micro-batch")
    first, _ = per_device(weights, cache, x["devices"], 1, fixed="micro-batch")
    return by_conditions(
        ours,
        {
            f"weights per device fall with the stages ({float(first) / 1e9:.3g} to {float(held) / 1e9:.3g} GB) and"
            f" the cache stays at {float(kept) / 1e9:.3g} GB": float(held) < float(first),
            f"a token kept {needed / 1e3:.3g} KB of cache or more (it keeps {x['bytes_per_token'] / 1e3:.3g} KB, so"
            f" the cache leads from {ours:.3g} stages on)": ours <= at * (1 + claim.tolerance),
        },
        Part(name=f"weights per device at {at:g} stages", value=float(held), unit="bytes"),
        Part(name="cache per device", value=float(kept), unit="bytes"),
        Part(name="bytes per token that would do", value=needed, unit="bytes"),
    )


def _weights_not_cache(claim: Claim, x: Values) -> Outcome:
    stages, growth = x["stages"], x["users_growth"]
    weights, cache = x["total"] * x["weight_bytes"], x["batch"] * x["context"] * x["bytes_per_token"]
    one = per_device(weights, cache, x["devices"], 1, fixed="users")
    many = per_device(weights, cache * growth, x["devices"], stages, fixed="users")
    saved, ours = float(many[0] / one[0]), float(many[1] / one[1])
    return by_distance(
        claim,
        ours,
        f"with {stages:g} stages and {growth:g}x the users a device holds {saved:.3g}x the weights and {ours:.3g}x"
        " the cache" + ("" if growth == stages else "; only users that grow with the stages keep the cache as it was"),
        Part(name="weights with stages over without", value=saved, unit="x"),
        Part(name="cache if users stay as they are", value=1 / stages, unit="x"),
    )


def _latency(claim: Claim, x: Values) -> Outcome:
    link = Machine(name="link", accelerator="link", scaleout_bandwidth=x["link"], scaleout_latency=x["latency"])
    cost = hop(x["batch"], x["d_model"], x["bytes"], x["devices"], link)
    one, stages = float(cost.time), x["stages"]
    after = float(token_latency(stages, x["pass_time"] / stages, one, stages))
    ours = after / x["pass_time"]
    feared = float(token_latency(stages, x["pass_time"] / stages, x["feared_hop"], stages)) / x["pass_time"]
    return by_distance(
        claim,
        ours,
        f"a hop moves its share in {float(cost.out) * 1e6:.3g} us and takes {one * 1e6:.3g} us with latency, so"
        f" {stages:g} of them add {ours - 1:.2%} to {x['pass_time'] * 1e3:.3g} ms",
        Part(name="hop, traffic alone", value=float(cost.out), unit="s"),
        Part(name="hop with latency", value=one, unit="s"),
        Part(name="if a hop took the lecture's guess", value=feared, unit="x"),
    )


def _idle(schedule: str, x: Values) -> float:
    """Idle share of a training step on a schedule."""
    work = (x["forward"], x["input_gradient"], x["weight_gradient"])
    idle = float(bubble_time(schedule, x["stages"], x["micro_batches"], 1.0, work))
    return idle / (idle + x["micro_batches"] * sum(work))


def _bubble(claim: Claim, x: Values) -> Outcome:
    plain, filled = _idle("gpipe", x), _idle("zb-2p", x)
    return by_conditions(
        plain,
        {
            f"forward passes that all end before the first backward pass leave {plain:.0%} of a step idle": plain > x["noticed"],
            f"weight gradients fill it ({filled:.0%} is left where the memory of twice the micro-batches is there)": filled < x["noticed"],
        },
        Part(name="idle under 1F1B, which only saves memory", value=_idle("1f1b", x), unit="share"),
        Part(name="idle under ZB-1p, at the memory of 1F1B", value=_idle("zb-1p", x), unit="share"),
        Part(name="idle under ZB-2p", value=filled, unit="share"),
    )


def _not_wise(claim: Claim, x: Values) -> Outcome:
    share = x["total"] * x["weight_bytes"] / (x["devices"] * x["capacity"])
    held = [float(per_device(1.0, 1.0, x["devices"], p, fixed="micro-batch")[1]) for p in (1.0, x["stages"])]
    idle = _idle("zb-1p", x)
    return by_conditions(
        share,
        {
            f"the weights fit one rack without stages ({share:.0%} of its memory)": share < 1,
            f"stages leave the cache of a device as it is ({held[1] / held[0]:.3g}x)": held[1] >= held[0] * 0.99,
            f"training idles even where weight gradients fill the bubble at no more memory ({idle:.0%})": idle > x["noticed"],
        },
        Part(name="racks of weights", value=share, unit="racks"),
    )


PIPELINES: Mapping[str, Compute] = {"9": _cache_leads, "14": _weights_not_cache, "15": _latency, "T3": _bubble, "T4": _not_wise}
