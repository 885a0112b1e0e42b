"""Every model of the catalogue in every command, on a machine of every vendor, as text, JSON and a tree of terms.

`make scan` runs the whole product in this process and writes what came of each run to .scan/runs.csv; begun again, it
goes on where it stopped. The tests run a seeded sample of it in which every model, command, vendor and form stands at
least once. `--summary` writes docs/scan.md from the record.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import io
import itertools
import json
import os
import platform
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORD, PAGE = ROOT / ".scan" / "runs.csv", ROOT / "docs" / "scan.md"
FORMS = {"text": (), "json": ("--json",), "explain": ("--explain",)}

MODEL, ON = "MODEL", "MACHINE"
"""Words of a command that stand for a model and a machine."""

ON_A_MACHINE = {
    name: (name, MODEL, "--on", ON)
    for name in (
        "batch",
        "cadence",
        "context",
        "fits",
        "forward",
        "memory",
        "modes",
        "pipeline",
        "plan",
        "quote",
        "racks",
        "tiers",
        "timeline",
    )
} | {
    "speculate": ("speculate", MODEL, "--on", ON, "--draft", "ngram"),
    "train": ("train", MODEL, "--on", ON, "--tokens", "1T"),
    "design": ("design", "--quality-of", MODEL, "--traffic", "50M/s", "--on", ON),
}
OF_A_MODEL = {"models": ("models", MODEL)}
OF_A_MACHINE = {
    "machines": ("machines", ON),
    "links": ("links", "--on", ON),
    "drains": ("drains", "--on", ON),
    "allocate": ("allocate", "--preset", "lecture", "--on", ON),
}
OF_NEITHER = {
    "bill": ("bill", "anthropic/claude-opus-4-6", "--input", "1k", "--output", "1k"),
    "calibrate": ("calibrate", "--from", "runs.json", "--on", "h100"),
    "infer": ("infer", "anthropic/claude-opus-4-6", "--draws", "20k"),
    "lab ciphers": ("lab", "ciphers", "--cipher", "simon32", "--rounds", "4", "--samples", "64"),
    "lab memory": ("lab", "memory", "--recorded"),
    "lab parallel": ("lab", "parallel", "--recorded"),
    "law": ("law", "besiroglu"),
    "lecture": ("lecture",),
    "prices": ("prices", "anthropic/claude-opus-4-6"),
    "readings": ("readings", "anthropic/claude-opus-4-6"),
    "schedule": ("schedule",),
    "score": ("score", "rows.csv"),
    "validate": ("validate", "--data", "measured"),
    "explain": ("explain", "plan", "Qwen/Qwen3-0.6B", "--on", "h100"),
}
COMMANDS = ON_A_MACHINE | OF_A_MODEL | OF_A_MACHINE | OF_NEITHER
SLOW = ("design", "quote", "plan", "cadence", "train")
"""Commands that a sample gives no more models than the three forms need."""

LENGTHS: dict[str, tuple[Any, ...]] = {}
LENGTHS |= dict.fromkeys(("cadence", "modes", "plan", "quote"), (9_216, "--isl", "512", "--osl", "128"))
LENGTHS |= dict.fromkeys(("batch", "forward", "memory", "pipeline", "speculate", "timeline"), (8_192, "--context", "512"))
LENGTHS |= {"racks": (4_096, "--context", "512"), "tiers": (33_792, "--context", "512")}
"""Tokens a command asks about by itself, and the words that shorten it for models made for less."""

OF_A_VENDOR = {
    "NVIDIA": "8xh100",
    "AMD": "8xmi300x",
    "Intel": "8xgaudi3",
    "Google": "8xtpu-v5p",
    "AWS": "trn2.48xlarge",
    "Apple": "m4-max",
    "Cerebras": "cerebras-wse3",
    "Groq": "576xgroq-lpu",
}
"""The machine of each vendor that the whole scan takes; of a vendor not named here, its first one."""


@dataclass(frozen=True, slots=True)
class Run:
    """One question: a command, a form, and the model and machine it is about where it is about any."""

    command: str
    form: str
    model: str = ""
    machine: str = ""

    @property
    def words(self) -> list[str]:
        given = {MODEL: self.model, ON: self.machine}
        usual, *shorter = LENGTHS.get(self.command, (0,))
        words = [given.get(word, word) for word in COMMANDS[self.command]]
        return [*words, *(shorter if longest(self.model) < usual else ()), *FORMS[self.form]]


# --- what is run ----------------------------------------------------------------------------------------------------


def vendors() -> dict[str, list[str]]:
    """Machines of the catalogue by vendor; of a device that is sold in eights, eight."""
    from rackmath.world import catalog

    found: dict[str, list[str]] = {}
    for listed in catalog.machines():
        one = catalog.machine(listed.name)
        several = one.n_devices == 1 and one.domain >= 8
        found.setdefault(one.vendor, []).append(f"8x{listed.name}" if several else listed.name)
    return found


@functools.cache
def longest(model: str) -> float:
    """Tokens a model was made for."""
    from rackmath.world import catalog

    return catalog.model(model).max_context if model else float("inf")


def models() -> list[str]:
    """Names of all models of the catalogue."""
    from rackmath.world import catalog

    return [one.name for one in catalog.models()]


def everything(seed: int = 0) -> list[Run]:
    """The whole product, in a random order, so that a part of it is a fair sample; forms of a question in a row."""
    machines = [OF_A_VENDOR.get(vendor, names[0]) for vendor, names in vendors().items()]
    asked: list[tuple[str, str, str]] = [
        *itertools.product(ON_A_MACHINE, models(), machines),
        *itertools.product(OF_A_MODEL, models(), [""]),
        *itertools.product(OF_A_MACHINE, [""], machines),
        *itertools.product(OF_NEITHER, [""], [""]),
    ]
    random.Random(seed).shuffle(asked)
    return [Run(command, form, model, machine) for command, model, machine in asked for form in FORMS]


def sample(seed: int = 0) -> list[Run]:
    """A few hundred runs in which every model, every command in every form, and every vendor stand at least once."""
    chance = random.Random(seed)
    names, by_vendor = models(), vendors()
    chance.shuffle(names)
    quick = [c for c in (*ON_A_MACHINE, *OF_A_MODEL) if c not in SLOW]
    asked = [(c, f) for c in (*ON_A_MACHINE, *OF_A_MODEL) for f in FORMS]
    turns = itertools.cycle(itertools.product(quick, FORMS))
    asked += [next(turns) for _ in range(max(len(names) - len(asked), 0))]
    vendor = itertools.cycle(chance.sample(sorted(by_vendor), len(by_vendor)))
    found = [
        Run(command, form, model, chance.choice(by_vendor[next(vendor)]) if command in ON_A_MACHINE else "")
        for (command, form), model in zip(asked, itertools.cycle(names))
    ]
    found += [Run(c, f, machine=chance.choice(by_vendor[next(vendor)])) for c in OF_A_MACHINE for f in FORMS]
    return found + [Run(c, f) for c in OF_NEITHER for f in FORMS]


# --- one run --------------------------------------------------------------------------------------------------------

SHORT = re.compile(r"[-−]\d[\d,.]* ?[kMGTP]?B?\s+short")
ODD = re.compile(r"(?<![\w.-])(nan|-?inf)(?![\w-])", re.IGNORECASE)


def outcome(run: Run) -> tuple[int | None, str]:
    """The exit code of one run, and what is wrong with it: "" where it is an answer or a refusal in one sentence."""
    from rackmath.faces import cli

    out, err = io.StringIO(), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            warnings.simplefilter("error")
            code = cli.run(run.words)
    except (Exception, SystemExit) as error:
        return None, f"{type(error).__name__}: {error}"[:200]
    return code, complaint(run.form, code, out.getvalue(), err.getvalue())


def complaint(form: str, code: int, out: str, err: str) -> str:
    """What is wrong with an exit code and what was printed; "" where nothing is.

    >>> complaint("text", 0, "TPOT nan ms", ""), complaint("text", 1, "needs 23.6 GB: -431 MB short", "")
    ("printed 'nan'", "printed '-431 MB short'")
    >>> complaint("text", 2, "", "error: no such model"), complaint("text", 70, "", "error: KeyError")
    ('', 'exit code 70: error: KeyError')
    """
    if code not in (0, 1, 2):
        return f"exit code {code}: {' '.join(err.split())[:150]}"
    if code == 2:
        whole = not out and err.startswith("error: ") and err.count("\n") <= 1
        return "" if whole else f"a refusal of more than a sentence: {(out + err)[:100]!r}"
    if not out.strip() and not (code == 1 and err.startswith("error: ")):
        return "printed nothing"
    for pattern in (ODD, SHORT):
        found = pattern.search(out)
        if found:
            return f"printed {found.group()!r}"
    if form == "json" and out.strip():
        try:
            json.loads(out, parse_constant=float.fromhex)
        except ValueError as error:
            return f"not JSON: {error}"[:200]
    return ""


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """In a folder with the small files some commands read, with no catalogue of a user's own, 100 columns wide."""
    (folder / "measured" / "serving").mkdir(parents=True, exist_ok=True)
    row = 'M2 Ultra 76-Core GPU 192GB,Llama-3-8B,F16,"decode_tok_s (1024 generated, batch 1)",36,made up'
    text = f"gpu,model,quant,metric,value,source\n{row}\n"
    for name in ("rows.csv", "measured/serving/llamacpp_batch1_gpus_apple.csv"):
        (folder / name).write_text(text)
    result = {
        "backend": "vllm",
        "model_id": "meta-llama/Llama-3.1-8B",
        "completed": 80,
        "failed": 0,
        "num_prompts": 80,
        "total_input_tokens": 80_000,
        "total_output_tokens": 20_000,
        "median_ttft_ms": 90.0,
        "mean_ttft_ms": 95.0,
        "median_tpot_ms": 9.0,
        "mean_tpot_ms": 9.1,
        "date": "20261124-101500",
    }
    runs = ({**result, "max_concurrency": users} for users in (4, 8))
    (folder / "runs.json").write_text("\n".join(map(json.dumps, runs)))
    before = {name: os.environ.get(name) for name in ("COLUMNS", "RACKMATH_HOME")}
    os.environ |= {"COLUMNS": "100", "RACKMATH_HOME": str(folder / "home")}
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def remembered() -> None:
    """Let each verb keep its last answer, so that the three forms of a question work it out once."""
    from rackmath import faces

    for module in (import_module(f"rackmath.faces.{m.name}") for m in iter_modules(faces.__path__) if m.name.startswith("ask")):
        for name, verb in list(vars(module).items()):
            if callable(verb) and getattr(verb, "__module__", "") == module.__name__ and name.islower():
                setattr(module, name, _remembering(verb))


