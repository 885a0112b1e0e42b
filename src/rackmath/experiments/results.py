"""What the networks of the lab measured, as records; figures recorded once are read without PyTorch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from .. import shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Where figures come from. `torch` and `python` are versions."""

    machine: str
    torch: str
    python: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """One training step at a depth: bytes saved by the forward pass, most bytes held at once, seconds.

    `forward`: seconds of a forward pass that keeps what the backward pass needs.
    """

    way: str
    layers: int
    saved: int
    peak: int
    forward: float
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCurve:
    """A training run: the mean training loss of each stretch of steps, and the loss on text left out, in nats."""

    way: str
    seed: int
    training: tuple[float, ...]
    held_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """Largest error of the input rebuilt after so many layers and back, by precision."""

    layers: int
    error: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversibleMemory:
    """What reversibility saves and costs. `steps`: of a training run; `stretch`: of them in one point of a curve."""

    made: Made
    width: int
    context: int
    batch: int
    depths: tuple[Depth, ...]
    rebuilt: tuple[Rebuilt, ...]
    steps: int = 0
    stretch: int = 1
    curves: tuple[LossCurve, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A one-pixel difference in a network after each round, the first entry before any; means over images and pixels.

    `flipped`: share of the state's numbers that change sides of their mean over images; `touched`: share of the
    pixels' tokens that differ by more than 1 % of their length; `size`: length of the difference over the state's;
    `jacobian`: largest stretch of a small difference by each round; `accuracy`: on digits left out.
    """

    kind: str
    trained: bool
    accuracy: float
    flipped: tuple[float, ...]
    touched: tuple[float, ...]
    size: tuple[float, ...]
    jacobian: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Shares of images left out that change class under differences of `size` per pixel.

    `gradient_sign`: each image its own; `differential`: one for all, found on other images; `random`: random signs.
    `score`: mean change of the right class's score under the first.
    """

    kind: str
    size: float
    gradient_sign: float
    differential: float
    random: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Differential:
    """The one input difference likeliest to lead to one class, as a table entry.

    `probability`: share of images not of the class that follow, on those it was chosen on; `unseen`: on others;
    `random`: of a random difference of that size, whose most frequent class counts; `rises`: share of unseen images
    whose score of the class rises, as the linear model says.
    """

    kind: str
    size: float
    towards: int
    probability: float
    unseen: float
    random: float
    rises: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """A cipher's share of output bits that one input bit flips, after each round."""

    name: str
    flipped: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Networks and ciphers under the same questions."""

    made: Made
    nets: tuple[Net, ...]
    attacks: tuple[Attack, ...]
    differentials: tuple[Differential, ...]
    ciphers: tuple[Mixing, ...]


# --- what follows from them ---------------------------------------------------------------------------------------


def growth(points: Sequence[Depth], way: str, what: str = "saved") -> float:
    """How many times as much the deepest network holds as the shallowest."""
    mine = sorted((p for p in points if p.way == way), key=lambda p: p.layers)
    return float(getattr(mine[-1], what) / getattr(mine[0], what))


def time_ratio(points: Sequence[Depth], way: str = "reversible", against: str = "stored") -> float:
    """Step time of one way over another's: the median of the depths."""
    other = {p.layers: p.step for p in points if p.way == against}
    return statistics.median(p.step / other[p.layers] for p in points if p.way == way)


def predicted_ratio(points: Sequence[Depth], against: str = "stored") -> float:
    """(2F + B) / (F + B) with the times measured; 4/3 where a backward pass takes as long as two forward ones.

    >>> one = Depth(way="stored", layers=1, saved=0, peak=0, forward=1.0, step=3.0)
    >>> round(predicted_ratio([one]), 3)
    1.333
    """
    return statistics.median((p.forward + p.step) / p.step for p in points if p.way == against)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two ways of training compared by the loss left out: mean difference, and the spread of seeds (one sigma).

    `pairs`: the largest difference between two runs of one seed; `within`: whether the mean difference lies within
    twice the standard error that the spread leaves to it.
    """

    difference: float
    noise: float
    pairs: float
    within: bool


def agreement(one: Sequence[LossCurve], other: Sequence[LossCurve]) -> Agreement:
    """Whether two ways of training agree within the noise of seeds.

    >>> a = [LossCurve(way="stored", seed=i, training=(), held_out=2 + i / 100) for i in range(4)]
    >>> b = [LossCurve(way="reversible", seed=i, training=(), held_out=2.001 + i / 100) for i in range(4)]
    >>> found = agreement(a, b)
    >>> round(found.difference, 4), round(found.noise, 4), found.within
    (0.001, 0.0129, True)
    """
    left, right = ([c.held_out for c in sorted(some, key=lambda c: c.seed)] for some in (one, other))
    noise = math.sqrt((statistics.variance(left) + statistics.variance(right)) / 2)
    difference = statistics.fmean(right) - statistics.fmean(left)
    return Agreement(
        difference=difference,
        noise=noise,
        pairs=max(abs(a - b) for a, b in zip(left, right, strict=True)),
        within=abs(difference) <= 2 * noise * math.sqrt(2 / len(left)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Runs of one way of training: mean loss of the first and the last stretch, held-out loss, its spread over seeds.

    `first` and `last` are None where no stretch was finished.
    """

    way: str
    first: float | None
    last: float | None
    held_out: float
    spread: float


def losses(runs: Sequence[LossCurve]) -> Losses:
    """The mean losses of runs of one way, nats per byte."""
    ends = [statistics.fmean(c.training[i] for c in runs) for i in (0, -1)] if runs[0].training else [None, None]
    held_out = [c.held_out for c in runs]
    return Losses(way=runs[0].way, first=ends[0], last=ends[1], held_out=statistics.fmean(held_out), spread=statistics.stdev(held_out))


# --- recorded -----------------------------------------------------------------------------------------------------


@cache
def _raw() -> dict[str, Any]:
    return shipped.read(shipped.FITTED / "lab.toml")


def _tupled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}


