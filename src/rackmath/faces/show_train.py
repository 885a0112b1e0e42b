"""The screen of `train`: the run, its step by cause, memory, the front from fast to cheap, and what would move it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..search.train import moves, shares
from ..training.uncertainty import training_interval
from ..units import plural, show
from . import charts, explain_train, records_train
from .export import Face
from .show import BETWEEN, bar, between, heading, indented, line, money, notes, numbers

if TYPE_CHECKING:
    from ..search.train import Run
    from .ask_train import TrainAnswer

FRONTIER = {
    "none": "keep everything", "selective": "recompute scores", "full": "recompute layers",
    "reversible": "reversible blocks", "offload": "move to host memory",
}  # fmt: skip


def face(answer: TrainAnswer) -> Face:
    """All faces of the answer."""
    return Face(
        record=lambda: records_train.record(answer),
        rows=lambda: records_train.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: explain_train.tree(answer),
        chart=lambda: chart(answer),
    )


def screen(c: Console, answer: TrainAnswer) -> None:
    """Print the run."""
    job, best = answer.job, answer.best
    assert best is not None
    c.print(Text.assemble("Training ", (job.model.name, "bold"), " on ", (job.machine.name, "bold")))
    price = float(job.machine.price_per_hour)
    what = (
        f"{show(job.tokens, 'tokens')} · {job.batch.seq:,.0f} a sequence · {show(float(job.batch.tokens), 'tokens')}"
        f" a step · {job.recipe.name} products · {job.constants.name} software"
    )
    c.print(Text(what + (f" · {money(price)} per GPU-hour" if price else " · no price known"), style="dim"))
    heading(c, "The layout asked about" if answer.found is None else "Fastest", best.layout.label())
    _figures(c, best)
    _step(c, best)
    _memory(c, best)
    if answer.found is not None:
        _front(c, answer)
    if answer.frontier:
        _frontier(c, answer)
    _moves(c, best)
    notes(c, _notes(answer))


def _figures(c: Console, r: Run) -> None:
    table = numbers("", "estimate", BETWEEN, "bound", title_width=28)
    bound = float(r.step.bound)
    error = training_interval()

    def row(name: str, value: float, unit: str, best: float, scale: float = 1.0, tail: str = "") -> None:
        ends = error.around(value / scale, best / scale)
        said = "" if ends is None else span((float(ends[0]), float(ends[1])), unit) + tail
        table.add_row(name, text(value / scale, unit) + tail, said, text(best / scale, unit) + tail)

    row("step", r.seconds, "s", bound)
    table.add_row("MFU, causal attention", f"{r.mfu:.1%}", "", "")
    if abs(r.mfu / r.mfu_bf16 - 1) > 0.01:
        table.add_row("the same over the 16-bit peak", f"{r.mfu_bf16:.1%}", "", "")
    table.add_row("tokens/s per GPU", f"{r.tokens_per_device:,.0f}", "", "")
    useful = bound / r.seconds * r.goodput
    row(f"days, {r.steps:,.0f} steps", r.days, "", r.days * useful)
    if r.dollars:
        scale, tail = (1e6, " M") if r.dollars >= 1e6 else (1.0, "")
        row("cost", r.dollars, "$", r.dollars * useful, scale, tail)
    if r.kwh:
        table.add_row("energy", show(r.kwh * 1e3, "Wh"), "", "")
    indented(c, table)
    line(c, f"[dim]{error.reason}[/]")
    lost = r.lost
    if lost is not None:
        parts = {"restarts": lost.restarting, "steps repeated": lost.repeating, "checkpoints": lost.saving}
        line(
            c,
            f"[dim]{r.goodput:.1%} of paid time trains; lost to "
            + ", ".join(f"{k} {float(v):.1%}" for k, v in parts.items())
            + "[/]",
        )


def span(ends: tuple[float, float], unit: str) -> str:
    """An interval of the table of figures."""
    return between(ends, unit) if unit else f"{ends[0]:,.1f} to {ends[1]:,.1f}"


def text(value: float, unit: str) -> str:
    """A value of the table of figures."""
    return money(value) if unit == "$" else show(value, unit) if unit else f"{value:,.1f}"


def _step(c: Console, r: Run) -> None:
    parts = {k: v for k, v in shares(r.step).items() if v > 0.002 * r.seconds}
    binding = max(parts, key=lambda k: parts[k])
    heading(c, "What binds", f"{binding}: {parts[binding] / r.seconds:.0%} of a step")
    bar(c, dict(sorted(parts.items(), key=lambda p: -p[1])[:5]), unit="s", total=r.seconds)
    rest = sorted(parts.items(), key=lambda p: -p[1])[5:]
    if rest:
        line(c, "[dim]and " + ", ".join(f"{k} {show(v, 's')}" for k, v in rest) + "[/]")
    bubble = float(r.step.bubble) / r.seconds
    if bubble > 0.001:
        line(c, f"[dim]{r.layout.schedule}: {float(r.step.micro_batches):,.0f} micro-batches, bubble {bubble:.1%}[/]")


def _memory(c: Console, r: Run) -> None:
    m = r.memory
    room = float(m.capacity)
    heading(c, "Memory of the fullest device", f"{show(float(m.peak), 'B')} of {show(room, 'B')}")
    full = m.fullest
    factor = m.fragmentation
    parts = {
        "weights": full.weights, "gradients": full.gradients, "optimizer": full.optimizer,
        "activations": full.activations, "buffers and reserve": full.buffers,
    }  # fmt: skip
    shown = {k: float(v) * factor for k, v in parts.items()}
    shown["buffers and reserve"] += m.reserved
    bar(c, shown, unit="B", total=room)
    if float(r.layout.pp) > 1:
        first, second, last = (show(float(x.total) * factor + m.reserved, "B") for x in (m.first, m.second, m.last))
        flying = f"{float(m.in_flight):,.3g} micro-batches in flight"
        line(c, f"[dim]first stage {first} with {flying}, second {second}, last {last}[/]")


def _front(c: Console, answer: TrainAnswer) -> None:
    found = answer.found
    assert found is not None
    heading(c, "From fast to cheap", f"{found.evaluated:,} layouts tried, {found.fitting:,} fit")
    table = numbers("layout", "devices", "days", "cost", "MFU", "memory", title_width=30)
    for r in found.front:
        cost = "-" if not r.dollars else money(r.dollars / 1e6) + " M" if r.dollars >= 1e6 else money(r.dollars)
        words = f"{r.layout.label()} {r.layout.schedule if float(r.layout.pp) > 1 else ''}"
        table.add_row(
            words, f"{r.devices:,.0f}", f"{r.days:,.1f}", cost, f"{r.mfu:.1%}", show(float(r.memory.peak), "B")
        )
    indented(c, table)


def _frontier(c: Console, answer: TrainAnswer) -> None:
    heading(
        c, "Memory against compute", "this layout, activations kept in other ways; beside it what the lab measured"
    )
    table = numbers("", "kept", "peak", "compute", "share", "lab kept", "lab time", title_width=19)
    whole = next((float(x.activations) for x in answer.frontier if x.recompute == "none"), 0.0)
    measured = _measured()
    for choice in answer.frontier:
        kept, time = measured.get("every" if choice.recompute.startswith("every") else choice.recompute, ("", ""))
        share = f"{float(choice.activations) / whole:.1%}" if whole else ""
        table.add_row(
            way(choice.recompute), show(float(choice.activations), "B"), show(float(choice.peak), "B"),
            f"{1 + choice.extra_compute:.2f}x", share, kept, time,
        )  # fmt: skip
    indented(c, table)
    line(
        c, "[dim]lab: a small transformer on this project's own machine, its deepest setting (rackmath lab memory)[/]"
    )


def way(recompute: str) -> str:
    """A choice of recomputation in words.

    >>> way("none"), way("every 6")
    ('keep everything', 'keep every 6')
    """
    return FRONTIER.get(recompute, f"keep {recompute}")


LAB = {"stored": "none", "checkpointed": "full", "square root": "every", "reversible": "reversible"}
"""What the lab calls each way, and the choice of recomputation that predicts it."""


def _measured() -> dict[str, tuple[str, str]]:
    """Share of stored bytes and time over keeping everything, as the lab recorded them at its largest depth."""
    from ..experiments.results import recorded_memory

    depths = recorded_memory().depths
    most = max(d.layers for d in depths)
    deepest = {d.way: d for d in depths if d.layers == most}
    whole = deepest["stored"]
    return {
        LAB[way]: (f"{d.saved / whole.saved:.1%}", f"{d.step / whole.step:.2f}x")
        for way, d in deepest.items()
        if way in LAB
    }


def _moves(c: Console, r: Run) -> None:
    found = sorted(moves(r).items(), key=lambda p: p[1])
    signed = ((name, f"{change:+.1%}".replace("-", "−")) for name, change in found if abs(change) > 0.0005)
    said = ", ".join(f"{name} {change}" for name, change in signed)
    heading(c, "What would move the time of a token")
    line(c, said or "nothing listed here")


def _notes(answer: TrainAnswer) -> list[str]:
    r = answer.best
    assert r is not None
    said = [
        f"computed for {plural(r.devices, 'device')}, billed in whole domains; the bound grants every kernel its"
        " peak, perfect overlap, no recomputation and no bubble"
    ]
    if r.lost is not None:
        said.append(
            "failures are as frequent as those of Llama 3 405B (one in 3 hours of 16,384 devices); --goodput replaces"
            " them"
        )
    return [*said, *answer.notes]


def chart(answer: TrainAnswer) -> dict[str, Any]:
    """Days against dollars over the front, or memory against compute where that was asked for."""
    if answer.frontier:
        points = answer.frontier
        names = [way(p.recompute) for p in points]
        return charts.scatter(
            [charts.Series(n, [1 + p.extra_compute], [float(p.peak)]) for n, p in zip(names, points, strict=True)],
            title=f"{answer.job.model.name}: memory against compute",
            x=charts.Axis("Compute of a step over three passes", "x"),
            y=charts.Axis("Fullest device", "bytes"),
        )
    runs = list(answer.found.front) if answer.found is not None else [r for r in (answer.best,) if r is not None]
    priced = all(r.dollars for r in runs)
    scale, unit = (1e6, "M$") if max(r.dollars for r in runs) >= 1e6 else (1.0, "$")
    prices = [r.dollars / scale if priced else r.devices * r.days for r in runs]
    return charts.curve(
        [
            charts.Series(
                "layouts", [r.days for r in runs],
                prices,
                labels=[f"{r.devices:,.0f} devices: {r.layout.label()}" for r in runs],
            )
        ],
        title=f"{answer.job.model.name} on {answer.job.machine.name}: from fast to cheap",
        x=charts.Axis("Days", log=True),
        y=charts.Axis("Cost", unit) if priced else charts.Axis("Device-days"),
        marks=[charts.Mark(f"{r.devices:,.0f}", r.days, y) for r, y in zip(runs, prices, strict=True)],
    )  # fmt: skip
