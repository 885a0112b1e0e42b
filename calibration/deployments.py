"""Layouts of the benchmark's two-pool deployments, from the rows that state them: python -m calibration.deployments.

Reads `serving/inferencex_fixed_seq.csv` of the data folder and writes `data/facts/deployments.toml`: which pools were
launched for a model, machine, engine, format, pair of lengths and number of users, and whether only drafts were run.
No measured column is read.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from rackmath import shipped
from rackmath.evidence.deployments import Deployment, key

from .kernel_rows import default_data

Runs = dict[str, dict[Deployment, set[str]]]


def runs(path: Path) -> Runs:
    """Deployments by what was asked for, each with the words of its speculation."""
    found: Runs = defaultdict(lambda: defaultdict(set))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["disagg"] != "True" or not (float(row["prefill_num_workers"]) and float(row["decode_num_workers"])):
                continue
            lengths = (float(row["isl"]), float(row["osl"]))
            name = key(row["model"], row["hardware"], row["framework"], row["precision"], lengths)
            sizes = [_pool(row, pool) for pool in ("prefill", "decode")]
            one = Deployment(users=float(row["conc"]), prefill=sizes[0], decode=sizes[1])
            found[name][one].add(row["spec_method"])
    return found


def _pool(row: dict[str, str], pool: str) -> tuple[float, float, float, bool]:
    workers = float(row[f"{pool}_num_workers"])
    each = float(row[f"num_{pool}_gpu"]) / workers
    return workers, each, float(row[f"{pool}_ep"] or 1), row[f"{pool}_dp_attention"] == "True"


def text(found: Runs) -> str:
    """The file: a table of lines for each question, users first, then workers, devices, experts, attention DP."""
    lines = [
        "# Pools of the InferenceX benchmark's deployments (launch recipes at github.com/InferenceMAX), by model,",
        "# machine, engine, format and lengths. Written by `python -m calibration.deployments`. A line: users;",
        "# workers, devices of each, expert-parallel degree and attention DP (1) of the pool that prefills, then of",
        "# the one that decodes; 1 where it was run with multi-token prediction only.",
    ]
    for name, of in sorted(found.items()):
        lines += ["", f'["{name}"]', "runs = ["]
        for one, words in sorted(of.items(), key=lambda item: (item[0].users, item[0].decode, item[0].prefill)):
            numbers = [one.users, *one.prefill, *one.decode, words == {"mtp"}]
            lines.append("  [" + ", ".join(f"{float(x):g}" for x in numbers) + "],")
        lines.append("]")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the pools that deployments of the benchmark state.")
    parser.add_argument("--data", type=Path, default=default_data())
    given = parser.parse_args()
    found = runs(given.data / "serving" / "inferencex_fixed_seq.csv")
    (shipped.FACTS / "deployments.toml").write_text(text(found), encoding="utf-8")
    print(f"{sum(map(len, found.values()))} deployments of {len(found)} questions")


if __name__ == "__main__":
    main()
