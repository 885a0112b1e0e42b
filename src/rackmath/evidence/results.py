"""Results of benchmark tools as runs to calibrate on: what a file says, what options add, and why a run is no use.

A file is recognised by what stands in it, never by its name. Read, with the versions their keys were checked against:

    InferenceX          rows of its CSV, of its API (`metrics` nested) and of `agg_*.json`; they name everything
    silicon sample      the CSV packaged with aiconfigurator 0.12
    vLLM                `vllm bench serve --save-result` (main of 2026-11; benchmark_serving.py has the same keys)
    SGLang              `sglang.bench_serving` JSON lines (0.5)
    GenAI-Perf, AIPerf  `*_genai_perf.json` and `.csv` (0.0.16), `profile_export_aiperf.json` and `.csv` (schema 1.5)
    llama-bench         `-o csv`, `json` and `jsonl` (build 5163 and later)

Other tools measure one server a file: model, machine, layout and format come from options where a file is silent.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown
from ..files import RUNS, check_depth, once, read_text, whole
from ..layout.parallelism import Layout
from .cells import Pool
from .rows import ROUNDS, Measured, Row
from .table import place

Record = Mapping[str, Any]

SUFFIXES = (".json", ".jsonl", ".csv", ".txt")
MOST = 1e18  # of any number in results
MOST_RUNS = 100_000
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPoint:
    """One measured point as its file has it; `row` holds the query and the times, blank where the file is silent.

    `unsaid` names what options must give. `kind`: "serving", "decode" or "prompt" (one sequence, llama-bench).
    `median`: which statistic the times are. `rounds`: requests over concurrency. `at_random`: requests came at a
    rate, so time to first token is not that of users who all start at once. `scripts`: run by the launch scripts of
    InferenceX.
    """

    row: Row
    tool: str
    where: str
    unsaid: frozenset[str] = frozenset()
    kind: str = "serving"
    median: bool = True
    rounds: float = ROUNDS
    at_random: bool = False
    scripts: bool = False
    depth: float = 0.0  # tokens already in the cache, llama-bench
    chunk: float = 0.0  # of a prompt, llama-bench
    kv: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What options say of a run."""

    model: str | None = None
    machine: str | None = None
    engine: str | None = None
    precision: str | None = None
    kv: str | None = None
    layout: Mapping[str, float] = field(default_factory=dict)  # tp, dp, ep, pp
    isl: float | None = None
    osl: float | None = None
    concurrency: float | None = None


# --- files --------------------------------------------------------------------------------------------------------


