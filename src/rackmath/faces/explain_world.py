"""The terms of a catalogue entry: where a model's parameters lie, and where a machine's values come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..views.machine_terms import Node, count, of_machine, product, quotient, stated, total
from . import records_world

if TYPE_CHECKING:
    from ..world.machine import Machine
    from ..world.model import FeedForward, LayerGroup, Matrix, Model


def model(m: Model) -> Node:
    """Parameters by component, layer group and matrix; active parameters; weights and cache in bytes."""
    from ..kernel.counts import active_parameters, kv_bytes_per_token, parameters, total_parameters, weight_bytes

    counted = parameters(m)
    parts = {
        part: stated("sum", part.replace("_", " "), counted[part], "params", *_component(m, part))
        for part in counted
        if counted[part]
    }
    every = stated("sum", "parameters", total_parameters(m), "params", *parts.values())
    active = active_parameters(m)
    idle = [
        product(f"group {i}", "params", count("layers", g.count),
                count("idle experts", g.ffn.n_experts - g.ffn.top_k), _expert(g.ffn))
        for i, g in enumerate(m.groups) if g.ffn and g.ffn.n_experts
    ]  # fmt: skip
    unused = total("experts a token does not use", "params", *idle) if idle else count("idle experts", 0.0)
    tables = [parts[name] for name in ("embedding", "head") if name in parts]
    none = stated("difference", "active, no embedding", active["with none"], "params", every, *tables, unused)
    head = m.head_parameters or m.vocab * m.d_model
    one_table = Node(name="output head", value=head, unit="params", note="tied" if not m.head_parameters else "")
    one = stated("sum", "active, with the head", active["with one"], "params", none, one_table)
    both = stated("sum", "active, with both embeddings", active["with both"], "params", none, *tables)
    weights = stated(
        "sum", "weights", weight_bytes(m), "B",
        *(product(part.replace("_", " "), "B", node, _format(m, part)) for part, node in parts.items()),
    )  # fmt: skip
    cache = stated("sum", "KV bytes per token", kv_bytes_per_token(m), "B", *_cache(m))
    state = [
        product(f"group {i}", "B", count("layers", g.count), count("elements", g.mixer.state_elements),
                count("bytes", g.mixer.state_bytes))
        for i, g in enumerate(m.groups) if g.mixer and g.mixer.state_elements
    ]  # fmt: skip
    more = (total("recurrent state per sequence", "B", *state),) if state else ()
    return Node(name=m.name, source=m.source, children=(every, none, one, both, weights, cache, *more))


def _format(m: Model, part: str) -> Node:
    found = m.precision.of(part)
    return Node(name="bytes each", value=found.bytes, source=f"format {found.name}")


def _component(m: Model, part: str) -> list[Node]:
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
        found.append(Node(name="outside the layers", value=float(outside), unit="params"))
    return found


def _in_layer(g: LayerGroup, part: str) -> Iterable[Node]:
    if part == "norm" and g.norm_parameters:
        yield Node(name="norms", value=float(g.norm_parameters), unit="params")
    blocks = [b for b in (g.mixer, g.ffn) if b is not None]
    for block in blocks:
        yield from (_matrix(x) for x in block.matrices if x.component == part)
    if part == "attention" and g.mixer and g.mixer.extra_parameters:
        yield Node(name="norms, biases, sinks", value=float(g.mixer.extra_parameters), unit="params")
    if g.ffn:
        if g.ffn.extra_parameters and part == ("router" if g.ffn.n_experts else "mlp"):
            yield Node(name="biases", value=float(g.ffn.extra_parameters), unit="params")
        if part == "experts" and g.ffn.n_experts:
            yield product("experts", "params", count("n_experts", g.ffn.n_experts), _expert(g.ffn))


def _expert(f: FeedForward) -> Node:
    parts = [_matrix(x) for x in f.expert]
    if f.expert_extra_parameters:
        parts.append(Node(name="biases", value=float(f.expert_extra_parameters), unit="params"))
    return total("one expert", "params", *parts)


def _matrix(x: Matrix) -> Node:
    sides = (count("d_in", x.d_in), count("d_out", x.d_out))
    several = (count("count", x.count),) if x.count != 1 else ()
    return product(x.name, "params", *sides, *several)


def _cache(m: Model) -> list[Node]:
    from ..kernel.counts import entry_bytes, entry_format

    found = []
    for i, g in enumerate(m.groups):
        for s in g.mixer.streams if g.mixer else ():
            if s.stored and s.precision != "state":
                size = entry_bytes(s, m.precision) / s.elements
                each = Node(name="bytes", value=size, source=f"format {entry_format(s, m.precision).name}")
                every = (count("entries per token", 1 / s.stride),) if s.stride != 1 else ()
                name = f"{s.name} {g.name or f'group {i}'}"
                found.append(
                    product(name, "B", count("layers", g.count), count("elements", s.elements), each, *every)
                )
    return found


def machine(m: Machine) -> Node:
    """Every value with its source; R for each format, and the drain time."""
    from ..world.precision import FORMATS
    from .show_world import WORDS

    leaves = {row["name"]: of_machine(m, row["name"], WORDS[row["name"]]) for row in records_world.machine_rows(m)}
    bandwidth = leaves["hbm_bandwidth"]
    half = count("2", 2.0, "a multiply-add is two FLOPs")
    ratios = [
        stated("quotient", f"R in {name.upper()}", value, "",
               product("peak x bytes", "", leaves[f"peak_{name}"],
                       Node(name="bytes per weight", value=FORMATS[name].bytes, source=f"format {name}")),
               half, bandwidth, note="multiplies per weight fetched")
        for name, value in records_world.ratios(m).items()
    ]  # fmt: skip
    drain = quotient("drain time", "s", leaves["hbm_nominal"], bandwidth)
    values = Node(name="values", children=tuple(leaves.values()))
    return Node(name=m.name, children=(values, *ratios, drain))
