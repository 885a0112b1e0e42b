"""Achieved time of one kernel from its time at peak: a few fitted constants for each kind, no table of times.

Every kind follows one form. With `compute` seconds at 100 % of the tensor peak and `bytes` moved in memory,

    seconds = latency x kernels + sqrt(C^2 + M^2) + moved
    C = (compute + wasted compute) / compute_share          M = (bytes + wasted bytes) / (bandwidth x memory_share)

`latency` is the seconds a launch and its ramp take: a fixed time, so the achieved share of bandwidth falls from one
generation to the next as the same bytes take less of it. What is wasted differs by kind and has a physical meaning:

    gemm                `wave` outputs: the last, half-filled wave of output tiles costs as if it were full
    experts             `pad` rows: what an expert's ragged tile wastes; activations cross memory beside the products
    attention_decode    `page` entries: what a short context wastes; `pad` queries: what a narrow tile wastes
    attention_prefill   `softmax` FLOPs per score; `pad` scores per query: masked halves of tiles; `wave` rows
    mla_decode          as attention_decode; mla_prefill as attention_prefill
    scan, scan_prefill  `step`: seconds per token of the longest sequence, which a recurrence cannot shorten
    elementwise         bytes and latency only
    all_reduce          L = `latency` + `hop` x devices, S = wire bytes / (link rate x share), and `ramp` sqrt(L S):
                        a message is cut into pieces that follow each other, at best in sqrt(S / L) pieces
    all_to_all          the same with the bytes a device sends

Constants lie in `data/fitted/kernels.toml`, fitted by `calibration.kernels` on measured kernel times of
A100, H100, H200, B200 and GB200 (aiconfigurator-core 0.12.0) and, for elementwise, A40, A100 and H100 (Vidur). They
are shares of a chip's own peaks, so a chip nobody measured is predicted from its data sheet: a generation that was
not measured takes the pooled `default`. Every entry carries its errors, also for chips left out of the fit.

Valid for 1 to 65,536 tokens, contexts to 131,072 and groups to 8 devices (all-to-all to 64); kernels as captured in
graphs, without the host's launch time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np

from .. import shipped
from ..arrays import Number
from ..world.engine import LIKE

KINDS = (
    "gemm",
    "experts",
    "attention_decode",
    "attention_prefill",
    "mla_decode",
    "mla_prefill",
    "scan",
    "scan_prefill",
    "elementwise",
    "all_reduce",
    "all_to_all",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Constants of one kind of kernel, operand type and generation; what a kind lacks stays neutral.

    `latency`, `hop`, `step` in seconds; shares in (0, 1]; `wave`, `pad`, `page`, `softmax`, `rows`, `tokens`, `ramp`
    as the functions below say.
    """

    latency: float = 0.0
    compute_share: float = 1.0
    memory_share: float = 1.0
    wave: float = 0.0
    pad: float = 0.0
    page: float = 0.0
    softmax: float = 0.0
    rows: float = 0.0
    tokens: float = 0.0
    step: float = 0.0
    hop: float = 0.0
    ramp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """How well the constants meet what they were fitted on: relative errors of predicted over measured time.

    `unseen`: the median absolute error on each chip with that chip left out of the fit, averaged over the chips.
    """

    points: int = 0
    bias: float = float("nan")
    median: float = float("nan")
    p90: float = float("nan")
    unseen: float = float("nan")
    chips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """Seconds of a kernel by cause: `launch` (latency), `compute` and `memory`, which overlap, and `moved` on top.

    >>> time = Achieved(launch=1.0, compute=3.0, memory=4.0, moved=0.5)
    >>> float(time.busy), float(time.seconds)
    (5.5, 6.5)
    """

    launch: Number = 0.0
    compute: Number = 0.0
    memory: Number = 0.0
    moved: Number = 0.0

    def __add__(self, other: Achieved) -> Achieved:
        """One after the other: launches and busy times add up, and so do the causes."""
        compute, memory = self.compute + other.compute, self.memory + other.memory
        rest = self.busy + other.busy - np.sqrt(compute * compute + memory * memory)
        return Achieved(launch=self.launch + other.launch, compute=compute, memory=memory, moved=rest)

    @property
    def busy(self) -> Number:
        """Seconds the device works: sqrt(compute^2 + memory^2) + moved."""
        busy: Number = np.sqrt(self.compute * self.compute + self.memory * self.memory) + self.moved
        return busy

    @property
    def seconds(self) -> Number:
        return self.launch + self.busy


