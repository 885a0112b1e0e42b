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
from ..kernel.efficiency import Efficiency
from ..kernel.roofline import PassTime
from ..layout.footprint import Footprint, footprint
from ..layout.forward import forward
from ..layout.parallelism import Layout, stage_share, under_way
from ..world.engine import Engine
from ..world.machine import Machine
from ..world.model import Model
from ..world.precision import Precision
from ..world.workload import Traffic
from .seats import open_seats, seat_wait
from .speculative import Speculation, beside, with_drafts

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


def steady(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    efficiency: Efficiency,
    traffic: Traffic,
    batch: Number,
    *,
    speculation: Speculation | None = None,
    bounds: bool = True,
    keep: bool = False,
) -> Serving:
    """The steady state of one replica with `batch` decoding sequences; every argument may hold columns.

    With `speculation` a pass checks several drafts for each sequence, and a step also makes them; the bound grants
    that all are kept. `bounds=False` leaves the first token's bound and the cached share out, for a search.
    """
    width: Number = 1.0 if speculation is None else speculation.width
    per_pass: Number = 1.0 if speculation is None else speculation.kept
    steps = np.maximum((traffic.osl - 1) / per_pass, 1.0)
    fresh = np.maximum(traffic.isl * (1 - traffic.cached), 1.0)
    cached = traffic.isl - fresh
    alone = traffic.users is not None
    flow = batch / under_way(
        engine, layout
    )  # below 1 where a replica decodes less than one sequence at a time, on average
    micro = np.maximum(flow, 1.0)
    rank = np.ceil(micro / layout.dp)
    room = np.maximum(engine.chunk_tokens - rank * width, 1.0)
    chunks = np.ceil(fresh / room)
    others = np.maximum(1 - 1 / np.maximum(batch, 1.0), 0.0) if alone else 1.0  # prompts that are somebody else's
    needed = flow / layout.dp * fresh / steps * others  # prefill tokens per step and rank
    chunk = np.maximum(fresh / chunks, np.minimum(needed, room))
    busy = needed / chunk  # share of a rank's steps that carry a chunk
    busy_one = np.minimum(busy, 1.0)
    jobs = np.maximum(layout.dp * busy_one, 1e-12)  # chunks that fall due per step, over all ranks
    ranks = np.clip(engine.align_steps * jobs, 1.0, layout.dp)  # ranks with a chunk in a mixed step
    mixed = jobs / ranks
    # Micro-batches cannot overtake in a ring of stages: one with a chunk holds up the `pp` around it. Chunks of a
    # prompt follow each other in consecutive micro-batches, and prompts begin at random: quick is what has no chunk
    # in the first of `pp` micro-batches, and no prompt beginning in the others.
    begins = mixed / (mixed + chunks * np.maximum(1 - mixed, 1e-12))
    slow = 1 - (1 - mixed) * (1 - begins) ** (layout.pp - 1)
    gather = np.where(ranks > 1, np.maximum(ranks / jobs, 1.0), 1.0)  # steps until so many chunks are due
    context = traffic.isl + traffic.osl / 2

    def timed(work: Pass) -> PassTime:
        found = forward(model, machine, precision, layout, work, efficiency, keep=keep)
        return found if speculation is None else with_drafts(found, speculation, machine, layout, work, efficiency)

    plain = timed(Pass(decode=micro, context=context, width=width))
    both = timed(
        Pass(
            decode=micro * others,
            context=context,
            width=width,
            prefill=chunk * ranks,
            prompt=traffic.isl,
            prompt_cached=cached,
            busiest=1 / ranks,
        )
    )
    uneven = stage_share(model, layout) * layout.pp  # >= 1: the fullest stage sets the pace
    t_plain, t_both = plain.estimate * uneven, both.estimate * uneven
    step = (1 - slow) * t_plain + slow * t_both
    request_rate = batch / (steps * step)

    service = ((chunks - 1) / layout.pp + 1) * t_both
    load = np.minimum(needed / room, BUSY_LIMIT)  # of the tokens a step has room for
    wait, median_wait = waiting(service, load)
    # an arrival at random meets a step in proportion to its length: it waits half of the mean square over the mean
    rest = ((1 - slow) * t_plain * t_plain + slow * t_both * t_both) / step / 2
    to_next = efficiency.request_overhead + others * np.maximum(rest, np.where(ranks > 1, gather * step / 2, 0.0))
    held = held_tokens(traffic, batch / layout.dp) if not engine.local else traffic.isl + traffic.osl
    holds = footprint(model, machine, precision, layout, engine, held, traffic.isl)
    if speculation is not None:
        holds = beside(holds, speculation, layout, held)
    seat = np.where(traffic.closed, 0.0, seat_wait(holds.batch_max, batch, steps * step + service))
    ttft_mean = to_next + wait + service + seat
    ttft = to_next + median_wait + service
    period = steps * step  # between two requests of a sequence
    if alone:
        period = period + ttft_mean
        request_rate = batch / period

    cached_share: Number = 0.0
    if bounds and np.any(np.asarray(traffic.cached) > 0):
        cold = timed(
            Pass(
                decode=micro * others, context=context, width=width, prefill=chunk * ranks, prompt=fresh,
                busiest=1 / ranks,
            )
        )  # fmt: skip
        saved = np.maximum(t_both - cold.estimate * uneven, 0.0)
        cached_share = chunks * saved / period if alone else slow * saved / step

    # Bounds. Work is linear in prefill tokens, so a mean step is read off between the passes: a rank carries a chunk
    # in a share `busy` of its steps. A lone prompt is prefilled by one rank, its chunks in all stages at once.
    mean = ((getattr(plain, r), getattr(both, r)) for r in RESOURCES)
    step_bound = np.maximum.reduce([np.asarray(a + busy_one * (b - a)) for a, b in mean])
    prompt_bound: Number = 0.0 * step
    if bounds:
        one = Pass(prefill=fresh, prompt=traffic.isl, prompt_cached=cached)
        prompt_bound = forward(model, machine, precision, layout, one, efficiency).bound / layout.pp

    memory = holds.used(batch, layout)
    output_tput = request_rate * traffic.osl
    return Serving(
        batch=batch,
        concurrency=request_rate * (ttft_mean + np.maximum(traffic.osl - 1, 0.0) / per_pass * step),
        request_rate=request_rate,
        tpot=step / per_pass,
        ttft=ttft,
        ttft_mean=ttft_mean,
        wait=wait,
        seat=seat,
        wait_median=median_wait,
        to_next=to_next,
        service=service,
        tpot_bound=plain.bound / width,
        ttft_bound=prompt_bound,
        request_rate_bound=batch / (np.maximum((traffic.osl - 1) / width, 1.0) * step_bound),
        output_tput=output_tput,
        input_tput=request_rate * traffic.isl,
        gpus=layout.gpus,
        mixed=slow,
        chunk=chunk,
        carried=chunk * ranks,
        decode_share=np.minimum(np.minimum(flow, 1.0), traffic.osl - 1) * t_plain / step * (steps * step / period),
        cached_share=cached_share,
        footprint=holds,
        memory=memory,
        decode=plain,
        mixed_pass=both,
        fits=(memory <= holds.capacity) & (traffic.closed | (batch <= open_seats(holds.batch_max) * (1 + 1e-9))),
        keeps_pace=needed <= BUSY_LIMIT * room,
    )


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


def at_concurrency(
    model: Model,
    machine: Machine,
    precision: Precision,
    layout: Layout,
    engine: Engine,
    efficiency: Efficiency,
    traffic: Traffic,
    concurrency: Number,
    *,
    speculation: Speculation | None = None,
    rounds: int = 12,
) -> Serving:
    """The steady state with a given number of requests in the replica, waiting and prefilling ones included.

    Solves batch = concurrency x (share of a request's life spent decoding) by damped iteration; the answer's own
    concurrency tells how well it closed.
    """
    traffic = replace(traffic, closed=True)
    batch: Number = np.maximum(np.asarray(concurrency, dtype=float) * 0.9, 1e-3)

    def at(batch: Number) -> Serving:
        return steady(model, machine, precision, layout, engine, efficiency, traffic, batch, speculation=speculation)

    found = at(batch)
    for _ in range(rounds):
        batch = batch * (0.5 + 0.5 * concurrency / found.concurrency)
        found = at(batch)
    return found
