"""A plan in one pool as an answer: what to run and what it costs, then why, then what else is possible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...answers.parts import Answer, Bar, Block, Chart, Column, Figures, Frame, Say, Table
from ...answers.text import cell
from ...search.choice import Plan
from ...search.closed import longest_context
from ...search.either import PlanAnswer
from ...search.plan import Planned as Found
from ...units import plural
from ...views import passes, places, plan_charts, plan_terms, plans, setting
from ...views import plan_parts as parts
from ...views.setting import RESOURCES, formats

Record = dict[str, Any]


def answer(a: PlanAnswer) -> Answer:
    """The cheapest plan of one pool, or why there is none and what comes nearest."""
    found, best = a.answer, a.answer.best
    mixed = plans.mixed_prices(found)
    return Answer(
        title=parts.title(found.question),
        subtitle=parts.subtitle(found.question, found.objectives),
        blocks=tuple(_blocks(a) if best is not None else _nothing(found)),
        table="front",
        data=_data(a),
        terms=lambda: plan_terms.plan(a),
        notes=(*((mixed,) if mixed else ()), *a.notes),
        remarks=() if best is None else (f"{found.evaluated:,} configurations evaluated",),
        exit_code=1 if best is None else 0,
        subject=a,
    )


def _data(a: PlanAnswer) -> Record:
    found, best = a.answer, a.answer.best
    other, near = found.runner_up, found.nearest
    return {
        "setting": plans.setting_of(found.question),
        "lora": setting.lora(found.question.model),
        "best": None if best is None else plans.chosen(best) | {"movers": dict(found.movers)},
        "runner_up": None if other is None else plans.chosen(other) | {"why": found.runner_up_why},
        "front": plans.front(found),
        "fleet": None if a.fleet is None else plans.fleet(a.fleet),
        "reasons": list(found.reasons),
        "nearest": None if near is None else plans.chosen(near),
        "machines": plans.machines(found),
        "evaluated": found.evaluated,
    }


def _blocks(a: PlanAnswer) -> Iterator[Block]:
    found, best = a.answer, a.answer.best
    assert best is not None
    yield from chosen(best, found)
    if a.fleet is not None:
        yield from _fleet(a, best)
    yield from parts.machines(plans.machines(found), best.machine.name, fleet=found.question.need is not None)
    yield from _front(found, best)
    if found.runner_up is not None:
        other = found.runner_up
        yield Say(
            "{why}",
            {"why": parts.sentence(found.runner_up_why)},
            title="Runner-up",
            aside=f"{other.layout.label()}, {formats(other.precision)}, batch {cell(other.batch, 'count')}",
        )


def chosen(best: Plan, found: Found) -> Iterator[Block]:
    """What to run, its numbers, what binds it, its memory and load."""
    if best.question.traffic.users is not None:
        yield _for_users(best)
        yield _seen_by_users(best, found)
    else:
        yield _cheapest(best)
        yield _numbers(best, found)
    yield from _binds(best, found)
    yield memory(passes.memory(best.serving.footprint, float(best.serving.memory)))
    yield from places.blocks(best)
    yield from _request(best) if best.question.traffic.users is not None else _load(best)


# --- what to run ----------------------------------------------------------------------------------------------------


def _cheapest(p: Plan) -> Frame:
    values: Record = {
        "layout": p.layout.label(),
        "formats": formats(p.precision),
        "batch": p.batch,
        "gpus": float(p.layout.gpus),
        "most": float(p.machine.n_devices),
    }
    words = plans.decoding(p.batch) + " " + plans.on_devices(values["gpus"], values["most"])
    price = setting.known_price(p.machine)
    if price is not None:
        values |= {"price": price, "kind": p.machine.price_kind.replace("_", "-")}
        words += ", at {price:$} per GPU-hour ({kind})"
    return Frame(head="cheapest plan", says=(Say("*{layout}*   {formats}", values), Say(words, values)))


def _for_users(p: Plan) -> Frame:
    users, s = float(p.question.traffic.users or 1), p.serving
    each, many = "" if users == 1 else " for each", math.ceil(users / p.batch)
    values: Record = {
        "speed": float(s.interactivity),
        "ttft": float(s.ttft),
        "layout": p.layout.label(),
        "batch": p.batch,
        "formats": formats(p.precision),
        "gpus": float(p.layout.gpus),
        "most": float(p.machine.n_devices),
        "replicas": many,
        "context": longest_context(p),
    }
    on = plans.on_devices(values["gpus"], values["most"])
    where, apart = "{layout}   {formats}", False
    if p.question.engine.local:
        turn = "layers over {gpus:whole} GPUs, which work in turn   {formats}"
        where = turn if values["gpus"] > 1 else on.removesuffix(" per replica") + "   {formats}"
        apart = places.split(p) is not None
        where = "{formats}" if apart else where
    says = ["*{speed:.3g} tok/s" + each + "*, first token after {ttft:s}", where]
    if apart:
        says.insert(1, places.where(p))
    if many > 1:
        says.append("{replicas:whole} replicas " + on + ", {batch:count} users or fewer in each")
    says.append("{context:tokens} tokens of context fit" + each)
    head = f"plan for {'one user' if users == 1 else plural(users, 'user')}"
    return Frame(head=head, says=tuple(Say(text, values) for text in says))


def _numbers(p: Plan, found: Found) -> Figures:
    s, at = p.serving, float(p.cost.bound_share)
    rows: list[tuple[str, str, str, float, float | None]] = [
        ("ttft", "TTFT, time to first token", "s", float(s.ttft), float(s.ttft_bound)),
        ("tpot", "TPOT, time per output token", "s", float(s.tpot), float(s.tpot_bound)),
        ("interactivity", "tok/s/user (interactivity)", "digits", float(s.interactivity), 1 / float(s.tpot_bound)),
    ]
    for key, label in (
        ("tput_per_gpu", "tok/s/GPU, input + output"),
        ("output_tput_per_gpu", "tok/s/GPU, output only"),
        ("input_tput_per_gpu", "tok/s/GPU, input only"),
    ):
        rows.append((key, label, "digits", float(getattr(s, key)), float(getattr(s, key)) / at))
    rows += dollars(p.cost, float(p.question.traffic.cached) > 0, setting.known_price(p.machine) is not None)
    return parts.figures(rows, plans.spans(p), found.objectives, groups=(3, 6), tpot=p.intervals.tpot, reason=p.intervals.reason)


def dollars(
    cost: Any, cached: bool, paid: bool, *, of_input: str = "", of_output: str = ""
) -> list[tuple[str, str, str, float, float | None]]:
    """Rows of prices per million tokens; none where a machine has no price."""
    if not paid:
        return []
    kinds = [("input_mtok", f"$/M input tokens{of_input}")]
    kinds += [("cache_read_mtok", "$/M cached input tokens")] if cached else []
    kinds += [("output_mtok", f"$/M output tokens{of_output}"), ("blended_mtok", "$/M tokens, blended")]
    bound = float(cost.blended_mtok) * float(cost.bound_share)
    return [(key, label, "$", float(getattr(cost, key)), bound if key == "blended_mtok" else None) for key, label in kinds]


def _seen_by_users(p: Plan, found: Found) -> Figures:
    s = p.serving
    rows: list[tuple[str, str, str, float, float | None]] = [
        ("interactivity", "tok/s for a user", "digits", float(s.interactivity), 1 / float(s.tpot_bound)),
        ("tpot", "TPOT, time per output token", "s", float(s.tpot), float(s.tpot_bound)),
        ("ttft", "TTFT, time to first token", "s", float(s.ttft), float(s.ttft_bound)),
    ]
    return parts.figures(rows, plans.spans(p), found.objectives, groups=(), tpot=p.intervals.tpot, reason=p.intervals.reason)


def _binds(p: Plan, found: Found) -> Iterator[Block]:
    shares = {name: float(v) for name, v in p.serving.shares.items()}
    name = plans.binding_term(p)
    aside = f"{RESOURCES[name]}: {shares[name] / (sum(shares.values()) or 1.0):.0%} of a step"
    yield Bar(key="", title="What binds", aside=aside, unit="", parts={RESOURCES[k]: v for k, v in shares.items()})
    moves = [(what, change) for what, change in found.movers if change <= -0.001]
    if moves:
        paid = setting.known_price(p.machine) is not None
        of = "the price" if paid else "device time per request"
        of = "the time of a request" if p.question.engine.local else of
        words = ", ".join(f"{what} *{{change{i}:change}}*" for i, (what, _) in enumerate(moves))
        yield Say(f"Sensitivity of {of}: {words}", {f"change{i}": change for i, (_, change) in enumerate(moves)})


def memory(held: Record) -> Bar:
    """What fills the memory of the fullest device."""
    return Bar(
        key="",
        title="Memory per GPU",
        unit="B",
        whole=held["capacity"],
        parts={k: held[k] for k in ("weights", "cache", "reserve", "free")},
        aside=f"{cell(held['capacity'], 'B')}, {cell(held['capacity'] - held['free'], 'B')} used",
    )


def _load(p: Plan) -> Iterator[Say]:
    s = p.serving
    values: Record = {
        "concurrency": float(s.concurrency),
        "request_rate": float(s.request_rate),
        "ttft_mean": float(s.ttft_mean),
        "steps": max(float(p.question.traffic.osl) - 1, 1.0),
        "tpot": float(s.tpot),
        "batch": p.batch,
        "mixed_share": float(s.mixed),
        "prefill_chunk": float(s.chunk),
    }
    yield Say(
        "*{concurrency:whole}* requests inside = {request_rate:number} requests/s x ({ttft_mean:s} to the first token"
        " + {steps:tokens} x {tpot:s})",
        values,
        key="load",
        title="Load of a replica",
        aside="Little's law: requests inside = rate x time in the system",
    )
    yield Say(
        plans.decoding(p.batch) + "; {mixed_share:percent} of steps also carry prefill, in chunks of {prefill_chunk:whole} tokens", values
    )


def _request(p: Plan) -> Iterator[Say]:
    """What a request takes, and dollars where the machine has a price."""
    s, traffic = p.serving, p.question.traffic
    rest = max(float(traffic.osl) - 1, 0.0)
    price = setting.known_price(p.machine)
    values: Record = {
        "seconds": float(s.ttft_mean) + rest * float(s.tpot),
        "ttft_mean": float(s.ttft_mean),
        "steps": rest,
        "tpot": float(s.tpot),
        "hour": None if price is None else price * float(p.layout.gpus),
        "output_mtok": float(p.cost.output_mtok),
        "input_mtok": float(p.cost.input_mtok),
    }
    yield Say(
        "*{seconds:s}* = {ttft_mean:s} to the first token + {steps:tokens} x {tpot:s}",
        values,
        key="request",
        title="A request",
        aside=f"{cell(float(traffic.isl), 'count')} tokens in, {cell(float(traffic.osl), 'count')} out",
    )
    if price is not None:
        kind = p.machine.price_kind.replace("_", "-")
        text = "Used without a break it costs {hour:$} an hour (" + kind + "): {output_mtok:$} per million tokens out,"
        yield Say(text + " {input_mtok:$} in.", values, faint=True)


def _fleet(a: PlanAnswer, best: Plan) -> Iterator[Say]:
    f = a.fleet
    assert f is not None
    values = plans.fleet(f)
    replicas, devices, billed = (float(values[k]) for k in ("replicas", "devices", "billed"))
    spare = ", {spare} of them spare" if f.spare else ""
    whole = "" if billed == devices else " in machines of {billed:whole}, which are paid for whole"
    power = "{power:W}" if f.power else "power unknown"
    yield Say(
        f"*{plural(replicas, 'replica')}*{spare}: {{devices:whole}} GPUs{whole}; {{utilisation:percent}} utilised, {power} at the facility",
        values,
        title="Fleet",
        aside=f"for {cell(f.rate, 'number')} requests/s",
    )
    month = "*${month_dollars:,.0f} a month* ({blended_mtok:$}/M tokens with the idle share)"
    if setting.known_price(best.machine) is None:
        month = "*dollars a month unknown*"
    energy = ", {tokens_per_s_mw:number} tok/s/MW, {joules_per_token:number} J per token" if f.power else ""
    yield Say(month + ", {tokens_per_s:number} tok/s" + energy, values)
    if f.utilisation > 0.9:
        yield Say(
            "Little headroom is left for peaks: TTFT and TPOT are medians at the plan's load; --utilisation 70% leaves some.", faint=True
        )


# --- what else is possible ------------------------------------------------------------------------------------------


def _front(found: Found, best: Plan) -> Iterator[Block]:
    rows = plans.front(found)
    if len(rows) < (1 if best.question.traffic.users is None else 2):
        return
    aside = "speed for one user against throughput and price"
    yield Chart(title="Pareto front", aside=aside, spec=plan_charts.front(found), lines=16)
    yield _points(rows, found, best)
    candidates = [] if found.candidates is None else plans.candidates(found.candidates, best.question)
    if len(candidates) > 1:
        yield Chart(
            title="Candidates",
            aside="layouts at their cheapest batch that meets the objectives",
            lines=0,
            spec=plan_charts.field(found, best, candidates),
        )


def _points(rows: list[Record], found: Found, best: Plan) -> Table:
    """Points of the front and the plan itself, fastest first."""
    several, s = len(found.question.precisions) > 1, best.serving
    label = best.layout.label()
    kept = [r for r in parts.spread(rows) if not (r["layout"] == label and abs(float(r["batch"]) / best.batch - 1) < 1e-9)]
    mine = {
        "layout": label,
        "precision": best.precision.name,
        "kv": best.precision.kv.name,
        "batch": best.batch,
        "interactivity": s.interactivity,
        "ttft": s.ttft,
        "tput_per_gpu": s.tput_per_gpu,
        "blended_mtok": plans.prices(best)["blended_mtok"],
    }
    shown = sorted([*kept, mine], key=lambda r: -float(r["interactivity"]))
    at = shown.index(mine)
    shown = [
        r
        | {
            "layout": f"{r['layout']}  {r['precision']}/{r['kv']}" if several else r["layout"],
            "blended_mtok": parts.unknown(r["blended_mtok"]),
        }
        for r in shown
    ]
    return Table(
        key="front",
        rows=rows,
        shown=shown,
        strong=at,
        marks={at: "<- chosen"},
        columns=(
            Column("layout", "layout"),
            Column("interactivity", "tok/s/user", "number"),
            Column("tput_per_gpu", "tok/s/GPU", "whole", optional=3),
            Column("blended_mtok", "$/M tokens", "$"),
            Column("ttft", "TTFT", "s", optional=1),
            Column("batch", "batch", "count", optional=2),
        ),
    )


def _nothing(found: Found) -> Iterator[Block]:
    yield from parts.no_plan(found.reasons)
    near = found.nearest
    if near is None:
        return
    s, paid = near.serving, setting.known_price(near.machine) is not None
    where = "" if near.machine.name == found.question.machine.name else f"on {near.machine.name}: "
    batch = cell(near.batch, "count")
    values: Record = {
        "ttft": float(s.ttft),
        "tpot": float(s.tpot),
        "speed": float(s.interactivity),
        "tput": float(s.tput_per_gpu),
        "price": float(near.cost.blended_mtok),
    }
    yield Say(
        "TTFT {ttft:s}, TPOT {tpot:s} ({speed:.1f} tok/s/user), {tput:number} tok/s/GPU in and out"
        + (", {price:$} per million tokens" if paid else ""),
        values,
        title="Nearest plan",
        aside=f"{where}{near.layout.label()}, {formats(near.precision)}, batch {batch}",
    )
