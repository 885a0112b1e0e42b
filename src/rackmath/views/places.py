"""A model over unequal memories as parts of an answer: what lies where, and each place's part of a token's time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..answers.parts import Bar, Block, Say
from ..layout.spread import apart, layers_on, left
from ..units import plural

if TYPE_CHECKING:
    from ..search.choice import Plan

Record = dict[str, Any]


def split(p: Plan) -> Record | None:
    """Layers by place, llama.cpp's counts, seconds of a token and bytes of the host; None in one kind of memory."""
    model, machine, layout = p.question.model, p.machine, p.layout
    if not apart(machine, layout):
        return None
    hosted, moved = float(layout.host_layers), float(layout.host_experts)
    if machine.cards:
        cards = [
            {"card": card.accelerator, "layers": float(n)} for card, n in zip(machine.cards, layers_on(model, machine, layout), strict=True)
        ]
    else:
        cards = [{"card": machine.accelerator, "layers": model.n_layers - hosted}]
    held, seconds = p.serving.footprint, {name: float(s) for name, s in p.serving.decode.places}
    used = float(held.host_used(p.batch))
    return {
        "cards": cards,
        "host_layers": hosted,
        "host_experts": moved,
        "gpu_layers": model.n_layers + 1 - hosted,
        "n_cpu_moe": hosted + moved if moved else 0.0,
        "seconds": seconds,
        "limit": max(seconds, key=lambda name: seconds[name]),
        "host": None
        if not left(layout)
        else {
            "weights": float(held.host_weights),
            "cache": used - float(held.host_weights),
            "free": float(held.host_capacity) - used,
            "capacity": float(held.host_capacity),
        },
    }


def where(p: Plan) -> str:
    """What lies where, in words."""
    found = split(p)
    assert found is not None
    said = [f"{plural(one['layers'], 'layer')} on {one['card']}" for one in found["cards"] if one["layers"]]
    if found["host_layers"]:
        said.append(f"{found['host_layers']:.0f} on the host")
    if found["host_experts"]:
        said.append(f"the experts of {found['host_experts']:.0f} with the host")
    return ", ".join(said)


def blocks(p: Plan) -> Iterator[Block]:
    """Where a token's time goes, and what the host's memory holds."""
    found = split(p)
    if found is None:
        return
    worst = found["limit"]
    share = found["seconds"][worst] / sum(found["seconds"].values())
    yield Bar(
        key="",
        title="Where a token's time goes",
        unit="s",
        parts=found["seconds"],
        aside=f"one place after the other; {worst} takes {share:.0%}",
    )
    host = found["host"]
    if host is None:
        return
    yield Bar(
        key="",
        title="Memory of the host",
        unit="B",
        whole=host["capacity"],
        parts={k: host[k] for k in ("weights", "cache", "free")},
        aside="what its system does not keep; machine.host_capacity, host_bandwidth and host_compute are assumptions",
    )
    flags = "--n-gpu-layers {gpu_layers:whole}" + (" --n-cpu-moe {n_cpu_moe:whole}" if found["n_cpu_moe"] else "")
    values = {"gpu_layers": found["gpu_layers"], "n_cpu_moe": found["n_cpu_moe"]}
    yield Say(f"llama.cpp: {flags}", values, faint=True)
