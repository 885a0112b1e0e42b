"""Home machines: files as llama.cpp mixes and loads them, memory as its logs state it, one to a few users."""

from __future__ import annotations

import numpy as np
import pytest
from plans import plan

from rackmath.answers.text import pieces
from rackmath.errors import BadInput
from rackmath.evidence.local_logs import local_logs
from rackmath.kernel.counts import weight_bytes
from rackmath.questions.resolve import question
from rackmath.views.plans import decoding, on_devices
from rackmath.world import catalog, gguf
from rackmath.world.description import build
from rackmath.world.engine_names import engine
from rackmath.world.workload import Traffic

LLAMA_70B = {
    "q8_0": 74.98,
    "q6_k": 57.89,
    "q5_k_l": 50.60,
    "q5_k_m": 49.95,
    "q5_k_s": 48.66,
    "q4_k_l": 43.30,
    "q4_k_m": 42.52,
    "q4_k_s": 40.35,
    "q4_0": 40.12,
    "iq4_xs": 37.90,
    "q3_k_xl": 38.06,
    "q3_k_l": 37.14,
    "q3_k_m": 34.27,
    "iq3_m": 31.94,
    "q3_k_s": 30.91,
}
"""GB of the files of one public repository (bartowski, Llama-3.1-70B)."""

FILES = [
    *(("meta-llama/Llama-3.3-70B-Instruct", mixture, size) for mixture, size in LLAMA_70B.items()),
    ("meta-llama/Llama-3.1-8B", "q4_k_m", 4.92),
    ("meta-llama/Llama-3.1-8B", "q5_k_m", 5.73),
    ("meta-llama/Llama-3.1-8B", "q6_k", 6.60),
    ("Qwen/Qwen3-8B", "q8_0", 8.71),
    ("Qwen/Qwen3-8B", "q4_k_m", 5.03),
    ("Qwen/Qwen3-30B-A3B", "q4_k_m", 18.556685824),
    ("google/gemma-3-27b-it", "q4_k_m", 16.55),
    ("google/gemma-3-27b-it", "q4_0", 15.6),
    ("openai/gpt-oss-120b", "mxfp4_moe", 59.02 * 2**30 / 1e9),
    ("Qwen/Qwen3.5-9B", "q4_k_m", 5.68),
]


@pytest.mark.parametrize(("name", "mixture", "size"), FILES)
def test_files_are_as_large_as_published(name: str, mixture: str, size: float):
    model = catalog.model(name)
    stored = weight_bytes(model, gguf.in_file(model, mixture)) / 1e9
    assert stored == pytest.approx(size, rel=0.012 if "3.5" in name else 0.003)


def test_a_tied_table_takes_the_type_of_the_head_and_rows_that_hold_no_whole_block_a_wider_one():
    gemma = gguf.in_file(catalog.model("google/gemma-3-27b-it"), "q4_k_m")
    assert gemma.embedding.bytes == gemma.head.bytes == 6.5625 / 8
    oss = gguf.in_file(catalog.model("openai/gpt-oss-120b"), "q4_k_m")  # rows of 2,880 are no multiple of 256
    assert oss.head.bytes == 8.5 / 8
    assert oss.norm.bytes == oss.router.bytes == 4


def test_every_mixture_reads_every_model_and_wider_ones_are_larger():
    for name in ("deepseek-ai/DeepSeek-V3", "mistralai/Mixtral-8x7B-v0.1", "Qwen/Qwen3.5-9B", "meta-llama/Llama-3.1-8B"):
        model = catalog.model(name)
        sizes = [
            weight_bytes(model, gguf.in_file(model, m))
            for m in ("iq1_s", "iq2_m", "q2_k", "iq3_m", "q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0")
        ]
        assert np.all(np.diff(sizes) > 0)
        every = [weight_bytes(model, gguf.in_file(model, m)) for m in gguf.GGUF["files"]]
        assert 0 < min(every) < max(every) < weight_bytes(model, catalog.model(name).precision) * 1.1


def test_a_file_is_named_by_model_or_by_precision():
    named = catalog.model("unsloth/Qwen3-30B-A3B-UD-Q4_K_XL")
    assert named.name == "Qwen/Qwen3-30B-A3B"
    assert named.precision == gguf.in_file(catalog.model("Qwen/Qwen3-30B-A3B"), "q4_k_m")
    with pytest.raises(BadInput, match="q4_k_m"):
        build({**catalog.model("Qwen/Qwen3-8B").description, "precision": {"file": "q4_k_n"}})


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", local_logs(), ids=lambda log: log.id)
def test_logs_of_home_engines_are_met(log):
    most = {"weights": 0.002, "cache": 0.003, "scratch": 0.03, "whole": 0.005}
    for term, error in log.errors.items():
        loose = {
            ("OL1", "weights"): 0.015,
            ("LC12", "scratch"): 0.065,
            ("LC2", "scratch"): 0.08,
            ("OL5", "cache"): 0.01,
            ("MX3", "whole"): 0.04,
        }.get((log.id, term), most[term])
        if log.why and term == "weights":
            loose = 0.05
        assert abs(error) < loose, f"{term}: {log.predicted[term]:.3f} for {log.logged[term]:.3f} GiB"


