"""Pools of a benchmark's deployments where a row does not state them: the recipe launched for the same question.

The recipes are facts (`data/facts/deployments.toml`): users, and the pools they were served by. A row is matched by
what it states (model, machine, engine, format, lengths, the devices of a worker or of the whole deployment); of the
recipes that agree, the one with the nearest number of users is taken. No measured figure is looked at.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache

from .. import shipped
from ..layout.parallelism import Layout

Sizes = tuple[float, float, float, bool]
"""Workers, devices of each, expert-parallel degree, and whether attention is data-parallel."""


@dataclass(frozen=True, slots=True, order=True)
class Deployment:
    """A recipe: `users` at once, served by two pools; `drafts` where it was run with multi-token prediction only."""

    users: float
    prefill: Sizes
    decode: Sizes
    drafts: bool = False

    @property
    def devices(self) -> float:
        """Devices of both pools."""
        return sum(workers * each for workers, each, _, _ in (self.prefill, self.decode))


def layout(sizes: Sizes) -> Layout:
    """One worker of a pool.

    >>> layout((1.0, 16.0, 16.0, True)).label(), layout((4.0, 8.0, 8.0, False)).label()
    ('TP1 DP16 EP16', 'TP8 EP8')
    """
    _, each, ep, data_parallel = sizes
    return Layout(tp=1.0, dp=each, ep=ep) if data_parallel else Layout(tp=each, dp=1.0, ep=ep)


def key(model: str, machine: str, engine: str, weights: str, lengths: tuple[float, float]) -> str:
    """What a recipe is filed under: families of models and engines, bare machine, format, lengths as stated.

    >>> key("/models/deepseek-r1-0528-fp4-v2", "gb200", "dynamo-trt", "fp4", (8192, 1024))
    'deepseek-r1/gb200/trt/fp4/8192/1024'
    >>> key("deepseek-ai/DeepSeek-V3", "b200_sxm", "sglang", "fp8", (1024, 1024))
    'deepseek-r1/b200/sglang/fp8/1024/1024'
    """
    name = model.lower().rstrip("/").rpartition("/")[2]
    family = "deepseek-r1" if re.match(r"deepseek-(r1|v3)(?!\.[12])", name) else re.sub(r"-(fp8|nvfp4|fp4).*$", "", name)
    on = machine.lower().partition("_")[0].partition("-")[0]
    kind = next((word for word in ("trt", "sglang", "vllm") if word in engine.lower()), engine.lower())
    return f"{family}/{on}/{kind}/{weights}/{lengths[0]:g}/{lengths[1]:g}"


@cache
def recipes() -> dict[str, tuple[Deployment, ...]]:
    """Every recipe by question."""
    raw = shipped.read(shipped.FACTS / "deployments.toml")
    return {name: tuple(_recipe(line) for line in of["runs"]) for name, of in raw.items()}


def _recipe(line: list[float]) -> Deployment:
    users, a, b, c, d, e, f, g, h, drafts = line
    return Deployment(users=users, prefill=(a, b, c, bool(d)), decode=(e, f, g, bool(h)), drafts=bool(drafts))


def deployment(name: str, users: float, *, each: float | None = None, devices: float | None = None) -> Deployment | None:
    """The recipe of a question with the nearest number of users; None where no recipe agrees.

    `each`: devices of a worker that decodes; `devices`: of the whole deployment.

    >>> found = deployment("deepseek-r1/gb200/trt/fp4/1024/1024", 2048, devices=24)
    >>> found.prefill[:2], found.decode[:2], found.drafts
    ((2, 4), (1, 16), False)
    >>> deployment("deepseek-r1/gb200/trt/fp4/1024/1024", 2048, devices=25) is None
    True
    """
    agree = [
        one for one in recipes().get(name, ()) if (each is None or one.decode[1] == each) and (devices is None or one.devices == devices)
    ]
    return min(agree, key=lambda one: abs(math.log(one.users / users)), default=None) if users > 0 else None
