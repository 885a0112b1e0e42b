"""The screen, chart and tree of `lab parallel`: how differences spread, and which change the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..views.machine_terms import Node
from . import charts, records_lab_networks
from .export import Face
from .show import heading, indented, line, notes, numbers, wants_colour

if TYPE_CHECKING:
    from ..experiments.results import Net
    from .ask_lab_networks import ParallelAnswer

TITLE = "One pixel or bit changed: share of signs or bits that flip"
LAST = 12
"""Rounds drawn; ciphers go on."""


def face(answer: ParallelAnswer) -> Face:
    """The faces of the answer."""
    return Face(
        record=lambda: records_lab_networks.parallel(answer),
        rows=lambda: records_lab_networks.parallel_rows(answer),
        screen=lambda c: screen(c, answer),
        tree=lambda: tree(answer),
        chart=lambda: chart(answer),
    )


def name(net: Net) -> str:
    """A network in words."""
    return f"{net.kind}, {'trained' if net.trained else 'random'}"


def screen(c: Console, answer: ParallelAnswer) -> None:
    """Print how differences spread in networks and ciphers, and the differences that change answers."""
    p = answer.parallel
    c.print(Text("Networks under a cryptanalyst's questions", style="bold"))
    words = f"64 pixels, one token each, {len(p.nets[0].jacobian)} rounds; handwritten digits"
    c.print(Text(f"{words} · {p.made.machine}, torch {p.made.torch}, {p.made.date}", style="dim"))
    c.print()
    tame = max(n.flipped[-1] for n in p.nets if n.trained)
    wild = min(one.flipped[-1] for one in p.ciphers)
    everywhere = all(n.touched[-1] > 0.99 for n in p.nets if n.trained and n.kind != "residual-free")
    reach = f"{'reaches every' if everywhere else 'does not reach every'} token of trained networks with residuals"
    line(
        c,
        f"[bold]One pixel {reach} and flips at most {tame:.1%} of its signs; one bit flips {wild:.0%} of a cipher's"
        " bits.[/] Both mix all with all: the cipher to hide a difference, the network to keep it tame.",
        indent=0,
    )
    heading(c, "One pixel changed", "shares after the last round; stretch: spectral norm of a round's Jacobian")
    table = numbers("network", "told", "tokens touched", "signs flipped", "stretch, median", "largest")
    for n in p.nets:
        ordered = sorted(n.jacobian)
        table.add_row(
            name(n), f"{n.accuracy:.0%}", f"{n.touched[-1]:.0%}", f"{n.flipped[-1]:.1%}",
            f"{ordered[len(ordered) // 2]:.3g}", f"{ordered[-1]:.3g}",
        )  # fmt: skip
    indented(c, table)
    c.print()
    c.print(Text.from_ansi(charts.draw(spread_chart(answer), width=c.width, height=18, color=wants_colour(c))))
    heading(c, "Answers changed", "share of unseen images whose class changes, by change per pixel")
    table = numbers("network", "change", "own gradient's sign", "one for all", "random signs")
    for a in p.attacks:
        table.add_row(
            a.kind, f"{a.size:g}", f"{a.gradient_sign:.0%}", f"{a.differential:.0%}", f"{a.random:.0%}"
        )  # fmt: skip
    indented(c, table)
    line(
        c,
        "[dim]One for all: a differential, found on other images the cryptanalyst's way: the network made linear, the"
        " likeliest entry of its difference table.[/]",
    )
    heading(c, "The best differential", "one input difference, and the class it leads to")
    table = numbers("network", "change", "to digit", "chosen on", "unseen", "random difference", "score rises")
    for d in p.differentials:
        table.add_row(
            d.kind, f"{d.size:g}", str(d.towards), f"{d.probability:.0%}", f"{d.unseen:.0%}", f"{d.random:.0%}",
            f"{d.rises:.0%}",
        )  # fmt: skip
    indented(c, table)
    notes(c, answer.notes)


def spread_chart(answer: ParallelAnswer) -> dict[str, Any]:
    """Flipped shares against rounds: ciphers, trained networks, and dashed the random one that spreads most."""
    p = answer.parallel
    series = [
        charts.Series(one.name, list(range(min(LAST, len(one.flipped) - 1) + 1)), one.flipped[: LAST + 1])
        for one in p.ciphers
    ]
    series += [
        charts.Series(name(n), list(range(len(n.flipped))), n.flipped, "line" if n.trained else "dashed")
        for n in p.nets
        if n.trained or n.kind == "residual-free"
    ]
    return charts.curve(
        series, title=TITLE, x=charts.Axis("Rounds", low=0, high=LAST), y=charts.Axis("Flipped", "share", low=0)
    )


def chart(answer: ParallelAnswer) -> dict[str, Any]:
    """How a difference spreads, how far each round stretches it, and which differences change answers."""
    p = answer.parallel
    stretched = [
        charts.Series(name(n), list(range(1, len(n.jacobian) + 1)), n.jacobian, "line" if n.trained else "dashed")
        for n in p.nets
    ]
    changed = []
    for kind in dict.fromkeys(a.kind for a in p.attacks):
        mine = [a for a in p.attacks if a.kind == kind]
        sizes = [a.size for a in mine]
        changed += [
            charts.Series(f"{kind}, own gradient", sizes, [a.gradient_sign for a in mine]),
            charts.Series(f"{kind}, one for all", sizes, [a.differential for a in mine], "dashed"),
        ]
    rounds, share = charts.Axis("Rounds"), charts.Axis("Answers changed", "share", low=0)
    stretch = charts.Axis("Stretch", log=True)
    return charts.stack(
        [
            spread_chart(answer),
            charts.curve(stretched, title="Largest stretch of a small difference in a round", x=rounds, y=stretch),
            charts.curve(changed, title="Answers changed", x=charts.Axis("Change per pixel"), y=share),
        ],
        title="Networks and ciphers under the same questions",
    )


def tree(answer: ParallelAnswer) -> Node:
    """Flipped shares round by round, of every network and cipher."""
    p = answer.parallel
    source = f"measured: {p.made.machine}, torch {p.made.torch}, {p.made.date}"
    found = [(name(n), n.flipped) for n in p.nets] + [(one.name, one.flipped) for one in p.ciphers]
    return Node(
        name="share of signs or bits flipped",
        children=tuple(
            Node(
                name=words,
                children=tuple(
                    Node(name=f"after round {i}", value=share, unit="share", source=source)
                    for i, share in enumerate(shares)
                ),
            )
            for words, shares in found
        ),
    )
