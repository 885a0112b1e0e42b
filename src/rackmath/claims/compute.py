"""One computation for each claim these rooms can settle: numbers in, our number and a verdict by rule out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..decisions.backwards.from_context import cache_over_compute, decode_mfu, solve_kv_bytes
from ..decisions.backwards.from_offers import prefill_cost
from ..decisions.modes.offers import fit_fast_mode
from ..economics.pricelist import margin
from ..kernel.counts import attended_entries, experts_touched, stored_entries
from ..kernel.roofline import balance_batch, drain_time, ratio
from ..world import catalog
from ..world.model import Stream
from .allocation import ALLOCATION
from .lab import LAB
from .laws import LAWS
from .ledger import Claim, Outcome, Part, Verdict
from .pipelines import PIPELINES
from .racks import RACKS
from .rules import Compute, Values, near
from .rules import by_conditions as _by_conditions
from .rules import by_distance as _by_distance


def _margin(price: float, cost: float) -> Part:
    return Part(name="implied gross margin on input tokens", value=float(margin(price, cost)), unit="share")


def _fast_mode(claim: Claim, x: Values) -> Outcome:
    fit = fit_fast_mode(x["price_ratio"], x["speed_ratio"])
    share = fit.memory_bound.cache_over_weights
    return _by_conditions(
        fit.batch_ratio,
        {
            f"a {fit.batch_ratio:.3g} times smaller batch gives the speed (cache reads took {share:.2g} times the"
            " weights')": fit.memory_bound.feasible,
            "input were not dearer too (prefill is bound by compute: a smaller batch cannot explain its price)": x["input_price_ratio"]
            <= 1.05,
        },
        Part(name="batch ratio", value=fit.batch_ratio, unit="x"),
        Part(name="cache over weight reads before", value=share, unit="x"),
        Part(name="largest possible speed-up", value=fit.memory_bound.largest_speed, unit="x"),
        _margin(x["input_price"], x["cost"]),
    )


def _multiplies(claim: Claim, x: Values) -> Outcome:
    ours = float(ratio(x["peak"], x["weight_bytes"], x["bandwidth"]))
    others = ", ".join(f"{name} {_r(name, field, size):.0f}" for name, field, size in CHIPS)
    return _by_distance(claim, ours, f"this chip pays {ours:.0f} multiplies per weight read; {others}")


CHIPS = (("a100", "peak_bf16", 2.0), ("h100", "peak_fp8", 1.0), ("h200", "peak_fp8", 1.0), ("gb300", "peak_fp4", 0.5))
"""Other chips a reader may compare with: name, peak and bytes per weight."""


def _r(name: str, peak: str, weight_bytes: float) -> float:
    machine = catalog.machine(name)
    return float(ratio(getattr(machine, peak), weight_bytes, machine.hbm_bandwidth))


def _balance(claim: Claim, x: Values) -> Outcome:
    ours = float(balance_batch(x["r"], x["total"], x["active"]))
    sparsity = x["total"] / x["active"]
    return _by_distance(claim, ours, f"total over active parameters is {sparsity:.3g}", Part(name="sparsity", value=sparsity, unit="x"))


def _tokens(claim: Claim, x: Values) -> Outcome:
    ours = x["batch"] * x["departures"]
    read = x["weights"] / x["bandwidth"]
    return _by_distance(
        claim,
        ours,
        f"{x['batch']:,.0f} x {x['departures']:.0f} a second; the weights themselves are read in {read * 1e3:.2f} ms",
        Part(name="tokens per second if a pass takes the weight read", value=x["batch"] / read, unit="tok/s"),
        Part(name="replicas to carry Google's API tokens at that pace", value=x["google_api"] / ours),
        Part(name="replicas to carry all of Google's tokens", value=x["google_all"] / ours),
    )


def _above_balance(claim: Claim, x: Values) -> Outcome:
    flying = x["nodes"] * x["tokens_per_node"] / x["speed"]
    ours = flying / x["balance"]
    verdict: Verdict = "holds" if 2 <= ours <= 3 else "does not hold"
    return Outcome(
        ours=ours,
        verdict=verdict,
        because=f"DeepSeek had {flying:,.0f} sequences in flight",
        parts=(Part(name="in flight", value=flying, unit="sequences"),),
    )


def _larger_of_two(claim: Claim, x: Values) -> Outcome:
    memory = (x["weights"] + x["batch"] * x["context"] * x["cache"]) / x["devices"] / x["bandwidth"]
    compute = x["batch"] * 2 * x["active"] / x["devices"] / x["peak"]
    attention = x["batch"] * x["context"] * x["attention_flops"] / x["devices"] / x["peak"]
    board, full = max(memory, compute), max(memory, compute + attention)
    ours = board / full
    holder = "memory" if memory >= compute + attention else "compute"
    because = (
        f"attention adds {attention / compute:.0%} to the FLOPs at {x['context']:,.0f} tokens, and the"
        f" pass is bound by {holder}: leaving it out changes the time by {1 - ours:.0%}"
    )
    return _by_distance(claim, ours, because, Part(name="attention over weight FLOPs", value=attention / compute))


def _drain(claim: Claim, x: Values) -> Outcome:
    ours = float(drain_time(x["capacity"], x["bandwidth"]))
    floor = x["weights"] / x["bandwidth"]
    verdict: Verdict = "holds" if near(claim, ours) and floor >= 0.9 * ours else "does not hold"
    return Outcome(
        ours=ours,
        verdict=verdict,
        because=f"all of HBM is read in {ours * 1e3:.3g} ms, but the floor is reading the weights,"
        f" {floor * 1e3:.3g} ms; draining is the longest useful pass",
        parts=(
            Part(name="floor: weights read once", value=floor, unit="s"),
            Part(name="weights' share of HBM", value=x["weights"] / x["capacity"], unit="share"),
        ),
    )


def _bytes_read(x: Values, context: float) -> float:
    top_k, window = x["top_k"] or math.inf, x.get("window") or math.inf
    stream = Stream(name="kv", elements=x["entry"], decode_flops=0, prefill_flops=0, top_k=top_k, window=window)
    return float(attended_entries(stream, context)) * x["entry"] + context * x["index"]


def _linear_cache(claim: Claim, x: Values) -> Outcome:
    kept = Stream(name="kv", elements=1, decode_flops=0, prefill_flops=0, window=x["window"] or math.inf)

    def stored(context: float) -> float:
        return float(stored_entries(kept, context)) * x["entry"] + context * x["index"]

    grown = math.log2(stored(2 * x["context"]) / stored(x["context"]))
    ours = _bytes_read(x, x["context"]) / (x["context"] * (x["entry"] + x["index"]))
    return _by_conditions(
        ours,
        {
            f"what is stored grows with batch x context (as its power {grown:.2g})": abs(grown - 1) < 0.05,
            f"all of it is read ({ours:.0%})": near(claim, ours),
        },
    )


def _square_root(claim: Claim, x: Values) -> Outcome:
    step = 1.01
    grown = math.log(_bytes_read(x, x["context"] * step) / _bytes_read(x, x["context"])) / math.log(step)
    dense = x["context"] * x["entry"] / _bytes_read(x, x["context"])
    return _by_distance(
        claim,
        grown,
        f"bytes read still grow as the {grown:.2f}th power of the context; they are {dense:.1f}x fewer than dense",
        Part(name="dense over read", value=dense, unit="x"),
    )


def _context_step(claim: Claim, x: Values) -> Outcome:
    out, into = x["output_above"] / x["output_below"], x["input_above"] / x["input_below"]
    needed = float(cache_over_compute(x["longest"], x["threshold"]))
    return _by_conditions(
        out,
        {
            f"output steps up by {out - 1:.0%}": near(claim, out),
            f"input stepped up by no more than output (it does by {into - 1:.0%})": into <= out * 1.01,
            f"the step covered the cost to the longest context ({needed:.2g}x there; it covers up to"
            f" {x['threshold'] * out:,.0f} tokens)": needed <= out,
        },
        Part(name="input step", value=into, unit="x"),
        Part(name="cost at the longest context", value=needed, unit="x"),
        _margin(x["input_below"], x["cost"]),
    )


def _output_price(claim: Claim, x: Values) -> Outcome:
    ours = x["output_price"] / x["input_price"]
    alone, mfu = float(cache_over_compute(x["context"], x["balance_context"])), float(decode_mfu(ours))
    return _by_conditions(
        ours,
        {
            f"output costs more than input ({ours:.3g}x, a decode utilisation of {mfu:.0%})": ours > 1.05,
            f"cache reads alone explained it at {x['context']:,.0f} tokens (they take {alone:.2g}x the compute if"
            f" they balance at {x['balance_context']:,.0f}; the rest is weights, margin or other machines)": alone >= ours,
        },
        Part(name="decode MFU implied", value=mfu, unit="share"),
        _margin(x["input_price"], x["cost"]),
    )


def _tiers(claim: Claim, x: Values) -> Outcome:
    flash = float(drain_time(x["flash_capacity"], x["flash_bandwidth"]))
    disk = float(drain_time(x["disk_capacity"], x["disk_bandwidth"]))
    within = 1 + claim.tolerance

    def agrees(ours: float, said: float) -> bool:
        return 1 / within <= ours / said <= within

    return _by_conditions(
        disk,
        {
            f"flash drains in about {x['flash_claimed']:.0f} s (this one in {flash:,.0f} s)": agrees(flash, x["flash_claimed"]),
            f"a disk drains in about {x['disk_claimed'] / 3600:.2g} h (this one in {disk / 3600:.1f} h)": agrees(disk, x["disk_claimed"]),
        },
        Part(name="flash drain", value=flash, unit="s"),
        Part(name="disk drain", value=disk, unit="s"),
    )


def _bytes_per_token(claim: Claim, x: Values) -> Outcome:
    per_byte = x["r"] / x["weight_bytes"]
    board, ours = (float(solve_kv_bytes(x["active"], x["context"], rate)) for rate in (x["r"], per_byte))
    return _by_conditions(
        ours,
        {
            f"the arithmetic gives {board:,.0f} bytes": near(claim, board),
            f"{x['r']:.0f} were multiplies per byte (a weight of {x['weight_bytes']:g} bytes makes it {per_byte:.0f},"
            f" which gives {ours:,.0f} bytes)": near(claim, ours),
        },
        Part(name="as on the board", value=board, unit="bytes"),
    )


def _close_to_cost(claim: Claim, x: Values) -> Outcome:
    cost = prefill_cost(x["active"], x["peak"], x["price_per_hour"], x["mfu"])
    ours = x["list_price"] / cost
    close = 1 / (1 + claim.tolerance) <= ours <= 1 + claim.tolerance
    verdict: Verdict = "holds" if close else "does not hold"
    return Outcome(
        ours=ours,
        verdict=verdict,
        because=f"a million input tokens cost ${cost:.3f} to compute and sell for ${x['list_price']:g}:"
        f" a gross margin of {margin(x['list_price'], cost):.0%}",
        parts=(Part(name="cost per million input tokens", value=cost, unit="$"),),
    )


def _unbatched(claim: Claim, x: Values) -> Outcome:
    sparsity = x["total"] / x["active"]
    everything = x["r"] * sparsity
    touched = x["r"]  # a lone token reads its own active weights: R x active / active
    share = float(experts_touched(256.0, 8.0, 1.0))
    return _by_conditions(
        everything,
        {
            f"it is about a thousand if every weight is read at batch 1 ({everything:,.0f})": near(claim, everything),
            f"it is about a thousand if only the weights in use are read ({touched:,.0f})": near(claim, touched),
        },
        Part(name="only the weights in use", value=touched, unit="x"),
        Part(name="experts touched by one token, 8 of 256", value=share, unit="share"),
    )


def _train(claim: Claim, x: Values) -> Outcome:
    worst, mean = 2 * x["period"], 1.5 * x["period"]
    return _by_conditions(
        worst,
        {
            f"just missed and then carried takes {worst * 1e3:.3g} ms": near(claim, worst),
            f"seats are free ({x['load']:.0%} taken)": x["load"] < 1,
        },
        Part(name="mean", value=mean, unit="s"),
    )


COMPUTED: Mapping[str, Compute] = {
    "1": _fast_mode,
    "2": _multiplies,
    "3": _balance,
    "4": _tokens,
    "5": _above_balance,
    "6": _larger_of_two,
    "7": _drain,
    "8": _linear_cache,
    **RACKS,
    **LAWS,
    "19": _square_root,
    "20": _context_step,
    "21": _output_price,
    "22": _tiers,
    "23": _bytes_per_token,
    "24": _close_to_cost,
    "T1": _unbatched,
    "T2": _train,
    **PIPELINES,
    **ALLOCATION,
    **LAB,
}
