"""The peer's answer for every row of the InferenceX silicon sample: NVIDIA aiconfigurator 0.12.0 (public, on PyPI).

The peer needs an environment of its own, with Python 3.11 and nothing of this project in it:

    python -m venv peer && peer/bin/pip install aiconfigurator==0.12.0
    peer/bin/python benchmarks/peer_aiconfigurator.py --rows inferencex_silicon_sample_aic.csv --out peer.csv

It needs no network: model shapes and kernel tables come with the package.  Each row is asked through the peer's own
front door, `aiconfigurator.cli.api.cli_estimate`, whose arguments the sample's columns name one for one.  Where a row
needs reading, the peer's own InferenceX adapter (`aiconfigurator.sdk.config_adapter.inferencex`) is followed:

- names without a shipped shape go to the shipped model of the same shape (MODELS);
- a mixture of experts in its native 4-bit format (gpt-oss) leaves both formats to the checkpoint; `--literal` passes
  the row's own formats on;
- an empty format is left to the checkpoint, an empty or zero degree of parallelism is one (dense models);
- the batch is the row's (per rank of attention data parallelism), else the concurrency shared over those ranks;
- the table version is the peer's default one for the system and backend, resolved once per pair;
- a disaggregated row is answered only if it states its batches and numbers of workers: `--fill` takes a prefill batch
  of one, one worker each side and the concurrency as the decode batch instead.

The output has a line per row: id, mode, tpot_ms, ttft_ms, reason.  The reason says why the peer refused; on an
answered row it can only hold the peer's own warning that its key-value cache would not fit.  `--search` also times
one default layout search.
"""

from __future__ import annotations

import argparse
import csv
import functools
import logging
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconfigurator.cli.api import cli_default, cli_estimate
from aiconfigurator.sdk.inference_session import InferenceSession
from aiconfigurator.sdk.perf_database import get_latest_database_version
from aiconfigurator_core.sdk.backends.base_backend import BaseBackend

SYSTEMS = ("a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "gb200")
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Meta-Llama-3.1-8B",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Meta-Llama-3.1-8B",
    "meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-R1",
    "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
}
NATIVE_FORMAT = ("openai/gpt-oss-120b",)
DEGREES = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
Row = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """The peer's answer for one row, or the reason it gave none."""

    row: Row
    tpot_ms: float | None
    ttft_ms: float | None
    reason: str

    def error(self, metric: str) -> float | None:
        """Relative error in percent of `tpot` or `ttft`, None where either side has no figure."""
        mine = self.tpot_ms if metric == "tpot" else self.ttft_ms
        measured = float(self.row[f"silicon_{metric}_ms"] or 0)
        return None if mine is None or measured <= 0 else abs(mine / measured - 1) * 100


def whole(row: Row, column: str) -> int | None:
    """The column as a whole number, None where it is empty or zero."""
    return (int(float(row[column])) or None) if row[column] else None


@functools.cache
def version(system: str, backend: str) -> str:
    """The peer's default table version; resolving it reads every table's description, so once per pair."""
    found = get_latest_database_version(system=system, backend=backend)
    if found is None:
        raise ValueError(f"no tables for {backend} on {system}")
    return str(found)


