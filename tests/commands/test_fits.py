"""Whether a machine holds a model and its users: as engines log it, as memory and plan count it; what would help."""

from __future__ import annotations

import math
import shlex

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rackmath
from rackmath.errors import BadInput
from rackmath.evidence.local_logs import local_logs
from rackmath.evidence.memory_logs import Log, found, logs
from rackmath.faces import cli
from rackmath.faces.commandline import given_of
from rackmath.kernel.efficiency import calibrated
from rackmath.questions.registry import command
from rackmath.search.fits import Held, demand, fits, holds, longest_context, most_users
from rackmath.search.grid import Question
from rackmath.world.engine import GIB
from rackmath.world.workload import Traffic

LLAMA, V3, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-30B-A3B"
LOGGED = [log for log in logs() if not log.why and not log.logged_weights and not log.first]


def held(log: Log) -> Held:
    """The demand of one request of the log's context, on the log's own layout."""
    question = Question(
        model=log.model,
        machine=log.machine,
        traffic=Traffic(isl=1024, osl=1),
        engine=log.engine,
        efficiency=calibrated(log.machine.generation, log.engine),
        precisions=(log.precision,),
        max_gpus=float(log.layout.gpus),
    )
    return holds(demand(question, log.precision, 1.0, log.context, layout=log.layout))


# --- engines' logs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", LOGGED, ids=lambda log: log.id)
def test_room_and_tokens_of_cache_are_those_of_the_log(log: Log) -> None:
    """Rooms are printed to two decimals, and some are derived to 0.3 GiB; a hybrid's pool is met to 5 %."""
    one = held(log)
    room = one.capacity - float(one.holds.weights) - float(one.holds.reserved)
    assert room == pytest.approx(log.room, rel=0.03, abs=0.1 * GIB)
    assert room == pytest.approx(found(log).room)
    assert one.fits or log.room < float(one.holds.per_sequence)
    if not math.isnan(log.pool_tokens):
        assert one.pool_tokens == pytest.approx(log.pool_tokens, rel=0.05 if log.id == "A11" else 0.03)
        assert one.max_concurrency == pytest.approx(one.pool_tokens / log.context, rel=1e-4)


def test_a_request_needs_what_vllm_says_to_be_admitted() -> None:
    """vllm-project/vllm#44376: 6.66 GiB for one request of 30,000 tokens of DeepSeek V4 Flash on two devices."""
    sets = {"engine.memory_share": 0.95, "engine.chunk_tokens": 16384}
    given = {"engine": "vllm@0.22", "layout": "TP2 EP2", "kv": "fp8", "sets": sets}
    answer = rackmath.fits("deepseek-ai/DeepSeek-V4-Flash", on="2xgh200", context=30000, **given)
    assert answer.memory.admitted == pytest.approx(6.66 * GIB, abs=0.005 * GIB)
    assert answer.max_concurrency == pytest.approx(answer.memory.room / answer.memory.admitted)
    assert answer.memory.per_user < 0.2 * GIB


def test_what_refused_to_start_does_not_fit() -> None:
    """gpt-oss-120b on one H100 under vLLM 0.10.1: 2.14 GiB short of any cache (vllm-project/vllm#23278)."""
    one = held(next(log for log in LOGGED if log.id == "VL12"))
    assert not one.fits
    assert one.pool_tokens == one.max_concurrency == 0
    assert one.short_by - one.admitted == pytest.approx(2.14 * GIB, abs=0.1 * GIB)


def test_several_logs_print_a_pool() -> None:
    assert {log.id for log in LOGGED if not math.isnan(log.pool_tokens)} >= {"L1", "L6", "A2", "A3b", "A11"}


