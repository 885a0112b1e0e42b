"""Every option of every command with values nobody means: which there are, and what a run of one must keep to."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import typer

from rackmath.faces import cli
from rackmath.world.engine import Engine
from rackmath.world.spec import DIMENSIONS

LLAMA, V3, ONE = "meta-llama/Llama-3.1-8B", "deepseek-ai/DeepSeek-V3", "h100"
CLAUDE = "anthropic/claude-opus-4-6"

FILES = Path(tempfile.mkdtemp(prefix="rackmath-"))
(FILES / "run.json").write_text(
    json.dumps(
        {
            "date": "20250101-000000",
            "backend": "vllm",
            "model_id": LLAMA,
            "num_prompts": 100,
            "completed": 100,
            "request_rate": "inf",
            "max_concurrency": 16,
            "duration": 60.0,
            "total_input_tokens": 100000,
            "total_output_tokens": 20000,
            "mean_ttft_ms": 100.0,
            "median_ttft_ms": 90.0,
            "mean_tpot_ms": 12.0,
            "median_tpot_ms": 11.0,
        }
    )
)
(FILES / "runs.csv").write_text(
    "id,backend,model_path,system,mode,isl,osl,silicon_concurrency,tp_size,attention_dp_size,moe_tp_size,moe_ep_size,"
    "silicon_tpot_ms\n"
    "a,vllm,meta-llama/Llama-3.1-8B,h100_sxm,agg,1024,1024,16,1,1,1,1,9\n"
)

BASES: Mapping[str, Sequence[str]] = {
    "plan": (LLAMA, "--on", ONE),
    "forward": (LLAMA, "--on", ONE),
    "batch": (LLAMA, "--on", ONE),
    "models": (LLAMA,),
    "machines": (ONE,),
    "memory": (LLAMA, "--on", ONE),
    "context": (LLAMA, "--on", ONE),
    "cadence": (LLAMA, "--on", ONE),
    "modes": (LLAMA, "--on", ONE),
    "pipeline": (LLAMA, "--on", "8xh100"),
    "tiers": (LLAMA, "--on", ONE),
    "timeline": (LLAMA, "--on", ONE),
    "quote": (LLAMA, "--on", ONE),
    "fits": (LLAMA, "--on", ONE),
    "bill": (CLAUDE, "--input", "1000", "--output", "10"),
    "speculate": (LLAMA, "--on", ONE, "--draft", "ngram"),
    "racks": ("openai/gpt-oss-20b", "--on", "8xh100"),
    "links": ("--on", "8xh100"),
    "drains": ("--on", "8xh100"),
    "train": (LLAMA, "--on", "8xh100", "--tokens", "1B", "--batch-tokens", "64k"),
    "schedule": ("1f1b",),
    "allocate": ("--traffic", "50M/s", "--active", "10B"),
    "law": ("besiroglu", "--params", "1B", "--tokens", "20B"),
    "design": ("--quality-of", LLAMA, "--tokens", "15T", "--traffic", "1M/s", "--on", "8xh100"),
    "prices": (CLAUDE,),
    "infer": (CLAUDE, "--draws", "10000"),
    "readings": (CLAUDE,),
    "lecture": ("4",),
    "score": (str(FILES / "runs.csv"),),
    "validate": ("--data", "/nowhere"),
    "calibrate": ("--from", str(FILES / "run.json"), "--on", "8xh100", "--tp", "1"),
    "lab ciphers": ("--sbox", "present"),
    "lab memory": ("--recorded",),
    "lab parallel": ("--recorded",),
    "explain": ("models", LLAMA),
}
"""The cheapest question of each command, to which one option at a time is added or in which it is replaced."""

HOSTILE = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1",
    "1.5",
    "1e300",
    "-1e300",
    "1e-300",
    "1e9",
    "9" * 400,
    "",
    " ",
    "é",
    "\x1b[31m",
    "x" * 10_000,
    "a " * 5_000,
    "1 parsec",
    "8GB",
    "40ms",
    "50%",
    "120%",
    "$2/h",
    "nosuch",
    "None",
    "../..",
    "/dev/zero",
    "a=1",
    "model.d_model=inf",
    "model.groups.0.count=1e9",
    "machine.hbm_bandwidth=0",
    "machine.n_devices=1e7",
    "engine.chunk_tokens=nan",
    "efficiency.launch=-1",
    "=",
    "a=b=c",
    ",",
    "1,,2",
    "1,2,3",
    "1..2",
    "\u202e",
    "١٢",
    "0x10",
    "-o",
    "--",
    "{}",
    "[" * 2000,
    "true",
    "1_000",
    "+5",
    "1e",
    "$",
    "%",
)

_EFFICIENCY = (
    "launch",
    "step_overhead",
    "sequence_overhead",
    "exchange_latency",
    "host",
    "imbalance",
    "spread",
    "overlap",
    "link_share",
    "memory_share.gemm",
)
_MODEL = ("d_model", "vocab", "groups.0.count", "n_heads", "n_kv_heads", "head_dim", "d_ff", "max_context", "precision.kv", "top_k")
SETTINGS = tuple(
    f"{key}={value}"
    for key in (
        *(f"machine.{field}" for field in (*DIMENSIONS, "price_kind", "prices.reserved")),
        *(f"engine.{field.name}" for field in fields(Engine) if field.name not in ("name", "version")),
        *(f"efficiency.{name}" for name in _EFFICIENCY),
        *(f"model.{name}" for name in _MODEL),
        *("tier.DDR5.capacity", "tier.DDR5.bandwidth", "training.dp", "training.layer"),
    )
    for value in ("0", "-1", "nan", "1e300", "1e30", "1e9", "1", "0.5", "1e-17", "1GB", "1e-17s", "10TB/s", "")
)
"""Every value that --set replaces, with every kind of nonsense."""

SLOW = {"design", "validate", "lab memory", "lab parallel"}
OUTPUT = {"help", "output", "out", "trace", "save", "show_completion", "install_completion"}
"""Options that write, or that end the command by themselves: not a matter of values."""


@dataclass(frozen=True)
class Case:
    """A command line with one hostile value in it."""

    command: str
    option: str
    value: str
    line: tuple[str, ...]


WHOLE = cli.application(every=True)
built_once = functools.cache(typer.main.get_command)


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of the application, by its words."""
    group = built_once(WHOLE) if group is None else group
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{path}{name} ")
        else:
            yield f"{path}{name}", one


