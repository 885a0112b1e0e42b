"""The cheapest architecture and token count of a given quality: training and serving, in dollars, on a machine.

Group: Training and size
Example: rackmath design --quality-of gpt2-xl --tokens 40B --traffic 1M/s --on 8xh100 --isl 512 --osl 128 --caches gqa

Both are this tool's own: the training search and the planner, for every member of a family. Exits with 1 where no
member can be trained and served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..answers.charts import Axis, Mark, Series, curve
from ..answers.parts import Answer, Bar, Block, Chart, Column, Say, Table
from ..answers.terms import Term, product, quotient, stated
from ..answers.terms import count as number
from ..answers.text import between, cell
from ..decisions.allocation.case import rate
from ..decisions.allocation.design import Candidate, Need, dense_law, routed_law, tokens_of
from ..decisions.allocation.design import Design as Found
from ..decisions.allocation.design import design as cheapest
from ..decisions.allocation.family import KINDS, serving_precision
from ..decisions.allocation.split import MONTH
from ..errors import BadInput
from ..kernel.counts import total_parameters
from ..questions.common import CHOICES, OBJECTIVES, TRAFFIC, Extrapolate, MachineName, PriceKind
from ..questions.fields import count, share, speed, tokens, words
from ..questions.machines import paid_for
from ..questions.resolve import max_tpot_of
from ..units import show
from ..views.setting import RESOURCES
from ..world import catalog
from ..world.lengths import within
from ..world.precision import Precision
from ..world.workload import Objectives, Traffic

ASKED, FAMILY = "Quality and traffic", "The family"
MOST_EXPANSION = 64

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DesignInput:
    """Which quality is to be reached, for which traffic, and by which family."""

    quality_of: Annotated[Any, words("The model whose loss is to be reached.", "MODEL", complete="models", panel=ASKED)]
    traffic: Annotated[Any, words("Tokens served, input and output: 50M/s.", "TOKENS/S", panel=ASKED)]
    on: MachineName
    months: Annotated[float, count("Months of that traffic.", least=0.01, most=600, panel=ASKED)] = 12
    tokens: Annotated[
        float | None, count("Tokens the model was trained on, where they are not known.", least=1e6, most=1e17, panel=ASKED)
    ] = None
    law: Annotated[str, words("Law of parameters and tokens.", "NAME", complete="laws")] = "besiroglu"
    routed: Annotated[str, words("Law of what experts are worth.", "NAME", complete="laws")] = "tian"
    extrapolate: Extrapolate = False
    caches: Annotated[tuple[str, ...], words("gqa, mla, windowed, with commas.", "KINDS", choices=KINDS, panel=FAMILY)] = KINDS
    experts: Annotated[
        tuple[int, ...],
        count("Experts over those a token uses, with commas; 1: dense.", least=1, most=MOST_EXPANSION, whole=True, panel=FAMILY),
    ] = (1, 8, 32)
    isl: Annotated[float, tokens("Prompt tokens of a request.", most=1e8, panel=TRAFFIC)] = 8192
    osl: Annotated[float, tokens("Tokens a request makes.", least=2, most=1e8, panel=TRAFFIC)] = 1024
    cached: Annotated[float, share("Prompt tokens that lie in the cache.", panel=TRAFFIC)] = 0.5
    min_interactivity: Annotated[float, speed("Tokens per second and user, at least.", panel=OBJECTIVES)] = 20
    precision: Annotated[str | None, words("Format of the weights as served: fp8, nvfp4, ...", "FORMAT", panel=CHOICES)] = None
    price: PriceKind = None


def answer(q: DesignInput) -> Answer:
    """The cheapest of a family at one quality, the best of each kind, and where the laws are weak."""
    d, source, notes = _design(q)
    n = d.need
    months = f"{n.months:g} month{'' if n.months == 1 else 's'}"
    return Answer(
        title=Say("The quality of *{model}* for the least dollars, on *{machine}*", {"model": n.model.name, "machine": n.machine.name}),
        subtitle=f"loss {d.loss:.4g} ({show(n.tokens, 'tokens')}, {n.law.name}) · {show(n.rate, 'tok/s')} for"
        f" {months} · {float(n.traffic.isl):,.0f} in, {float(n.traffic.cached):.0%} cached,"
        f" {float(n.traffic.osl):,.0f} out · {cell(float(n.machine.price_per_hour), '$')} per GPU-hour",
        blocks=tuple(_blocks(d)),
        table="candidates",
        data=_record(d, source),
        terms=lambda: _terms(d),
        notes=notes,
        remarks=(
            f"serving runs in {n.precision.name}, training in bf16; quality is not charged for it, nor RL or failed runs",
            f"training tokens of {n.model.name}: {source}",
            *(f"{many} of the family: {reason}" for reason, many in d.fell_out.items()),
        ),
        subject=d,
    )


def _design(q: DesignInput) -> tuple[Found, str, tuple[str, ...]]:
    """Words to a need, and the members that meet it; where the training tokens are published; notes."""
    model = catalog.model(q.quality_of) if isinstance(q.quality_of, str) else q.quality_of
    machine = paid_for(q.on, q.price)
    if not q.caches or not q.experts:
        raise BadInput("no kind of cache, or no number of experts, is named; give --caches gqa,mla and --experts 1,8")
    asked = Traffic(isl=float(q.isl), osl=float(q.osl), cached=float(q.cached))
    notes = within(model, float(q.isl) + float(q.osl), "isl or osl", extrapolate=q.extrapolate)
    routed, dense = routed_law(q.routed), dense_law(q.law)
    trained_on, source = tokens_of(model, q.tokens)
    need = Need(
        model=model,
        tokens=trained_on,
        law=dense,
        routed=routed,
        machine=machine,
        traffic=asked,
        objectives=Objectives(max_tpot=max_tpot_of(None, q.min_interactivity)),
        precision=serving_precision(machine) if q.precision is None else Precision.uniform(q.precision),
        rate=rate(q.traffic),
        months=float(q.months),
        kinds=q.caches,
        expansions=q.experts,
    )
    return cheapest(need), source, (*notes, *machine.notes)


# --- the record -----------------------------------------------------------------------------------------------------


def _record(d: Found, source: str) -> Record:
    n, rows = d.need, [_row(c) | _ends(ends) for c, ends in zip(d.candidates, d.ends, strict=True)]
    return {
        "need": {
            "quality_of": n.model.name,
            "tokens": n.tokens,
            "tokens_source": source,
            "law": n.law.name,
            "routed_law": n.routed.name,
            "machine": n.machine.name,
            "rate": n.rate,
            "months": n.months,
            "isl": n.traffic.isl,
            "osl": n.traffic.osl,
            "cached": n.traffic.cached,
            "max_tpot": n.objectives.max_tpot,
            "precision": n.precision.name,
            "price_per_gpu_hour": float(n.machine.price_per_hour),
        },
        "loss": d.loss,
        "best": rows[0] | {"description": d.best.model.description},
        "reference": None if d.reference is None else _row(d.reference),
        "candidates": rows,
        "cheapest_in": d.shares,
        "experts_worth": d.worths,
        "fell_out": dict(d.fell_out),
        "weak": list(d.weak),
    }


def _row(c: Candidate) -> Record:
    """A candidate in one row."""
    return {
        "model": c.model.name,
        "active": c.active,
        "experts_over_used": c.member.expansion if c.member else None,
        "kv": c.member.kv if c.member else None,
        "effective": c.effective,
        "tokens": c.tokens,
        "tokens_per_param": c.tokens / c.active,
        "training_dollars": c.training,
        "serving_dollars": c.serving,
        "dollars": c.total,
        "mfu": c.run.mfu,
        "training_layout": c.run.layout.label(),
        "serving_layout": c.plan.layout.label(),
        "output_mtok": float(c.plan.cost.output_mtok),
        "input_mtok": float(c.plan.cost.input_mtok),
        "interactivity": 1 / float(c.plan.serving.tpot),
    }


def _ends(ends: tuple[float, float]) -> Record:
    return {"dollars_low": ends[0], "dollars_high": ends[1]}


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(d: Found) -> Iterator[Block]:
    n, best = d.need, d.best
    yield Say(
        "*{dollars:dollars}* (" + between(*d.ends[0], "dollars") + "): {tokens:parameters} tokens of training"
        " ({per:whole} per active parameter) cost {training:dollars}, serving {serving:dollars}",
        {
            "dollars": best.total,
            "tokens": best.tokens,
            "per": best.tokens / best.active,
            "training": best.training,
            "serving": best.serving,
        },
        title="Cheapest",
        aside=best.member.label if best.member else best.model.name,
    )
    yield Bar(key="", parts={"training": best.training, "serving": best.serving}, unit="dollars")
    if d.reference is not None:
        yield Say(
            n.model.name + " itself: {dollars:dollars}, of it training {training:dollars}: *{saved:percent}* saved",
            {"dollars": d.reference.total, "training": d.reference.training, "saved": 1 - best.total / d.reference.total},
            key="saving",
        )
    yield from _kinds(d)
    yield from _experts(d)
    yield Chart(spec=_chart(d), lines=18)
    for i, said in enumerate(d.weak):
        yield Say("• {said}", {"said": said}, title="" if i else "Where the laws are weak")


def _kinds(d: Found) -> Iterator[Block]:
    rows = [{"kind": c.kind, "cheapest_in": d.shares[c.kind]} | _row(c) | _ends(ends) for c, ends in _best_of_each(d)]
    never = "; ∞: in some draws no number of tokens reaches the loss" if np.any(np.isinf(d.ends)) else ""
    itself = None if d.reference is None else {"kind": d.need.model.name.rpartition("/")[2]} | _row(d.reference)
    yield Table(
        key="kinds",
        title="The best of each kind",
        aside=f"{len(d.candidates)} of this quality",
        rows=rows,
        columns=(
            Column("kind", ""),
            Column("active", "active", "parameters"),
            Column("tokens", "tokens", "parameters", optional=2),
            Column("training_dollars", "training", "dollars", optional=4),
            Column("serving_dollars", "serving", "dollars", optional=3),
            Column("dollars", "total", "dollars"),
            Column("dollars_low", "5 to 95 %", "dollars", to="dollars_high"),
            Column("cheapest_in", "cheapest in", "percent"),
            Column("output_mtok", "$/M out", "$", optional=1),
        ),
        total=itself,
    )
    yield Say(f"cheapest in: share of draws of the laws in which one of this kind is the cheapest{never}", faint=True)


def _best_of_each(d: Found) -> list[tuple[Candidate, tuple[float, float]]]:
    """Of each kind its cheapest, with the interval of that."""
    found: dict[str, tuple[Candidate, tuple[float, float]]] = {}
    for one, ends in zip(d.candidates, d.ends, strict=True):
        found.setdefault(one.kind, (one, ends))
    return list(found.values())


def _experts(d: Found) -> Iterator[Block]:
    """Whether experts pay, and why: the cheapest with them beside the cheapest without."""
    routed, dense = d.best_of(routed=True), d.best_of(routed=False)
    if routed is None or dense is None:
        return
    ratio = dense.total / routed.total
    said = f"yes: the best dense model costs {cell(ratio, 'x')} as much"
    if ratio < 1:
        said = f"a dense model costs {ratio:.0%} of the best with experts"
    pair = {"routed": routed, "dense": dense}

    def row(what: str, unit: str, of: Any) -> Record:
        return {"what": what, "unit": unit} | {name: of(one) for name, one in pair.items()}

    rows = [
        row("effective over active params", "x", lambda one: one.effective / one.active),
        row("all parameters", "parameters", lambda one: float(total_parameters(one.model))),
        row("served by", "", lambda one: one.plan.layout.label()),
        row("sequences per device", "number", lambda one: float(one.plan.batch / one.plan.layout.gpus)),
        *(row(f"a step: {RESOURCES[key]}", "percent", lambda one, key=key: _part(one, key)) for key in routed.plan.serving.shares),
    ]
    columns = (Column("what", ""), *(Column(name, one.kind, "row") for name, one in pair.items()))
    yield Table(key="experts", title="Do experts pay?", aside=said, columns=columns, rows=rows)
    yield from _because(d, routed)


def _part(one: Candidate, key: str) -> float:
    """The share of a decode step that a resource binds."""
    shares = one.plan.serving.shares
    return float(shares[key]) / sum(float(v) for v in shares.values())


def _because(d: Found, routed: Candidate) -> Iterator[Block]:
    """What experts are worth by each law, why laws differ, and what laboratories do."""
    worths = ", ".join(f"{name} *{{{name}:x}}*" for name in d.worths)
    yield Say("What experts are worth over {active:parameters} active: " + worths + ".", {"active": routed.active, **d.worths})
    if {"tian", "clark-s-base"} <= set(d.worths):
        yield Say(
            "All of Clark's models had 130 B tokens, so its large routed ones were starved and the gain ends near a"
            " trillion parameters. Tian's had the tokens that their compute asks for, and the gain grows with it."
            " --routed clark-s-base works out the other."
        )
    yield Say(
        "Laboratories build with experts: DeepSeek-V3 (8 of 256), Kimi-K2 (8 of 384), Qwen3-235B (8 of 128),"
        " gpt-oss-120b (4 of 128); the last open dense models above 100 B are of July 2024."
    )


def _chart(d: Found) -> Record:
    """Dollars against active parameters, a line for each kind of the cheapest cache."""
    kv = d.best.member.kv if d.best.member else ""
    series = []
    for kind in dict.fromkeys(one.kind for one in d.candidates):
        if kind.endswith(kv):
            of = sorted((one for one in d.candidates if one.kind == kind), key=lambda one: one.active)
            series.append(
                Series(
                    kind,
                    [one.active for one in of],
                    [one.total / 1e6 for one in of],
                    labels=[f"{show(one.tokens, 'tokens')}" for one in of],
                )
            )
    marks = [Mark("cheapest", d.best.active, d.best.total / 1e6)]
    if d.reference is not None:
        marks.append(Mark(d.need.model.name.rpartition("/")[2], d.reference.active, d.reference.total / 1e6))
    return curve(
        series,
        title=f"Training and serving at the quality of {d.need.model.name}",
        x=Axis("Active parameters", log=True),
        y=Axis("Cost", "M$", log=True),
        marks=marks,
    )


def _terms(d: Found) -> Term:
    """The cheapest candidate as terms."""
    n, best = d.need, d.best
    per_token = quotient(
        "training of a token",
        "$",
        Term(name="a run of 1e12 tokens", value=best.run.dollars, unit="$"),
        number("tokens of that run", best.run.job.tokens),
    )
    trained_on = Term(name="tokens that reach the loss", value=best.tokens, unit="tokens", source=n.law.source)
    length = stated(
        "sum",
        "tokens of a request",
        float(n.traffic.isl + n.traffic.osl),
        "",
        number("in", float(n.traffic.isl)),
        number("out", float(n.traffic.osl)),
    )
    served = product(
        "tokens served", "tokens", number("tokens per second", n.rate), number("months", n.months), number("seconds of a month", MONTH)
    )
    requests = stated("quotient", "requests", n.requests, "", served, length)
    request = Term(name="a request", value=float(best.plan.cost.request), unit="$", note=f"cheapest plan: {best.plan.layout.label()}")
    training = stated("product", "training", best.training, "$", per_token, trained_on)
    serving = stated("product", "serving", best.serving, "$", request, requests)
    total = stated("sum", "cost", best.total, "$", training, serving)
    size = Term(name="active parameters", value=best.active, unit="params")
    worth = Term(name="effective parameters", value=best.effective, unit="params", source=n.routed.source)
    loss = Term(name="loss to reach", value=d.loss, unit="nats per token", source=n.law.source)
    return Term(name=f"the cheapest of this quality: {best.model.name}", children=(total, size, worth, loss))
