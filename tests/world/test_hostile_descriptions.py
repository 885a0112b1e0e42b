"""Descriptions by hand under mutations: all numbers finite and of use to every command, or refused in one sentence.

`RACKMATH_SCAN=1` tries ten thousand mutations instead of a few hundred.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plans import plan

import rackmath
from rackmath import shipped
from rackmath.errors import BadInput, Infeasible
from rackmath.evidence import result_tools
from rackmath.kernel.counts import cache_bytes, parameters
from rackmath.world import catalog, shelf
from rackmath.world.description import build
from rackmath.world.model import Model
from rackmath.world.overlay import check_machine
from rackmath.world.spec import build_machine

EVERY = bool(os.environ.get("RACKMATH_SCAN"))
SEEDS = range(10_000 if EVERY else 300)
USED = 1 if EVERY else 12  # every so-manieth accepted model is put to commands

BASES = [
    "deepseek-ai/DeepSeek-V3",
    "meta-llama/Llama-3.1-8B",
    "google/gemma-3-27b-it",
    "openai/gpt-oss-20b",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "deepseek-ai/DeepSeek-V3.2",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
]
BAD: list[Any] = [
    0,
    -1,
    1.5,
    1e300,
    10**400,
    math.inf,
    -math.inf,
    math.nan,
    True,
    False,
    None,
    "",
    "x",
    "inf",
    [],
    {},
    [1],
    {"a": 1},
    ["gqa"],
    "\x1b[31m",
    "x" * 5000,
    10**9,
    4097,
    1e-300,
    2,
    1,
]

TINY = {
    "name": "tiny",
    "d_model": 64,
    "vocab": 100,
    "groups": [{"count": 2, "mixer": {"kind": "gqa", "n_heads": 4, "n_kv_heads": 2}, "ffn": {"kind": "mlp", "d_ff": 128}}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    given: Any = copy.deepcopy(TINY)
    *parts, last = path.split(".")
    node = given
    for part in parts:
        node = node[int(part)] if isinstance(node, list) else node[part]
    node[int(last) if isinstance(node, list) else last] = value
    return dict(given)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("groups.0.ffn.d_ff", math.inf, "d_ff = inf is out of range"),
        ("groups.0.count", math.inf, "count = inf is out of range"),
        ("groups.0.count", 1e9, "a whole number from 1 to 4,096"),
        ("groups.0.count", 2.5, "is not a whole number"),
        ("groups.0.mixer.kind", ["gqa"], "the kind of a mixer = ['gqa']"),
        ("groups.0.mixer.window", 0, "window = 0 is out of range"),
        ("groups.0", {"count": 2}, "neither a mixer nor a ffn"),
        ("groups", [], "'groups' is empty"),
        ("groups", [{"ffn": {"kind": "mlp", "d_ff": 8}}] * 5000, "at most 4,096 layers"),
        ("groups", [{"count": 4000, "ffn": {"kind": "mlp", "d_ff": 8}}] * 2, "8,000 layers together"),
        ("d_model", 10**400, "d_model = a number above 1e30"),
        ("d_model", math.nan, "out of range"),
        ("vocab", "100", "vocab = '100' is not a number"),
        ("max_context", 0, "out of range"),
        ("name", "\x1b[31m", "not an ordinary one"),
        ("name", "", "has no 'name'"),
        ("notes", 3, "not a list"),
        ("precision", {"kv": ["fp8"]}, "not the name of a number format"),
        ("precision", {"activation_bytes": math.inf}, "out of range"),
    ],
)
def test_each_kind_of_nonsense_is_named(path: str, value: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(changed(path, value))
    assert says in str(caught.value)
    one_sentence(caught.value)


def test_windows_without_end_may_be_written_down() -> None:
    for key in ("window", "chunk", "top_k"):
        assert build(changed(f"groups.0.mixer.{key}", math.inf)).n_layers == 2
    assert build(changed("max_context", math.inf)).max_context == math.inf


def one_sentence(error: Exception) -> None:
    said = str(error)
    assert said
    assert "\n" not in said
    assert len(said) < 600


# --- mutations ------------------------------------------------------------------------------------------------------


def mutated(given: Any, rng: random.Random) -> Any:
    """One to three places of a description replaced, removed, doubled, or given a key that is not known."""
    found = copy.deepcopy(given)
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(list(places(found)) or [(found, "name")])
        what = rng.random()
        if what < 0.75:
            holder[key] = copy.deepcopy(rng.choice(BAD))
        elif what < 0.9:
            del holder[key]
        elif isinstance(holder, dict):
            holder[f"{key}_"] = holder[key]
    return found


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        if key != "notes":
            yield node, key
            yield from places(value)


def numbers(record: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a record, with its name."""
    if is_dataclass(record):
        for field in fields(record):
            if field.name != "description":
                yield from numbers(getattr(record, field.name), field.name)
    elif isinstance(record, tuple):
        for one in record:
            yield from numbers(one, where)
    elif isinstance(record, int | float):
        yield where, record


