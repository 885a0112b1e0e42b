"""Speed and memory, measured and printed: run with `make bench`, which also writes docs/speed.md.

Rates are per second of CPU time of one core, medians of several runs. A row is a complete serving configuration of
DeepSeek-V3: layout x batch x precision with decode, prefill, collectives, steady state, footprint and price.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

# one core: the figures are per core
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import ratios  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent / "rackmath"
PLAN = "plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --isl 8192 --osl 1024 --min-interactivity 20"
ROWS = 10_000_000
V3 = "deepseek-ai/DeepSeek-V3 --on gb200-nvl72"
COMMANDS = (
    f"batch {V3}",
    f"cadence {V3}",
    "cadence Qwen/Qwen3-0.6B --on gb200-nvl72 --isl 1 --osl 2",  # 100,000 seats, the most
    f"modes {V3}",
    f"memory {V3}",
    f"context {V3}",
    f"tiers {V3}",
    "lecture",
    "racks deepseek-ai/DeepSeek-V3 --on 144xh800",
    "pipeline deepseek-ai/DeepSeek-V3 --on 8xh200",
    f"timeline {V3}",
    "speculate deepseek-ai/DeepSeek-V3 --on 8xh200",
    f"quote {V3} --margin 40% --compare",
    "prices",
    "train meta-llama/Meta-Llama-3.1-405B --on 16384xh100 --tokens 15.6T --batch-tokens 16M",
    "schedule",
    "allocate --preset lecture",
    "readings claude-opus-4-6",
)


def configurations(seconds: float = 3.0) -> float:
    """Rows per second of CPU time, on layouts and batches drawn from the planner's own grid."""
    from rackmath.arrays import take
    from rackmath.economics.cost import cost
    from rackmath.questions.resolve import question
    from rackmath.search.grid import CHUNK, layouts
    from rackmath.serving.steady import steady
    from rackmath.world.workload import Traffic

    traffic = Traffic(isl=8192, osl=1024)
    q, _ = question("deepseek-ai/DeepSeek-V3", "gb200-nvl72", traffic=traffic, precision="native,nvfp4", kv="fp8")
    every = layouts(q.model, q.machine, q.max_gpus)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(np.asarray(every.tp)), CHUNK)
    layout, batch = take(every, rows), np.round(2 ** rng.uniform(0, 14, CHUNK))
    rates = []
    for _ in range(5):
        done, start = 0, time.process_time()
        while time.process_time() - start < seconds / 5:
            for precision in q.precisions:
                served = steady(q.replica(precision, layout), traffic, batch)
                cost(served, q.machine, traffic)
                done += CHUNK
        rates.append(done / (time.process_time() - start))
    return statistics.median(rates)


def ten_million() -> dict[str, float]:
    """Ten million rows in chunks, keeping the cheapest: seconds and the peak memory of the process."""
    from rackmath.arrays import take
    from rackmath.questions.resolve import question
    from rackmath.search.grid import CHUNK, evaluate, layouts
    from rackmath.world.workload import Traffic

    q, _ = question("deepseek-ai/DeepSeek-V3", "gb200-nvl72", traffic=Traffic(isl=8192, osl=1024), kv="fp8")
    every = layouts(q.model, q.machine, q.max_gpus)
    rng = np.random.default_rng(0)
    best, done, start = np.inf, 0, time.process_time()
    while done < ROWS:
        layout = take(every, rng.integers(0, len(np.asarray(every.tp)), CHUNK))
        rows = evaluate(q, 0, layout, np.round(2 ** rng.uniform(0, 14, CHUNK)))
        best = min(best, float(np.min(np.where(rows.fits & rows.keeps_pace, rows.request_cost, np.inf))))
        done += CHUNK
    return {
        "rows": done,
        "cpu_s": time.process_time() - start,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "best": best,
    }


def million() -> tuple[int, float]:
    """A search over several machines and every number format: rows, and wall-clock seconds of this one process."""
    from rackmath.questions.resolve import question
    from rackmath.search.plan import plan
    from rackmath.world.workload import Objectives, Traffic

    traffic, start = Traffic(isl=8192, osl=1024), time.perf_counter()
    names = ("gb200-nvl72", "gb300-nvl72", "144xb200", "144xb300", "144xmi355x", "144xmi350x", "144xh200", "144xh20")
    asked = [question("deepseek-ai/DeepSeek-V3", m, traffic=traffic, precision="any", kv="any")[0] for m in names]
    rows = plan(asked, Objectives(max_tpot=0.05)).evaluated
    return rows, time.perf_counter() - start


def command(arguments: str, runs: int = 7) -> float:
    """Median CPU seconds of a command, start included."""
    times = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(BIN), *arguments.split()], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


