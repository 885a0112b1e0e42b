"""Readings of a context step and of output against input: cache bytes, decode's MFU, what fills memory.

Context step (LECTURE section 17a): if the higher price starts where reading the cache overtakes computing,

    bytes of cache per token = multiplies per token / (multiplies per byte x context).

Output against input (17b): prefill bound by computing and decode by memory, both sold at the same multiple of cost,
make the price ratio the ratio of memory to compute time of a decode pass; its inverse is decode's MFU over prefill's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...arrays import Number
from ...kernel.counts import attention_flops as flops_of
from ...kernel.counts import cache_bytes, read_bytes, total_parameters
from .reading import Assumption, Reading, derive, fixed, lacking
from .setting import BOARD, FORMATS, RATES, USUAL, Setting

KV = "kv_bytes_per_token"

ABOVE_BALANCE = (2.0, 2.5, 3.0)
"""Batch over B*, low, value and high: the lecture's "double or triple"; DeepSeek decoded at 2.3 (section 5)."""

SPARSITY = 671.0 / 37.0
"""Total over active parameters of DeepSeek-V3, for a batch given in sequences where the model is not known."""

ATTENTION_FLOPS = (0.12e6, 2.6e6, 17e6)
"""FLOPs of a decoded token for each cached token: DeepSeek-V4-Flash, 80 layers of ordinary grouped queries 64 x 128
wide (2 x 2 x 80 x 8192), DeepSeek-V3 with absorbed latent attention; counted by `kernel.counts.attention_flops`."""

LONGEST = 200e3
"""Context at which an open model's cache is counted where the list has no threshold."""

MULTIPLE = (0.5, 1.0, 2.0)
"""Output's price over cost against input's: equal in the lecture; the range is assumed."""

BATCHES = (0.5, 1.0, 2.0, 3.0)
"""Batch over B* for which the shares of memory are listed."""


def one_multiple() -> Assumption:
    """Output's price over its cost, against input's."""
    low, value, high = MULTIPLE
    return Assumption(
        name="output's markup over input's",
        value=value,
        low=low,
        high=high,
        why="price over cost, equal as the lecture takes it; range: assumed",
    )


# --- formulas -----------------------------------------------------------------------------------------------------


def solve_kv_bytes(
    active: Number,
    context: Number,
    multiplies_per_byte: Number,
    *,
    batch_over_balance: Number = float("inf"),
    attention_flops: Number = 0.0,
) -> Number:
    """Cache bytes per token with which decoding balances at `context` tokens: memory takes as long as computing.

    (N (1 - 1/b) + A L / 2) / (m L): N active parameters, A FLOPs of attention per cached token, m multiplies per
    byte, b the batch over B* (weights amortised away if not given; at 1 they take all the time and leave no cache).
    The lecture's figure, the same with FP4 rates of a GB200, and with BF16 rates of an H100:

    >>> round(solve_kv_bytes(100e9, 200e3, 300)), solve_kv_bytes(100e9, 200e3, 625)
    (1667, 800.0)
    >>> round(solve_kv_bytes(100e9, 200e3, 989e12 / 2 / 3.35e12) / 1e3, 1)
    3.4
    """
    work = active * (1 - 1 / batch_over_balance) + attention_flops / 2 * context
    return work / (multiplies_per_byte * context)


def cache_over_compute(context: Number, balance_context: Number) -> Number:
    """Time of reading the cache over time of computing, L / L*; above L* also the cost over that at L*.

    >>> cache_over_compute(1e6, 200e3)
    5.0
    """
    return context / balance_context


def decode_mfu(price_ratio: Number, prefill_mfu: Number = 1.0) -> Number:
    """Decode's MFU where output costs `price_ratio` times input at one multiple of cost: prefill's over the ratio.

    >>> decode_mfu(5.0), round(decode_mfu(5.0, 0.4), 2)
    (0.2, 0.08)
    """
    return prefill_mfu / price_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySplit:
    """One way to fill memory that explains a price ratio: a batch over B*, and shares of the bytes read in a pass."""

    batch_over_balance: float
    weights_share: float

    @property
    def cache_share(self) -> float:
        return 1 - self.weights_share