def test_the_words_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """llm-d-planner's report: 476,016 tokens, 952,032 with an 8-bit cache."""
    line = ["fits", LLAMA, "--on", "h100", "--engine", "vllm@0.19", "--set", "engine.memory_share=0.95"]
    assert cli.run(line) == 0
    shown = capsys.readouterr().out
    assert "Yes" in shown
    assert "GPU KV cache size: 475,967 tokens" in shown
    assert "Maximum concurrency for 8,192 tokens per request: 58.10x" in shown
    narrow = rackmath.fits(LLAMA, on="h100", engine="vllm@0.19", kv="fp8", sets={"engine.memory_share": 0.95})
    assert narrow.pool_tokens == pytest.approx(952_032, rel=0.01)
    assert narrow.max_concurrency == pytest.approx(952_032 / 8192, rel=0.01)


@pytest.mark.parametrize(
    ("model", "machine", "precision", "context"),
    [
        (QWEN, "rtx-4090", "q4_k_m", 2500),
        ("google/gemma-3-27b-it", "rtx-4090", "q4_0", 2300),
        ("meta-llama/Llama-3.3-70B-Instruct", "2xrtx-3090", "q4_k_m", 800),
        ("openai/gpt-oss-120b", "dgx-spark", "mxfp4_moe", 9216),
    ],
)
def test_what_people_run_at_home_fits(model: str, machine: str, precision: str, context: int) -> None:
    answer = rackmath.fits(model, on=machine, precision=precision, context=context)
    assert answer.fits is True
    assert answer.short_by == 0
    assert answer.engine.name == "llamacpp"
    assert answer.replicas == 1


@pytest.mark.parametrize("name", ["LC1"])
def test_a_home_log_fits_as_it_did(name: str) -> None:
    """Qwen3 8B in q8_0 with 40,960 tokens, all of it on one card (llama.cpp, a public log)."""
    log = next(one for one in local_logs() if one.id == name)
    sets = {"engine.chunk_tokens": 2048, "engine.mask_bytes": 4}
    answer = rackmath.fits("Qwen/Qwen3-8B", on="rtx-4090", precision="q8_0", context=40960, sets=sets)
    assert answer.fits
    memory = answer.memory
    assert memory.weights / GIB == pytest.approx(log.logged["weights"], rel=0.003)
    scratch_and_cache = memory.per_user + memory.terms["compute buffer"]
    assert scratch_and_cache / GIB == pytest.approx(log.logged["cache"] + log.logged["scratch"], rel=0.01)


# --- one footprint --------------------------------------------------------------------------------------------------

SETTINGS = [
    (LLAMA, "h100", {}),
    (LLAMA, "8xh100", {"engine": "vllm"}),
    (V3, "8xh200", {}),
    (V3, "gb200-nvl72", {}),
    ("openai/gpt-oss-120b", "2xh100", {"engine": "sglang"}),
    ("Qwen/Qwen3.5-9B", "l40s", {"engine": "vllm@0.19"}),
    (QWEN, "rtx-4090", {"precision": "q4_k_m"}),
    ("google/gemma-3-27b-it", "h100", {"kv": "fp8"}),
]


@pytest.mark.parametrize(("model", "machine", "given"), SETTINGS)
def test_it_counts_as_memory_does(model: str, machine: str, given: dict[str, str]) -> None:
    memory = rackmath.memory(model, on=machine, context=8192, contexts=(8192,), **given)
    answer = rackmath.fits(model, on=machine, context=8192, **given)
    assert answer.layout.label == memory.layout["label"]
    assert answer.pool_tokens == memory.memory.pool_tokens
    assert answer.memory.weights == memory.memory.weights
    assert answer.memory.room == memory.memory.room_last_stage
    many = int(memory.users[0]["users"])
    cut = {"layout": answer.layout.label}
    if answer.memory.admitted > answer.memory.per_user:  # one is prefilled, and holds steps beside its windows
        rank = math.floor((answer.memory.room - answer.memory.admitted) / answer.memory.per_user) + 1
        assert rank * answer.layout.dp * answer.replicas < many
        many = int(rank * answer.layout.dp * answer.replicas)
    assert rackmath.fits(model, on=machine, context=8192, users=many, **cut, **given).fits
    assert not rackmath.fits(model, on=machine, context=8192, users=many + 1, **cut, **given).fits