# --- constants ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """All fitted constants, by (kind, type, generation), with their errors, and the factor of each engine."""

    constants: Mapping[tuple[str, str, str], Kernel] = field(repr=False)
    errors: Mapping[tuple[str, str, str], Error] = field(repr=False)
    engines: Mapping[tuple[str, str, str, str], float] = field(repr=False)
    source: str = ""

    def of(self, kind: str, type_: str = "bf16", generation: str = "default") -> Kernel:
        """The constants of a kind: of the generation where it was measured, else pooled; of the nearest type.

        >>> k = kernels()
        >>> k.of("gemm", "fp8_block", "hopper") == k.of("gemm", "bf16", "hopper")
        False
        >>> k.of("gemm", "bf16", "nobody-measured-it") == k.of("gemm", "bf16")
        True
        """
        return self.constants[self.entry(kind, type_, generation)]

    def error(self, kind: str, type_: str = "bf16", generation: str = "default") -> Error:
        return self.errors[self.entry(kind, type_, generation)]

    def engine(self, name: str, kind: str, type_: str = "bf16", generation: str = "default") -> float:
        """Median time of an engine's kernels over the pooled kernel's; 1 where it was not measured."""
        return self.engines.get((*self.entry(kind, type_, generation), name), 1.0)

    def entry(self, kind: str, type_: str, generation: str) -> tuple[str, str, str]:
        """The (kind, type, generation) whose constants stand for these."""
        for name in _NEAREST.get(type_, (type_, "bf16")):
            for era in (LIKE.get(generation, generation), "default"):
                if (kind, name, era) in self.constants:
                    return kind, name, era
        raise KeyError(f"no constants of kind {kind!r}; give one of {', '.join(KINDS)}")


_NEAREST = {
    "fp8_g128": ("fp8_block", "fp8", "bf16"),
    "fp8_block": ("fp8_block", "fp8", "bf16"),
    "mxfp8": ("fp8_block", "fp8", "bf16"),
    "fp8": ("fp8", "fp8_block", "bf16"),
    "int8": ("int8", "fp8", "bf16"),
    "nvfp4": ("nvfp4", "w4a8", "fp8", "bf16"),
    "mxfp4": ("nvfp4", "w4a8", "fp8", "bf16"),
    "fp4": ("nvfp4", "w4a8", "fp8", "bf16"),
    "w4a8": ("w4a8", "fp8", "bf16"),
    "w4a16": ("w4a16", "bf16"),
    "w4a16_g32": ("w4a16", "bf16"),
    "nvfp4_w4a16": ("w4a16", "bf16"),
    "w8a16": ("w8a16", "bf16"),
    "nf4": ("w4a16", "bf16"),
    "nf4_double": ("w4a16", "bf16"),
    "bitnet": ("int8", "fp8", "bf16"),
}
"""Types to look up in order, for the number formats of `world.precision` and the types that were measured."""


@cache
def kernels() -> Kernels:
    """The packaged constants.

    >>> hopper = kernels().of("gemm", "bf16", "hopper")
    >>> 0.5 < hopper.compute_share < 1 and 1e-6 < hopper.latency < 1e-5
    True
    """
    raw = shipped.read(shipped.FITTED / "kernels.toml")
    constants: dict[tuple[str, str, str], Kernel] = {}
    errors: dict[tuple[str, str, str], Error] = {}
    engines: dict[tuple[str, str, str, str], float] = {}
    for kind in KINDS:
        for type_, eras in raw.get(kind, {}).items():
            for era, given in eras.items():
                constants[kind, type_, era] = Kernel(**_only(given, Kernel))
                found = _only(given, Error)
                errors[kind, type_, era] = Error(**{**found, "chips": tuple(found.get("chips", ()))})
                engines |= {(kind, type_, era, name): value for name, value in given.get("engines", {}).items()}
    return Kernels(constants=constants, errors=errors, engines=engines, source=raw["source"])