def weights_share(price_ratio: Number, batch_over_balance: Number = 1.0) -> Number:
    """Weights' share f of the bytes read (of memory, if it is full) with which memory takes `price_ratio` times as
    long as computing: computing takes b times as long as reading the weights, so ratio = 1 / (f b).

    >>> weights_share(5.0), weights_share(5.0, 2.0)
    (0.2, 0.1)
    """
    return 1 / (price_ratio * batch_over_balance)


def consistent_splits(price_ratio: float, batches: Sequence[float] = BATCHES) -> tuple[MemorySplit, ...]:
    """The shares for each batch over B*, first the smallest batch, with which weights alone explain the ratio.

    >>> [(s.batch_over_balance, s.weights_share) for s in consistent_splits(5.0, (0.1, 1.0))]
    [(0.2, 1.0), (1.0, 0.2)]
    """
    least = 1 / price_ratio
    every = [least, *(b for b in sorted(batches) if b > least)]
    return tuple(MemorySplit(batch_over_balance=b, weights_share=min(1.0, float(weights_share(price_ratio, b)))) for b in every)


# --- cache bytes from a context step --------------------------------------------------------------------------------


def kv_of_step(s: Setting) -> list[Reading]:
    """Cache bytes per token, as on the board and corrected."""
    needs = ("a price above a context length",)
    at = s.threshold
    if at is None:
        why = f"{s.prices.model} has one price for every context length; --context reads one anyway"
        return [lacking("kv_step", "context step", KV, needs, why)]
    name = "tokens where the price steps up" if s.context is None else "tokens, given"
    context = s.listed(name, at, "tokens") if s.context is None else fixed(name, at, "tokens", "given")
    board = Assumption(
        name="multiplies per byte",
        value=BOARD,
        low=RATES[0],
        high=RATES[1],
        why="the lecture's 300; range: multiplies per weight of accelerators since 2020",
    )
    found = [derive("kv_board", "step, as on the board", KV, "B", [s.active], [board, context], needs=needs)]
    for form in FORMATS:
        key, words, per_byte = f"kv_{form}", f"step, {form.upper()} rates", s.multiplies(form)
        if per_byte is None:
            why = f"{s.machine.name} does not multiply in {form.upper()}"
            found.append(lacking(key, words, KV, needs, why))
        else:
            found.append(derive(key, words, KV, "B", [s.active], [per_byte, context], needs=needs))
    usual = USUAL if s.multiplies(USUAL) is not None else "bf16"
    per_byte = s.multiplies(usual)
    if per_byte is None:
        return found
    found.append(_with_weights(s, usual, per_byte, context, needs))
    work = _work(s, at)
    found.append(derive("kv_attention", f"step, {usual.upper()}, attention too", KV, "B", [work], [per_byte, context], needs=needs))
    return found


def _with_weights(s: Setting, form: str, per_byte: Assumption, context: Assumption, needs: tuple[str, ...]) -> Reading:
    """The same where reading the weights takes its part of the time."""
    key, words = "kv_weights", f"step, {form.upper()}, weights too"
    if s.batch is None:
        low, value, high = (1 - 1 / b for b in ABOVE_BALANCE)
        why = f"weights take 1/b of a balanced pass at b = {ABOVE_BALANCE[1]:g} B* ({ABOVE_BALANCE[0]:g} to 3)"
        left = Assumption(name="left for the cache", value=value, low=low, high=high, unit="share", why=why)
    else:
        sparsity = SPARSITY if s.known is None else total_parameters(s.known) / s.active.value
        b = s.batch / (per_byte.value * FORMATS[form] * sparsity)
        if b <= 1:
            why = f"{s.batch:,.0f} sequences are {b:.2g} B*: reading the weights alone takes longer than computing, so no cache balances it"
            return lacking(key, words, KV, (*needs, "a batch above B*"), why)
        why = f"{s.batch:,.0f} sequences are {b:.3g} B*, at {sparsity:.3g} times as many parameters as active ones"
        left = fixed("left for the cache", 1 - 1 / b, "share", why)
    return derive(key, words, KV, "B", [s.active, left], [per_byte, context], needs=needs)