def paths(given: Sequence[str | Path]) -> tuple[Path, ...]:
    """Files from names, folders and patterns, each once, in their order.

    A folder gives the result files in it.
    """
    found: list[Path] = []
    for one in given:
        text = str(one)
        if not text.strip() or "\0" in text or len(text) > 4096:
            raise BadInput(f"{shown(text)} is not the name of a file; give a benchmark's results with --from")
        path = Path(text)
        if path.is_dir():
            inside = [p for p in sorted(islice(path.iterdir(), MOST_FILES)) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise BadInput(f"the folder {shown(text)} holds no .json, .jsonl or .csv file")
            found += inside
        elif not path.exists() and any(c in text for c in "*?["):
            matched = [Path(p) for p in sorted(islice(glob.iglob(text), MOST_FILES))]
            if not matched:
                raise BadInput(f"no file matches {shown(text)}; give a benchmark's results with --from")
            found += matched
        else:
            found.append(place(path))
    return tuple(dict.fromkeys(found))


def records(path: Path) -> list[Record]:
    """What stands in a file: rows of a CSV, or the objects of a JSON file (one, a list, or one after another)."""
    text = read_text(path, most=RUNS, give="give a benchmark's JSON or CSV results with --from")
    return parsed(text, shown(path.name))


def parsed(text: str, name: str = "the file") -> list[Record]:
    """The same from text.

    >>> parsed('{"a": 1} {"a": 2}'), parsed("a,b\\n1,2\\n")
    ([{'a': 1}, {'a': 2}], [{'a': '1', 'b': '2'}])
    """
    if not text.strip():
        raise BadInput(f"{name} is empty")
    if text.lstrip()[0] in "[{":
        try:
            return list(_objects(text, name))
        except BadInput:
            raise
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{name} is not JSON: {str(error)[:120]}") from None
    try:
        lines = [line for line in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise BadInput(f"{name} is not a CSV file: {error}") from None
    if lines[0][0].strip() == "Metric":
        return [_metrics(lines)]
    header = [cell.strip() for cell in lines[0]]
    if len(lines) < 2 or len(header) < 2:
        raise BadInput(f"{name} has no rows; give a benchmark's JSON or CSV results")
    return [dict(zip(header, line, strict=False)) for line in lines[1:]]


def _objects(text: str, name: str) -> Iterator[Record]:
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: once(pairs, name), parse_int=whole)
    at = 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        found, at = decoder.raw_decode(text, at)
        for one in found if isinstance(found, list) else [found]:
            if not isinstance(one, dict):
                raise BadInput(f"{name} holds {shown(one, 40)} where the results of a run should be")
            check_depth(one, name)
            yield one


def _metrics(lines: Sequence[Sequence[str]]) -> Record:
    """The CSV of GenAI-Perf and AIPerf, a line for each metric, in the shape of their JSON."""
    found: dict[str, Any] = {}
    header: Sequence[str] = ()
    for line in lines:
        if line[0].strip() == "Metric":
            header = [cell.strip() for cell in line]
        elif line[0].strip() == "Endpoint":  # telemetry follows
            break
        else:
            title, _, unit = line[0].partition("(")
            key = "_".join(title.lower().split())
            cells = dict(zip(header[1:], (cell.replace(",", "") for cell in line[1:]), strict=False))
            if "Value" in cells:
                cells["avg"] = cells.pop("Value")
            found[key] = {"unit": unit.rstrip(") ").strip(), **cells}
    return found


# --- recognising --------------------------------------------------------------------------------------------------


def tool_of(record: Record, name: str = "the file") -> str:
    """The tool that wrote a record.

    >>> tool_of({"model_filename": "a.gguf", "n_prompt": 512, "avg_ts": 1.0})
    'llama-bench'
    """
    keys = record.keys()
    if "silicon_tpot_ms" in keys:
        return "silicon"
    if keys & {"hardware", "hw"} and "conc" in keys:
        return "InferenceX"
    if {"avg_ts", "n_prompt"} <= keys:
        return "llama-bench"
    blocks = ("time_to_first_token", "inter_token_latency", "request_latency")
    if any(isinstance(record.get(k), dict) for k in blocks):
        return "AIPerf" if "aiperf_version" in keys else "GenAI-Perf"
    if keys & {"mean_tpot_ms", "median_tpot_ms", "mean_ttft_ms", "median_ttft_ms"}:
        own = {"dataset_name", "random_input_len", "server_info", "total_output_tokens_retokenized"}
        return "SGLang" if keys & own else "vLLM"
    hint = ""
    if "experiments" in keys:
        hint = "; of GenAI-Perf give profile_export_genai_perf.json, not the raw profile_export.json"
    elif {"request_id", "input_toks"} <= keys:
        hint = "; a log of requests is compared by rackmath score"
    raise BadInput(
        f"{name} is not the output of a tool known here: InferenceX, vLLM bench serve, SGLang bench_serving,"
        f" GenAI-Perf, AIPerf or llama-bench{hint}"
    )


# --- what every reader needs --------------------------------------------------------------------------------------


def number(record: Record, key: str, where: str, *, least: float | None = None) -> float | None:
    """A number, None where it is absent, null or blank; a text that is none is refused.

    >>> number({"a": "2.5", "b": None}, "a", "x"), number({"a": 1, "b": None}, "b", "x")
    (2.5, None)
    """
    value = record.get(key)
    if value is None or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{where}: {key} = {shown(value, 40)} is not a number") from None
    if math.isfinite(found) and abs(found) > MOST:
        raise BadInput(f"{where}: {key} = {found:g} is beyond any measurement; take the run out of the file")
    if least is not None and not found >= least:
        raise BadInput(f"{where}: {key} = {found:g} is out of range; it must be at least {least:g}")
    return found


def positive(record: Record, key: str, where: str, *, per: float = 1.0, what: str = "a time") -> float | None:
    """A measured value above zero, divided by `per`; NaN, infinity, zero and below are refused by name."""
    found = number(record, key, where)
    if found is None:
        return None
    if not (math.isfinite(found) and found > 0):
        raise BadInput(f"{where}: {key} = {found:g} is not {what} above 0; take the run out of the file")
    return found / per


def dig(record: Record, *keys: str) -> Any:
    """The first value there is at one of several dotted places; a list gives its first element.

    >>> dig({"a": {"b": [3]}}, "x.y", "a.b")
    3
    """
    for key in keys:
        found: Any = record
        for part in key.split("."):
            if isinstance(found, list):
                found = next((one for one in found if isinstance(one, dict) and part in one), None)
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, list):
            found = found[0] if found else None
        if found is not None and found != "":
            return found
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a tool's file says of a run; nothing, or None, where it does not say. Seconds and tokens, means."""

    model: str = ""
    machine: str = ""
    engine: str = ""
    version: str = ""
    weights: str = ""
    layout: Layout | None = None
    workers: float = 1.0
    isl: float | None = None
    osl: float | None = None
    concurrency: float | None = None
    spread: float = 0.0  # half the range of output lengths over their mean
    date: str = ""
    tpot: float | None = None
    ttft: float | None = None

    def row(self, where: str) -> tuple[Row, frozenset[str]]:
        """A row of the file `where`, and the names of what it does not say."""
        needed = ("model", "machine", "engine", "layout", "isl", "osl", "concurrency")
        row = Row(
            id=where,
            file="results",
            model=self.model,
            machine=self.machine,
            engine=self.engine,
            version=self.version,
            weights=self.weights,
            decode=Pool(layout=self.layout or Layout(), workers=self.workers),
            prefill=None,
            isl=self.isl or 1.0,
            osl=self.osl or 1.0,
            concurrency=self.concurrency or 1.0,
            speculation="none",
            measured=Measured(tpot=self.tpot, ttft=self.ttft),
            date=self.date,
            spread=min(max(self.spread, 0.0), 0.95),
        )
        return row, frozenset(name for name in needed if not getattr(self, name))
