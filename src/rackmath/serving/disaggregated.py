"""Disaggregated serving: one pool of replicas prefills, another decodes, and caches travel between.

Both pools are compositions of the same forward pass as everything else. A prefill replica runs passes of prompt
tokens only and is a server with a constant service time; a decode replica runs decode-only passes at a full batch.

    rate of a prefill replica = load x prompts per pass x passes under way / time of a pass
    rate of a decode replica  = batch / ((osl - 1) tpot)
    ttft = wait + own passes + transfer of the cache (on average also a wait for room in the decode pool)
    requests inside = rate x (mean ttft + (osl - 1) tpot)          (Little's law, over both pools and the link)

The whole cache of a prompt crosses the link after its last chunk, and that time is part of the time to first token.
Prefixes the decode pool already holds, and sending layer by layer during prefill, would make it cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Mask, Number
from ..kernel.counts import Pass, cache_bytes
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import PassTime
from ..layout.footprint import Footprint
from ..layout.parallelism import Layout, stage_share
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic
from .replica import Replica
from .seats import open_seats, seat_wait
from .steady import held_tokens, uncached, waiting

MOST_LOAD = 0.95
"""Largest load of a prefill replica that a search tries: lines grow without end towards 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillReplica:
    """One replica that only prefills: seconds, requests per second, bytes on its fullest device.

    `capacity` is the rate at full load, `rate` the one at `load`. `ttft` ends with the first token, before the cache
    travels. `cached_share`: part of a pass that would vanish without the cached prefix to attend to.
    """

    layout: Layout
    load: Number
    prompts: Number  # prompts of one attention-DP rank in a pass; below 1 where a prompt takes several
    chunks: Number  # passes that carry one prompt
    pace: Number  # from one pass to the next
    capacity: Number
    rate_bound: Number
    service: Number  # passes that carry a request's own prompt
    overhead: Number  # of a request, before anything else
    ttft_bound: Number
    cached_share: Number
    footprint: Footprint
    memory: Number
    fits: Mask
    time: PassTime

    @property
    def rate(self) -> Number:
        return self.load * self.capacity

    @property
    def wait(self) -> Number:
        """Mean seconds behind other prompts."""
        return waiting(self.chunks * self.pace, self.load)[0]

    @property
    def wait_median(self) -> Number:
        return waiting(self.chunks * self.pace, self.load)[1]

    @property
    def to_next(self) -> Number:
        """Request overhead, and what is left of the others' pass for a request that finds its own rank free.

        Attention-DP ranks run in step.
        """
        idle = 1 - self.load
        return self.overhead + idle * (1 - idle ** (self.layout.dp - 1)) * self.pace / 2

    @property
    def ttft(self) -> Number:
        """Median seconds to the first token."""
        return self.to_next + self.wait_median + self.service

    @property
    def ttft_mean(self) -> Number:
        return self.to_next + self.wait + self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeReplica:
    """One replica that only decodes `batch` sequences: seconds, requests per second, bytes on its fullest device."""

    layout: Layout
    batch: Number
    steps: Number  # of a request
    seat: Number  # mean time until memory has room; its median is 0 where the batch fits
    tpot: Number
    tpot_bound: Number
    rate: Number
    rate_bound: Number
    footprint: Footprint
    memory: Number
    fits: Mask
    time: PassTime

    @property
    def decoding(self) -> Number:
        """Seconds from the first token to the last."""
        return self.batch / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """The cache of one prompt on its way: bytes, seconds, and the seconds at the full rate of the narrower end."""

    bytes: Number
    time: Number
    least: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Disaggregated:
    """Pools of `n_prefill` and `n_decode` replicas in their common steady state.

    `sending` and `receiving`: share of a replica's link that caches take, beside its own collectives; above 1 the
    link is too narrow and `fits` is false.
    """

    prefill: PrefillReplica
    decode: DecodeReplica
    n_prefill: Number
    n_decode: Number
    transfer: Transfer
    request_rate: Number
    request_rate_bound: Number
    isl: Number
    osl: Number
    sending: Number
    receiving: Number
    fits: Mask

    @property
    def tpot(self) -> Number:
        return self.decode.tpot

    @property
    def interactivity(self) -> Number:
        return 1 / self.decode.tpot

    @property
    def ttft(self) -> Number:
        """Median seconds to the first token, the transfer included."""
        return self.prefill.ttft + self.transfer.time

    @property
    def ttft_mean(self) -> Number:
        return self.prefill.ttft_mean + self.transfer.time + self.decode.seat

    @property
    def ttft_bound(self) -> Number:
        """The prompt alone, at peak: a first token may leave before its cache does."""
        return self.prefill.ttft_bound

    @property
    def concurrency(self) -> Number:
        """Requests inside: waiting and prefilling, on the link, decoding."""
        return self.request_rate * self.end_to_end

    @property
    def end_to_end(self) -> Number:
        """Mean seconds from arrival to the last token."""
        return self.ttft_mean + self.decode.decoding

    @property
    def prefill_gpus(self) -> Number:
        return self.n_prefill * self.prefill.layout.gpus

    @property
    def decode_gpus(self) -> Number:
        return self.n_decode * self.decode.layout.gpus

    @property
    def gpus(self) -> Number:
        return self.prefill_gpus + self.decode_gpus

    @property
    def input_tput(self) -> Number:
        return self.request_rate * self.isl

    @property
    def output_tput(self) -> Number:
        return self.request_rate * self.osl

    @property
    def tput_per_gpu(self) -> Number:
        """Input plus output tokens per second over the devices of both pools."""
        return self.request_rate * (self.isl + self.osl) / self.gpus

    @property
    def output_tput_per_decode_gpu(self) -> Number:
        """Output tokens per second over the decode pool's devices only, as some public benchmarks count."""
        return self.output_tput / self.decode_gpus


