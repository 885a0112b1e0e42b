"""The screen of the blind test: verdicts by half, then the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from . import chart_infer, charts, records_infer
from .export import Face
from .show import heading, indented, line, notes, numbers

if TYPE_CHECKING:
    from .ask_infer import BlindAnswer


def face(answer: BlindAnswer) -> Face:
    """All faces of the answer."""
    return Face(
        record=lambda: records_infer.blind(answer),
        rows=lambda: records_infer.blind(answer)["lists"],
        screen=lambda c: screen(c, answer),
        tree=None,
        chart=lambda: pictures(answer),
    )


def pictures(answer: BlindAnswer) -> dict[str, object]:
    """One picture for each unknown."""
    from ..evidence.blind import JUDGED

    drawn = [chart_infer.blind(answer.blind, k) for k in JUDGED]
    return charts.stack(drawn, title="Open models read from their hosts' prices alone")


def screen(c: Console, answer: BlindAnswer) -> None:
    """Print the verdicts."""
    from ..evidence.blind import JUDGED

    found = answer.blind
    c.print(Text(f"{len(found.lists)} lists of open-weight models, read with nothing known but their prices"))
    for half in dict.fromkeys(v.half for v in found.verdicts):
        verdicts = [v for v in found.verdicts if v.half == half]
        aside = (
            "beliefs were chosen on these models" if half == "chosen" else "not looked at when beliefs were chosen"
        )
        heading(c, f"The {half} half", f"{verdicts[0].models} models, {verdicts[0].lists} lists; {aside}")
        table = numbers(
            "", "90 % holds", "width / prior", "bits", "rank", "of price", "off by", "guessing", title_width=24
        )
        for v in verdicts:
            table.add_row(
                JUDGED[v.unknown], f"{v.coverage:.0%}", f"{v.sharpness:.2f}", f"{v.bits:.2f}", f"{v.rank:.2f}",
                f"{v.prior_rank:.2f}", f"{v.spread:.2f}x", f"{v.prior_spread:.2f}x",
            )  # fmt: skip
        indented(c, table)
    if found.refused:
        heading(c, "Refused")
        for sentence in found.refused:
            line(c, sentence)
    notes(
        c,
        (
            "rank: rank correlation of what is read with the truth; of price: of the output price alone",
            "off by: the median factor from what is read to the truth; guessing: of always saying the middle model",
            "each model counts once, whatever number of hosts sells it",
        ),
    )
