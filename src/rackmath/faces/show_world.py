"""Screens of the catalogue: listings, one model, one machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import show
from . import records_world
from .show import heading, indented, line, money, notes, numbers, tokens

if TYPE_CHECKING:
    from ..world.catalog import Listing
    from ..world.machine import Machine
    from ..world.model import LayerGroup, Model


def listing(c: Console, kind: str, lines: tuple[Listing, ...]) -> None:
    """Print the names of a catalogue with a line about each."""
    table = numbers(f"{len(lines)} {kind}")
    table.add_column("")
    for one in lines:
        table.add_row(one.name, Text(one.summary, style="dim"))
    indented(c, table, by=0)
    line(c, f"[dim]rackmath {kind} NAME shows one of them.[/]", indent=0)


# --- one model ----------------------------------------------------------------------------------------------------


def model(c: Console, m: Model) -> None:
    """Print what a model is made of."""
    from ..kernel.counts import (
        active_parameters,
        context_of_equal_flops,
        kv_bytes_per_token,
        state_bytes,
        total_parameters,
        weight_bytes,
    )
    from ..world.precision import Precision

    c.print(Text.assemble((m.name, "bold"), (f"  {m.family}" if m.family else "", "dim")))
    context = f"{m.max_context:,.0f} tokens of context" if math.isfinite(m.max_context) else "no stated context limit"
    tied = "tied embeddings" if m.tied_embeddings else "separate output head"
    c.print(
        Text(f"{m.n_layers:.0f} layers · d_model {m.d_model:,.0f} · vocabulary {m.vocab:,.0f} ({tied}) · {context}",
             style="dim")
    )  # fmt: skip
    heading(c, "Parameters", "by component, in the format they are published in")
    rows = sorted((r for r in records_world.model_rows(m) if r["parameters"]), key=lambda r: -r["parameters"])
    table = numbers("component", "parameters", "share", "format", "bytes")
    total = total_parameters(m)
    for r in rows:
        table.add_row(
            r["component"].replace("_", " "), f"{r['parameters']:,.0f}", f"{r['parameters'] / total:.1%}",
            r["format"], show(r["bytes"], "B"),
        )  # fmt: skip
    table.add_section()
    table.add_row("all", f"{total:,.0f}", "", "", show(weight_bytes(m), "B"), style="bold")
    indented(c, table)
    active = active_parameters(m)
    words = " · ".join(
        f"[bold]{show(active[f'with {which}'], 'params').removesuffix(' params')}[/] with {said}"
        for which, said in (("both", "both embeddings"), ("one", "the output head only"), ("none", "neither"))
    )
    line(c, f"Active per token: {words}")
    if m.draft:
        from ..kernel.counts import layer_parameters

        extra = sum(layer_parameters(m.draft).values())
        line(c, f"[dim]and {show(extra, 'params')} in multi-token-prediction layers, not run in plain decoding[/]")

    heading(c, "Cache")
    table = numbers("", "", title_width=36)
    table.show_header = False
    in_bf16 = kv_bytes_per_token(m, Precision(name="bf16"))
    table.add_row("KV bytes per token, BF16", f"{in_bf16:,.0f}")
    table.add_row(f"KV bytes per token, as published ({m.precision.kv.name})", f"{kv_bytes_per_token(m):,.0f}")
    if state_bytes(m):
        table.add_row("recurrent state per sequence", show(state_bytes(m), "B"))
    table.add_row("context where attention FLOPs equal weight FLOPs", _tokens(context_of_equal_flops(m)))
    indented(c, table)

    heading(c, "Layers")
    for group in m.groups:
        line(c, f"{group.count:.0f} x {_group(group)}")
    notes(c, (*m.notes, *((f"source: {m.source}",) if m.source else ())))


def _tokens(value: float) -> str:
    return f"{tokens(round(value))} tokens" if math.isfinite(value) else "never"


def _group(g: LayerGroup) -> str:
    """One group of layers in a line."""
    parts = []
    if g.mixer:
        words = [g.mixer.kind]
        if g.mixer.heads > 1:
            words.append(f"{g.mixer.heads:.0f} heads")
        for s in g.mixer.streams:
            words.append(f"{s.elements:.0f} {s.name} elements per {_entry(s)}")
        parts.append(", ".join(words))
    if g.ffn:
        f = g.ffn
        if f.n_experts:
            shared = f" + {f.n_shared:.0f} shared" if f.n_shared else ""
            parts.append(f"{f.top_k:.0f} of {f.n_experts:.0f} experts{shared}, each {f.d_expert:,.0f} wide")
        else:
            parts.append(f"{f.kind} {f.d_dense:,.0f} wide" if f.d_dense else f.kind)
    name = f"[dim]{g.name}:[/] " if g.name else ""
    return name + "; ".join(parts)


def _entry(s: Any) -> str:
    words = "token" if s.stride == 1 else f"{s.stride:.0f} tokens"
    if math.isfinite(s.window):
        words += f" (last {s.window:,.0f})"
    if math.isfinite(s.chunk):
        words += f" (chunks of {s.chunk:,.0f})"
    if math.isfinite(s.top_k):
        words += f" (top {s.top_k:,.0f} read)"
    return words + ("" if s.stored else " of another layer")


# --- one machine --------------------------------------------------------------------------------------------------

WORDS = {
    "n_devices": "devices",
    "domain": "devices in one scale-up domain",
    "dies": "dies per device",
    "peak_bf16": "peak BF16, dense",
    "peak_fp8": "peak FP8, dense",
    "peak_fp4": "peak FP4, dense",
    "peak_int8": "peak INT8, dense",
    "hbm_nominal": "memory, on the box",
    "hbm_capacity": "memory, as the driver shows it",
    "hbm_reserved": "of it kept by the driver",
    "hbm_bandwidth": "memory bandwidth",
    "scaleup_bandwidth": "scale-up, one way",
    "scaleup_latency": "scale-up latency",
    "scaleout_bandwidth": "scale-out, one way",
    "scaleout_latency": "scale-out latency",
    "power": "power of a device",
    "overhead_power": "facility watts per device watt",
    "price_per_hour": "price in force",
}


def machine(c: Console, m: Machine) -> None:
    """Print every value of a machine with where it comes from, and what follows from them."""
    c.print(Text.assemble((m.name, "bold"), f"  {m.n_devices:.0f} x {m.accelerator}" if m.n_devices > 1 else
                          f"  {m.accelerator}"))  # fmt: skip
    about = [word for word in (m.vendor, str(m.year) if m.year else "", m.memory_type, m.generation) if word]
    c.print(Text(" · ".join(about), style="dim"))
    rows = records_world.machine_rows(m)
    sources = list(dict.fromkeys((r["source"], r["date"], r["verified"]) for r in rows if r["source"]))
    heading(c, "Values", "per device; the number in brackets is the source below")
    table = numbers("", "value", "")
    for r in rows:
        key = (r["source"], r["date"], r["verified"])
        where = f"[{sources.index(key) + 1}]" if r["source"] else ""
        doubt = " unverified" if r["verified"] is False else ""
        table.add_row(WORDS[r["name"]], quantity(r["value"], r["unit"]), Text(where + doubt, style="dim"))
    indented(c, table)

    heading(c, "What follows")
    ratio = ", ".join(f"{name.upper()} {value:,.0f}" for name, value in records_world.ratios(m).items())
    line(c, f"R, multiplies per weight fetched: {ratio}")
    line(c, f"drain time, all memory read once: {show(float(m.box) / float(m.hbm_bandwidth), 's')}")
    known = {k: getattr(m.prices, k) for k in ("on_demand", "reserved", "spot", "owned")}
    told = ", ".join(f"{k.replace('_', '-')} {money(v)}" for k, v in known.items() if v is not None)
    line(c, f"price per GPU-hour: {told or 'none known'}")
    if m.tiers:
        heading(c, "Memory behind it", "a device's share")
        table = numbers("tier", "capacity", "bandwidth", "latency", "$/GB-month", "drain")
        for t in m.tiers:
            price = "-" if t.price_per_byte_month is None else money(t.price_per_byte_month * 1e9)
            table.add_row(t.name, show(t.capacity, "B"), show(t.bandwidth, "B/s"), show(t.latency, "s"), price,
                          show(t.capacity / t.bandwidth, "s"))  # fmt: skip
        indented(c, table)
    heading(c, "Sources")
    for i, (text, date, verified) in enumerate(sources, 1):
        c.print(
            Text(f"  [{i}] {text}{f' ({date})' if date else ''}{'' if verified else ', unverified'}", style="dim")
        )
    notes(c, m.notes)


def quantity(value: float, unit: str) -> str:
    """A value with its unit, for people."""
    if unit.startswith("$"):
        return f"{money(value)}{unit[1:]}"
    return show(value, {"bytes": "B", "bytes/s": "B/s"}.get(unit, unit)) if unit else f"{value:g}"
