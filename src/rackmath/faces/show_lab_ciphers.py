"""The screen and the chart of `lab ciphers`: avalanche curves, a difference table, characteristics held to pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..units import plural
from ..views.machine_terms import Node, count, product, quotient
from . import charts, records_lab_ciphers
from .export import Face
from .show import heading, indented, line, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..experiments.avalanche import Avalanche
    from ..experiments.differential import SBox
    from .ask_lab_ciphers import CiphersAnswer, Line

REACHED = (
    "Every bit reached: rounds until each output bit was seen to change with each input bit. All one half: until each"
    " does so half of the time."
)
TITLE = "Output bits flipped by one input bit"


def face(answer: CiphersAnswer) -> Face:
    """The faces of the answer."""
    return Face(
        record=lambda: records_lab_ciphers.record(answer),
        rows=lambda: records_lab_ciphers.rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=(lambda: chart(answer)) if answer.curves else None,
    )


def screen(c: Console, answer: CiphersAnswer) -> None:
    """Print the ciphers, the curves, the S-box and the characteristics, as far as they were asked for."""
    if len(answer.curves) == 1:
        one = answer.curves[0].cipher
        c.print(Text.assemble((one.name, "bold"), f"  {one.structure}, {one.block_bits}-bit blocks,"
                              f" {one.key_bits}-bit keys, {one.rounds} rounds"))  # fmt: skip
        c.print(Text(one.source, style="dim"))
    elif answer.curves:
        c.print(Text("Ciphers, and how many rounds they need to mix", style="bold"))
    if answer.curves:
        _avalanche(c, answer)
    if answer.box is not None:
        _box(c, answer)
    if answer.lines or answer.unfinished:
        _characteristics(c, answer)
    notes(c, answer.notes)


def _avalanche(c: Console, answer: CiphersAnswer) -> None:
    first = answer.curves[0]
    if len(answer.curves) > 1:
        table = numbers("cipher", "structure", "block", "key", "rounds", "every bit reached", "all one half")
        for one in answer.curves:
            e = one.cipher
            table.add_row(e.name, e.structure, str(e.block_bits), str(e.key_bits), str(e.rounds),
                          _after(one.diffused), _after(one.strict))  # fmt: skip
        c.print()
        indented(c, table, drop=("key", "structure"))
    c.print()
    c.print(Text.from_ansi(charts.draw(chart(answer), width=c.width, height=18, color=wants_colour(c))))
    c.print()
    said = REACHED if len(answer.curves) > 1 else _met(first)
    line(c, f"{said} [dim]One half is what strict avalanche asks of every pair of an input and an output bit;"
            f" {first.samples:,} random blocks tell it to ±{first.tolerance:.2g}.[/dim]")  # fmt: skip


def _after(rounds: int | None) -> str:
    return "never" if rounds is None else f"{rounds}"


def _met(one: Avalanche) -> str:
    """The two landmarks of one cipher in words."""
    if one.diffused is None:
        return f"Even after all {one.cipher.rounds} rounds some output bit never felt some input bit."
    strict = (
        "no entry passes for one half at the end" if one.strict is None else f"all are one half after {one.strict}"
    )
    return f"Every input bit reaches every output bit after {one.diffused} rounds; {strict}."


def chart(answer: CiphersAnswer) -> dict[str, Any]:
    """Of several ciphers the mean share of flipped bits; of one also the pairs reached and the worst entry."""
    ends = [one.strict or one.diffused or one.cipher.rounds for one in answer.curves]
    last = max(ends) + 3
    last = 16 if 12 < last < 16 else last  # ticks at whole rounds
    x = charts.Axis("Rounds", low=0, high=last)
    y = charts.Axis("Share", "share", low=0)
    if len(answer.curves) > 1:
        series: list[charts.Series] = []
        for one in answer.curves:
            name = one.cipher.name.partition("-")[0]  # sizes of key differ in the schedule only
            if name not in [s.name for s in series]:
                series.append(_series(name, one.flipped, last))
        return charts.curve(series, title=TITLE, x=x, y=y)
    one = answer.curves[0]
    series = [
        _series("output bits flipped, mean", one.flipped, last),
        _series("pairs of bits where one reaches the other", one.reached, last),
        _series("worst distance of a pair from one half", one.worst, last, "dashed"),
    ]
    return charts.curve(series, title=f"{one.cipher.name}: {TITLE.lower()}", x=x, y=y)


def _series(name: str, values: Any, last: int, look: str = "auto") -> charts.Series:
    shown = values[: last + 1].tolist()
    return charts.Series(name, list(range(len(shown))), shown, look=look)


def _box(c: Console, answer: CiphersAnswer) -> None:
    """The whole table of a small S-box, and for larger ones how often each count occurs."""
    from ..experiments.differential import difference_table, linear_table, uniformity

    box = answer.box
    assert box is not None
    table = difference_table(box)
    most, size = uniformity(table), len(box.values)
    heading(c, f"Difference table of {_called(box.name)}", f"{box.inputs} bits in, {box.outputs} out")
    if size <= 16:
        head = "".join(f"{b:>3x}" for b in range(table.shape[1]))
        c.print(Text(f"  in\\out{head}", style="dim"))
        for a, row in enumerate(table):
            text = Text(f"  {a:>6x}", style="dim")
            for value in row:
                style = "" if value < most or a == 0 else "bold yellow"
                text.append(f"{value if value else '·':>3}", style=style if value else "dim")
            c.print(text)
    else:
        counts = {v: int((table[1:] == v).sum()) for v in sorted({int(n) for n in table[1:].ravel()})}
        cells = numbers("inputs that follow", "cells", "share of the table")
        for value, cell in counts.items():
            cells.add_row(f"{value} of {size}", f"{cell:,}", f"{cell / table[1:].size:.1%}")
        indented(c, cells)
    bias = int(abs(linear_table(box)[1:]).max())
    line(c, f"Likeliest: {most} of {size} inputs, 2^−{-math.log2(most / size) + 0:.3g}."
            f" Largest linear bias: {bias} of {size // 2}.")  # fmt: skip


def _called(name: str) -> str:
    return {"present": "PRESENT's S-box", "aes": "the AES S-box"}.get(name, name.replace("des", "DES S-box "))


def _characteristics(c: Console, answer: CiphersAnswer) -> None:
    boxes = any(one.active is not None for one in answer.lines)
    known = any(one.published is not None for one in answer.lines)
    heading(c, "Best differential characteristics", "the likeliest there are, in −log2")
    names = ["rounds", *(["active S-boxes"] if boxes else []), "predicted",
             *(["published"] if known else []), "measured", "hits", "from", "to"]  # fmt: skip
    table = numbers(*names)
    for one in answer.lines:
        table.add_row(*_cells(one, boxes, known))
    indented(c, table, drop=("hits", "published"))
    if answer.unfinished is not None:
        rounds, weight = answer.unfinished
        line(c, f"[yellow]Stopped at {rounds} rounds: nothing below {weight:g} was found there;"
                " give a longer --limit.[/yellow]")  # fmt: skip
    if boxes:
        line(c, "[dim]Active S-boxes: the fewest with a difference, by a search of its own. Predicted: the product of"
                " the rounds, as if their keys were independent.[/dim]")  # fmt: skip
    first = next((one.measured for one in answer.lines if one.measured), None)
    if first is not None:
        line(c, f"[dim]Measured: {first.pairs:,} pairs under {first.keys} random keys; it counts every path from the"
                " first difference to the last, so it can be likelier than the one predicted. –: too rare for so many"
                " pairs.[/dim]")  # fmt: skip
    if answer.source and known:
        line(c, f"[dim]Published: {answer.source}[/dim]")


def _cells(one: Line, boxes: bool, known: bool) -> list[str]:
    c, m = one.characteristic, one.measured
    cells = [str(c.rounds)]
    if boxes:
        cells.append("–" if one.active is None else str(one.active))
    cells.append(f"{c.weight:.4g}")
    if known:
        cells.append("–" if one.published is None else f"{one.published:g}")
    cells.append("–" if m is None or not m.hits else f"{m.weight + 0:.2f}")
    cells.append("–" if m is None else f"{m.hits:,}")
    return [*cells, f"{c.differences[0]:x}", f"{c.differences[-1]:x}"]


def _box_tree(box: SBox) -> Node:
    """The likeliest step of an S-box: its largest count over its inputs."""
    from ..experiments.differential import difference_table, uniformity

    most = count("inputs that follow", uniformity(difference_table(box)))
    whole = count("inputs", len(box.values))
    return Node(name=_called(box.name), children=(quotient("likeliest difference", "", most, whole),))


def tree(answer: CiphersAnswer) -> Node:
    """Each characteristic as the product of its rounds' probabilities, beside landmarks of curves and S-box."""
    nodes = [
        Node(
            name=one.cipher.name,
            children=tuple(
                count(name, rounds)
                for name, rounds in (("rounds to full diffusion", one.diffused), ("rounds to one half", one.strict))
                if rounds is not None
            ),
            source=one.cipher.source,
        )
        for one in answer.curves
    ]
    if answer.box is not None:
        nodes.append(_box_tree(answer.box))
    for one in answer.lines:
        c, m = one.characteristic, one.measured
        rounds = (
            Node(name=f"round {i}", value=2.0**-w, note=f"2^−{w:g}, {c.differences[i - 1]:x} to {c.differences[i]:x}")
            for i, w in enumerate(c.weights, 1)
        )
        note = f"measured {m.probability:.4g}" if m else ""
        nodes.append(product(f"best over {plural(c.rounds, 'round')}", "", *rounds, note=note))
    return Node(name="ciphers", children=tuple(nodes))