def _remembering(verb: Callable[..., Any]) -> Callable[..., Any]:
    last: list[tuple[str, Any]] = []

    @functools.wraps(verb)
    def asked(*args: Any, **options: Any) -> Any:
        key = repr((args, options))
        if not last or last[0][0] != key:
            last[:] = [(key, verb(*args, **options))]
        return last[0][1]

    return verb if isinstance(verb, type) else asked


# --- the whole of it ------------------------------------------------------------------------------------------------


def scan(seconds: float) -> None:
    """Run what the record lacks, for at most so long; every run is a line of the record at once."""
    RECORD.parent.mkdir(exist_ok=True)
    done = {(r["command"], r["form"], r["model"], r["machine"]) for r in recorded()}
    end, began = time.monotonic() + seconds, bool(done)
    remembered()
    with RECORD.open("a", newline="", encoding="utf-8") as handle, prepared(RECORD.parent / "files"):
        writer = csv.writer(handle)
        if not began:
            writer.writerow(("command", "form", "model", "machine", "code", "wrong"))
        for run in everything():
            if (run.command, run.form, run.model, run.machine) in done:
                continue
            if time.monotonic() > end:
                break
            code, wrong = outcome(run)
            writer.writerow((run.command, run.form, run.model, run.machine, code, wrong))
            handle.flush()
            if wrong:
                print(f"{' '.join(run.words)}: {wrong}", flush=True)


