"""The generated parts of docs/trust.md and its pictures: python tools/trust_page.py [--check].

The page's own marks call the functions below, through cog. They need the raw measured files ($RACKMATH_DATA, or
../shared/data beside the repository); without all of them the page stays as it is, and --check passes.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cogapp

from rackmath import shipped
from rackmath.evidence import memory_logs, published, validate
from rackmath.evidence import noise as floors
from rackmath.evidence.score import ScoredColumn
from rackmath.faces.charts import write
from rackmath.views import scores as views
from rackmath.views import trust_charts
from rackmath.world.engine import GIB, titles

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "trust.md"
PICTURES = ROOT / "docs" / "pictures"
DATA = Path(os.environ.get("RACKMATH_DATA") or ROOT.parent / "shared" / "data")
HEADS = ("n", "answered", "bias", "MAPE", "median", "p90", "within 20 %", "rank", "interval")


@cache
def validation() -> validate.Validation:
    return validate.validate(DATA)


def missing() -> list[str]:
    """Raw files that the page is made of and that are not there."""
    return [one.path for one in published.FILES if not (DATA / one.path).is_file()]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table whose columns after the first `words` hold numbers."""
    rule = ["---"] * words + ["---:"] * (len(heads) - words)
    return "".join("| " + " | ".join(row) + " |\n" for row in (heads, rule, *rows))


def spaced(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.replace("%", " %") for word in words)


def cells(column: ScoredColumn) -> tuple[str, ...]:
    return spaced(views.cells(column))


# --- the parts of the page ----------------------------------------------------------------------------------------


def scores() -> str:
    """One table over all files, and rows beyond their bound."""
    v = validation()
    rows: list[tuple[str, ...]] = []
    for f in v.found:
        said = sum(a.answered for a in f.answers)
        what = f"**{f.kind.what}** (`{f.published.name}`)"
        rows.append((what, "", f"**{len(f.answers):,}**", f"{said / len(f.answers) * 100:.0f} %", *[""] * (len(HEADS) - 2)))
        rows += [(one.mode, f"`{one.column}`", *cells(one.score)) for one in v.lines_of(f.published.name)]
    return f"\n{table(('file, mode', 'measured column', *HEADS), rows, 2)}\n{bounds(v)}\n"


def bounds(v: validate.Validation) -> str:
    """How many measurements lie beyond their bound, and which."""
    rows = sum(a.answered for f in v.found for a in f.answers)
    if not v.beyond:
        return f"**Of {rows:,} answered rows none lies beyond its bound.**\n"
    names = "; ".join(f"{a.said.model} on {a.said.system}, {a.said.mode}" for _, a in v.beyond[:6])
    names += "; …" if len(v.beyond) > 6 else ""
    return f"**Of {rows:,} answered rows {len(v.beyond)} lie beyond their bound:** {names}.\n"


def fit() -> str:
    """What the intervals are, in one line, from the answers themselves."""
    said = [one for one in validation().lines if one.score.errors and one.score.errors.inside is not None]
    if not said:
        return "\nNo interval is given yet: answers say “not calibrated”.\n\n"
    names = ", ".join(dict.fromkeys(f"`{one.column}` ({one.kind})" for one in said if one.shown))
    return f"\nIntervals are given for {names}.\n\n"


def left() -> str:
    """Scores of what was left out of the fit: all groups together, then each group folded away."""
    found = validate.left_out()
    if not found:
        return "\nNo fit has recorded such scores yet.\n\n"
    heads = ("held out in turn", "rows of", "quantity", "n", "bias", "MAPE", "median", "p90", "within 20 %", "interval")
    files = {"all": "both files"}
    rows = [(views.held_out_name(one["by"]), files.get(one["of"], one["of"]), *_left(one)) for one in found if one["of"] in validate.POOLED]
    text = "\n" + table(heads, rows, 3)
    for by in dict.fromkeys(one["by"] for one in found if one["by"] != "nothing"):
        each = [one for one in found if one["by"] == by and one["of"] not in validate.POOLED]
        if each:
            rows = [(str(one["of"]).replace("|", " · "), *_left(one)) for one in each]
            text += f"\n<details><summary>Each {by}</summary>\n\n{table((by, *heads[2:]), rows, 2)}\n</details>\n"
    return text + "\n"


def _left(one: dict[str, Any]) -> tuple[str, ...]:
    return (str(one["quantity"]).upper(), *spaced(views.held_out_cells(one)))


def versions() -> str:
    """Scores by whether the engine version was seen in the fit."""
    lines = validation().versions
    if not lines:
        return "\nAnswers do not say yet whether a version was seen.\n\n"
    rows = [(one.mode, f"`{one.column}`", *cells(one.score)) for one in lines]
    return f"\n{table(('aggregated rows', 'measured column', *HEADS), rows, 2)}\n"


