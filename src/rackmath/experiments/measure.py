"""What reversibility costs and saves, measured: memory and time against depth, reconstruction error, loss curves."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import torch
from torch import Tensor, nn

from ..progress import Hear, tell
from . import text
from .model import WAYS, Gpt, Shape, Way, loss
from .results import Depth, LossCurve, Made, Rebuilt, ReversibleMemory
from .reversible import ReversibleSequence


def made() -> Made:
    """This machine and its software, for records."""
    cpu = torch.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()}-core {platform.machine()}"
    return Made(machine=cpu, torch=torch.__version__, python=platform.python_version(), date=date.today().isoformat())


def saved_bytes(forward: Callable[[], Tensor], parameters: Iterable[Tensor]) -> int:
    """Bytes of the tensors a forward pass leaves for its backward pass, each storage once, parameters left out.

    >>> x = torch.ones(100, requires_grad=True)
    >>> saved_bytes(lambda: (x * 2).exp().sum(), [x])
    400
    """
    known = {p.untyped_storage().data_ptr() for p in parameters}
    kept: dict[int, Tensor] = {}  # kept alive, so that no address is given out twice

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = forward()
    found: int = sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in known)
    del result
    return found


def peak_bytes(step: Callable[[], object], device: torch.device) -> int:
    """Most bytes that a step holds at once beyond what was there before: the allocator's own record."""
    if device.type == "cuda":
        before = int(torch.cuda.memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return int(torch.cuda.max_memory_allocated(device)) - before
    with _quiet(), torch.autograd.profiler.profile(use_kineto=True, profile_memory=True) as profile:
        step()
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    held, most = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += int(event.nbytes())
        most = max(most, held)
    return most


@contextmanager
def _quiet() -> Iterator[None]:
    """The profiler of some builds writes straight to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def one_thread() -> Iterator[None]:
    """Timed work runs on one thread, whose processor time others on the machine do not change."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time of one run: of the device where there is one, else of the processor (not of the wall clock)."""
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize(device)
        return float(start.elapsed_time(end)) / 1e3
    begun = time.process_time()
    work()
    return time.process_time() - begun


def best_device() -> torch.device:
    """A CUDA device where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def against_depth(
    shape: Shape, depths: Sequence[int], *, batch: int = 8, ways: Sequence[Way] = tuple(WAYS), repeats: int = 3, hear: Hear = tell
) -> list[Depth]:
    """A training step of the model at each depth, run in each way; the ways take turns, and the least time counts."""
    found: list[Depth] = []
    with one_thread():
        for i, layers in enumerate(depths):
            hear(sum(depths[:i]) / sum(depths), f"{layers} layers")
            found += _at_depth(replace(shape, layers=layers), batch, ways, repeats)
    return found


def _at_depth(shape: Shape, batch: int, ways: Sequence[Way], repeats: int) -> list[Depth]:
    device = best_device()
    torch.manual_seed(0)
    model = Gpt(shape).to(device)
    tokens = torch.randint(0, shape.vocabulary, (batch, shape.context + 1), device=device)
    memory: dict[Way, tuple[int, int]] = {}
    times: dict[Way, list[tuple[float, float]]] = {way: [] for way in ways}

    def forward() -> Tensor:
        return loss(model, tokens)

    def step() -> None:
        forward().backward()

    for way in ways:
        model.way = way
        step()  # warm, and the sequence has been checked
        model.zero_grad()
        memory[way] = (saved_bytes(forward, model.parameters()), peak_bytes(step, device))
    for _ in range(repeats):
        for way in ways:
            model.way = way
            times[way].append((seconds(forward, device), seconds(step, device)))
    least = {way: [min(column) for column in zip(*times[way], strict=True)] for way in ways}
    return [
        Depth(way=way, layers=shape.layers, saved=memory[way][0], peak=memory[way][1], forward=least[way][0], step=least[way][1])
        for way in ways
    ]


# --- reconstruction -----------------------------------------------------------------------------------------------

PRECISIONS = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Toy(nn.Module):
    """tanh of a random matrix that keeps the length of a random vector: a layer with nothing to tame it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(width, width) / math.sqrt(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.matrix)


def reconstruction_error(layers: int, precision: str, *, width: int = 64, seed: int = 0, fraction_bits: int | None = None) -> float:
    """Largest error of the rebuilt input after `layers` toy layers (rounds) and back; inputs are standard normal.

    >>> reconstruction_error(8, "fp64") < 1e-12
    True
    >>> reconstruction_error(8, "fp32", fraction_bits=16)
    0.0
    """
    torch.manual_seed(seed)
    net = ReversibleSequence([(Toy(width), Toy(width)) for _ in range(layers // 2)], fraction_bits=fraction_bits)
    net.to(PRECISIONS[precision])
    x = torch.randn(32, 2 * width, dtype=torch.float64).to(PRECISIONS[precision])
    if fraction_bits is not None:
        x = (x.double() * 2.0**fraction_bits).round().long()
    with torch.no_grad():
        back = net.inverse(net(x))
    scale = 1.0 if fraction_bits is None else 2.0**-fraction_bits
    return float((back.double() - x.double()).abs().max()) * scale


def rebuilt(depths: Sequence[int], *, seeds: int = 3) -> tuple[Rebuilt, ...]:
    """The error of the rebuilt input at each depth, the median of seeds: by precision, and in 16-bit fixed point."""

    def median(layers: int, precision: str, bits: int | None = None) -> float:
        return statistics.median(reconstruction_error(layers, precision, seed=s, fraction_bits=bits) for s in range(seeds))

    return tuple(
        Rebuilt(layers=layers, error={p: median(layers, p) for p in PRECISIONS} | {"fixed point": median(layers, "fp32", 16)})
        for layers in depths
    )


# --- loss curves --------------------------------------------------------------------------------------------------


STRETCH = 20
"""Steps whose training losses are averaged into one point of a curve."""


def train(way: Way, shape: Shape, *, seed: int, steps: int, batch: int = 16, rate: float = 2e-3) -> LossCurve:
    """Train on Python's reference text; the same seed gives the same start and the same batches in every way."""
    tokens = text.python_reference()
    cut = int(0.9 * len(tokens))
    learn, left_out = tokens[:cut], tokens[cut:]
    torch.manual_seed(seed)
    model, draw = Gpt(shape, way), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model, text.batch(learn, batch, shape.context + 1, draw))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    model.eval()
    with torch.no_grad():
        unseen = text.batch(left_out, 256, shape.context + 1, torch.Generator().manual_seed(0))
        held_out = loss(model, unseen).item()
    means = tuple(statistics.fmean(losses[i : i + STRETCH]) for i in range(0, steps - STRETCH + 1, STRETCH))
    return LossCurve(way=way, seed=seed, training=means, held_out=held_out)


TRAINED: tuple[Way, ...] = ("residual", "stored", "reversible")
SMALL = Shape(layers=4, width=48, context=64)


def curves(steps: int, seeds: int, *, shape: Shape = SMALL, hear: Hear = tell) -> tuple[LossCurve, ...]:
    """Training runs of the same network stored and reversible, and of the ordinary one, from several seeds."""
    found: list[LossCurve] = []
    with one_thread():
        for seed in range(seeds):
            for way in TRAINED:
                hear(len(found) / (seeds * len(TRAINED)), f"training, {way}, seed {seed + 1} of {seeds}")
                found.append(train(way, shape, seed=seed, steps=steps))
    return tuple(found)


def memory(
    *,
    width: int = 64,
    context: int = 64,
    batch: int = 8,
    depths: Sequence[int] = (2, 4, 8, 16),
    rebuilt_at: Sequence[int] = (6, 12, 24, 48),
    steps: int = 0,
    seeds: int = 4,
    hear: Hear = tell,
) -> ReversibleMemory:
    """Everything about reversible networks that is measured; `steps` of training for curves, none if 0."""
    share = 0.2 if steps else 1.0
    points = against_depth(Shape(width=width, context=context), depths, batch=batch, hear=lambda d, what: hear(share * d, what))
    hear(share, "there and back")
    errors = rebuilt(rebuilt_at)
    runs = curves(steps, seeds, hear=lambda d, what: hear(share + (1 - share) * d, what)) if steps else ()
    return ReversibleMemory(
        made=made(),
        width=width,
        context=context,
        batch=batch,
        depths=tuple(points),
        rebuilt=errors,
        steps=steps,
        stretch=STRETCH,
        curves=runs,
    )