def prefill_replica(
    replica: Replica, traffic: Traffic, load: Number, *, prompts: Number = 1.0, bounds: bool = True, keep: bool = False
) -> PrefillReplica:
    """A replica that prefills `prompts` prompts per attention-DP rank and pass, busy a share `load` of its time.

    A prompt longer than the engine's chunk (of `cp` ranks together) takes several passes, in sequence; several short
    ones share a pass. `bounds=False` leaves the bounds and the cached share out, for a search.
    """
    layout, fresh = replica.layout, uncached(traffic)
    room = replica.engine.chunk_tokens * layout.cp
    chunks = np.ceil(fresh / room)
    together = np.where(chunks > 1, 1 / chunks, np.clip(prompts, 1.0, np.maximum(np.floor(room / fresh), 1.0)))
    work = Pass(prefill=together * fresh * layout.dp, prompt=traffic.isl, prompt_cached=traffic.isl - fresh, busiest=1 / layout.dp)
    every = replica.timed(work, keep=keep)
    one = every.estimate * stage_share(replica.model, layout) * layout.pp  # the fullest stage sets the pace
    holds = replica.footprint(traffic.isl)
    resident = np.maximum(together, 1.0) * layout.dp * layout.pp + 1  # in its passes, and one being sent
    memory = holds.used(resident, layout)
    alone, ttft_bound = every, 0.0 * one
    if bounds:
        ttft_bound = replica.timed(replace(work, prefill=fresh, busiest=1.0)).bound / layout.pp
        if np.any(np.asarray(traffic.cached) > 0):
            alone = replica.timed(replace(work, prompt=fresh, prompt_cached=0.0))
    return PrefillReplica(
        layout=layout,
        load=load,
        prompts=together,
        chunks=chunks,
        pace=one / layout.pp,
        capacity=together * layout.dp * layout.pp / one,
        rate_bound=together * layout.dp * layout.pp / every.bound,
        service=((chunks - 1) / layout.pp + 1) * one,
        overhead=replica.efficiency.request_overhead,
        ttft_bound=ttft_bound,
        cached_share=np.maximum(1 - alone.estimate / every.estimate, 0.0),
        footprint=holds,
        memory=memory,
        fits=memory <= holds.capacity,
        time=every,
    )


def decode_replica(replica: Replica, traffic: Traffic, batch: Number, *, keep: bool = False) -> DecodeReplica:
    """A replica that decodes `batch` sequences whose prompts arrive as finished caches.

    With drafts a step also makes and checks them, as in `steady`.
    """
    layout, width, steps = replica.layout, replica.width, replica.steps(traffic)
    work = Pass(decode=np.maximum(batch / layout.pp, 1.0), context=traffic.isl + traffic.osl / 2, width=width)
    time = replica.timed(work, keep=keep)
    holds = replica.footprint(held_tokens(traffic, batch / layout.dp))
    step = time.estimate * stage_share(replica.model, layout) * layout.pp
    memory = holds.used(batch, layout)
    return DecodeReplica(
        layout=layout,
        batch=batch,
        steps=steps,
        seat=seat_wait(holds.batch_max, batch, steps * step),
        tpot=step / replica.kept,
        tpot_bound=time.bound / width,
        rate=batch / (steps * step),
        rate_bound=batch / (np.maximum((traffic.osl - 1) / width, 1.0) * time.bound),
        footprint=holds,
        memory=memory,
        fits=(memory <= holds.capacity)
        & (batch <= open_seats(holds.batch_max) * (1 + 1e-9))
        & (work.decode / layout.dp * width <= replica.engine.chunk_tokens),
        time=time,
    )