def noise() -> str:
    """How far repeats of one configuration lie apart."""
    rows = []
    for f in validation().found:
        for floor in floors.FLOORS.get(f.kind.name, ()):
            for one in floors.apart([a.given for a in f.answers], floor):
                rows.append(
                    (
                        f.kind.name,
                        one.what,
                        f"`{one.column}`",
                        f"{one.configurations:,}",
                        f"{one.pairs:,}",
                        f"{one.median * 100:.1f} %",
                        f"{one.p90 * 100:.1f} %",
                    )
                )
    return f"\n{table(('file', 'compared', 'measured column', 'configurations', 'pairs', 'median', 'p90'), rows, 3)}\n"


def peer() -> str:
    """The recorded scores of the peer beside ours on the same rows."""
    found = validation().peer
    if found is None:
        return "\nThe rows here are not those that the peer's scores were recorded on.\n\n"
    rows = []
    for b in found.lines:
        what = f"**{'TPOT' if 'tpot' in b.column else 'TTFT'}, {b.mode}**"
        for who, column in views.compared(b, f"{found.name} {found.version}"):
            rows.append((what, who, *cells(column)[:-1]))
            what = ""
    text = table(("silicon sample", "who", *HEADS[:-1]), rows, 2)
    return f"\n{text}\nThe peer's run: {found.source}.\n\n"


# --- memory: from packaged logs, so that it needs no raw file ---

MEMORY = ("<!-- begin generated: memory, by python tools/trust_page.py -->", "<!-- end generated -->")


def memory() -> str:
    """Logged and predicted room of every log, and a line for each engine."""
    score = shipped.read(shipped.FITTED / "memory.toml")["score"]
    rows, errors = [], defaultdict(list)
    for log, one in memory_logs.beside():
        off = (one.room - log.room) / GIB
        apart = f"{score[log.id][1]:+.2f}" if log.id in score else "not fitted"
        name = f"{titles()[log.engine.name]} {log.engine.version}".strip()
        rows.append(
            (
                name,
                log.model.name.rpartition("/")[2],
                f"{log.machine.name} {log.layout.label()}",
                f"{log.room / GIB:.2f}",
                f"{one.room / GIB:.2f}",
                f"{off:+.2f}",
                f"{off / abs(log.room) * GIB:+.1%}",
                apart,
            )
        )
        if not log.why:
            errors[titles()[log.engine.name]].append(abs(off) * GIB / abs(log.room))
    heads = ("engine", "model", "on", "logged GiB", "predicted", "error GiB", "error", "held out GiB")
    lines = [
        (name, f"{len(of)}", f"{statistics.median(of):.1%}", f"{sum(e <= 0.03 for e in of)} of {len(of)}", f"{max(of):.1%}")
        for name, of in errors.items()
    ]
    by = table(("engine", "logs", "median error", "within 3 %", "largest"), lines)
    return f"\n{by}\n{table(heads, rows, 3)}\n"


def write_memory(*, check: bool) -> int:
    """Put the memory tables in their place, or say that they are out of step."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(MEMORY[0]) + len(MEMORY[0]), text.index(MEMORY[1])
    new = text[:begin] + "\n" + memory() + text[end:]
    if check and new != text:
        print("docs/trust.md: the memory tables are out of step; run python tools/trust_page.py")
        return 1
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    return 0


# --- writing and checking -----------------------------------------------------------------------------------------

DRAWN: dict[str, Callable[[validate.Validation], dict[str, Any]]] = {
    "trust-tpot.svg": lambda v: trust_charts.predicted_measured(v, "tpot"),
    "trust-ttft.svg": lambda v: trust_charts.predicted_measured(v, "ttft"),
    "trust-cells.svg": trust_charts.by_cell,
}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = write_memory(check=check)
    lacking = missing()
    if lacking:
        print(f"docs/trust.md left as it is: {lacking[0]} and {len(lacking) - 1} more are not in {DATA}")
        return stale
    sys.modules["trust_page"] = sys.modules[__name__]
    failed: int = cogapp.Cog().main(["cog", "--check" if check else "-r", "-p", "import trust_page", str(PAGE)])
    if not check:
        for name, draw in DRAWN.items():
            write(draw(validation()), PICTURES / name)
    elif absent := [name for name in DRAWN if not (PICTURES / name).is_file()]:
        print(f"docs/pictures/{absent[0]} is missing: run python tools/trust_page.py")
        return 1
    return failed or stale


if __name__ == "__main__":
    sys.exit(main())
