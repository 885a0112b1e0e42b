"""What training software adds to kernels and collectives: a few constants for each framework, with their reasons.

Documented ones lie in `data/facts/training.toml`, fitted ones in `data/fitted/training.toml`, written by
`calibration.training`. A framework nobody measured takes "typical".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from .. import shipped
from ..errors import BadInput, unknown

LIMITS = {
    "layer": (0, 3600),
    "routed_layer": (0, 3600),
    "optimizer": (0, 3600),
    "imbalance": (0, 1000),
    "straggler": (0, 1000),
    "reserved": (0, 10**15),
    "layer_power": (1, 100),
    "fragmentation": (1, 100),
}
"""Least and most of the constants that are no shares: seconds, bytes and factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConstants:
    """Constants of one framework.

    `layer`: seconds the host needs to launch one layer of one micro-batch, forward, backward and recomputed;
    `routed_layer`: more of them for every layer of a model that routes tokens, whose launches no graph holds;
    `layer_power`: how sharply the slower of host and device sets the pace (1: they add up, large: the slower alone).
    `kernels`: speed of kernels over those of `kernel.achieved`, under the clocks a device sustains; `attention` and
    `experts`: further, of attention's and of routed experts'. `tp` to `dp`: share of each kind of collective that
    runs beside kernels. `imbalance`: the busiest expert rank over the mean, less one. `straggler`: share of a step
    lost to the slowest device. `optimizer`: seconds of an update beside its memory traffic. `fragmentation`: memory
    taken over memory used; `reserved`: bytes of the runtime on a device.
    """

    name: str = "ideal"
    layer: float = 0.0
    routed_layer: float = 0.0
    layer_power: float = 4.0
    kernels: float = 1.0
    attention: float = 1.0
    experts: float = 1.0
    tp: float = 0.0
    ep: float = 0.0
    cp: float = 0.0
    pp: float = 0.0
    dp: float = 0.0
    imbalance: float = 0.0
    straggler: float = 0.0
    optimizer: float = 0.0
    fragmentation: float = 1.0
    reserved: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tp", "ep", "cp", "pp", "dp"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"share of {name} that overlaps is {getattr(self, name)!r}; give 0 to 1")
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise BadInput(f"{name} is {getattr(self, name)!r}; give {least:,} to {most:,}")
        for name in ("kernels", "attention", "experts"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"speed of {name} is {getattr(self, name)!r}; give a number above 0, 1 at most")


@cache
def fitted() -> dict[str, Any]:
    """What `calibration.training` wrote: constants, those of each half held out, scores and intervals."""
    return shipped.read(shipped.FITTED / "training.toml")


@cache
def _raw(fits: bool = True) -> dict[str, Any]:
    known = shipped.read(shipped.FACTS / "training.toml")
    if fits:
        for kind in ("framework", "generation"):
            for name, values in fitted().get(kind, {}).items():
                known[kind].setdefault(name, {}).update(values)
    return known


def frameworks() -> dict[str, str]:
    """Frameworks whose constants are known, and what each is."""
    return {name: given["what"] for name, given in _raw()["framework"].items()}


@cache
def constants(framework: str = "typical", generation: str = "", *, fits: bool = True) -> TrainConstants:
    """Constants of a framework on a generation of accelerators, where that makes a difference.

    Without `fits` they are the documented ones alone.

    >>> 0 <= constants().dp <= 1
    True
    >>> constants("megatron-bridge", "hopper").kernels < constants("megatron-bridge", "ampere").kernels
    True
    """
    raw = _raw(fits)
    known = raw["framework"]
    if framework not in known:
        raise unknown("training framework", framework, known)
    names = {f.name for f in fields(TrainConstants)}
    given = {**known["typical"], **raw["generation"].get(generation, {}), **known[framework]}
    return replace(TrainConstants(), name=framework, **{k: float(v) for k, v in given.items() if k in names})
