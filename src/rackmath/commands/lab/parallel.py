"""Networks under a cryptanalyst's questions: how one pixel spreads, and which difference changes the answer.

Group: How sure, and why
Example: rackmath lab parallel --recorded

Small networks learn handwritten digits; the same is asked of them, of untrained ones and of ciphers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from ...answers.charts import Axis, Series, curve
from ...answers.parts import Answer, Block, Chart, Column, Say, Table
from ...answers.terms import Term
from ...experiments import networks
from ...experiments.results import Net, Parallel
from ...questions.fields import Field, count, flag, needs_no

NETWORK, EFFORT = "Network", "Effort"
TITLE = "One pixel or bit changed: share of signs or bits that flip"
LAST = 12
"""Rounds drawn; ciphers go on."""

UNIVERSAL = (
    "Universal: one difference for all images, found on others the cryptanalyst's way: the network made linear, the"
    " likeliest entry of its difference table."
)


@dataclass(frozen=True, kw_only=True)
class LabParallel:
    """How large changes are, and how long networks learn."""

    sizes: Annotated[
        tuple[float, ...],
        Field(help="Changes per pixel to attack with, by commas.", unit="share", above=0, most=1, metavar="SHARES", panel=NETWORK),
        needs_no("recorded"),
    ] = (0.05, 0.1, 0.2, 0.3)
    epochs: Annotated[
        int, count("Passes over the digits in training.", least=1, most=1000, whole=True, panel=EFFORT), needs_no("recorded")
    ] = 20
    seed: Annotated[int, count("Where random numbers start.", most=1 << 31, whole=True, panel=EFFORT), needs_no("recorded")] = 0
    recorded: Annotated[bool, flag("Show figures measured before; needs no PyTorch.")] = False


def answer(q: LabParallel) -> Answer:
    """Networks and ciphers under the same questions, measured here or before."""
    p = networks.parallel(recorded=q.recorded, sizes=q.sizes, epochs=q.epochs, seed=q.seed)
    words = f"64 pixels, one token each, {len(p.nets[0].jacobian)} rounds; handwritten digits"
    return Answer(
        title=Say("*Networks under a cryptanalyst's questions*"),
        subtitle=f"{words} · {p.made.machine}, torch {p.made.torch}, {p.made.date}",
        blocks=tuple(_blocks(p)),
        table=lambda: _rows(p),
        data={
            "made": asdict(p.made),
            "networks": [asdict(n) for n in p.nets],
            "attacks": [asdict(a) for a in p.attacks],
            "differentials": [asdict(d) for d in p.differentials],
            "ciphers": [asdict(c) for c in p.ciphers],
        },
        terms=lambda: _terms(p),
        subject=p,
    )


def _rows(p: Parallel) -> list[dict[str, Any]]:
    """One row for each round of each network and cipher."""
    rows: list[dict[str, Any]] = [
        {
            "name": n.kind,
            "trained": n.trained,
            "round": i,
            "flipped": flipped,
            "touched": n.touched[i],
            "size": n.size[i],
            "jacobian": n.jacobian[i - 1] if i else None,
        }
        for n in p.nets
        for i, flipped in enumerate(n.flipped)
    ]
    for c in p.ciphers:
        rows += [{"name": c.name, "trained": None, "round": i, "flipped": share} for i, share in enumerate(c.flipped)]
    return rows


def _name(net: Net) -> str:
    return f"{net.kind}, {'trained' if net.trained else 'random'}"


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(p: Parallel) -> Iterator[Block]:
    yield _headline(p)
    columns = (
        Column("name", "network"),
        Column("accuracy", "accuracy", "percent"),
        Column("touched", "tokens touched", "percent"),
        Column("flipped", "signs flipped", "share"),
        Column("median", "stretch, median", "number", optional=1),
        Column("largest", "largest", "number", optional=2),
    )
    rows = [
        {
            "name": _name(n),
            "accuracy": n.accuracy,
            "touched": n.touched[-1],
            "flipped": n.flipped[-1],
            "median": sorted(n.jacobian)[len(n.jacobian) // 2],
            "largest": max(n.jacobian),
        }
        for n in p.nets
    ]
    aside = "shares after the last round; stretch: spectral norm of a round's Jacobian"
    yield Table(key="", title="One pixel changed", aside=aside, columns=columns, rows=rows)
    yield Chart(spec=_spread_picture(p), lines=18)
    yield Chart(spec=_stretch_picture(p), lines=0)
    yield Table(
        key="",
        title="Answers changed",
        aside="share of unseen images whose class changes, by change per pixel",
        columns=(
            Column("kind", "network"),
            Column("size", "change", "number"),
            Column("gradient_sign", "gradient sign (FGSM)", "percent"),
            Column("differential", "universal", "percent"),
            Column("random", "random signs", "percent"),
        ),
        rows=[asdict(a) for a in p.attacks],
    )
    yield Say(UNIVERSAL, faint=True)
    yield Chart(spec=_attack_picture(p), lines=0)
    yield Table(
        key="",
        title="The best differential",
        aside="one input difference, and the class it leads to",
        columns=(
            Column("kind", "network"),
            Column("size", "change", "number"),
            Column("towards", "to digit", "whole"),
            Column("probability", "chosen on", "percent"),
            Column("unseen", "unseen", "percent"),
            Column("random", "random difference", "percent", optional=1),
            Column("rises", "score rises", "percent", optional=2),
        ),
        rows=[asdict(d) for d in p.differentials],
    )


def _headline(p: Parallel) -> Say:
    tame = max(n.flipped[-1] for n in p.nets if n.trained)
    wild = min(one.flipped[-1] for one in p.ciphers)
    everywhere = all(n.touched[-1] > 0.99 for n in p.nets if n.trained and n.kind != "residual-free")
    reach = f"{'reaches every' if everywhere else 'does not reach every'} token of trained networks with residuals"
    text = (
        f"*One pixel {reach} and flips at most {{tame:share}} of its signs; one bit flips {{wild:percent}} of a"
        " cipher's bits.* Both mix all with all: the cipher to hide a difference, the network to keep it tame."
    )
    return Say(text, {"tame": tame, "wild": wild})


# --- pictures -------------------------------------------------------------------------------------------------------


def _spread_picture(p: Parallel) -> dict[str, Any]:
    """Flipped shares against rounds: ciphers, trained networks, and dashed the random one that spreads most."""
    series = [Series(one.name, list(range(min(LAST, len(one.flipped) - 1) + 1)), one.flipped[: LAST + 1]) for one in p.ciphers]
    series += [
        Series(_name(n), list(range(len(n.flipped))), n.flipped, "line" if n.trained else "dashed")
        for n in p.nets
        if n.trained or n.kind == "residual-free"
    ]
    return curve(series, title=TITLE, x=Axis("Rounds", low=0, high=LAST), y=Axis("Flipped", "share", low=0))


def _stretch_picture(p: Parallel) -> dict[str, Any]:
    """How far each round stretches a difference."""
    stretched = [Series(_name(n), list(range(1, len(n.jacobian) + 1)), n.jacobian, "line" if n.trained else "dashed") for n in p.nets]
    title = "Largest stretch of a small difference in a round"
    return curve(stretched, title=title, x=Axis("Rounds"), y=Axis("Stretch", log=True))


def _attack_picture(p: Parallel) -> dict[str, Any]:
    """Which differences change answers."""
    changed = []
    for kind in dict.fromkeys(a.kind for a in p.attacks):
        mine = [a for a in p.attacks if a.kind == kind]
        sizes = [a.size for a in mine]
        changed += [
            Series(f"{kind}, gradient sign", sizes, [a.gradient_sign for a in mine]),
            Series(f"{kind}, universal", sizes, [a.differential for a in mine], "dashed"),
        ]
    y = Axis("Answers changed", "share", low=0)
    return curve(changed, title="Answers changed", x=Axis("Change per pixel"), y=y)


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(p: Parallel) -> Term:
    """Flipped shares round by round, of every network and cipher."""
    source = f"measured: {p.made.machine}, torch {p.made.torch}, {p.made.date}"
    found = [(_name(n), n.flipped) for n in p.nets] + [(one.name, one.flipped) for one in p.ciphers]
    return Term(
        name="share of signs or bits flipped",
        children=tuple(
            Term(
                name=words,
                children=tuple(Term(name=f"after round {i}", value=share, unit="share", source=source) for i, share in enumerate(shares)),
            )
            for words, shares in found
        ),
    )
