"""The models of the catalogue, or one of them: parameters, cache, formats, source.

Group: Catalogue
Example: rackmath models deepseek-ai/DeepSeek-V3

--json of one holds its description, which can be edited and given back in place of a name: the file as it is, or what
stands under its key "description".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from ..answers.parts import Answer, Block, Column, Figure, Figures, Say, Table
from ..answers.terms import Term, count, product, stated, total
from ..kernel.counts import (
    active_parameters,
    context_of_equal_flops,
    entry_bytes,
    entry_format,
    kv_bytes_per_token,
    layer_parameters,
    parameters,
    state_bytes,
    total_parameters,
    weight_bytes,
)
from ..questions.common import FamilyFile
from ..questions.fields import needs, words
from ..world import catalog
from ..world.model import FeedForward, LayerGroup, Matrix, Model, Stream
from ..world.precision import Precision

BF16 = Precision(name="bf16")


@dataclass(frozen=True, kw_only=True)
class Models:
    """Which model."""

    name: Annotated[Any, words("One model, or the path of a config.json. All if not given.", "NAME", argument=True, complete="models")] = (
        None
    )
    family: Annotated[FamilyFile, needs("name")] = None


def answer(q: Models) -> Answer:
    """A row for each model, or what one is made of."""
    if q.name is None:
        return _listing()
    return _one(q.name if isinstance(q.name, Model) else catalog.model(q.name))


# --- all of them ----------------------------------------------------------------------------------------------------


def _listing() -> Answer:
    rows = [_columns(catalog.model(one.name)) | {"summary": one.summary} for one in catalog.models()]
    columns = (
        Column("name", "model"),
        Column("total_parameters", "parameters", "parameters"),
        Column("active_parameters", "active", "parameters"),
        Column("kv_bytes_per_token_bf16", "KV per token", "B"),
        Column("max_context", "context", "tokens", optional=2),
        Column("summary", "", optional=1),
    )
    return Answer(
        title=Say("*{count} models*", {"count": len(rows)}),
        subtitle="Active: parameters a token is multiplied by, output head included. KV: in 16 bits.",
        blocks=(Table(key="models", columns=columns, rows=rows), Say("rackmath models NAME shows one of them.", faint=True)),
        table="models",
        data={"count": len(rows)},
    )


def _columns(m: Model) -> dict[str, Any]:
    """Parameters (active: with the output head), cache bytes of a token in 16 bits, weight bytes as stored."""
    return {
        "name": m.name,
        "family": m.family,
        "layers": m.n_layers,
        "d_model": m.d_model,
        "total_parameters": total_parameters(m),
        "active_parameters": active_parameters(m)["with one"],
        "kv_bytes_per_token_bf16": kv_bytes_per_token(m, BF16),
        "weight_bytes": weight_bytes(m),
        "max_context": m.max_context,
        "source": m.source,
    }


# --- one of them ----------------------------------------------------------------------------------------------------


def _one(m: Model) -> Answer:
    context = f"{m.max_context:,.0f} tokens of context" if math.isfinite(m.max_context) else "no stated context limit"
    tied = "tied embeddings" if m.tied_embeddings else "separate output head"
    return Answer(
        title=Say("*{name}*  {family}", {"name": m.name, "family": m.family}),
        subtitle=f"{m.n_layers:.0f} layers · d_model {m.d_model:,.0f} · vocabulary {m.vocab:,.0f} ({tied}) · {context}",
        blocks=tuple(_blocks(m)),
        table="components",
        data={
            "name": m.name,
            "family": m.family,
            "source": m.source,
            "description": dict(m.description) or {"name": m.name},
            "shares": {r["component"]: r["parameters"] / total_parameters(m) for r in components(m)},
        },
        terms=lambda: terms(m),
        notes=m.notes,
        remarks=(f"source: {m.source}",) if m.source else (),
        subject=m,
    )


def components(m: Model) -> list[dict[str, Any]]:
    """Parameters, format and bytes by component."""
    rows = []
    for part, size in parameters(m).items():
        fmt = m.precision.of(part)
        rows.append({"component": part, "parameters": size, "format": fmt.name, "bytes": size * fmt.bytes})
    return rows


def _blocks(m: Model) -> Iterator[Block]:
    every = total_parameters(m)
    rows = components(m)
    shown = [
        r | {"component": r["component"].replace("_", " "), "share": r["parameters"] / every}
        for r in sorted(rows, key=lambda r: -r["parameters"])
        if r["parameters"]
    ]
    yield Table(
        key="components",
        title="Parameters",
        aside="by component, in the format they are published in",
        rows=rows,
        shown=shown,
        total={"component": "all", "parameters": every, "bytes": weight_bytes(m)},
        columns=(
            Column("component", "component"),
            Column("parameters", "parameters", "whole"),
            Column("share", "share", "share"),
            Column("format", "format"),
            Column("bytes", "bytes", "B"),
        ),
    )
    active = {name.replace(" ", "_"): value for name, value in active_parameters(m).items()}
    yield Say(
        "Active per token: *{with_both:parameters}* with both embeddings · *{with_one:parameters}* with the output"
        " head only · *{with_none:parameters}* with neither",
        active,
        key="active_parameters",
    )
    if m.draft:
        extra = sum(layer_parameters(m.draft).values())
        yield Say(
            "and {mtp_parameters:params} in multi-token-prediction layers, not run in plain decoding",
            {"mtp_parameters": extra},
            key="active_parameters",
            faint=True,
        )
    yield _cache(m)
    yield _layers(m)


def _cache(m: Model) -> Figures:
    published = f"KV bytes per token, as published ({m.precision.kv.name})"
    figures = [
        Figure(key="kv_bytes_per_token_bf16", label="KV bytes per token, BF16", value=kv_bytes_per_token(m, BF16), unit="whole"),
        Figure(key="kv_bytes_per_token", label=published, value=kv_bytes_per_token(m), unit="whole"),
    ]
    if state_bytes(m):
        label = "recurrent state per sequence"
        figures.append(Figure(key="state_bytes", label=label, value=state_bytes(m), unit="B"))
    crossing = context_of_equal_flops(m)
    known = math.isfinite(crossing)
    figures.append(
        Figure(
            key="context_of_equal_flops",
            label="context where attention FLOPs equal weight FLOPs",
            value=round(crossing) if known else None,
            unit="whole",
            note="tokens" if known else "never",
        )
    )
    return Figures(key="cache", title="Cache", figures=tuple(figures), head="")


def _layers(m: Model) -> Table:
    rows = [_group(g) for g in m.groups]
    shown = [{"count": r["count"], "name": r["name"], "mixer": _mixer(g), "ffn": _ffn(g)} for r, g in zip(rows, m.groups, strict=True)]
    named = (Column("name", "kind"),) if any(g.name for g in m.groups) else ()
    columns = (*named, Column("mixer", "attention or state"), Column("ffn", "feed-forward"), Column("count", "layers", "whole"))
    return Table(key="layers", title="Layers", rows=rows, shown=shown, columns=columns)


def _group(g: LayerGroup) -> dict[str, Any]:
    """A group of layers in numbers; what it caches is an entry of so many elements for every `stride` tokens."""
    names = ("name", "elements", "stride", "window", "chunk", "top_k", "stored")
    ffn = (
        {"kind": None}
        if g.ffn is None
        else {name: getattr(g.ffn, name) for name in ("kind", "n_experts", "top_k", "n_shared", "d_expert", "d_dense")}
    )
    return {
        "count": g.count,
        "name": g.name,
        "mixer": g.mixer.kind if g.mixer else None,
        "heads": g.mixer.heads if g.mixer else None,
        "streams": [{n: getattr(s, n) for n in names} for s in (g.mixer.streams if g.mixer else ())],
        "ffn": ffn,
    }


def _mixer(g: LayerGroup) -> str:
    if not g.mixer:
        return ""
    parts = [g.mixer.kind]
    if g.mixer.heads > 1:
        parts.append(f"{g.mixer.heads:.0f} heads")
    parts += [f"{s.elements:.0f} {s.name} elements per {_entry(s)}" for s in g.mixer.streams]
    return ", ".join(parts)


def _ffn(g: LayerGroup) -> str:
    f = g.ffn
    if f is None:
        return ""
    if f.n_experts:
        shared = f" + {f.n_shared:.0f} shared" if f.n_shared else ""
        return f"{f.top_k:.0f} of {f.n_experts:.0f} experts{shared}, each {f.d_expert:,.0f} wide"
    return f"{f.kind} {f.d_dense:,.0f} wide" if f.d_dense else f.kind


def _entry(s: Stream) -> str:
    told = "token" if s.stride == 1 else f"{s.stride:.0f} tokens"
    if math.isfinite(s.window):
        told += f" (last {s.window:,.0f})"
    if math.isfinite(s.chunk):
        told += f" (chunks of {s.chunk:,.0f})"
    if math.isfinite(s.top_k):
        told += f" (top {s.top_k:,.0f} read)"
    return told + ("" if s.stored else " of another layer")


# --- terms ----------------------------------------------------------------------------------------------------------


def terms(m: Model) -> Term:
    """Parameters by component, layer group and matrix; active parameters; weights and cache in bytes."""
    counted = parameters(m)
    parts = {
        part: stated("sum", part.replace("_", " "), counted[part], "params", *_component(m, part)) for part in counted if counted[part]
    }
    every = stated("sum", "parameters", total_parameters(m), "params", *parts.values())
    active = active_parameters(m)
    idle = [
        product(f"group {i}", "params", count("layers", g.count), count("idle experts", g.ffn.n_experts - g.ffn.top_k), _expert(g.ffn))
        for i, g in enumerate(m.groups)
        if g.ffn and g.ffn.n_experts
    ]
    unused = total("experts a token does not use", "params", *idle) if idle else count("idle experts", 0.0)
    tables = [parts[name] for name in ("embedding", "head") if name in parts]
    none = stated("difference", "active, no embedding", active["with none"], "params", every, *tables, unused)
    head = m.head_parameters or m.vocab * m.d_model
    one_table = Term(name="output head", value=head, unit="params", note="tied" if not m.head_parameters else "")
    one = stated("sum", "active, with the head", active["with one"], "params", none, one_table)
    both = stated("sum", "active, with both embeddings", active["with both"], "params", none, *tables)
    weights = stated(
        "sum",
        "weights",
        weight_bytes(m),
        "B",
        *(product(part.replace("_", " "), "B", node, _format(m, part)) for part, node in parts.items()),
    )
    cache = stated("sum", "KV bytes per token", kv_bytes_per_token(m), "B", *_stored(m))
    state = [
        product(f"group {i}", "B", count("layers", g.count), count("elements", g.mixer.state_elements), count("bytes", g.mixer.state_bytes))
        for i, g in enumerate(m.groups)
        if g.mixer and g.mixer.state_elements
    ]
    more = (total("recurrent state per sequence", "B", *state),) if state else ()
    return Term(name=m.name, source=m.source, children=(every, none, one, both, weights, cache, *more))


def _format(m: Model, part: str) -> Term:
    found = m.precision.of(part)
    return Term(name="bytes each", value=found.bytes, source=f"format {found.name}")


def _component(m: Model, part: str) -> list[Term]:
    """Every contribution to one component: layer groups first, then what stands outside the layers."""
    found = []
    for i, g in enumerate(m.groups):
        layer = list(_in_layer(g, part))
        if layer:
            name = g.name or f"group {i}"
            inside = layer[0] if len(layer) == 1 else total("one layer", "params", *layer)
            found.append(product(name, "params", count("layers", g.count), inside))
    outside = {"embedding": m.embedding_parameters, "head": m.head_parameters, "norm": m.norm_parameters}.get(part)
    if outside:
        found.append(Term(name="outside the layers", value=float(outside), unit="params"))
    return found


def _in_layer(g: LayerGroup, part: str) -> Iterable[Term]:
    if part == "norm" and g.norm_parameters:
        yield Term(name="norms", value=float(g.norm_parameters), unit="params")
    blocks = [b for b in (g.mixer, g.ffn) if b is not None]
    for block in blocks:
        yield from (_matrix(x) for x in block.matrices if x.component == part)
    if part == "attention" and g.mixer and g.mixer.extra_parameters:
        yield Term(name="norms, biases, sinks", value=float(g.mixer.extra_parameters), unit="params")
    if g.ffn:
        if g.ffn.extra_parameters and part == ("router" if g.ffn.n_experts else "mlp"):
            yield Term(name="biases", value=float(g.ffn.extra_parameters), unit="params")
        if part == "experts" and g.ffn.n_experts:
            yield product("experts", "params", count("n_experts", g.ffn.n_experts), _expert(g.ffn))


def _expert(f: FeedForward) -> Term:
    parts = [_matrix(x) for x in f.expert]
    if f.expert_extra_parameters:
        parts.append(Term(name="biases", value=float(f.expert_extra_parameters), unit="params"))
    return total("one expert", "params", *parts)


def _matrix(x: Matrix) -> Term:
    sides = (count("d_in", x.d_in), count("d_out", x.d_out))
    several = (count("count", x.count),) if x.count != 1 else ()
    return product(x.name, "params", *sides, *several)


def _stored(m: Model) -> list[Term]:
    found = []
    for i, g in enumerate(m.groups):
        for s in g.mixer.streams if g.mixer else ():
            if s.stored and s.precision != "state":
                size = entry_bytes(s, m.precision) / s.elements
                each = Term(name="bytes", value=size, source=f"format {entry_format(s, m.precision).name}")
                every = (count("entries per token", 1 / s.stride),) if s.stride != 1 else ()
                name = f"{s.name} {g.name or f'group {i}'}"
                found.append(product(name, "B", count("layers", g.count), count("elements", s.elements), each, *every))
    return found