@pytest.mark.parametrize(
    ("model", "machine", "precision", "isl", "osl"),
    [
        ("Qwen/Qwen3-30B-A3B", "rtx-4090", "q4_k_m", 2000, 500),
        ("google/gemma-3-27b-it", "rtx-4090", "q4_0", 2000, 300),
        ("meta-llama/Llama-3.3-70B-Instruct", "2xrtx-3090", "q4_k_m", 500, 300),
        ("openai/gpt-oss-120b", "dgx-spark", "mxfp4_moe", 8192, 1024),
    ],
)
def test_what_people_run_fits(model: str, machine: str, precision: str, isl: int, osl: int):
    answer = plan(model, machine, precision=precision, isl=isl, osl=osl)
    assert answer.best is not None
    assert answer.best.question.engine.name == "llamacpp"
    assert answer.best.batch == 1
    assert float(answer.best.serving.memory) < float(answer.best.machine.hbm_capacity)


def test_what_does_not_fit_says_by_how_much():
    all_on_the_card = {"precision": "q4_k_m", "isl": 2000, "osl": 500, "gpu_layers": 81}
    answer = plan("meta-llama/Llama-3.3-70B-Instruct", "rtx-4090", **all_on_the_card)
    assert answer.best is None
    assert "GB short" in answer.answer.reasons[0]
    assert answer.answer.nearest.machine.n_devices == 2


# --- speed ----------------------------------------------------------------------------------------------------------


def test_two_cards_work_in_turn():
    two = plan("meta-llama/Llama-3.3-70B-Instruct", "2xrtx-3090", precision="q4_k_m", isl=500, osl=300).best
    assert two.layout.label() == "TP1 PP2"
    assert 16 < float(two.serving.interactivity) < 21  # reported: 16 to 20
    one = plan("Qwen/Qwen3-8B", "2xrtx-3090", precision="q4_k_m", isl=500, osl=300).best
    assert float(one.layout.gpus) == 1  # a second card in turn makes nothing faster


@pytest.mark.parametrize("users", [1, 2, 3, 7])
def test_a_closed_loop_closes_over_whole_users(users: int):
    found = plan("Qwen/Qwen3-8B", "rtx-4090", precision="q4_k_m", isl=1500, osl=300, users=users).best
    s = found.serving
    assert found.batch == users
    assert float(s.concurrency) == pytest.approx(users)
    assert float(s.end_to_end) == pytest.approx(float(s.ttft_mean) + 299 * float(s.tpot))
    assert float(s.tpot) >= float(s.tpot_bound)
    assert float(s.ttft) >= float(s.ttft_bound)
    if users == 1:
        assert float(s.mixed) < 1e-9  # nobody else's prompt slows a user alone
        assert float(s.tpot) == pytest.approx(float(s.decode.estimate))


def test_more_users_are_slower_each_and_faster_together():
    plans = [plan("Qwen/Qwen3-8B", "rtx-4090", precision="q4_k_m", isl=500, osl=300, users=n).best for n in (1, 2, 4, 8)]
    each = [float(p.serving.interactivity) for p in plans]
    together = [float(p.serving.output_tput) for p in plans]
    assert each == sorted(each, reverse=True)
    assert together == sorted(together)