def _work(s: Setting, context: float) -> Assumption:
    """Multiplies per decoded token at a context, attention included."""
    if s.known is None:
        low, value, high = ATTENTION_FLOPS
        why = "attention from a nearly cacheless kind to absorbed latent attention, ordinary grouped queries between"
    else:
        low = value = high = float(flops_of(s.known, context)) / context
        why = f"attention counted from {s.known.name}"
    half = context / 2
    return Assumption(
        name="multiplies per token",
        value=s.active.value + value * half,
        low=s.active.low + low * half,
        high=s.active.high + high * half,
        unit="params",
        why=f"active parameters, and {why}",
    )


def kv_of_architecture(s: Setting) -> list[Reading]:
    """What an open model stores and reads for each token of a long context."""
    if s.known is None:
        return []
    at = s.threshold or LONGEST
    stored, read = float(cache_bytes(s.known, at)) / at, float(read_bytes(s.known, at)) / at
    ends = sorted((stored, read))
    formula = f"{s.known.name} at {at:,.0f} tokens: stored; range: read in a decode step"
    return [
        Reading(key="kv_architecture", name="architecture", unknown=KV, unit="B", value=stored, low=ends[0], high=ends[1], formula=formula)
    ]


# --- the step itself ------------------------------------------------------------------------------------------------


def steps(s: Setting) -> list[Reading]:
    """Input's and output's step, and how far output's covers a cost that grows with context."""
    found = []
    for side, below in (("input", s.input), ("output", s.output)):
        above, key, name = s.above(side), f"{side}_step", f"{side} step"
        needs = (f"{side} above a context length",)
        if below is None or above is None:
            found.append(lacking(key, name, "context_step", needs, "the list has no second price for long contexts"))
        else:
            found.append(derive(key, name, "context_step", "x", [above], [below], needs=needs))
    below, above, long = s.output, s.above("output"), s.long
    if below is not None and above is not None and long is not None:
        at = s.listed("tokens where the price steps up", long.above_input_tokens, "tokens")
        found.append(
            derive(
                "covers",
                "output step pays up to",
                "covered_context",
                "tokens",
                [at, above],
                [below],
                needs=("output above a context length",),
                says="past it cost grows with context",
            )
        )
        if s.prices.context_window:
            window = s.listed("tokens of context window", s.prices.context_window, "tokens")
            found.append(derive("window", "longest context sold", "covered_context", "tokens", [window]))
    return found


# --- output against input -------------------------------------------------------------------------------------------


def decoding(s: Setting) -> list[Reading]:
    """Decode's MFU, weights' share of memory, and the tokens per pass from which decode computes as prefill does."""
    needs = ("input", "output")
    into, out, unknown, name = s.input, s.output, "decode_mfu", "decode MFU over prefill's"
    if into is None or out is None or out.value < into.value:
        why = "output costs less than input" if into and out else "the list lacks a price of input or of output"
        return [lacking("mfu_ratio", name, unknown, needs, why)]
    same = one_multiple()
    balance = Assumption(
        name="batch over B*", value=1.0, low=1.0, high=ABOVE_BALANCE[2], why="memory full at the balance point; range: the lecture's triple"
    )
    peak = f"decode MFU, prefill at {s.mfu.shown}"
    found = [
        derive("mfu_ratio", name, unknown, "share", [into, same], [out], needs=needs),
        derive("mfu_used", peak, unknown, "share", [s.mfu, into, same], [out], needs=needs),
    ]
    if s.threshold is not None:
        found.append(_balanced(s.threshold))
    found += [
        derive(
            "weights_ratio",
            "weights' share, out/in",
            "weights_share",
            "share",
            [into, same],
            [out, balance],
            needs=needs,
            says="of bytes read; the rest is cache",
        ),
        derive("crossover", "tokens per pass to balance", "crossover", "tokens", [out], [into, same], needs=needs),
    ]
    return [replace(r, high=min(r.high, 1.0)) if r.unit == "share" else r for r in found]


def _balanced(context: float) -> Reading:
    """What the context step says of decoding below it."""
    return Reading(
        key="mfu_step",
        name="the same, by the step",
        unknown="decode_mfu",
        unit="share",
        value=1.0,
        low=1.0,
        high=1.0,
        formula=f"computing takes longest up to {context:,.0f} tokens, as in prefill",
        needs=("a price above a context length",),
    )