def query(row: Row, *, literal: bool = False, fill: bool = False) -> dict[str, Any]:
    """The arguments of `cli_estimate` that ask for the row's own configuration."""
    if row["system"] not in SYSTEMS:
        raise ValueError(f"{row['system']} is outside this comparison")
    model = row["model_path"]
    native = model in NATIVE_FORMAT and not literal
    asked: dict[str, Any] = {
        "mode": row["mode"],
        "model_path": MODELS.get(model, model),
        "system_name": row["system"],
        "backend_name": row["backend"],
        "backend_version": version(row["system"], row["backend"]),
        "isl": whole(row, "isl"),
        "osl": whole(row, "osl"),
        "gemm_quant_mode": None if native else row["gemm_quant_mode"] or None,
        "moe_quant_mode": None if native else row["moe_quant_mode"] or None,
    }
    concurrency = whole(row, "silicon_concurrency") or 1
    if row["mode"] == "agg":
        asked |= {name: whole(row, name) for name in DEGREES}
        asked["pp_size"] = asked["pp_size"] or 1
        asked["attention_dp_size"] = asked["attention_dp_size"] or 1
        asked["batch_size"] = whole(row, "batch_size") or max(1, concurrency // asked["attention_dp_size"])
        return asked
    for side in ("prefill", "decode"):
        for name in (*DEGREES, "batch_size", "num_workers"):
            asked[f"{side}_{name}"] = whole(row, f"{side}_{name}")
        asked[f"{side}_num_workers"] = asked[f"{side}_num_workers"] or (1 if fill else None)
    if fill:
        ranks = asked["decode_num_workers"] * (asked["decode_attention_dp_size"] or 1)
        asked["prefill_batch_size"] = asked["prefill_batch_size"] or 1
        asked["decode_batch_size"] = asked["decode_batch_size"] or max(1, concurrency // ranks)
    return asked


def answer(row: Row, *, literal: bool = False, fill: bool = False) -> Answer:
    """Ask the peer for one row; any exception is a refusal and its text the reason."""
    try:
        found = cli_estimate(**query(row, literal=literal, fill=fill))
    except Exception as refusal:
        reason = " ".join(f"{type(refusal).__name__}: {refusal}".split(" at /")[0].split())
        return Answer(row, None, None, reason[:200])
    warning = "warning: the batch exceeds the estimated key-value cache" if found.kv_cache_warning else ""
    return Answer(row, float(found.tpot), float(found.ttft), warning)


def summary_line(name: str, answers: Sequence[Answer]) -> str:
    """Answered rows and errors of both metrics, on one line."""
    parts = [f"{name:18s}"]
    for metric in ("tpot", "ttft"):
        errors = sorted(e for a in answers if (e := a.error(metric)) is not None)
        if not errors:
            parts.append(f"{metric.upper()} 0/{len(answers)} answered")
            continue
        p90 = errors[min(len(errors) - 1, round(0.9 * (len(errors) - 1)))]
        within = sum(e <= 20 for e in errors) / len(errors)
        parts.append(
            f"{metric.upper()} {len(errors)}/{len(answers)} answered, MAPE {statistics.fmean(errors):.1f} %, "
            f"median {statistics.median(errors):.1f} %, p90 {p90:.1f} %, within 20 % {within:.0%}"
        )
    return "  ".join(parts)


def print_summary(answers: Sequence[Answer]) -> None:
    """All rows, by mode, by system, and why rows were refused."""
    print(summary_line("all", answers))
    for mode in ("agg", "disagg"):
        print(summary_line(mode, [a for a in answers if a.row["mode"] == mode]))
    for system in SYSTEMS:
        here = [a for a in answers if a.row["system"] == system]
        if here:
            print(summary_line(system, here))
            print(summary_line(f"{system} agg", [a for a in here if a.row["mode"] == "agg"]))
    for reason, rows in Counter(a.reason[:60] for a in answers if a.tpot_ms is None).most_common(12):
        print(f"refused {rows:4d}  {reason}")


def counted(kind: type, name: str, spent: list[float]) -> Callable[[], None]:
    """Add the CPU seconds of every call of a method to `spent`; the returned function undoes it."""
    original = getattr(kind, name)

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return original(*args, **kwargs)
        finally:
            spent.append(time.process_time() - start)

    setattr(kind, name, timed)
    return functools.partial(setattr, kind, name, original)


def print_point_times(answers: Sequence[Answer], limit: int, *, literal: bool = False) -> None:
    """CPU time of one aggregated point with warm caches: the rows just answered, asked again."""
    answered = [a.row for a in answers if a.tpot_ms is not None and a.row["mode"] == "agg"]
    rows = answered[:: max(1, len(answered) // limit)][:limit]
    inner: list[float] = []
    whole_call: list[float] = []
    undo = counted(InferenceSession, "run_agg", inner)
    for row in rows:
        asked = query(row, literal=literal)
        start = time.process_time()
        cli_estimate(**asked)
        whole_call.append(time.process_time() - start)
    undo()
    for name, spent in (("cli_estimate, version given", whole_call), ("run_agg alone", inner)):
        if spent:
            print(f"CPU per aggregated point, {name}: median {statistics.median(spent) * 1e3:.2f} ms of {len(spent)}")
    if rows:
        asked = query(rows[0], literal=literal) | {"backend_version": None}
        start = time.process_time()
        cli_estimate(**asked)
        spent_ms = (time.process_time() - start) * 1e3
        print(f"CPU per aggregated point, cli_estimate, version left out: {spent_ms:.0f} ms")


def print_search_time(model: str, system: str, gpus: int) -> None:
    """CPU time of the peer's default search (aggregated, disaggregated), cold and warm, and its distinct points."""
    for state in ("cold", "warm"):
        agg: list[float] = []
        static: list[float] = []
        mixed: list[float] = []
        undo = [counted(BaseBackend, "run_agg", agg), counted(BaseBackend, "run_static", static), counted(BaseBackend, "run_mixed", mixed)]
        start, wall = time.process_time(), time.perf_counter()
        cli_default(model, gpus, system)
        cpu, wall = time.process_time() - start, time.perf_counter() - wall
        for back in undo:
            back()
        points = len(mixed) + len(static)
        print(
            f"search {model}, {gpus} x {system}, {state}: {points} distinct points ({len(mixed)} aggregated, "
            f"{len(static)} static; {len(agg)} calls of run_agg, most answered from its own cache), "
            f"{cpu:.2f} s CPU, {wall:.2f} s wall, {points / cpu:.0f} distinct points/s of CPU"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Run aiconfigurator 0.12.0 on the rows of the silicon sample.")
    parser.add_argument("--rows", type=Path, required=True, help="the sample, a CSV file with its header")
    parser.add_argument("--out", type=Path, required=True, help="where the peer's answers go, a CSV file")
    parser.add_argument("--literal", action="store_true", help="pass on the row's formats for natively 4-bit models")
    parser.add_argument("--fill", action="store_true", help="answer disaggregated rows without batches")
    parser.add_argument("--timed", type=int, default=400, help="aggregated points asked again for the time (0: none)")
    parser.add_argument("--search", action="store_true", help="also time the peer's default layout search")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)

    with chosen.rows.open(newline="") as file:
        rows = list(csv.DictReader(file))
    start = time.process_time()
    answers = [answer(row, literal=chosen.literal, fill=chosen.fill) for row in rows]
    cpu = time.process_time() - start
    with chosen.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "mode", "tpot_ms", "ttft_ms", "reason"))
        for a in answers:
            figures = ("" if value is None else f"{value:.6g}" for value in (a.tpot_ms, a.ttft_ms))
            writer.writerow((a.row["id"], a.row["mode"], *figures, a.reason))

    print_summary(answers)
    print(f"first pass, caches cold: {cpu:.1f} s CPU for {len(rows)} rows")
    if chosen.timed:
        print_point_times(answers, chosen.timed, literal=chosen.literal)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / (2**20 if sys.platform == 'darwin' else 2**10):.0f} MiB")
    if chosen.search:
        print_search_time("Qwen/Qwen3-32B", "h200_sxm", 8)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak memory with the search {peak / (2**20 if sys.platform == 'darwin' else 2**10):.0f} MiB")


if __name__ == "__main__":
    main()
