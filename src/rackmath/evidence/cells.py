"""Cells of a measured row: numbers, degrees, pools of workers, with the rules applied and the reasons against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import BadInput
from ..layout.parallelism import Layout
from .deployments import Sizes, deployment, key, layout

Text = Mapping[str, str]

WIDEST_TP = 16
"""Tensor-parallel ranks of the largest single worker in these files; a larger all-TP count is a whole deployment."""

WHOLE = "tp counts the devices of a whole disaggregated deployment, whose pools the row does not state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Workers of one kind; `workers` is None where the row does not say how many."""

    layout: Layout
    workers: float | None = 1.0
    usual: float = 1.0  # workers taken where the row does not say

    @property
    def count(self) -> float:
        return self.workers or self.usual


class Launched(NamedTuple):
    """Pools taken from a recipe, prefill first; `drafts` where it was only run with multi-token prediction."""

    pools: tuple[Pool, Pool]
    drafts: bool


def _unstated(sizes: Sizes) -> Pool:
    return Pool(layout=layout(sizes), workers=None, usual=sizes[0])


def whole_deployment(layout: Layout) -> bool:
    """Whether a worker is too wide to be one: all tensor-parallel over more ranks than any engine here uses.

    In the GB200 runs that carry such numbers, devices over which the published rates are divided show a deployment
    of several workers: 28 is 4 that prefill and 24 that decode.
    """
    tp = float(layout.tp)
    return tp > 8 and float(layout.dp) == 1 and float(layout.ep) == 1 and (tp > WIDEST_TP or tp not in (8, 16))


class CellReader:
    """The cells of one row; collects the rules applied and the reasons against an answer."""

    def __init__(self, given: Text, number: int) -> None:
        self.given, self.where = given, f"row {number}" if number else "the row"
        self.readings: list[str] = []
        self.reasons: list[str] = []

    def number(self, column: str) -> float | None:
        text = (self.given.get(column) or "").strip()
        if not text:
            return None
        try:
            found = float(text)
        except ValueError:
            raise BadInput(f"{self.where}: {column} = {text!r:.40} is not a number") from None
        return found if math.isfinite(found) else None

    def seconds(self, column: str, per_second: float = 1.0) -> float | None:
        found = self.number(column)
        return found / per_second if found and found > 0 else None

    def needed(self, column: str) -> float:
        return self.positive(self.number(column), column)

    def positive(self, value: float | None, name: str) -> float:
        if value is None or not value > 0:
            self.reasons.append(f"{name} is not stated")
            return 1.0
        return value

    def size(self, column: str) -> float:
        """A parallel degree: blank and zero mean 1."""
        found = self.number(column) or 1.0
        if not 1 <= found <= 1e6 or found != int(found):
            self.reasons.append(f"{column} = {found:g} is not a number of devices")
            return 1.0
        return found

    def silicon_pool(self, prefix: str, *, product: bool = False) -> Pool:
        tp, dp = self.size(f"{prefix}tp_size"), self.size(f"{prefix}attention_dp_size")
        moe_tp, moe_ep = self.size(f"{prefix}moe_tp_size"), self.size(f"{prefix}moe_ep_size")
        pp = self.size(f"{prefix}pp_size")
        if product and moe_tp == moe_ep > 1 and tp * dp == moe_tp * moe_ep:
            self.readings.append(f"{tp * dp:g} is tp x ep: {moe_tp:g} devices")
            tp, dp = (1.0, moe_ep) if dp > 1 else (moe_tp, 1.0)
        ep = moe_ep
        if product and dp > 1 < tp and moe_tp == 1 and moe_ep == tp * dp and tp % dp == 0:
            self.readings.append(f"ep = {moe_ep:g} is tp x attention DP: {tp:g} devices hold both")
            ep, tp = tp, tp / dp
        if prefix and moe_tp > 1 < moe_ep and tp == moe_tp * moe_ep:
            self.readings.append(f"{prefix[:-1]} ep = {moe_ep:g} of {tp:g} devices is the prefill pool's: experts whole")
            ep = tp
        return Pool(layout=Layout(tp=tp, dp=dp, ep=ep, pp=pp), workers=self.number(f"{prefix}num_workers") if prefix else 1.0)

    def recipe(self, decode: Pool, prefill: Pool | None, weights: str) -> Launched | None:
        """The pools of the benchmark's own recipe for the question, where the row does not state its own.

        A `tp` that no worker has counts the devices of the whole deployment.
        """
        whole = whole_deployment(decode.layout) and (prefill is None or prefill.layout == decode.layout)
        given, users = self.given, self.number("silicon_concurrency") or self.number("conc") or 0.0
        asked = key(
            given.get("model_path") or given.get("model", ""),
            given.get("system") or given.get("hardware", ""),
            given.get("backend") or given.get("framework", ""),
            given.get("precision") or weights,
            (self.number("isl") or 0.0, self.number("osl") or 0.0),
        )
        size = float(decode.layout.gpus)
        found = deployment(asked, users, devices=size) if whole else deployment(asked, users, each=size)
        if found is None:
            if whole:
                self.reasons.append(WHOLE)
            return None
        what = f"{size:g} devices are a whole deployment" if whole else "workers not stated"
        pools = f"{found.prefill[0]:g} that prefill and {found.decode[0]:g} that decode"
        self.readings.append(f"{what}: {pools}, the benchmark's recipe for {found.users:g} users")
        return Launched((_unstated(found.prefill), _unstated(found.decode)), found.drafts and found.users == users)

    def replicas(self, pool: Pool, ratio: float) -> Pool:
        """An aggregated pool whose concurrency is `ratio` times the batch it states, a batch of each attention rank.

        With experts over all devices and a ratio of their number, attention is data-parallel though the row does not
        say so; else so many replicas share the concurrency.
        """
        layout, moe = pool.layout, self.size("moe_tp_size") * self.size("moe_ep_size")
        if float(layout.dp) > 1 or ratio < 1.5 or ratio != round(ratio):
            return pool
        if moe == float(layout.tp) == ratio:
            self.readings.append("concurrency is the batch of each device times their number: attention DP")
            return Pool(layout=Layout(tp=1.0, dp=ratio, ep=layout.ep, pp=layout.pp))
        self.readings.append(f"concurrency is {ratio:g} times the batch: {ratio:g} replicas")
        return Pool(layout=layout, workers=ratio)

    def attention(self, tp: str, ep: str, dp_attention: str, devices: float | None = None) -> Layout:
        """tp devices, or ep if that is more; under attention DP each of them holds its own sequences."""
        n_tp, n_ep = self.size(tp), self.size(ep)
        world = devices or max(n_tp, n_ep)
        if devices and devices != max(n_tp, n_ep):
            self.readings.append(f"{devices:g} devices for each worker, not {max(n_tp, n_ep):g}")
            n_ep = devices if n_ep > 1 else n_ep
        if self.given.get(dp_attention) == "True":
            return Layout(tp=1.0, dp=world, ep=n_ep)
        return Layout(tp=n_tp, dp=max(world / n_tp, 1.0), ep=n_ep)

    def worker_pool(self, name: str) -> Pool:
        workers, gpus = self.number(f"{name}_num_workers"), self.number(f"num_{name}_gpu")
        columns = (f"{name}_tp", f"{name}_ep", f"{name}_dp_attention")
        if self.number(columns[0]) is None:
            self.reasons.append(f"the layout of the {name} pool is not stated")
            return Pool(layout=Layout(), workers=None)
        if not workers:
            return Pool(layout=self.attention(*columns), workers=None)
        each = gpus / workers if gpus else None
        return Pool(layout=self.attention(*columns, each), workers=workers)
