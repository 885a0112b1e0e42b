"""Write the table of home engines' memory into docs/concepts/home.md: python tools/home_table.py [--check]."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from rackmath.evidence.host_runs import host_runs
from rackmath.evidence.local_logs import LocalLog, local_logs
from rackmath.world.engine import titles

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "home.md"
BEGIN, END = "<!-- begin generated: python tools/home_table.py -->", "<!-- end generated -->"
HOSTED = "<!-- begin generated, runs with the host: python tools/home_table.py -->"
TERMS = {"weights": "weights", "cache": "cache", "scratch": "scratch", "whole": "all of it"}


def table() -> str:
    """Predicted beside logged, GiB, with the signed error; what a row cannot say in its own words."""
    lines = [BEGIN, "", f"| log | engine | {' | '.join(TERMS.values())} | what stands in the way |", f"|---|---|{'---|' * len(TERMS)}---|"]
    lines += [f"| {log.id}: {log.source} | {titles()[log.engine]} | {_cells(log)} | {log.why} |" for log in local_logs()]
    return "\n".join([*lines, "", END])


def _cells(log: LocalLog) -> str:
    found = [
        f"{log.predicted[term]:.2f} / {log.logged[term]:.2f} ({_signed(log.errors[term])})" if term in log.logged else "" for term in TERMS
    ]
    return " | ".join(found)


def _signed(error: float) -> str:
    return "0.0 %" if abs(error) < 5e-4 else f"{error * 100:+.1f} %"


def hosted() -> str:
    """Speeds of models that lie partly with the host, predicted beside published."""
    runs = host_runs()
    off = statistics.median(abs(run.error) for run in runs)
    lines = [
        HOSTED,
        "",
        "| run | predicted | published | at most | |",
        "|---|---|---|---|---|",
        *(
            f"| {run.id}: {run.setting} ({run.source}) | {run.predicted:.1f} ({_signed(run.error)})"
            f" | {run.measured:g} | {run.bound:.0f} | {run.note} |"
            for run in runs
        ),
        "",
        f"Tokens per second; off by {off:.0%} at the median.",
        "",
        END,
    ]
    return "\n".join(lines)


def replaced(text: str, begin: str, new: str) -> str:
    start = text.index(begin)
    return text[:start] + new + text[text.index(END, start) + len(END) :]


def main() -> None:
    text = DOCS.read_text(encoding="utf-8")
    new = replaced(replaced(text, BEGIN, table()), HOSTED, hosted())
    if "--check" in sys.argv[1:]:
        if new != text:
            raise SystemExit("docs/concepts/home.md is out of step: run python tools/home_table.py")
        return
    DOCS.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
