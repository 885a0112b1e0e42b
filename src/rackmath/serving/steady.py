"""Continuous batching in its steady state: every step carries decode tokens plus the prefill that keeps pace.

Mean field. A replica holds `batch` decoding sequences. Each lives osl - 1 steps after its first token, so a step
must also prefill batch x fresh / (osl - 1) prompt tokens, fresh = isl (1 - cached), to replace the sequences that
finish. Those tokens come in chunks: a share `mixed` of the steps is slowed by one, the others only decode. So

    tpot = (1 - mixed) t(decode) + mixed t(decode + chunk)
    request rate = batch / ((osl - 1) tpot)
    concurrency = request rate x (mean ttft + (osl - 1) tpot)            (Little's law, by construction)

Attention-DP ranks run in step, so a chunk on one of them slows all. Engines therefore hold chunks back, for at most
`Engine.align_steps` steps, until many ranks have one. With pp stages a replica has pp micro-batches under way and `t`
is a micro-batch's way through all stages; none overtakes another, so a chunk slows the round of all. A request waits
for the next mixed step, for the chunks of requests before it (one server with constant service time, so the median
wait is zero below half load), then for its own. Arrivals are at random unless `Traffic.closed`: a row then fits only
if at least half of them find memory free, so that the median wait for a seat is zero.

With `Traffic.users` the loop is closed over `batch` users of a replica: while one's prompt is read the others decode,
so a user alone is never slowed by a prompt, and request rate = users / (ttft + (osl - 1) tpot). A step is charged as
if all users decoded in it. A local engine's cards work in turn: one micro-batch goes through all of them.

On better hardware, at the same batch, no pass, step, rate, line or own chunk is worse. The wait for the next step can
be, by at most half of what a chunk adds to a step: decoding that is quicker serves more requests with the same batch,
so more of the time is spent in steps with a chunk, and that is where more arrivals fall. A batch is held; at the same
rate of requests a better machine decodes fewer at once, and on one device with prompts of one chunk no first token
comes later (with pipeline stages one was seen up to 0.04 % later).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Mask, Number
from ..kernel.counts import Pass
from ..kernel.roofline import PassTime
from ..layout.footprint import Footprint
from ..layout.parallelism import stage_share, under_way
from ..world.workload import Traffic
from .replica import Replica
from .seats import open_seats, seat_wait

RESOURCES = ("compute", "memory", "up", "out")

BUSY_LIMIT = 0.98
"""Largest share of a step's room for prefill that may be taken; the waiting line grows without end beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A replica's steady state: seconds, tokens per second, requests per second; bounds beside estimates.

    `keeps_pace` is false where prefill cannot keep the batch full, `fits` where memory has no seats for it; numbers
    of such rows mean nothing. `decode_share`, `cached_share`: parts of the time (and so of the cost) that decoding
    and prefix-cache hits account for; the rest is fresh input.
    """

    batch: Number
    concurrency: Number
    request_rate: Number
    tpot: Number
    ttft: Number  # median
    ttft_mean: Number
    wait: Number  # mean time behind other prompts, part of ttft_mean
    seat: Number  # mean time until memory has room, part of ttft_mean; its median is 0 where the row fits
    wait_median: Number  # the same, median: part of ttft
    to_next: Number  # request overhead, and the mean wait for the next mixed step
    service: Number  # steps that carry the request's own chunks
    tpot_bound: Number
    ttft_bound: Number
    request_rate_bound: Number
    output_tput: Number
    input_tput: Number
    gpus: Number
    mixed: Number  # share of steps that carry a prefill chunk
    chunk: Number  # prefill tokens a rank handles in such a step
    carried: Number  # prefill tokens all ranks handle in it
    decode_share: Number
    cached_share: Number
    footprint: Footprint
    memory: Number  # bytes on the fullest device
    decode: PassTime
    mixed_pass: PassTime
    fits: Mask
    keeps_pace: Mask

    @property
    def interactivity(self) -> Number:
        """Tokens per second one user sees while decoding: 1 / tpot."""
        return 1 / self.tpot

    @property
    def tput_per_gpu(self) -> Number:
        """Input plus output tokens per second and device, as public benchmarks count."""
        return (self.input_tput + self.output_tput) / self.gpus

    @property
    def output_tput_per_gpu(self) -> Number:
        return self.output_tput / self.gpus

    @property
    def input_tput_per_gpu(self) -> Number:
        return self.input_tput / self.gpus

    @property
    def end_to_end(self) -> Number:
        """Mean seconds from arrival to the last token."""
        return self.concurrency / self.request_rate

    @property
    def shares(self) -> dict[str, Number]:
        """Seconds per step by binding resource, decode-only and mixed steps weighted as they occur."""
        plain, mixed = self.decode.shares, self.mixed_pass.shares
        return {name: (1 - self.mixed) * plain[name] + self.mixed * mixed[name] for name in plain}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaving:
    """How prompts are read between decode steps: sequences, tokens and ranks of a step, and shares of steps."""

    flow: Number  # decoding sequences of a micro-batch, below 1 where a replica decodes less than one on average
    micro: Number  # the same, at least 1
    others: Number  # share of prompts that are somebody else's: a lone user is never slowed by its own
    chunks: Number  # of a prompt
    chunk: Number  # prefill tokens a rank handles in a step that carries any
    carrying: Number  # share of a rank's steps that do
    ranks: Number  # ranks that have a chunk in a step with one
    slow: Number  # share of steps that a chunk slows, in whichever stage it is
    gather: Number  # steps until so many chunks are due
    needed: Number  # prefill tokens per step and rank that keep the batch full
    room: Number  # prefill tokens that fit beside the decoding sequences

    def passes(self, traffic: Traffic, width: Number) -> tuple[Pass, Pass]:
        """A step that only decodes, and one that carries chunks."""
        context = traffic.isl + traffic.osl / 2
        mixed = Pass(
            decode=self.micro * self.others,
            context=context,
            width=width,
            prefill=self.chunk * self.ranks,
            prompt=traffic.isl,
            prompt_cached=traffic.isl - uncached(traffic),
            busiest=1 / self.ranks,
        )
        return Pass(decode=self.micro, context=context, width=width), mixed


def uncached(traffic: Traffic) -> Number:
    """Tokens of a prompt that are not found in the prefix cache, at least one."""
    fresh: Number = np.maximum(traffic.isl * (1 - traffic.cached), 1.0)
    return fresh


def interleaved(replica: Replica, traffic: Traffic, batch: Number) -> Interleaving:
    """The prefill that keeps pace with `batch` decoding sequences, in chunks as large as the engine's."""
    layout, engine = replica.layout, replica.engine
    steps, fresh = replica.steps(traffic), uncached(traffic)
    flow = batch / under_way(engine, layout)
    micro = np.maximum(flow, 1.0)
    rank = np.ceil(micro / layout.dp)
    room = np.maximum(engine.chunk_tokens - rank * replica.width, 1.0)
    chunks = np.ceil(fresh / room)
    others = np.maximum(1 - 1 / np.maximum(batch, 1.0), 0.0) if traffic.users is not None else 1.0
    needed = flow / layout.dp * fresh / steps * others
    chunk = np.maximum(fresh / chunks, np.minimum(needed, room))
    carrying = np.minimum(needed / chunk, 1.0)
    jobs = np.maximum(layout.dp * carrying, 1e-12)  # chunks that fall due per step, over all ranks
    ranks = np.clip(engine.align_steps * jobs, 1.0, layout.dp)
    mixed = jobs / ranks
    # Micro-batches cannot overtake in a ring of stages: one with a chunk holds up the `pp` around it. Chunks of a
    # prompt follow each other in consecutive micro-batches, and prompts begin at random: quick is what has no chunk
    # in the first of `pp` micro-batches, and no prompt beginning in the others.
    begins = mixed / (mixed + chunks * np.maximum(1 - mixed, 1e-12))
    return Interleaving(
        flow=flow,
        micro=micro,
        others=others,
        chunks=chunks,
        chunk=chunk,
        carrying=carrying,
        ranks=ranks,
        slow=1 - (1 - mixed) * (1 - begins) ** (layout.pp - 1),
        gather=np.where(ranks > 1, np.maximum(ranks / jobs, 1.0), 1.0),
        needed=needed,
        room=room,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds of the two kinds of step on the fullest stage, and of the mean one."""

    decode: PassTime
    mixed: PassTime
    plain: Number
    both: Number
    step: Number


def paced(replica: Replica, traffic: Traffic, mix: Interleaving, *, keep: bool = False) -> Pace:
    """The time of steps with and without chunks, weighted as they occur."""
    decode, mixed = (replica.timed(work, keep=keep) for work in mix.passes(traffic, replica.width))
    uneven = uneven_stages(replica)
    plain, both = decode.estimate * uneven, mixed.estimate * uneven
    return Pace(decode=decode, mixed=mixed, plain=plain, both=both, step=(1 - mix.slow) * plain + mix.slow * both)


def uneven_stages(replica: Replica) -> Number:
    """The fullest stage's share of the layers over an even one: it sets the pace. 1 where cards work in turn."""
    return 1.0 if replica.engine.local else stage_share(replica.model, replica.layout) * replica.layout.pp


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstToken:
    """Seconds from a request's arrival to its first token, part by part."""

    to_next: Number  # request overhead, and the mean wait for the next step that carries chunks
    wait: Number  # behind other prompts, mean
    wait_median: Number
    service: Number  # steps that carry its own chunks
    seat: Number  # until memory has room, mean; the median is 0 where the batch fits

    @property
    def mean(self) -> Number:
        return self.to_next + self.wait + self.service + self.seat

    @property
    def median(self) -> Number:
        return self.to_next + self.wait_median + self.service


def first_token(replica: Replica, traffic: Traffic, batch: Number, mix: Interleaving, pace: Pace, batch_max: Number) -> FirstToken:
    """What a request waits for, in a replica that has room for `batch_max` sequences."""
    service = ((mix.chunks - 1) / replica.layout.pp + 1) * pace.both
    load = np.minimum(mix.needed / mix.room, BUSY_LIMIT)  # of the tokens a step has room for
    wait, median = waiting(service, load)
    # an arrival at random meets a step in proportion to its length: it waits half of the mean square over the mean
    rest = ((1 - mix.slow) * pace.plain * pace.plain + mix.slow * pace.both * pace.both) / pace.step / 2
    gathering = np.where(mix.ranks > 1, mix.gather * pace.step / 2, 0.0)
    seat = seat_wait(batch_max, batch, replica.steps(traffic) * pace.step + service)
    return FirstToken(
        to_next=replica.efficiency.request_overhead + mix.others * np.maximum(rest, gathering),
        wait=wait,
        wait_median=median,
        service=service,
        seat=np.where(traffic.closed, 0.0, seat),
    )


def steady(replica: Replica, traffic: Traffic, batch: Number, *, bounds: bool = True, keep: bool = False) -> Serving:
    """The steady state of one replica with `batch` decoding sequences; every argument may hold columns.

    With `speculation` a pass checks several drafts for each sequence, and a step also makes them; the bound grants
    that all are kept. `bounds=False` leaves the first token's bound and the cached share out, for a search.
    """
    layout, engine, steps = replica.layout, replica.engine, replica.steps(traffic)
    mix = interleaved(replica, traffic, batch)
    pace = paced(replica, traffic, mix, keep=keep)
    held = held_tokens(traffic, batch / layout.dp) if not engine.local else traffic.isl + traffic.osl
    holds = replica.footprint(held, traffic.isl)
    first = first_token(replica, traffic, batch, mix, pace, holds.batch_max)
    period = steps * pace.step  # between two requests of a sequence
    if traffic.users is not None:
        period = period + first.mean
    request_rate, memory = batch / period, holds.used(batch, layout)
    return Serving(
        batch=batch,
        concurrency=request_rate * (first.mean + np.maximum(traffic.osl - 1, 0.0) / replica.kept * pace.step),
        request_rate=request_rate,
        tpot=pace.step / replica.kept,
        ttft=first.median,
        ttft_mean=first.mean,
        wait=first.wait,
        seat=first.seat,
        wait_median=first.wait_median,
        to_next=first.to_next,
        service=first.service,
        tpot_bound=pace.decode.bound / replica.width,
        ttft_bound=_first_bound(replica, traffic) if bounds else 0.0 * pace.step,
        request_rate_bound=_rate_bound(replica, traffic, batch, mix, pace),
        output_tput=request_rate * traffic.osl,
        input_tput=request_rate * traffic.isl,
        gpus=layout.gpus,
        mixed=mix.slow,
        chunk=mix.chunk,
        carried=mix.chunk * mix.ranks,
        decode_share=np.minimum(np.minimum(mix.flow, 1.0), traffic.osl - 1) * pace.plain / pace.step * (steps * pace.step / period),
        cached_share=_cached_share(replica, traffic, mix, pace, period) if bounds else 0.0,
        footprint=holds,
        memory=memory,
        decode=pace.decode,
        mixed_pass=pace.mixed,
        fits=holds.holds(batch, layout) & (traffic.closed | (batch <= open_seats(holds.batch_max) * (1 + 1e-9))),
        keeps_pace=mix.needed <= BUSY_LIMIT * mix.room,
    )


def _cached_share(replica: Replica, traffic: Traffic, mix: Interleaving, pace: Pace, period: Number) -> Number:
    """Share of the time that prompts spend attending to their cached prefix."""
    if not np.any(np.asarray(traffic.cached) > 0):
        return 0.0
    _, mixed = mix.passes(traffic, replica.width)
    cold = replica.timed(replace(mixed, prompt=uncached(traffic), prompt_cached=0.0))
    saved = np.maximum(pace.both - cold.estimate * uneven_stages(replica), 0.0)
    return mix.chunks * saved / period if traffic.users is not None else mix.slow * saved / pace.step


def _rate_bound(replica: Replica, traffic: Traffic, batch: Number, mix: Interleaving, pace: Pace) -> Number:
    """Most requests per second. Work is linear in prefill tokens, so a mean step is read off between the passes."""
    pairs = ((getattr(pace.decode, r), getattr(pace.mixed, r)) for r in RESOURCES)
    step = np.maximum.reduce([np.asarray(a + mix.carrying * (b - a)) for a, b in pairs])
    found: Number = batch / (np.maximum((traffic.osl - 1) / replica.width, 1.0) * step)
    return found


def _first_bound(replica: Replica, traffic: Traffic) -> Number:
    """A lone prompt, prefilled by one rank, its chunks in all stages at once."""
    fresh = uncached(traffic)
    one = Pass(prefill=fresh, prompt=traffic.isl, prompt_cached=traffic.isl - fresh)
    found: Number = replace(replica, speculation=None).timed(one).bound / replica.layout.pp
    return found


def waiting(service: Number, load: Number) -> tuple[Number, Number]:
    """Mean and median seconds in line before one server with a constant service time, busy a share `load` of time.

    The mean is that of an M/D/1 queue; those who wait do so for an exponential time with the right mean.

    >>> mean, median = waiting(1.0, 0.5)
    >>> float(mean), float(median)     # at half load half of all requests find the server free
    (0.5, 0.0)
    """
    if_waiting = service / (2 * (1 - load))
    return load * if_waiting, if_waiting * np.maximum(np.log(np.maximum(2 * load, 1e-9)), 0.0)


def held_tokens(traffic: Traffic, sequences: Number) -> Number:
    """Mean tokens a sequence must be given room for.

    Sequences are at random points of their output, so n of them average isl + osl/2; two standard deviations of
    that average are kept free, up to the longest they can be.
    """
    spread = 2 * traffic.osl / np.sqrt(12.0) / np.sqrt(np.maximum(sequences, 1.0))
    held: Number = traffic.isl + np.minimum(traffic.osl / 2 + spread, traffic.osl)
    return held


def at_concurrency(replica: Replica, traffic: Traffic, concurrency: Number, *, rounds: int = 12) -> Serving:
    """The steady state with a given number of requests in the replica, waiting and prefilling ones included.

    Solves batch = concurrency x (share of a request's life spent decoding) by damped iteration; the answer's own
    concurrency tells how well it closed.
    """
    traffic = replace(traffic, closed=True)
    batch: Number = np.maximum(np.asarray(concurrency, dtype=float) * 0.9, 1e-3)
    found = steady(replica, traffic, batch)
    for _ in range(rounds):
        batch = batch * (0.5 + 0.5 * concurrency / found.concurrency)
        found = steady(replica, traffic, batch)
    return found