def transfer(
    model: Model,
    precision: Precision,
    prompt: Number,
    source: Machine,
    sender: Layout,
    target: Machine,
    receiver: Layout,
    efficiency: Efficiency,
) -> Transfer:
    """The cache of `prompt` tokens from the devices that computed it to those that will read it, over scale-out.

    One copy crosses: every device of the sending group sends its part, and the narrower of the two ends sets the
    pace. 8192 tokens of Llama-3.1-8B are 1.07 GB; one H100 at 50 GB/s sends them in 21 ms and two in 11.

    >>> from rackmath.world.catalog import machine, model
    >>> box, llama = machine("8xh100"), model("meta-llama/Llama-3.1-8B")
    >>> sent = transfer(llama, llama.precision, 8192.0, box, Layout(), box, Layout(), Efficiency(link_share=1.0))
    >>> round(float(sent.bytes) / 1e9, 2), round(float(sent.least) * 1e3)
    (1.07, 21)
    """
    size = cache_bytes(model, prompt, precision)
    out = np.maximum(source.scaleout_bandwidth, 1.0) * sender.tp * sender.cp * sender.pp
    into = np.maximum(target.scaleout_bandwidth, 1.0) * receiver.tp * receiver.cp * receiver.pp
    least = size / np.minimum(out, into)
    latency = np.maximum(source.scaleout_latency, target.scaleout_latency)
    return Transfer(bytes=size, time=least / efficiency.link_share + latency, least=least)


def matched(
    prefill: PrefillReplica,
    decode: DecodeReplica,
    n_prefill: Number,
    n_decode: Number,
    sent: Transfer,
    machines: tuple[Machine, Machine],
    efficiency: Efficiency,
    traffic: Traffic,
) -> Disaggregated:
    """The two pools together, at the rate of the slower one.

    Where decoding limits, the prefill replicas run at a lower load: that is exact. Where prefill limits, the decode
    replica must be one whose batch just carries the rate (`batch_for` finds it), or Little's law is left open.
    """
    rate = np.minimum(n_prefill * prefill.rate, n_decode * decode.rate)
    settled = replace(prefill, load=rate / n_prefill / prefill.capacity)
    sending = link_use(rate / n_prefill, sent.bytes, prefill.layout, prefill.time, machines[0], efficiency)
    receiving = link_use(rate / n_decode, sent.bytes, decode.layout, decode.time, machines[1], efficiency)
    return Disaggregated(
        prefill=settled,
        decode=decode,
        n_prefill=n_prefill,
        n_decode=n_decode,
        transfer=sent,
        request_rate=rate,
        request_rate_bound=np.minimum(n_prefill * prefill.rate_bound, n_decode * decode.rate_bound),
        isl=traffic.isl,
        osl=traffic.osl,
        sending=sending,
        receiving=receiving,
        fits=prefill.fits & decode.fits & (sending <= 1) & (receiving <= 1),
    )


def link_use(rate: Number, size: Number, layout: Layout, time: PassTime, machine: Machine, efficiency: Efficiency) -> Number:
    """Share of a replica's scale-out links in use: caches, and the collectives of its own passes."""
    caches = rate * size / (layout.gpus * np.maximum(machine.scaleout_bandwidth, 1.0))
    return (caches + time.out / time.estimate) / efficiency.link_share


def batch_for(rate: Number, replica: Callable[[Number], DecodeReplica], most: Number, *, rounds: int = 40) -> Number:
    """The batch, at most `most`, with which a decode replica serves `rate` requests per second: by halving in logs.

    `replica` gives the replica at a batch. Where even `most` falls short, `most`.
    """
    low, high = np.log(np.asarray(most, dtype=float)) - 20.0, np.log(np.asarray(most, dtype=float))
    for _ in range(rounds):
        middle = (low + high) / 2
        enough = np.asarray(replica(np.exp(middle)).rate) >= rate
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found: Number = np.exp(high)
    return found