def training() -> float:
    """Layouts per second of CPU time of a whole training search: listing, legality, memory and step."""
    from rackmath import train

    train("deepseek-ai/DeepSeek-V3", on="2048xh800", tokens="14.8T", seq=4096, batch_tokens=4096 * 15360)  # warm
    start = time.process_time()
    asked = {"on": "2048xh800", "tokens": "14.8T", "seq": 4096, "batch_tokens": 4096 * 15360}
    found = train("deepseek-ai/DeepSeek-V3", **asked).subject.found
    assert found is not None
    return found.evaluated / (time.process_time() - start)


def wall(arguments: str, runs: int = 3) -> float:
    """Median wall-clock seconds of a command, start included, with the threads it takes."""
    free = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([str(BIN), *arguments.split()], stdout=subprocess.DEVNULL, check=True, env=free)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def configs() -> tuple[int, float, float]:
    """Families recorded from transformers, and CPU milliseconds of reading the median and the slowest config."""
    from rackmath.errors import BadInput
    from rackmath.world.huggingface import read_model

    recorded = json.loads((ROOT / "tests" / "against" / "transformers_counts.json").read_text(encoding="utf-8"))

    def work(config: dict[str, object]) -> None:
        with contextlib.suppress(BadInput):
            read_model(config, "measured")

    found = [one["config"] for one in recorded["defaults"].values() if "config" in one]
    times = [ratios.spent(functools.partial(work, config), runs=3) * 1e3 for config in found]
    return len(times), statistics.median(times), max(times)


PEER_POINT, PEER_CORE = 8.67e-3, 0.50e-3
"""CPU seconds of the peer for one aggregated point, medians of 400."""


def main() -> None:
    if sys.argv[1:] == ["ten-million"]:
        print(json.dumps(ten_million()))
        return
    rate = configurations()
    big = json.loads(subprocess.run([sys.executable, __file__, "ten-million"], capture_output=True, text=True, check=True).stdout)
    found, seconds = million()
    rows = [
        ("complete configurations per second and core", f"{rate:,.0f}", "at least 300,000"),
        ("peak memory over ten million rows", f"{big['peak_mb']:,.0f} MB", "under 500 MB"),
        ("CPU time of those ten million rows, one core", f"{big['cpu_s']:.1f} s", ""),
        (f"a plan over {found:,} configurations of eight machines", f"{seconds:.1f} s on one core", "within 3 s"),
        ("`rackmath --help`", f"{command('--help'):.2f} s CPU", "within 0.3 s"),
        ("the README's plan, start included", f"{command(PLAN):.2f} s CPU", "within 2 s"),
        ("the same with `--mode any`", f"{command(PLAN + ' --mode any'):.2f} s CPU", "within 3 s"),
    ]
    rows.append(("layouts of a training search per second and core", f"{training():,.0f}", "at least 100,000"))
    many, median, slowest = configs()
    rows.append((f"reading a config: the slowest of {many}", f"{slowest:.1f} ms (median {median:.1f})", "within 5 ms"))
    rows += [
        (f"two million draws: `rackmath {words}`", f"{wall(words):.1f} s on two cores", "within 20 s")
        for words in ("infer claude-opus-4-6", "infer claude-opus-4-6 --on-date 2026-03-01 --speed 55 --ttft 1.2s")
    ]
    commands = [(f"`rackmath {words}`", f"{command(words, 3):.2f} s") for words in COMMANDS]
    text = [
        "# Speed",
        "",
        f"Measured by `make bench` on {platform.machine()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, NumPy {np.__version__} held to one thread. Medians; CPU time.",
        "",
        "| what | measured | target |",
        "|---|---|---|",
        *(f"| {what} | {value} | {target} |" for what, value, target in rows),
        "",
        "A configuration is one DeepSeek-V3 row of layout x batch x precision on GB200 NVL72 with decode and mixed"
        " steps, collectives, converged steady state, footprint and price.",
        "",
        f"The best peer, aiconfigurator 0.12.0, run earlier on the same machine: {PEER_POINT * 1e3:.2f} ms of CPU"
        f" for an aggregated point through its public call and {PEER_CORE * 1e3:.2f} ms for the innermost one with"
        " everything prepared (`python benchmarks/peer_aiconfigurator.py`, 25 November 2026),"
        f" {PEER_POINT * rate:,.0f} and {PEER_CORE * rate:,.0f} times ours; 824 MB of memory.",
        "",
        "Ratios of processor times of one run, which hold on any machine:",
        "",
        *ratios.table(ratios.measured()),
        "",
        "Each command, start included; one second beyond start-up is the target for those of cost and memory."
        " The second `cadence` has 100,000 seats, the most it takes; with two threads of NumPy it was seen to take"
        " 1.5 s.",
        "",
        "| command | CPU |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in commands),
        "",
    ]
    (ROOT / "docs" / "speed.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