def test_users_on_a_server_are_spread_over_whole_replicas():
    found = plan("meta-llama/Llama-3.1-8B", "8xh100", users=16, isl=2000, osl=500, max_tpot="5ms").best
    assert found.question.engine.name == "typical"
    assert found.batch == int(found.batch) <= 16
    replicas = -(-16 // found.batch)
    assert replicas * float(found.layout.gpus) <= 8


def test_the_context_that_fits_fills_the_card():
    from rackmath.search.closed import longest_context

    best = plan("google/gemma-3-27b-it", "rtx-4090", precision="q4_0", isl=2000, osl=300).best
    longest = longest_context(best)
    assert plan("google/gemma-3-27b-it", "rtx-4090", precision="q4_0", isl=longest - 300, osl=300).best is not None
    assert plan("google/gemma-3-27b-it", "rtx-4090", precision="q4_0", isl=longest + 300, osl=300, gpu_layers=99).best is None


# --- what is taken where nothing is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "precision", "named", "expected"),
    [
        ("rtx-4090", None, None, "llamacpp"),
        ("m4-max", None, None, "llamacpp"),
        ("dgx-spark", "q8_0", None, "llamacpp"),
        ("h100", "q4_k_m", None, "llamacpp"),
        ("h100", None, None, "typical"),
        ("rtx-4090", "fp8", None, "typical"),
        ("rtx-4090", "q4_k_m", "vllm", "vllm"),
        ("h100", None, "ollama", "ollama"),
    ],
)
def test_home_machines_and_files_run_llama_cpp(machine: str, precision: str | None, named: str | None, expected: str):
    q, _ = question("Qwen/Qwen3-8B", machine, traffic=Traffic(isl=100, osl=100), precision=precision, engine=named, personal=True)
    assert q.engine.name == expected


def test_formats_that_no_file_holds_are_refused_or_replaced():
    with pytest.raises(BadInput, match=r"llama\.cpp does not run fp8 weights"):
        plan("Qwen/Qwen3-8B", "rtx-4090", engine="llama.cpp", precision="fp8")
    answer = plan("Qwen/Qwen3-30B-A3B-FP8", "2xrtx-4090", engine="llama.cpp", isl=500, osl=200)
    assert answer.best.precision.name == "q8_0"
    assert any("q8_0 is taken" in note for note in answer.notes)


@pytest.mark.parametrize("users", ["0", "1.5", "-1", "nan", "inf", "1e12"])
def test_users_are_a_whole_number(users: str):
    with pytest.raises(BadInput, match="users"):
        plan("Qwen/Qwen3-8B", "rtx-4090", users=users)


def test_users_contradict_a_rate_and_two_pools():
    with pytest.raises(BadInput, match="users and a rate"):
        plan("Qwen/Qwen3-8B", "8xh100", users=4, rate="3/s")
    with pytest.raises(BadInput, match="one pool"):
        plan("Qwen/Qwen3-8B", "8xh100", mode="any", users=4)


def test_no_screen_speaks_of_part_of_a_sequence_or_one_of_one():
    said = "".join(words for words, _ in pieces(decoding(0.6), {"batch": 0.6}))
    assert said == "a sequence at a time decodes, 60% of the time"
    assert on_devices(1, 1) == "on its one GPU"
    assert engine("mlx").local


def test_a_plan_at_home_is_started_by_llama_server():
    from rackmath.search.launch import launched

    answer = plan("Qwen/Qwen3-8B", "2xrtx-4090", precision="q8_0", kv="q8_0", users=3, isl=8000, osl=1000)
    (one,) = launched(answer).commands
    assert one.words[0] == "llama-server --model Qwen3-8B-Q8_0.gguf"
    assert {"--parallel 3", "--ctx-size 27000", "--cache-type-k q8_0 --cache-type-v q8_0"} <= set(one.words)


def test_a_home_machine_beside_a_server_is_asked_as_one():
    mixed = plan("Qwen/Qwen3-8B", ["rtx-4090", "8xh100"], isl=2000, osl=500).answer
    engines = {a.question.engine.name for a in (mixed, *mixed.others)}
    assert engines == {"typical"}
    homes = plan("Qwen/Qwen3-8B", ["rtx-4090", "m4-max"], precision="q4_k_m", isl=2000, osl=500).answer
    assert {a.question.engine.name for a in (homes, *homes.others)} == {"llamacpp"}


@pytest.mark.parametrize(("model", "users"), [("Qwen/Qwen3-30B-A3B", 1), ("Qwen/Qwen3.5-9B", 3)])
def test_the_tree_of_a_closed_loop_adds_up(model: str, users: int):
    from test_explain import wrong

    from rackmath.views import plan_terms

    answer = plan(model, "2xrtx-3090", precision="q4_k_m", users=users, isl=2000, osl=500)
    assert wrong(plan_terms.plan(answer)) == []


def test_a_mixture_of_experts_is_within_its_interval():
    """51.03 tokens a second of llama-bench (128 generated) on an M1 Max, of a file in Q4_K_M, April 2026."""
    best = plan("Qwen/Qwen3-30B-A3B", "m1-max", precision="q4_k_m", isl=1, osl=128).best
    low, high = best.intervals.tpot.inverse.around(float(best.serving.interactivity))
    assert low < 51.03 < high
    assert float(best.serving.interactivity) == pytest.approx(51.03, rel=0.15)
