"""Ratios of processor times measured in one run: what should be cheap beside something known, on any machine.

Printed and written to docs/speed.md by `make bench`; alone with `python benchmarks/ratios.py`. Tests assert no time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
V3, RACK = "deepseek-ai/DeepSeek-V3", "gb200-nvl72"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One line: what was timed, over what, how often as long it took, and the most it should."""

    what: str
    over: str
    ratio: float
    most: float


def spent(work: Callable[[], object], runs: int = 5) -> float:
    """Least processor seconds of several runs; the first one warms caches and does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def fresh(code: str) -> float:
    """Least processor seconds of a line of Python in a new process that has imported the catalogue."""
    script = f"import time\nfrom rackmath.world import catalog\nt = time.process_time()\n{code}\n"
    run = [sys.executable, "-c", script + "print(time.process_time() - t)"]
    return min(float(subprocess.run(run, check=True, capture_output=True, text=True).stdout) for _ in range(3))


def catalogue() -> list[Ratio]:
    """Loading it, beside the import of the numeric library."""
    plain = "import time\nt = time.process_time()\nimport numpy\nprint(time.process_time() - t)"
    run = [sys.executable, "-c", plain]
    numpy = min(float(subprocess.run(run, check=True, capture_output=True, text=True).stdout) for _ in range(3))
    every = fresh("catalog.machines(); catalog.models()")
    one = fresh("catalog.machine('8xh100')")
    return [
        Ratio(what="loading the whole catalogue", over="importing NumPy", ratio=every / numpy, most=2),
        Ratio(what="loading one machine", over="loading the whole catalogue", ratio=one / every, most=0.2),
    ]


SMALLEST = """
import typer
app = typer.Typer()
@app.command()
def one(x: int = 1) -> None:
    "One."
@app.command()
def two(x: int = 1) -> None:
    "Two."
app()
"""


def help_text() -> Ratio:
    """The list of all commands, beside that of the smallest program of the same library with two."""
    with tempfile.TemporaryDirectory() as folder:
        smallest = Path(folder) / "two.py"
        smallest.write_text(SMALLEST)
        ours, theirs = (process(*words, "--help") for words in (("-m", "rackmath"), (str(smallest),)))
    return Ratio(what="`rackmath --help`", over="that of a program with two commands", ratio=ours / theirs, most=1.3)


def process(*words: str, runs: int = 11) -> float:
    """Least processor seconds of a Python process, start included."""
    times = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def simulation() -> Ratio:
    """Four times the requests should take about four times as long."""
    from rackmath.kernel.efficiency import default_efficiency
    from rackmath.layout.parallelism import Layout
    from rackmath.search.passtimes import pass_times
    from rackmath.search.requests import closed_loop
    from rackmath.search.simulate import Scheduler, simulate
    from rackmath.world import catalog
    from rackmath.world.precision import Precision

    table = pass_times(
        catalog.model("meta-llama/Llama-3.1-70B"),
        catalog.machine("8xh100"),
        Precision.uniform("fp8"),
        Layout(tp=8),
        default_efficiency(),
        sequences=256,
        context=8000,
        budget=8192,
    )

    def run(rounds: int) -> None:
        simulate(closed_loop(1000, 1000, 256, rounds=rounds), table, Scheduler(budget=8192))

    few, many = (spent(partial(run, n), runs=2) for n in (3, 12))
    return Ratio(what="simulating 3,072 requests", over="simulating 768", ratio=many / few, most=8)


def columns() -> list[Ratio]:
    """Answers made of many rows, beside the README's plan in the same process."""
    import rackmath
    from rackmath.decisions.allocation.ranges import intervals, ranges
    from rackmath.decisions.allocation.split import Problem
    from rackmath.scaling.laws import law

    plan = spent(lambda: rackmath.plan(V3, on=RACK, isl=8192, osl=1024, min_interactivity=20))
    curve = spent(lambda: rackmath.context(V3, on=RACK, max_tpot="40ms"))
    search = spent(lambda: rackmath.train(V3, on="2048xh800", tokens="14.8T", seq=4096, batch_tokens=4096 * 15360))
    problem = Problem(law=law("besiroglu"), rate=50e6, months=2.0, active=100e9, efficiency=1 / 3)
    draws = [spent(lambda n=n: intervals(problem, "optimum", ranges(problem), n=n), runs=2) for n in (1000, 10_000)]  # type: ignore[misc]
    return [
        Ratio(what="a context curve of 1,000 points", over="the README's plan", ratio=curve / plan, most=3),
        Ratio(what="a training search of 2,048 devices", over="the README's plan", ratio=search / plan, most=3),
        Ratio(what="an allocation of 10,000 draws", over="one of 1,000", ratio=draws[1] / draws[0], most=12),
    ]


def hostile() -> list[Ratio]:
    """Configs made to be slow, beside an ordinary one."""
    from rackmath.errors import BadInput
    from rackmath.world.huggingface import read_model

    ignore = ["re:" + "(a+)+" * 20 + "$", "*a" * 100 + "b", "re:" + ".*a" * 50]
    slow = {**LLAMA, "quantization_config": {"quant_method": "fp8", "ignore": ignore}}
    with tempfile.TemporaryDirectory() as folder:
        path, huge = Path(folder) / "config.json", Path(folder) / "huge.json"
        path.write_text(json.dumps(LLAMA))
        with huge.open("wb") as file:
            file.truncate(65 * 10**6)

        def refused() -> None:
            try:
                read_model(huge)
            except BadInput:
                return
            raise AssertionError("a file of 65 MB was read")

        plain, patterns, size = (spent(w) for w in (lambda: read_model(path), lambda: read_model(slow), refused))
    return [
        Ratio(what="a config with slow patterns", over="a plain one", ratio=patterns / plain, most=20),
        Ratio(what="refusing a config of 65 MB", over="reading a plain one", ratio=size / plain, most=1),
    ]


def measured() -> list[Ratio]:
    """All of them."""
    return [help_text(), *catalogue(), simulation(), *columns(), *hostile()]


def table(rows: list[Ratio]) -> list[str]:
    """Lines of Markdown."""
    return [
        "| what | over | measured | at most |",
        "|---|---|---|---|",
        *(f"| {r.what} | {r.over} | {r.ratio:.3g} | {r.most:g} |" for r in rows),
    ]


if __name__ == "__main__":
    print("\n".join(table(measured())))
