"""The claims about pipeline stages: rows 9, 14 and 15 of the lecture's table."""

from __future__ import annotations

from collections.abc import Mapping

from ..layout.pipeline import hop, per_device, stages_until_cache_leads, token_latency
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
    )  # fmt: skip


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
        " the cache"
        + ("" if growth == stages else "; only users that grow with the stages keep the cache as it was"),
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


PIPELINES: Mapping[str, Compute] = {"9": _cache_leads, "14": _weights_not_cache, "15": _latency}
