"""Write the table of home engines' memory into docs/concepts/home.md: python tools/home_table.py [--check]."""

from __future__ import annotations

import statistics
from pathlib import Path

from generated import END, page

from rackmath.evidence.host_runs import host_runs
from rackmath.evidence.local_logs import LocalLog, local_logs
from rackmath.world.engine import titles

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "home.md"
BEGIN = "<!-- begin generated: python tools/home_table.py -->"
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


def main() -> None:
    page(DOCS, {BEGIN: table(), HOSTED: hosted()})


if __name__ == "__main__":
    main()