def recorded() -> list[dict[str, str]]:
    """Runs of the record; none where there is none."""
    if not RECORD.exists():
        return []
    with RECORD.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def page(rows: Sequence[dict[str, str]], whole: int) -> str:
    """The record in words, as docs/scan.md."""
    codes = Counter(r["code"] for r in rows)
    wrong = [r for r in rows if r["wrong"]]
    commands, names, machines = ({r[k] for r in rows if r[k]} for k in ("command", "model", "machine"))
    lines = [
        "# The scan",
        "",
        "`make scan` asks every command about every model of the catalogue on a machine of every vendor, and "
        "reads the answer as text, as JSON and as a tree of terms. It goes on where it stopped. Questions are "
        "taken in a random order, so that a part of it is a fair sample. A failure is any exit code but 0 "
        "(answered), 1 (nothing feasible) and 2 (bad input, in one sentence), a warning, a `nan` or `inf` in "
        "the answer, a negative shortage, JSON that is not, or nothing printed. The tests run a seeded sample "
        "in which every model, command, vendor and form stands.",
        "",
        f"Recorded {date.today():%-d %B %Y}, Python {platform.python_version()}: {len(rows):,} of {whole:,} runs"
        f" ({len(rows) / whole:.1%}), {len(commands)} commands, {len(names)} models, {len(machines)} machines.",
        "",
        "| exit code | runs |",
        "|---|---|",
        *(f"| {code or 'an exception'} | {n:,} |" for code, n in sorted(codes.items())),
        "",
        f"Failures: {len(wrong):,}.",
        *(f"\n- `{r['command']}` {r['model']} {r['machine']} ({r['form']}): {r['wrong']}" for r in wrong[:20]),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--summary", action="store_true", help="write docs/scan.md from the record, run nothing")
    asked = parser.parse_args()
    if not asked.summary:
        scan(asked.seconds)
    rows, whole = recorded(), len(everything())
    if asked.summary or len(rows) == whole:
        PAGE.write_text(page(rows, whole), encoding="utf-8")
    wrong = sum(bool(r["wrong"]) for r in rows)
    print(f"{len(rows):,} of {whole:,} runs, {wrong:,} failures")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
