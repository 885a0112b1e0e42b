"""A plan that may have two pools as an answer: the winning mode, the other beside it, and both on one front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...answers.parts import Answer, Bar, Block, Chart, Column, Figures, Frame, Say, Table
from ...answers.text import cell
from ...economics.fleet import Fleet
from ...search.choice import Plan
from ...search.disaggregated import PoolPlan
from ...search.either import ModesAnswer
from ...units import plural
from ...views import passes, plan_charts, plans, pool_terms, pools, setting
from ...views import plan_parts as parts
from ...views.setting import RESOURCES, formats
from . import one

Record = dict[str, Any]


def answer(a: ModesAnswer) -> Answer:
    """The plan of the winning mode, or why there is none and which pair of pools comes nearest."""
    q, first = a.questions[1], a.questions[0].machine.name
    return Answer(
        title=parts.title(q, first if first != q.machine.name else ""),
        subtitle=parts.subtitle(q, a.objectives),
        blocks=tuple(_blocks(a) if a.winner is not None else _nothing(a)),
        table="front",
        data=_data(a),
        terms=lambda: pool_terms.tree(a),
        notes=a.notes,
        remarks=() if a.winner is None else (f"{a.evaluated:,} configurations evaluated",),
        exit_code=1 if a.winner is None else 0,
        subject=a,
    )


def _data(a: ModesAnswer) -> Record:
    two, near = a.pools.best, a.pools.nearest
    single: Plan | None = None if a.aggregated is None else a.aggregated.best
    each = {"disaggregated": None if two is None else pools.chosen(two), "aggregated": None if single is None else plans.chosen(single)}
    best: Record | None = None if a.winner is None else {"mode": a.winner} | (each[a.winner] or {})
    if a.winner == "aggregated" and a.aggregated is not None and best is not None:
        best["movers"] = dict(a.aggregated.answer.movers)
    return {
        "setting": plans.setting_of(a.questions[1]) | {"prefill_machine": a.questions[0].machine.name},
        "lora": setting.lora(a.questions[1].model),
        "winner": a.winner,
        "why": a.why or None,
        "best": best,
        **each,
        "runner_up": None if a.pools.runner_up is None else pools.chosen(a.pools.runner_up),
        "nearest": None if near is None else pools.chosen(near),
        "front": pools.front(a),
        "fleets": pools.fleets(a.fleets),
        "reasons": list(a.reasons),
        "machines": pools.machines(a),
        "evaluated": a.evaluated,
    }


def _blocks(a: ModesAnswer) -> Iterator[Block]:
    two = a.pools.best
    if a.winner == "disaggregated" and two is not None:
        yield _cheapest(two)
        yield _numbers(two, a)
        yield from _first_token(two)
        yield from _binds(two)
        yield from _ratio(two)
        if a.fleets is not None:
            yield from _fleets(a.fleets)
    elif a.aggregated is not None and a.aggregated.best is not None:
        yield from one.chosen(a.aggregated.best, a.aggregated.answer)
    shown = a.questions[1].machine.name if a.winner == "disaggregated" else a.best.machine.name
    fleet = a.questions[1].traffic.rate is not None
    yield from parts.machines(pools.machines(a), shown, fleet=fleet, modes=True)
    if a.aggregated is not None:
        yield from _modes(a, a.aggregated.best)
    yield from _front(a)


def _cheapest(p: PoolPlan) -> Frame:
    s = p.serving
    says = [Say("*{label}*   {formats}", {"label": p.label(), "formats": formats(p.precision)})]
    batch = round(float(s.decode.batch), 0 if float(s.decode.batch) >= 10 else 1)
    for title, n, layout, machine, words in (
        ("prefill", s.n_prefill, s.prefill.layout, p.machines[0], "busy {load:percent} of the time"),
        ("decode", s.n_decode, s.decode.layout, p.machines[1], plans.decoding(batch) + " in each"),
    ):
        values = {
            "gpus": float(layout.gpus),
            "layout": layout.label(),
            "machine": machine.name,
            "load": float(s.prefill.load),
            "batch": float(s.decode.batch),
        }
        devices = "GPU" if layout.gpus == 1 else "GPUs"
        text = f"{title:<8}{plural(float(n), 'replica')} of {{gpus:whole}} {devices} ({{layout}}) on {{machine}}, "
        says.append(Say(text + words.replace("batch:count", "batch:whole"), values))
    says.append(Say("{gpus:whole} GPUs in a unit of both pools", {"gpus": float(s.gpus)}))
    return Frame(head="cheapest plan: two pools", says=tuple(says))


def _numbers(p: PoolPlan, a: ModesAnswer) -> Figures:
    s = p.serving
    bound = float(s.decode.tpot_bound)
    rows: list[tuple[str, str, str, float, float | None]] = [
        ("ttft", "TTFT, time to first token", "s", float(s.ttft), float(s.ttft_bound)),
        ("tpot", "TPOT, time per output token", "s", float(s.tpot), bound),
        ("interactivity", "tok/s/user (interactivity)", "digits", float(s.interactivity), 1 / bound),
        ("tput_per_gpu", "tok/s/GPU, in + out, both pools", "digits", float(s.tput_per_gpu), None),
        ("output_tput_per_decode_gpu", "tok/s per decode GPU, output only", "digits", float(s.output_tput_per_decode_gpu), None),
    ]
    cached = float(p.questions[0].traffic.cached) > 0
    rows += one.dollars(p.cost, cached, _paid(p), of_input=" (prefill pool)", of_output=" (decode pool)")
    return parts.figures(rows, pools.spans(p), a.objectives, groups=(3, 5), tpot=p.intervals.tpot, reason=p.intervals.reason)


def _paid(p: PoolPlan) -> bool:
    return all(setting.known_price(m) is not None for m in p.machines)


def _first_token(p: PoolPlan) -> Iterator[Block]:
    s = p.serving
    split = {
        "own passes": float(s.prefill.service),
        "waiting in line": float(s.prefill.wait_median),
        "until the next pass": float(s.prefill.to_next),
        "transfer of the cache": float(s.transfer.time),
    }
    aside = f"{cell(float(s.ttft), 's')}, median"
    yield Bar(key="", title="Time to first token", aside=aside, parts=split, unit="s")
    values = {"bytes": float(s.transfer.bytes), "sending": float(s.sending), "receiving": float(s.receiving)}
    yield Say(
        "The cache of a prompt is {bytes:B}; caches take {sending:share} of a prefill replica's network and"
        " {receiving:share} of a decode replica's, collectives included",
        values,
    )


def _binds(p: PoolPlan) -> Iterator[Block]:
    s = p.serving
    for title, name, time, holds, used in (
        ("What binds", "prefill", s.prefill.time, s.prefill.footprint, s.prefill.memory),
        ("", "decode", s.decode.time, s.decode.footprint, s.decode.memory),
    ):
        shares = {k: float(v) for k, v in time.shares.items()}
        total, term = sum(shares.values()), pools.binding(time)
        yield Say(
            f"*{name}*  {cell(total, 's')}, {shares[term] / total:.0%} of it {RESOURCES[term]}",
            title=title,
            aside="a pass of each pool" if title else "",
        )
        yield Bar(key="", parts={RESOURCES[k]: v for k, v in shares.items()}, unit="")
        held = passes.memory(holds, float(used))
        yield Say(
            "memory per GPU: weights {weights:B}, caches {cache:B}, reserve {reserve:B}, free {free:B} of {capacity:B}", held, faint=True
        )


def _ratio(p: PoolPlan) -> Iterator[Say]:
    s = p.serving
    lost = max(pools.lost(p), 0.0)
    yield Say(
        "One decode replica at its full batch needs *{exact:.3g}* prefill replicas; whole numbers cost {lost:share} more than that",
        {"exact": p.exact_ratio, "lost": lost},
        title="Ratio of the pools",
        aside=f"{s.n_prefill:.0f} prefill : {s.n_decode:.0f} decode replicas",
    )
    values = {
        "concurrency": float(s.concurrency),
        "request_rate": float(s.request_rate),
        "ttft_mean": float(s.ttft_mean),
        "decoding": float(s.decode.decoding),
    }
    yield Say(
        "Little's law: *{concurrency:whole}* requests inside = {request_rate:number} requests/s x ({ttft_mean:s} to"
        " the first token + {decoding:s} decoding)",
        values,
        key="load",
    )


def _fleets(fleets: tuple[Fleet, Fleet]) -> Iterator[Say]:
    for i, (name, f) in enumerate(zip(("prefill", "decode"), fleets, strict=True)):
        power = "{power:W}" if f.power else "power unknown"
        yield Say(
            f"{name}: *{plural(float(f.replicas), 'replica')}*, {{spare}} of them spare: {{devices:whole}} GPUs,"
            f" {{utilisation:percent}} utilised, {power} at the facility, *${{month_dollars:,.0f}} a month*",
            pools.fleet(f),
            title="" if i else "Fleet",
            aside="" if i else f"for {cell(f.rate, 'number')} requests/s",
        )


def _modes(a: ModesAnswer, single: Plan | None) -> Iterator[Block]:
    """One pool beside two, and why one of them is cheaper."""
    two = a.pools.best
    rows: list[Record] = []
    for mode, plan, words in (
        (plan_charts.MODES[0], single, single.layout.label() if single else ""),
        (plan_charts.MODES[1], two, two.label() if two else ""),
    ):
        if plan is None:
            rows.append({"mode": mode, "layout": "no plan"})
            continue
        s = plan.serving
        on = plan.machines if isinstance(plan, PoolPlan) else (plan.machine,)
        paid = all(setting.known_price(m) is not None for m in on)
        rows.append(
            {
                "mode": mode,
                "layout": words,
                "blended_mtok": float(plan.cost.blended_mtok) if paid else "unknown",
                "tput_per_gpu": float(s.tput_per_gpu),
                "ttft": float(s.ttft),
                "tpot": float(s.tpot),
                "gpus": float(s.gpus),
            }
        )
    yield Table(
        key="",
        title="One pool or two",
        aside="the cheapest plan of each mode",
        rows=rows,
        strong=plan_charts.MODES.index(a.winner) if a.winner in plan_charts.MODES else None,
        faint=frozenset(i for i, row in enumerate(rows) if len(row) == 2),
        columns=(
            Column("mode", ""),
            Column("blended_mtok", "$/M tokens", "$"),
            Column("tput_per_gpu", "tok/s/GPU", "whole"),
            Column("ttft", "TTFT", "s"),
            Column("tpot", "TPOT", "s"),
            Column("gpus", "GPUs", "whole", optional=1),
            Column("layout", "layout"),
        ),
    )
    if a.why:
        yield Say("{why}", {"why": parts.sentence(a.why)})


# --- the front ------------------------------------------------------------------------------------------------------


def _front(a: ModesAnswer) -> Iterator[Block]:
    if not a.front:
        return
    aside = "speed for one user against throughput, both modes" if a.aggregated else ""
    yield Chart(title="Pareto front", aside=aside, spec=plan_charts.both_fronts(a), lines=16)
    rows = pools.front(a)
    several = len({row["machine"] for row in rows}) > 1
    shown = [
        row
        | {
            "layout": row["layout"] + (f"  {row['machine']}" if several else ""),
            "pools": "one" if row["mode"] == "aggregated" else "two",
            "blended_mtok": parts.unknown(row["blended_mtok"]),
        }
        for row in parts.spread(rows, 12)
    ]
    yield Table(
        key="front",
        rows=rows,
        shown=shown,
        columns=(
            Column("pools", "pools"),
            Column("interactivity", "tok/s/user", "number"),
            Column("tput_per_gpu", "tok/s/GPU", "whole"),
            Column("blended_mtok", "$/M tokens", "$"),
            Column("ttft", "TTFT", "s", optional=2),
            Column("gpus", "GPUs", "whole", optional=1),
            Column("layout", "layout"),
        ),
    )
    yield Chart(title="Price of speed", aside="every plan that nothing beats, in each mode", spec=plan_charts.both_prices(a), lines=0)


def _nothing(a: ModesAnswer) -> Iterator[Block]:
    yield from parts.no_plan(a.reasons)
    near = a.pools.nearest
    if near is None:
        return
    s = near.serving
    values = {"ttft": float(s.ttft), "tpot": float(s.tpot), "speed": float(s.interactivity), "tput": float(s.tput_per_gpu)}
    yield Say(
        "TTFT {ttft:s}, TPOT {tpot:s} ({speed:.1f} tok/s/user), {tput:whole} tok/s/GPU in and out",
        values,
        title="Nearest plan in two pools",
        aside=near.label(),
    )