@pytest.mark.parametrize(("model", "machine", "given"), [one for one in SETTINGS if "nvl72" not in one[1]])
@pytest.mark.parametrize("users", [1, 24])
def test_what_plan_runs_fits_and_what_does_not_fit_no_plan_runs(model: str, machine: str, given: dict[str, str], users: int) -> None:
    """Plan counts prompts in progress as well: what it runs fits, and never the other way round."""
    planned = rackmath.plan(model, on=machine, isl=8000, osl=2, users=users, **given)
    answer = rackmath.fits(model, on=machine, context=8001, users=users, **given)
    assert answer.fits or planned.best is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 131072), st.sampled_from(["h100", "8xh100", "2xrtx-3090", "l4"]))
def test_more_is_never_easier(users: int, context: int, machine: str) -> None:
    answer = rackmath.fits(LLAMA, on=machine, users=users, context=context)
    asked = answer.subject.demand
    assert answer.fits == (answer.short_by == 0) == fits(asked)
    assert (answer.exit_code == 0) == answer.fits
    assert answer.most_users >= users if answer.fits else answer.most_users < users
    assert (answer.longest_context >= context) == answer.fits
    assert answer.max_concurrency * context == pytest.approx(answer.pool_tokens, abs=1.0, rel=1e-9)
    memory = answer.memory
    assert memory.weights + memory.caches + memory.reserve == pytest.approx(memory.needed)
    assert memory.needed - memory.capacity == pytest.approx(answer.short_by - answer.spare, abs=1.0)


def test_how_far_it_goes_is_the_end() -> None:
    asked = rackmath.fits(LLAMA, on="h100", users=30, context=9000).subject.demand
    most, furthest = most_users(asked), longest_context(asked)
    assert furthest % 1024 == 0
    for changed, kept in (
        (("users", most), True),
        (("users", most + 1), False),
        (("context", furthest), True),
        (("context", furthest + 1024), False),
    ):
        again = {"users": 30, "context": 9000, changed[0]: changed[1]}
        assert rackmath.fits(LLAMA, on="h100", **again).fits == kept


# --- what would make it fit -----------------------------------------------------------------------------------------

NO = [
    ("meta-llama/Llama-3.1-70B", "h100", {"users": 5, "context": 65536}),
    ("meta-llama/Llama-3.1-70B", "rtx-4090", {"users": 2, "context": 8192}),
    ("meta-llama/Llama-3.1-70B", "2xrtx-3090", {"users": 5, "context": 128000}),
    (QWEN, "rtx-4090", {"precision": "q4_k_m", "users": 2, "context": 32000}),
    (V3, "8xh100", {"users": 64, "context": 128000}),
    (V3, "8xh200", {"users": 30, "context": 128000, "layout": "TP8", "engine": "vllm"}),
    ("openai/gpt-oss-120b", "h100", {"users": 5, "context": 128000}),
]


@pytest.mark.parametrize(("model", "machine", "given"), NO)
def test_every_remedy_is_a_command_that_fits(model: str, machine: str, given: dict[str, object]) -> None:
    answer = rackmath.fits(model, on=machine, **given)
    assert answer.fits is False
    assert answer.exit_code == 1
    assert answer.short_by > 0
    assert answer.remedies
    for row in answer.remedies:
        again = command("fits").ask(given_of("fits", shlex.split(row["command"])))
        assert again.fits, row["command"]
        assert again.spare == pytest.approx(row["spare"])
        assert again.layout.label == row["layout"]
        assert again.pool_tokens == row["pool_tokens"]


@pytest.mark.parametrize("machine", ["a3-ultragpu-8g", "rtx-4090+rtx-3090", "m4-max", "8xh100", "gb200-nvl72", "p5.48xlarge"])
def test_more_devices_are_offered_where_a_name_says_so_many(machine: str) -> None:
    answer = rackmath.fits("meta-llama/Llama-3.1-405B", on=machine, users=500, context=131072)
    assert not answer.fits
    for row in answer.remedies:
        if row["kind"] == "devices":
            assert command("fits").ask(given_of("fits", shlex.split(row["command"]))).fits


