"""The generated parts of docs/concepts/infer.md and its picture: python tools/blind_page.py [--check].

They are made of `data/fitted/blind.csv`, which `python -m rackmath.evidence.blind --record` writes.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import median

import cogapp
from trust_page import table

from rackmath.evidence.blind import JUDGED, Blind, BlindList, BlindReading, recorded
from rackmath.faces.charts import write
from rackmath.units import show
from rackmath.views.blind_test import blind_picture

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "concepts" / "infer.md"
PICTURE = ROOT / "docs" / "pictures" / "blind-active.svg"
TARGET = (0.85, 0.95)
LITTLE = 0.25  # bits below which a price says little


@cache
def found() -> Blind:
    return recorded()


def verdicts() -> str:
    """Coverage, sharpness and rank by half and unknown."""
    rows = [
        (
            f"**{v.half}**",
            JUDGED[v.unknown],
            str(v.models),
            str(v.lists),
            f"{v.coverage * 100:.0f} %",
            f"{v.sharpness:.2f}",
            f"{v.bits:.2f}",
            f"{v.rank:.2f}",
            f"{v.prior_rank:.2f}",
            f"{v.spread:.2f}x",
            f"{v.prior_spread:.2f}x",
        )
        for v in sorted(found().verdicts, key=lambda v: v.half == "chosen")
    ]
    heads = (
        "half",
        "unknown",
        "models",
        "lists",
        "90 % interval holds",
        "width over the prior's",
        "bits",
        "rank with the truth",
        "output price's own rank",
        "off by",
        "guessing the middle",
    )
    return (
        f"\n{table(heads, rows, 2)}\nEach model counts once. *Width*: of the interval over the prior's, in"
        " logarithms; *rank*: Spearman's correlation of the middle over models; *off by*: the median factor from the"
        " middle to the truth; *guessing* always says the middle model of the half.\n\n"
    )


def finding() -> str:
    """What the verdicts mean, in words that follow from the numbers."""
    lines = []
    for v in found().verdicts:
        if v.half != "reported":
            continue
        low, high = v.coverage < TARGET[0], v.coverage > TARGET[1]
        fair = "less often than they should" if low else "more often than they should" if high else "as they should"
        ranks = f"what is read ranks models with {v.rank:.2f}, their output price alone with {v.prior_rank:.2f}"
        gives = f"a list narrows them to {v.sharpness * 100:.0f} % of the prior's width ({v.bits:.2f} bits)"
        if v.bits < LITTLE:
            gives = f"prices say little ({v.bits:.2f} bits)"
        lines.append(
            f"- **{JUDGED[v.unknown].capitalize()}:** {gives}; {ranks}. Intervals hold the truth {fair}: {v.coverage * 100:.0f} %."
        )
    return "\n**The finding**, on the reported half:\n\n" + "\n".join(lines) + "\n\n"


def models() -> str:
    """One row for each model of the reported half."""
    of_model: dict[str, list[BlindList]] = defaultdict(list)
    for one in found().lists:
        if one.half == "reported":
            of_model[one.weights].append(one)
    rows = []
    for name, group in sorted(of_model.items(), key=lambda g: g[1][0].readings["active_params"].truth):
        cells = [name, str(len(group)), f"${median(one.output_mtok for one in group):.3g}"]
        for unknown in JUDGED:
            unit = "B" if unknown == "kv_bytes" else "params"
            cells += _cells([one.readings[unknown] for one in group], unit)
        rows.append(tuple(cells))
    heads = ("model", "hosts", "$/M output", "active", "read", "total", "read", "cache per token", "read")
    return f"\n{table(heads, rows, 1)}\n"


def _cells(readings: list[BlindReading], unit: str) -> tuple[str, str]:
    """The truth, and the middle of its hosts' intervals, marked where more than half of them miss it."""
    low, mid, high = (math.exp(median(math.log(getattr(r, k)) for r in readings)) for k in ("low", "median", "high"))
    miss = sum(r.inside for r in readings) * 2 < len(readings)
    said = " ".join(_short(v, unit) for v in (mid,)) + f" ({_short(low, unit)} to {_short(high, unit)})"
    return _short(readings[0].truth, unit), f"{said} ✗" if miss else said


def _short(value: float, unit: str) -> str:
    return show(value, unit, digits=2).removesuffix(" params").replace(" ", " ")


def main() -> int:
    check = "--check" in sys.argv[1:]
    sys.modules["blind_page"] = sys.modules[__name__]
    failed: int = cogapp.Cog().main(["cog", "--check" if check else "-r", "-p", "import blind_page", str(PAGE)])
    if not check:
        write(blind_picture(found(), "active_params"), PICTURE)
    return failed


if __name__ == "__main__":
    sys.exit(main())
