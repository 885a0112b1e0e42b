"""Reversible networks measured: memory and time against depth, error of the rebuilt input, loss curves.

Group: How sure, and why
Example: rackmath lab memory --recorded

A transformer is trained a step at each depth: with activations stored, checkpointed, and rebuilt by inverting.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from ...answers.charts import Axis, Series, curve
from ...answers.parts import Answer, Block, Chart, Column, Say, Table
from ...answers.terms import Term, stated
from ...experiments import networks
from ...experiments.results import Depth, LossCurve, ReversibleMemory, agreement, growth, losses, predicted_ratio, time_ratio
from ...questions.fields import count, flag, needs_no, tokens

NETWORK, EFFORT = "Network", "Effort"
WAYS = {
    "stored": "stored",
    "checkpointed": "checkpoint each layer",
    "square root": "checkpoint each square root",
    "reversible": "reversible",
    "residual": "one stream, stored",
}
TITLE = "Activations that a training step stores"
TIMES = "times are of the processor on one thread, or of the CUDA device where there is one"
VARY = "small networks on a busy machine vary by some percent from run to run"
SAID = (
    "*Reversible layers store {kept}; stored activations grow {growth:times}. A step takes {ratio:x2} as long*"
    " ({expected:x2} expected from the forward pass it repeats; 4/3 where a backward pass takes as long as two"
    " forward ones)"
)
ONCE = "Held at once: the peak of a step with its gradients, which a reversible sequence hands over last."


@dataclass(frozen=True, kw_only=True)
class LabMemory:
    """Which networks, and whether to train them."""

    depths: Annotated[
        tuple[int, ...],
        count("Numbers of layers, by commas.", least=1, most=512, metavar="COUNTS", whole=True, panel=NETWORK),
        needs_no("recorded"),
    ] = (2, 4, 8, 16)
    width: Annotated[
        int, count("Width of a stream, a multiple of 4.", least=4, most=4096, whole=True, panel=NETWORK), needs_no("recorded")
    ] = 64
    context: Annotated[int, tokens("Tokens of a sequence.", least=2, most=1 << 14, whole=True, panel=NETWORK), needs_no("recorded")] = 64
    batch: Annotated[int, count("Sequences of a step.", least=1, most=4096, whole=True, panel=NETWORK), needs_no("recorded")] = 8
    steps: Annotated[
        int,
        count(
            "Also train three small networks for so many steps on text that Python brings along.", most=100_000, whole=True, panel=EFFORT
        ),
        needs_no("recorded"),
    ] = 0
    seeds: Annotated[int, count("Runs of each, for the noise.", least=2, most=100, whole=True, panel=EFFORT), needs_no("recorded")] = 4
    recorded: Annotated[bool, flag("Show figures measured before; needs no PyTorch.")] = False


def answer(q: LabMemory) -> Answer:
    """What reversibility saves and costs, measured here or before."""
    m = networks.memory(recorded=q.recorded, depths=q.depths, width=q.width, context=q.context, batch=q.batch, steps=q.steps, seeds=q.seeds)
    words = f"a transformer of width {m.width}, {m.batch} sequences of {m.context} tokens"
    return Answer(
        title=Say("*Reversible networks: memory against depth*"),
        subtitle=f"{words} · {m.made.machine}, torch {m.made.torch}, {m.made.date}",
        blocks=tuple(_blocks(m)),
        table=lambda: [asdict(d) for d in m.depths],
        data=_data(m),
        terms=lambda: _terms(m),
        notes=(TIMES,) if q.recorded else (TIMES, VARY),
        subject=m,
    )


def _data(m: ReversibleMemory) -> dict[str, Any]:
    """Bytes, seconds, nats per byte of text."""
    ways = list(dict.fromkeys(d.way for d in m.depths))
    return {
        "made": asdict(m.made),
        "width": m.width,
        "context": m.context,
        "batch": m.batch,
        "depths": [asdict(d) for d in m.depths],
        "growth": {way: {what: growth(m.depths, way, what) for what in ("saved", "peak")} for way in ways},
        "time_ratio": {way: time_ratio(m.depths, way) for way in ways},
        "predicted_time_ratio": predicted_ratio(m.depths),
        "rebuilt": [{"layers": r.layers, "error": dict(r.error)} for r in m.rebuilt],
        "training": _training(m),
    }


def _by_way(m: ReversibleMemory) -> dict[str, list[LossCurve]]:
    return {way: [c for c in m.curves if c.way == way] for way in dict.fromkeys(c.way for c in m.curves)}


def _training(m: ReversibleMemory) -> dict[str, Any] | None:
    """The runs, and whether two ways agree within the noise of seeds."""
    if not m.curves:
        return None
    runs = _by_way(m)
    return {
        "steps": m.steps,
        "steps_of_a_point": m.stretch,
        "runs": [asdict(c) for c in m.curves],
        "against_stored": {way: asdict(agreement(runs["stored"], mine)) for way, mine in runs.items() if way != "stored"},
    }


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(m: ReversibleMemory) -> Iterator[Block]:
    layers = sorted({d.layers for d in m.depths})
    yield _headline(m, layers[0], layers[-1])
    by_depth = [{"way": words} | {str(n): _at(m, way, n).saved for n in layers} for way, words in WAYS.items()]
    yield Table(
        key="",
        title="Stored by the forward pass",
        aside="bytes that wait for the backward pass, parameters left out",
        columns=(Column("way", "way"), *(Column(str(n), f"{n} layers", "B") for n in layers)),
        rows=by_depth,
    )
    yield Chart(spec=_memory_picture(m), lines=16)
    deepest = [asdict(_at(m, way, layers[-1])) | {"way": words, "ratio": time_ratio(m.depths, way)} for way, words in WAYS.items()]
    yield Table(
        key="",
        title=f"At {layers[-1]} layers",
        aside="time against stored: median of the depths",
        rows=deepest,
        columns=(
            Column("way", "way"),
            Column("saved", "stored", "B"),
            Column("peak", "held at once", "B"),
            Column("step", "step", "s"),
            Column("ratio", "time", "x2"),
        ),
    )
    yield Say(ONCE, faint=True)
    kinds = list(m.rebuilt[0].error)
    yield Table(
        key="",
        title="The rebuilt input",
        aside="largest error after so many toy layers, tanh of a random matrix, and back",
        columns=(Column("layers", "layers"), *(Column(kind, kind, "number") for kind in kinds)),
        rows=[{"layers": r.layers, **r.error} for r in m.rebuilt],
    )
    yield Chart(spec=_error_picture(m), lines=0)
    if m.curves:
        yield from _trained(m)


def _headline(m: ReversibleMemory, least: int, most: int) -> Say:
    first, last = (_at(m, "reversible", n).saved for n in (least, most))
    same = f"{{first:B}} at {least} layers and at {most}"
    other = f"{{first:B}} at {least} layers and {{last:B}} at {most}"
    values = {
        "first": first,
        "last": last,
        "growth": growth(m.depths, "stored"),
        "ratio": time_ratio(m.depths),
        "expected": predicted_ratio(m.depths),
    }
    return Say(SAID.replace("{kept}", same if first == last else other), values)


def _at(m: ReversibleMemory, way: str, layers: int) -> Depth:
    return next(d for d in m.depths if d.way == way and d.layers == layers)


def _trained(m: ReversibleMemory) -> Iterator[Block]:
    runs = _by_way(m)
    rows = [asdict(losses(runs[way])) for way in WAYS if way in runs]
    against = {way: agreement(runs["stored"], mine) for way, mine in runs.items() if way != "stored"}
    shown = []
    for row in rows:
        unknown = {key: "–" for key in ("first", "last") if row[key] is None}
        of = against.get(row["way"])
        apart = {} if of is None else {"difference": of.difference, "pairs": of.pairs}
        shown.append(row | unknown | apart | {"way": WAYS[row["way"]]})
    columns = (
        Column("way", "way"),
        Column("first", "first", "number4", optional=2),
        Column("last", "last", "number4"),
        Column("held_out", "held out", "number5"),
        Column("spread", "std. dev.", "number"),
        Column("difference", "against stored", "number"),
        Column("pairs", "same seed", "number", optional=1),
    )
    yield Table(
        key="training.losses",
        title=f"Trained for {m.steps} steps",
        aside="on Python's language reference; loss in nats per byte",
        columns=columns,
        rows=rows,
        shown=shown,
    )
    twin = against["reversible"]
    verdict = "agree within" if twin.within else "differ by more than"
    text = (
        f"Stored and reversible twins {verdict} the noise of seeds (±{{noise:number}}); of one seed they end"
        " {pairs:number} apart at most. The one-stream network is another network of the same parameters."
    )
    yield Say(text, {"noise": twin.noise, "pairs": twin.pairs}, faint=True)
    if m.curves[0].training:
        yield Chart(spec=_loss_picture(m, runs), lines=0)


# --- pictures -------------------------------------------------------------------------------------------------------


def _memory_picture(m: ReversibleMemory) -> dict[str, Any]:
    """Bytes saved against layers, a line for each way."""
    series = []
    for way, words in WAYS.items():
        if way != "residual":
            mine = [d for d in m.depths if d.way == way]
            series.append(Series(words, [d.layers for d in mine], [d.saved for d in mine]))
    return curve(series, title=TITLE, x=Axis("Layers", log=True), y=Axis("Stored", "B", log=True))


def _error_picture(m: ReversibleMemory) -> dict[str, Any]:
    """Decimal digits that the rebuilt input keeps."""
    errors = [
        Series(name, [r.layers for r in m.rebuilt], [-math.log10(r.error[name]) for r in m.rebuilt])
        for name in m.rebuilt[0].error
        if all(r.error[name] > 0 for r in m.rebuilt)
    ]
    title = "The rebuilt input; fixed point loses nothing"
    return curve(errors, title=title, x=Axis("Layers", log=True), y=Axis("Decimal digits kept"))


def _loss_picture(m: ReversibleMemory, runs: dict[str, list[LossCurve]]) -> dict[str, Any]:
    """Mean loss over the seeds against steps."""
    series = []
    for way, look in (("reversible", "dashed"), ("stored", "line"), ("residual", "line")):
        training = [x.training for x in runs[way]]
        steps = [(i + 0.5) * m.stretch for i in range(len(training[0]))]
        series.append(Series(WAYS[way], steps, [statistics.fmean(p) for p in zip(*training, strict=True)], look))
    least = min(min(one.y) for one in series)
    loss = Axis("Training loss", "nats per byte", low=0.9 * least)
    return curve(series, title="Mean loss over the seeds", x=Axis("Step"), y=loss)


# --- terms ----------------------------------------------------------------------------------------------------------


def _terms(m: ReversibleMemory) -> Term:
    """Stored bytes of each way at each depth, and the time a repeated forward pass adds."""
    source = f"measured: {m.made.machine}, torch {m.made.torch}, {m.made.date}"
    ways = [
        Term(
            name=words,
            children=tuple(
                Term(name=f"{d.layers} layers", value=float(d.saved), unit="B", source=source) for d in m.depths if d.way == way
            ),
        )
        for way, words in WAYS.items()
    ]
    last = _at(m, "stored", max(d.layers for d in m.depths))
    step = Term(name="step, stored", value=last.step, unit="s", source=source)
    both = stated(
        "sum",
        "a step and one more forward pass",
        last.forward + last.step,
        "s",
        step,
        Term(name="forward pass", value=last.forward, unit="s", source=source),
    )
    added = stated("quotient", "expected time over stored", (last.forward + last.step) / last.step, "", both, step)
    measured = Term(name="measured time over stored", value=time_ratio(m.depths), note="median of the depths")
    return Term(name="reversible networks", children=(*ways, added, measured))