ENDLESS = {"window", "chunk", "top_k", "max_context", "node_limit"}


def is_sane(model: Model) -> None:
    for name, value in numbers(model):
        assert not math.isnan(value), name
        assert value >= 0, name
        assert value < math.inf or name in ENDLESS, name
    assert all(0 <= value < 1e40 for value in parameters(model).values())
    assert 0 <= float(np.asarray(cache_bytes(model, 1000.0))) < 1e40


def used(model: Model) -> None:
    """Put the model to commands; what is refused is one sentence too."""
    for command in (
        lambda: plan(model, "8xh100", isl=1000, osl=100),
        lambda: rackmath.forward(model, on="8xh100", batch=4, context=100, prefill=10).subject,
        lambda: rackmath.batch(model, on="8xh100", context=1000),
        lambda: rackmath.memory(model, on="8xh100"),
        lambda: rackmath.pipeline(model, on="8xh100"),
        lambda: rackmath.train(model, on="8xh100", tokens="1B"),
    ):
        try:
            command()
        except (BadInput, Infeasible) as error:
            one_sentence(error)


@pytest.mark.parametrize("part", range(10 if EVERY else 1))
def test_any_description_is_a_model_or_one_sentence(part: int) -> None:
    bases = [dict(TINY), *(dict(catalog.model(name).description) for name in BASES)]
    accepted = 0
    for seed in list(SEEDS)[part :: 10 if EVERY else 1]:
        rng = random.Random(seed)
        given = mutated(rng.choice(bases), rng)
        try:
            model = build(given)
        except BadInput as error:
            one_sentence(error)
            continue
        is_sane(model)
        accepted += 1
        if accepted % USED == 0:
            used(model)
    assert accepted > 10


def test_any_machine_is_built_or_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = dict(shipped.read(shipped.FACTS / "accelerators" / "h100.toml"))
    for seed in range(3000 if EVERY else 300):
        given = mutated(base, random.Random(seed))
        try:
            check_machine("x.toml", given)
            machine = build_machine("x", given, shelf.table("fabrics.toml"), shelf.table("tiers.toml"))
        except BadInput as error:
            one_sentence(error)
            continue
        assert all(math.isfinite(value) and value >= 0 for _, value in numbers(machine))


def test_any_price_list_engine_and_result_is_read_or_one_sentence(tmp_path: Path) -> None:
    from rackmath.economics.pricelist_file import read_price_list
    from rackmath.world.saved import built

    lists = {
        "model": "a/b",
        "input_mtok": 1.0,
        "output_mtok": 5.0,
        "cache_read_mtok": 0.1,
        "context_window": 200000,
        "long": [{"above_input_tokens": 100000, "input_mtok": 2, "output_mtok": 9}],
        "mode": [{"name": "fast", "speed": 2, "input_mtok": 6, "output_mtok": 30}],
        "measured": {"ttft": "1s"},
    }
    engine = {"base": "vllm", "factors": {"step": 1.2, "memory": 0.9}, "source": {"file": "x", "points": 3}}
    run = {
        "date": "20250101-000000",
        "backend": "vllm",
        "model_id": "meta-llama/Llama-3.1-8B",
        "num_prompts": 100,
        "request_rate": "inf",
        "max_concurrency": 16,
        "duration": 60.0,
        "completed": 100,
        "total_input_tokens": 100000,
        "total_output_tokens": 20000,
        "mean_ttft_ms": 100.0,
        "median_ttft_ms": 90.0,
        "mean_tpot_ms": 12.0,
        "median_tpot_ms": 11.0,
    }
    path = tmp_path / "x.json"
    for seed in range(3000 if EVERY else 300):
        rng = random.Random(seed)
        what = rng.choice(("list", "engine", "run"))
        given = mutated({"list": lists, "engine": engine, "run": run}[what], rng)
        try:
            if what == "engine":
                assert all(math.isfinite(v) for v in built(given, "mine", "mine.toml").factors.values())
                continue
            path.write_text(json.dumps(given))
            if what == "list":
                read_price_list(path)
            else:
                result_tools.read([path])
        except BadInput as error:
            one_sentence(error)