def test_the_memory_of_the_host_is_named_where_it_helps() -> None:
    answer = rackmath.fits("openai/gpt-oss-120b", on="rtx-4090", context=9000)
    assert not answer.fits
    assert answer.with_host is True
    note = next(note for note in answer.notes if "host's memory" in note)
    line = shlex.split(note.partition("slower: ")[2])
    assert command("plan").ask(given_of("plan", line)).best is not None
    assert rackmath.fits(QWEN, on="rtx-4090", precision="q4_k_m").with_host is False


def test_shared_copies_make_it_fit() -> None:
    """TP8 keeps eight copies of DeepSeek's cache; sharing them holds eight times as many users."""
    given = {"users": 30, "context": 128000, "engine": "vllm"}
    whole = rackmath.fits(V3, on="8xh200", layout="TP8 EP8", **given)
    shared = rackmath.fits(V3, on="8xh200", tp=8, dcp=8, **given)
    assert not whole.fits
    assert shared.fits
    assert shared.layout.dcp == 8
    assert shared.max_concurrency == pytest.approx(8 * whole.max_concurrency, rel=2e-3)
    assert "DCP" in next(row["command"] for row in whole.remedies if row["kind"] == "layout")


def test_remedies_are_no_larger_than_needed() -> None:
    """The widest format, the most users and the fewest devices that do."""
    rows = {row["kind"]: row for row in rackmath.fits(QWEN, on="rtx-4090", precision="q4_k_m", users=2, context=32000).remedies}
    assert rows["weights"]["options"] == "--precision q3_k_m"
    assert rows["cache"]["options"] == "--kv q8_0"
    assert rows["users"]["options"] == "--users 1"
    assert rows["context"]["options"] == "--context 29696"
    assert rows["devices"]["options"] == "--on 2xrtx-4090"
    assert not rackmath.fits(QWEN, on="rtx-4090", precision="q4_k_m", users=2, context=29696 + 1024).fits


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["gpt-5", "--on", "h100"], "is not public"),
        (["Qwen/Qwen3-30B-A3", "--on", "h100"], "did you mean"),
        ([LLAMA, "--on", "h10"], "did you mean"),
        ([LLAMA, "--on", "h100", "--users", "0"], "out of range"),
        ([LLAMA, "--on", "h100", "--users", "2.5"], "whole number"),
        ([LLAMA, "--on", "h100", "--users", "nan"], "users"),
        ([LLAMA, "--on", "h100", "--context", "-1"], "out of range"),
        ([LLAMA, "--on", "h100", "--context", "inf"], "context"),
        ([LLAMA, "--on", "h100", "--context", "200k"], "made for"),
        ([LLAMA, "--on", "h100", "--tp", "3"], "TP3"),
        ([LLAMA, "--on", "8xh100", "--tp", "8", "--dcp", "2"], "dcp does not divide the copies"),
        (["openai/gpt-oss-120b", "--on", "16xh100", "--tp", "16", "--dcp", "2"], "window"),
        ([LLAMA, "--on", "8xh100", "--dcp", "2", "--engine", "trtllm"], "does not share"),
        ([LLAMA, "--on", "8xh100", "--tp", "8", "--layout", "TP8"], "plays no part with --layout"),
        ([LLAMA, "--on", "h100", "--layout", "TP2"], "needs 2 devices"),
        ([LLAMA, "--on", "h100", "--precision", "fp9"], "did you mean"),
        ([LLAMA, "--on", "h100", "--set", "engine.memory_shar=1"], "did you mean"),
        ([LLAMA], "needs --on"),
    ],
)
def test_bad_questions_are_refused_in_a_sentence(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fits", *line]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_context_beyond_the_model_is_arithmetic_where_that_is_asked() -> None:
    with pytest.raises(BadInput):
        rackmath.fits(LLAMA, on="h100", context="1M")
    answer = rackmath.fits(LLAMA, on="h100", context="1M", extrapolate=True)
    assert not answer.fits
    assert any("arithmetic" in note for note in answer.notes)
    assert np.isfinite(answer.short_by)