def _only(given: Mapping[str, Any], record: type) -> dict[str, Any]:
    names = {f.name for f in fields(record)}
    return {key: value for key, value in given.items() if key in names}


# --- products -----------------------------------------------------------------------------------------------------


def gemm(k: Kernel, *, compute: Number, bytes: Number, bandwidth: Number, outputs: Number, kernels: Number = 1.0) -> Achieved:
    """A dense product of (tokens x d_in) and (d_in x d_out), or `kernels` of them summed.

    `compute` seconds at peak and `bytes` (weights, inputs and outputs) of all of them; `outputs` = tokens x d_out of
    one of them. 1 token and 8192 x 8192 in bf16 on an H100 (134 MB of weights, 40 us at full bandwidth):

    >>> k = kernels().of("gemm", "bf16", "hopper")
    >>> peak, bandwidth, tokens, n = 989e12, 3.35e12, 1.0, 8192.0
    >>> flops, size = 2 * tokens * n * n, 2 * n * n
    >>> one = gemm(k, compute=flops / peak, bytes=size, bandwidth=bandwidth, outputs=tokens * n)
    >>> 1.05 < float(one.seconds) / (size / bandwidth) < 1.6
    True
    """
    return Achieved(
        launch=k.latency * kernels, compute=compute * (1 + k.wave / outputs) / k.compute_share, memory=bytes / (bandwidth * k.memory_share)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What reaches the experts of one device. Activations cross memory in kernels of their own."""

    rows: Number  # tokens x top_k / ep: the rows its experts multiply
    touched: Number  # distinct experts that have any
    row_bytes: Number  # rows x 2 x (d_model + d_expert / moe_tp)
    token_bytes: Number  # tokens x 2 x d_model, of all tokens on the device before routing


def experts(k: Kernel, *, compute: Number, bytes: Number, bandwidth: Number, routed: Routed, kernels: Number = 1.0) -> Achieved:
    """All products of the experts of one layer on one device: routing, gate and up, activation, down, and the sum.

    `compute`: seconds at peak of the rows that are `routed` to it; `bytes`: weights of the touched experts.
    `kernels` counts layers, not single launches: `latency` is that of the whole group.
    """
    return Achieved(
        launch=k.latency * kernels,
        compute=compute * (1 + k.pad * routed.touched / routed.rows) / k.compute_share,
        memory=bytes / (bandwidth * k.memory_share),
        moved=(k.rows * routed.row_bytes + k.tokens * routed.token_bytes) / bandwidth,
    )


# --- attention ----------------------------------------------------------------------------------------------------


def attention_decode(
    k: Kernel,
    *,
    compute: Number,
    bytes: Number,
    bandwidth: Number,
    sequences: Number,
    entry_bytes: Number,
    group: Number,
    kernels: Number = 1.0,
) -> Achieved:
    """One new token of every sequence against its cache. Kinds "attention_decode" and "mla_decode".

    `compute`: seconds at the 16-bit peak; `bytes`: of the cache entries read; `entry_bytes`: of one entry on this
    device, all its heads; `group`: query heads that share a key head (times tokens verified at once): with a
    latent cache all heads of the device do.

    >>> k = kernels().of("attention_decode", "bf16", "hopper")
    >>> size = 64 * 8192 * 4096.0                                # 64 sequences, 8 key heads of 128 in bf16
    >>> time = attention_decode(k, compute=4 * 64 * 8192 * 64 * 128 / 989e12, bytes=size, bandwidth=3.35e12,
    ...                         sequences=64.0, entry_bytes=4096.0, group=8.0)
    >>> 1.05 < float(time.seconds) / (size / 3.35e12) < 1.5
    True
    """
    return Achieved(
        launch=k.latency * kernels,
        compute=compute * (1 + k.pad / group) / k.compute_share,
        memory=(bytes + k.page * sequences * entry_bytes) / (bandwidth * k.memory_share),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshTokens:
    """The tokens that attention prefills, on one device."""

    pair_flops: Number  # of one query head and one pair of tokens: 2 (d_qk + d_v)
    queries: Number  # fresh tokens of a prompt
    keys: Number  # mean entries each of them meets: half the prompt where nothing is cached
    heads: Number  # query heads on the device
    prompts: Number = 1.0  # at once


def attention_prefill(
    k: Kernel, *, compute: Number, bytes: Number, bandwidth: Number, fresh: FreshTokens, kernels: Number = 1.0
) -> Achieved:
    """Causal attention of fresh tokens. Kinds "attention_prefill" and "mla_prefill".

    `compute`: seconds at peak of the pairs a causal mask keeps; `bytes`: queries, entries and outputs.
    """
    scores = 1 + k.softmax / fresh.pair_flops
    waste = 1 + k.pad / fresh.keys + k.wave / (fresh.prompts * fresh.heads * fresh.queries)
    return Achieved(
        launch=k.latency * kernels, compute=compute * scores * waste / k.compute_share, memory=bytes / (bandwidth * k.memory_share)
    )


def scan(k: Kernel, *, compute: Number, bytes: Number, bandwidth: Number, longest: Number = 1.0, kernels: Number = 1.0) -> Achieved:
    """A recurrence: kind "scan" one token for each sequence, kind "scan_prefill" whole chunks.

    `compute`: seconds at the 16-bit peak of the plain recurrence; `bytes`: states read and written, and while
    prefilling the inputs and outputs of every token; `longest`: tokens of the longest sequence in the batch.
    """
    return Achieved(
        launch=k.latency * kernels, compute=compute / k.compute_share, memory=bytes / (bandwidth * k.memory_share), moved=k.step * longest
    )


def elementwise(k: Kernel, *, bytes: Number, bandwidth: Number, kernels: Number = 1.0) -> Achieved:
    """Norms, residual additions, activations: `bytes` read and written by `kernels` of them.

    >>> k = kernels().of("elementwise", "bf16", "hopper")
    >>> bool(elementwise(k, bytes=2e9, bandwidth=3.35e12).seconds > 2e9 / 3.35e12)
    True
    """
    return Achieved(launch=k.latency * kernels, compute=0.0, memory=bytes / (bandwidth * k.memory_share))


# --- collectives --------------------------------------------------------------------------------------------------


def all_reduce(k: Kernel, *, size: Number, devices: Number, rate: Number, kernels: Number = 1.0) -> Achieved:
    """Sum `size` bytes over `devices` of one scale-up domain, at `rate` B/s one way per device; 0 for one device.

    Types "custom" (an engine's own kernel in a graph, which falls back to NCCL for large messages) and "nccl".

    >>> k = kernels().of("all_reduce", "custom", "hopper")
    >>> float(all_reduce(k, size=1e6, devices=1.0, rate=450e9).seconds)
    0.0
    """
    return _message(k, 2 * (devices - 1) / devices * size, devices, rate, kernels)


def all_to_all(k: Kernel, *, size: Number, devices: Number, rate: Number, kernels: Number = 1.0) -> Achieved:
    """One way of an expert exchange: dispatch, or combine.

    `size`: bytes a device sends. Inside a scale-up domain, at its `rate`: tokens x row bytes x distinct devices a
    token goes to, its own counted, in types "deepep_normal" and "nvlink" (stores straight into peers); x top_k in
    type "deepep_low_latency". Between domains, at the scale-out rate, only what crosses counts: x distinct domains x
    (1 - 1 / domains) in "deepep_normal_network", x top_k x (1 - 1 / domains) in "deepep_low_latency_network".
    """
    return _message(k, size, devices, rate, kernels)


def _message(k: Kernel, size: Number, devices: Number, rate: Number, kernels: Number) -> Achieved:
    launch = (k.latency + k.hop * devices) * kernels
    sent = size / (rate * k.memory_share)
    several = np.asarray(devices) > 1
    return Achieved(
        launch=np.where(several, launch, 0.0),
        memory=np.where(several, sent, 0.0),
        moved=np.where(several, k.ramp * np.sqrt(launch * sent), 0.0),
    )