def recorded_memory() -> ReversibleMemory:
    """What `python -m rackmath.experiments.record` measured of reversible networks.

    >>> growth(recorded_memory().depths, "reversible")
    1.0
    """
    raw = _raw()["memory"]
    return ReversibleMemory(
        made=Made(**_raw()["made"]),
        width=raw["width"],
        context=raw["context"],
        batch=raw["batch"],
        depths=tuple(Depth(**row) for row in raw["depth"]),
        rebuilt=tuple(Rebuilt(layers=row["layers"], error={k: v for k, v in row.items() if k != "layers"}) for row in raw["rebuilt"]),
        steps=raw["steps"],
        stretch=raw["stretch"],
        curves=tuple(LossCurve(**_tupled(row)) for row in raw["curve"]),
    )


def recorded_parallel() -> Parallel:
    """What `python -m rackmath.experiments.record` measured of networks and ciphers side by side."""
    raw = _raw()["parallel"]
    return Parallel(
        made=Made(**_raw()["made"]),
        nets=tuple(Net(**_tupled(row)) for row in raw["net"]),
        attacks=tuple(Attack(**row) for row in raw["attack"]),
        differentials=tuple(Differential(**row) for row in raw["differential"]),
        ciphers=tuple(Mixing(**_tupled(row)) for row in raw["cipher"]),
    )


def figures() -> dict[str, float]:
    """Single recorded figures by name, for whoever rests a claim on them.

    >>> sorted(figures())[:3]
    ['answers_differential', 'answers_gradient', 'answers_random']
    """
    m, p = recorded_memory(), recorded_parallel()
    runs = {way: [c for c in m.curves if c.way == way] for way in ("stored", "reversible")}
    twin = agreement(runs["stored"], runs["reversible"])
    errors = next(r.error for r in m.rebuilt if r.layers == 48)
    usual = [n for n in p.nets if n.trained and n.kind != "residual-free"]
    blow = next(a for a in p.attacks if a.kind == "residual" and a.size == 0.2)
    best = next(d for d in p.differentials if d.kind == "residual")
    depths = [d.layers for d in m.depths]
    return {
        "depth_growth": max(depths) / min(depths),
        "stored_growth": growth(m.depths, "stored"),
        "reversible_growth": growth(m.depths, "reversible"),
        "step_ratio": time_ratio(m.depths),
        "twin_difference": abs(twin.difference),
        "twin_noise": twin.noise,
        "error_fp16": errors["fp16"],
        "error_fp32": errors["fp32"],
        "error_fixed": errors["fixed point"],
        "touched": min(n.touched[-1] for n in usual),
        "net_flipped": max(n.flipped[-1] for n in usual),
        "cipher_flipped": min(c.flipped[-1] for c in p.ciphers),
        "answers_gradient": blow.gradient_sign,
        "answers_differential": blow.differential,
        "answers_random": blow.random,
        "differential_chosen": best.probability,
        "differential_unseen": best.unseen,
    }


def source() -> str:
    """Where the recorded figures come from, in words."""
    made = Made(**_raw()["made"])
    return f"measured, data/fitted/lab.toml: {made.machine}, torch {made.torch}, {made.date}"
