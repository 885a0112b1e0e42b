"""The screen, chart and tree of `lab memory`: memory against depth, time, rebuilt inputs, loss curves."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..experiments.results import agreement, growth, predicted_ratio, time_ratio
from ..units import show
from ..views.machine_terms import Node, stated
from . import charts, records_lab_networks
from .export import Face
from .show import heading, indented, line, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..experiments.results import Depth
    from .ask_lab_networks import MemoryAnswer

WAYS = {
    "stored": "stored",
    "checkpointed": "checkpoint each layer",
    "square root": "checkpoint each square root",
    "reversible": "reversible",
    "residual": "one stream, stored",
}
TITLE = "Activations that a training step stores"


def face(answer: MemoryAnswer) -> Face:
    """The faces of the answer."""
    return Face(
        record=lambda: records_lab_networks.memory(answer),
        rows=lambda: records_lab_networks.memory_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


def screen(c: Console, answer: MemoryAnswer) -> None:
    """Print what reversible layers save, what they cost, and how far the rebuilt input is off."""
    m = answer.memory
    least, most = _ends(answer)
    c.print(Text("Reversible networks: memory against depth", style="bold"))
    words = f"a transformer of width {m.width}, {m.batch} sequences of {m.context} tokens"
    c.print(Text(f"{words} · {m.made.machine}, torch {m.made.torch}, {m.made.date}", style="dim"))
    c.print()
    held = [_at(answer, "reversible", layers).saved for layers in (least, most)]
    same = f"{show(held[0], 'B')} at {least} layers and at {most}" if held[0] == held[1] else (
        f"{show(held[0], 'B')} at {least} layers and {show(held[1], 'B')} at {most}"
    )  # fmt: skip
    ratio, expected = time_ratio(m.depths), predicted_ratio(m.depths)
    line(
        c,
        f"[bold]Reversible layers store {same}; stored activations grow {growth(m.depths, 'stored'):.1f}x. A step"
        f" takes {ratio:.2f}x as long[/] [dim]({expected:.2f}x expected from the forward pass it repeats; 4/3 where"
        " a backward pass takes as long as two forward ones)[/]",
        indent=0,
    )
    heading(c, "Stored by the forward pass", "bytes that wait for the backward pass, parameters left out")
    _depths(c, answer)
    c.print()
    c.print(Text.from_ansi(charts.draw(memory_chart(answer), width=c.width, height=16, color=wants_colour(c))))
    heading(c, f"At {most} layers", "time against stored: median of the depths")
    _ways(c, answer, most)
    heading(c, "The rebuilt input", "largest error after so many toy layers, tanh of a random matrix, and back")
    _rebuilt(c, answer)
    if m.curves:
        heading(c, f"Trained for {m.steps} steps", "on Python's language reference; loss in nats per byte")
        _curves(c, answer)
    notes(c, answer.notes)


def _ends(answer: MemoryAnswer) -> tuple[int, int]:
    found = [d.layers for d in answer.memory.depths]
    return min(found), max(found)


def _at(answer: MemoryAnswer, way: str, layers: int) -> Depth:
    return next(d for d in answer.memory.depths if d.way == way and d.layers == layers)


def _depths(c: Console, answer: MemoryAnswer) -> None:
    every = sorted({d.layers for d in answer.memory.depths})
    table = numbers("way", *(f"{layers} layers" for layers in every))
    for way, words in WAYS.items():
        table.add_row(words, *(show(_at(answer, way, layers).saved, "B") for layers in every))
    indented(c, table)


def _ways(c: Console, answer: MemoryAnswer, layers: int) -> None:
    table = numbers("way", "stored", "held at once", "step", "time")
    for way, words in WAYS.items():
        d, ratio = _at(answer, way, layers), time_ratio(answer.memory.depths, way)
        table.add_row(words, show(d.saved, "B"), show(d.peak, "B"), show(d.step, "s"), f"{ratio:.2f}x")
    indented(c, table)
    line(
        c, "[dim]Held at once: the peak of a step with its gradients, which a reversible sequence hands over last.[/]"
    )


def _rebuilt(c: Console, answer: MemoryAnswer) -> None:
    found = answer.memory.rebuilt
    table = numbers("layers", *found[0].error)
    for r in found:
        table.add_row(str(r.layers), *("0" if e == 0 else f"{e:.1e}" for e in r.error.values()))
    indented(c, table)


def _curves(c: Console, answer: MemoryAnswer) -> None:
    m = answer.memory
    runs = {way: [x for x in m.curves if x.way == way] for way in ("stored", "reversible", "residual")}
    table = numbers("way", "first", "last", "left out", "seeds ±", "against stored", "same seed")
    for way, some in runs.items():
        ends = [statistics.fmean(x.training[i] for x in some) for i in (0, -1)] if some[0].training else []
        left_out = [x.held_out for x in some]
        row = [*(f"{e:.3f}" for e in ends), *["–"] * (2 - len(ends)), f"{statistics.fmean(left_out):.4f}"]
        row.append(f"{statistics.stdev(left_out):.4f}")
        if way != "stored":
            found = agreement(runs["stored"], some)
            row += [f"{found.difference:+.4f}", f"{found.pairs:.1g}"]
        table.add_row(WAYS[way], *row)
    indented(c, table)
    twin = agreement(runs["stored"], runs["reversible"])
    verdict = "agree within" if twin.within else "differ by more than"
    line(
        c,
        f"[dim]Stored and reversible twins {verdict} the noise of seeds (±{twin.noise:.4f}); of one seed they end"
        f" {twin.pairs:.1g} apart at most. The one-stream network is another network of the same parameters.[/]",
    )


def memory_chart(answer: MemoryAnswer) -> dict[str, Any]:
    """Bytes saved against layers, a line for each way."""
    points = answer.memory.depths
    series = []
    for way, words in WAYS.items():
        if way != "residual":
            mine = [d for d in points if d.way == way]
            series.append(charts.Series(words, [d.layers for d in mine], [d.saved for d in mine]))
    return charts.curve(
        series, title=TITLE, x=charts.Axis("Layers", log=True), y=charts.Axis("Stored", "B", log=True)
    )


def chart(answer: MemoryAnswer) -> dict[str, Any]:
    """Memory against depth, the error of the rebuilt input, and loss curves where networks were trained."""
    m = answer.memory
    errors = [
        charts.Series(name, [r.layers for r in m.rebuilt], [-math.log10(r.error[name]) for r in m.rebuilt])
        for name in m.rebuilt[0].error
        if all(r.error[name] > 0 for r in m.rebuilt)
    ]
    parts = [
        memory_chart(answer),
        charts.curve(
            errors, title="The rebuilt input; fixed point loses nothing", x=charts.Axis("Layers", log=True),
            y=charts.Axis("Decimal digits kept"),
        ),
    ]  # fmt: skip
    if m.curves and m.curves[0].training:
        series = []
        for way, look in (("reversible", "dashed"), ("stored", "line"), ("residual", "line")):
            runs = [x.training for x in m.curves if x.way == way]
            steps = [(i + 0.5) * m.stretch for i in range(len(runs[0]))]
            series.append(
                charts.Series(WAYS[way], steps, [statistics.fmean(p) for p in zip(*runs, strict=True)], look)
            )
        least = min(min(one.y) for one in series)
        loss = charts.Axis("Training loss", "nats per byte", low=0.9 * least)
        parts.append(charts.curve(series, title="Mean loss over the seeds", x=charts.Axis("Step"), y=loss))
    return charts.stack(parts, title="Reversible networks, measured")


def tree(answer: MemoryAnswer) -> Node:
    """Stored bytes of each way at each depth, and the time a repeated forward pass adds."""
    m = answer.memory
    source = f"measured: {m.made.machine}, torch {m.made.torch}, {m.made.date}"
    ways = [
        Node(
            name=words,
            children=tuple(
                Node(name=f"{d.layers} layers", value=float(d.saved), unit="B", source=source)
                for d in m.depths
                if d.way == way
            ),
        )
        for way, words in WAYS.items()
    ]
    last = _at(answer, "stored", _ends(answer)[1])
    added = stated(
        "quotient", "expected time over stored", (last.forward + last.step) / last.step, "",
        stated("sum", "a step and one more forward pass", last.forward + last.step, "s",
               Node(name="step, stored", value=last.step, unit="s", source=source),
               Node(name="forward pass", value=last.forward, unit="s", source=source)),
        Node(name="step, stored", value=last.step, unit="s", source=source),
    )  # fmt: skip
    measured = Node(name="measured time over stored", value=time_ratio(m.depths), note="median of the depths")
    return Node(name="reversible networks", children=(*ways, added, measured))