def with_value(base: Sequence[str], option: str, value: str) -> tuple[str, ...]:
    """The base question with an option added, or its value replaced where the base has it."""
    words = list(base)
    if option in words:
        words[words.index(option) + 1] = value
        return tuple(words)
    return (*words, option, value)


def cases() -> list[Case]:
    """Every option of every command with every hostile value, and every argument too."""
    found = []
    for command, one in commands():
        base = BASES[command]
        for param in one.params:
            if param.name in OUTPUT or getattr(param, "is_flag", False):
                continue
            names = [n for n in getattr(param, "opts", ()) if n.startswith("--")] or [""]
            for value in (*HOSTILE, *(SETTINGS if names[0] == "--set" and command != "lecture" else ())):
                if param.param_type_name == "argument":
                    line = (value, *base[1:]) if base and not base[0].startswith("-") else (value, *base)
                else:
                    line = with_value(base, names[0], value)
                found.append(Case(command, names[0] or str(param.name), value, (*command.split(), *line)))
    return found


class TookTooLong(BaseException):
    """A command that does not come to an end."""


@contextlib.contextmanager
def given_up_after(seconds: int) -> Iterator[None]:
    """A guard against commands that hang; no measure of speed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"no answer after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answered(line: Sequence[str], seconds: int = 120) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(cli, "application", return_value=WHOLE),
        mock.patch.object(typer.main, "get_command", built_once),
        given_up_after(seconds),
    ):
        code = cli.run(list(line))
    return code, out.getvalue(), err.getvalue()


def fault(case: Case) -> str:
    """What is wrong with the way a case ends; empty where nothing is."""
    code, out, err = answered(case.line)
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "note: "))]
    if code not in (0, 1, 2):
        return f"exit code {code}: {err[-300:]}"
    if "Traceback" in err or "Traceback" in out:
        return f"traceback: {err[-300:]}"
    if code == 2 and (len(lines) != 1 or not lines[0].startswith("error: ") or out):
        return f"not one sentence: {err[-300:]}"
    if len(err) > 1000:
        return f"{len(err)} letters of error: {err[:300]}"
    if "\x1b[31m" in err + out or "\u202e" in err + out:
        return "control characters reach the terminal"
    if any(word in out for word in (" nan", " inf ", "NaN", "Infinity")):
        return "not a number in the answer"
    return ""


def sampled(count: int, seed: int = 0) -> list[Case]:
    """A seeded sample in which every option of every command that is quick stands at least once."""
    rng = random.Random(seed)
    every = [case for case in cases() if case.command not in SLOW]
    rng.shuffle(every)
    first: dict[tuple[str, str], Case] = {}
    for case in every:
        first.setdefault((case.command, case.option), case)
    chosen = list(first.values())[:count]
    return chosen + [case for case in every if case not in set(chosen)][: max(count - len(chosen), 0)]
