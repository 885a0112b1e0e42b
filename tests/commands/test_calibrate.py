"""`calibrate`: truth made by the model itself under known constants, written as each tool writes it, fitted back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rackmath
from rackmath.commands.calibrate import laid_out
from rackmath.errors import BadInput
from rackmath.evidence.calibrate import Calibration, calibrate, fit
from rackmath.evidence.engine_file import save
from rackmath.evidence.fit_problem import NAMES, FitProblem
from rackmath.evidence.result_points import choose
from rackmath.evidence.result_tools import read
from rackmath.evidence.results import Given, MeasuredPoint, parsed, tool_of
from rackmath.faces import export
from rackmath.faces.cli import run as cli
from rackmath.kernel.efficiency import calibrated
from rackmath.world import catalog
from rackmath.world import saved as own
from rackmath.world.engine import released
from rackmath.world.engine_names import engine, engine_key, tuning

MODEL, MACHINE, ISL, OSL = "meta-llama/Llama-3.1-8B-Instruct", "h100", 1024, 256
TRUTH = {"step": 1.6, "memory": 0.9, "request": 2.0, "queue": 1.2}
USERS = (1, 4, 16, 64)
NOISE = 0.02

Record = dict[str, Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of the user's own."""
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# --- what each tool writes: small files of our own making, keys as the tools have them -----------------------------

Times = Sequence[tuple[int, float, float]]
"""Users, TPOT and TTFT in seconds."""


def vllm(times: Times, **more: Any) -> str:
    lines = []
    for users, tpot, ttft in times:
        lines.append(
            {
                "date": "20261124-101500",
                "endpoint_type": "vllm",
                "backend": "vllm",
                "label": "vllm",
                "model_id": MODEL,
                "tokenizer_id": MODEL,
                "num_prompts": 10 * users,
                "request_rate": "inf",
                "burstiness": 1.0,
                "max_concurrency": users,
                "duration": 30.0,
                "completed": 10 * users,
                "failed": 0,
                "total_input_tokens": 10 * users * ISL,
                "total_output_tokens": 10 * users * OSL,
                "request_throughput": 1.0,
                "output_throughput": 256.0,
                "total_token_throughput": 1280.0,
                "mean_ttft_ms": 1.1e3 * ttft,
                "median_ttft_ms": 1e3 * ttft,
                "std_ttft_ms": 5.0,
                "p99_ttft_ms": 1.0,
                "mean_tpot_ms": 1.01e3 * tpot,
                "median_tpot_ms": 1e3 * tpot,
                "std_tpot_ms": 0.1,
                "p99_tpot_ms": 1.0,
                "mean_itl_ms": 1e3 * tpot,
                "median_itl_ms": 1e3 * tpot,
                **more,
            }
        )
    return "\n".join(json.dumps(line) for line in lines)


def sglang(times: Times, **more: Any) -> str:
    server = {
        "model_path": MODEL,
        "tp_size": 1,
        "dp_size": 1,
        "ep_size": 1,
        "pp_size": 1,
        "enable_dp_attention": False,
        "quantization": None,
        "version": "0.5.9",
    }
    lines = [
        {
            "tag": None,
            "backend": "sglang",
            "dataset_name": "random",
            "request_rate": math.inf,
            "max_concurrency": users,
            "sharegpt_output_len": None,
            "random_input_len": ISL,
            "random_output_len": OSL,
            "random_range_ratio": 1.0,
            "server_info": server,
            "duration": 30.0,
            "completed": 10 * users,
            "total_input_tokens": 10 * users * ISL,
            "total_output_tokens": 10 * users * OSL,
            "total_output_tokens_retokenized": 10 * users * OSL,
            "request_throughput": 1.0,
            "mean_e2e_latency_ms": 1e3,
            "mean_ttft_ms": 1e3 * ttft,
            "median_ttft_ms": 1e3 * ttft,
            "mean_tpot_ms": 1e3 * tpot,
            "median_tpot_ms": 1e3 * tpot,
            "concurrency": users,
            "accept_length": None,
            **more,
        }
        for users, tpot, ttft in times
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _block(value: float, unit: str) -> Record:
    return {"unit": unit, "avg": value, "min": value, "max": value, "p50": value, "p90": value, "std": 0.0}


def genai_perf(times: Times) -> str:
    return json.dumps(
        [
            {
                "request_throughput": {"unit": "requests/sec", "avg": 1.0},
                "request_latency": _block(1e3 * (ttft + (OSL - 1) * tpot), "ms"),
                "time_to_first_token": _block(1e3 * ttft, "ms"),
                "inter_token_latency": _block(1e3 * tpot, "ms"),
                "output_token_throughput": {"unit": "tokens/sec", "avg": 100.0},
                "output_sequence_length": _block(OSL, "tokens"),
                "input_sequence_length": _block(ISL, "tokens"),
                "request_count": {"unit": "count", "avg": 10.0 * users},
                "input_config": {
                    "model": [MODEL],
                    "formatted_model_name": "llama",
                    "backend": "tensorrtllm",
                    "service_kind": "openai",
                    "endpoint_type": "chat",
                    "streaming": True,
                    "concurrency": users,
                    "request_rate": None,
                },
            }
            for users, tpot, ttft in times
        ]
    )


def aiperf(times: Times) -> str:
    return "\n".join(
        json.dumps(
            {
                "schema_version": "1.5",
                "aiperf_version": "0.13.0",
                "benchmark_id": "a1",
                "input_config": {
                    "models": {"strategy": "round_robin", "items": [{"name": MODEL}]},
                    "endpoint": {"type": "chat", "streaming": True},
                    "phases": [{"name": "warmup"}, {"name": "profiling", "concurrency": users}],
                },
                "start_time": "2026-11-24T10:00:00",
                "was_cancelled": False,
                "error_summary": [],
                "request_count": {"unit": "requests", "avg": 10.0 * users},
                "time_to_first_token": _block(1e6 * ttft, "us"),
                "inter_token_latency": _block(1e3 * tpot, "ms"),
                "output_sequence_length": _block(OSL, "tokens"),
                "input_sequence_length": _block(ISL, "tokens"),
            }
        )
        for users, tpot, ttft in times
    )


def metric_table(tpot: float, ttft: float, users: int) -> str:
    """The CSV of GenAI-Perf: one run a file, no model and no users."""
    e2e, head = ttft + (OSL - 1) * tpot, "Metric,avg,min,max,p99,p95,p90,p75,p50,p25"
    rows = (
        ("Time To First Token (ms)", 1e3 * ttft),
        ("Request Latency (ms)", 1e3 * e2e),
        ("Inter Token Latency (ms)", 1e3 * tpot),
        ("Output Sequence Length (tokens)", OSL),
        ("Input Sequence Length (tokens)", ISL),
    )

    def cells(value: float) -> str:
        return ",".join([f'"{value:,.5f}"'] * 9)

    lines = [head, *(f"{name},{cells(value)}" for name, value in rows), "", "Metric,Value"]
    lines += [f"Request Throughput (per sec),{users / e2e:.5f}", f"Request Count (count),{10 * users:.2f}"]
    return "\n".join(lines) + "\n"


def inferencex(times: Times) -> str:
    """Rows of the API: one pool stated as two halves, measurements nested."""
    return json.dumps(
        [
            {
                "hardware": "h100",
                "framework": "vllm",
                "model": MODEL,
                "precision": "bf16",
                "spec_method": "none",
                "disagg": False,
                "is_multinode": False,
                "prefill_tp": 1,
                "prefill_ep": 1,
                "prefill_dp_attention": False,
                "prefill_num_workers": 0,
                "decode_tp": 1,
                "decode_ep": 1,
                "decode_dp_attention": False,
                "decode_num_workers": 0,
                "num_prefill_gpu": 1,
                "num_decode_gpu": 1,
                "isl": ISL,
                "osl": OSL,
                "conc": users,
                "image": "vllm/vllm-openai:v0.18.0",
                "date": "2026-11-20",
                "metrics": {"median_tpot": tpot, "mean_tpot": tpot, "median_ttft": ttft, "mean_ttft": ttft},
            }
            for users, tpot, ttft in times
        ]
    )


BENCH = (
    "build_commit,build_number,gpu_info,backends,model_filename,model_type,n_batch,n_ubatch,type_k,type_v,"
    "n_gpu_layers,n_prompt,n_gen,n_depth,test_time,avg_ns,avg_ts,stddev_ts"
)


def llama_bench(times: Sequence[tuple[int, int, int, float]]) -> str:
    """Rows of prompt tokens, generated tokens, depth and seconds."""
    rows = [
        f'"8cf427ff","5163","NVIDIA GeForce RTX 4090","CUDA","models/Qwen2.5-7B-Instruct-Q4_K_M.gguf",'
        f'"qwen2 7B Q4_K - Medium","2048","512","f16","f16","99","{p}","{n}","{d}","2026-11-24T11:57:09Z",'
        f'"{1e9 * s:.0f}","{max(p, n) / s:.6f}","0.4"'
        for p, n, d, s in times
    ]
    return "\n".join([BENCH, *rows]) + "\n"


SERVED: Mapping[str, Callable[[Times], str]] = {
    "vllm": vllm,
    "sglang": sglang,
    "genai-perf": genai_perf,
    "aiperf": aiperf,
    "inferencex": inferencex,
}
GIVEN = {name: Given(machine=MACHINE, engine="sglang" if name == "sglang" else "vllm") for name in SERVED}
TOOLS = {"vllm": "vLLM", "sglang": "SGLang", "genai-perf": "GenAI-Perf", "aiperf": "AIPerf", "inferencex": "InferenceX"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def under(runs: Sequence[MeasuredPoint], given: Given, truth: Mapping[str, float]) -> tuple[Sequence[float], Sequence[float]]:
    """TPOT and TTFT of runs under known factors."""
    said = FitProblem(choose(runs, given)).predict(np.array([[math.log(truth.get(n, 1.0)) for n in NAMES]]))
    return said["tpot"][0].tolist(), said["ttft"][0].tolist()


def made(
    tool: str, folder: Path, *, truth: Mapping[str, float] = TRUTH, noise: float = NOISE, users: Sequence[int] = USERS, seed: int = 1
) -> Path:
    """A file of a tool whose measurements are the model's own under `truth`, with noise."""
    path = folder / f"{tool}.json"
    write(path, SERVED[tool]([(n, 0.01, 0.1) for n in users]))
    tpot, ttft = under(read([path]), GIVEN[tool], truth)
    e = np.random.default_rng(seed).normal(0.0, noise, (2, len(users)))
    times = [(n, a * math.exp(x), b * math.exp(y)) for n, a, b, x, y in zip(users, tpot, ttft, *e, strict=True)]
    return write(path, SERVED[tool](times))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrate([made("vllm", tmp_path_factory.mktemp("fitted"))], GIVEN["vllm"])


# --- the truth comes back -----------------------------------------------------------------------------------------


def test_predictions_come_back_within_the_noise(fitted: Calibration) -> None:
    tpot, ttft = fitted.scores["tpot"], fitted.scores["ttft"]
    assert tpot["before"].mape > 0.08
    assert ttft["before"].mape > 0.15
    assert tpot["after"].mape < 2 * NOISE
    assert ttft["after"].mape < 0.08
    assert tpot["left_out"].mape < 3 * NOISE
    assert ttft["left_out"].mape < 0.12
    assert tpot["after"].n == len(USERS)


def test_constants_come_back_within_their_widths(fitted: Calibration) -> None:
    for c in fitted.constants:
        missed = abs(math.log(c.factor / TRUTH.get(c.name, 1.0)))
        assert missed < 1.5 * c.width, c
        assert c.width <= c.prior
    by_name = {c.name: c for c in fitted.constants}
    assert by_name["memory"].seen
    assert by_name["memory"].factor == pytest.approx(0.9, rel=0.05)
    assert by_name["step"].factor > 1.25
    assert tuple(by_name) == NAMES


def test_twice_the_same(fitted: Calibration, tmp_path: Path) -> None:
    again = calibrate([made("vllm", tmp_path)], GIVEN["vllm"])
    assert again.factors == fitted.factors


def test_nothing_to_learn_leaves_everything_where_it_is(tmp_path: Path) -> None:
    found = calibrate([made("vllm", tmp_path, truth={}, noise=0.0, users=(1, 8, 32))], GIVEN["vllm"])
    assert all(abs(math.log(f)) < 0.02 for f in found.factors.values())
    assert "left_out" not in found.scores["tpot"]  # of three points none is left out


def test_three_points_are_enough_to_help(tmp_path: Path) -> None:
    found = calibrate([made("vllm", tmp_path, users=(1, 16, 64))], GIVEN["vllm"])
    for scores in found.scores.values():
        assert scores["after"].mape < scores["before"].mape / 2


def test_one_wild_run_moves_little(fitted: Calibration, tmp_path: Path) -> None:
    path = made("vllm", tmp_path, users=(1, 4, 8, 16, 32, 64))
    records = [dict(r) for r in parsed(path.read_text())]
    for key in ("median_tpot_ms", "mean_tpot_ms", "median_ttft_ms", "mean_ttft_ms"):
        records[2][key] *= 3.0
    found = calibrate([write(path, json.dumps(records))], GIVEN["vllm"])
    good = [p.tpot for p in found.points if p.point.run.row.concurrency != 8 and p.tpot]
    assert max(abs(s.after / s.measured - 1) for s in good) < 0.08


# --- the tools' formats -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", SERVED)
def test_every_tool_is_read_and_fitted(tool: str, tmp_path: Path) -> None:
    given = GIVEN[tool]
    path = made(tool, tmp_path)
    runs = read([path])
    assert {r.tool for r in runs} == {TOOLS[tool]}
    assert [r.row.concurrency for r in runs] == list(USERS)
    assert all(r.rounds == 10.0 and r.median for r in runs)
    scale = 0.9 if tool == "inferencex" else 1.0
    assert all(r.row.isl == pytest.approx(scale * ISL) and r.row.osl == pytest.approx(scale * OSL) for r in runs)
    found = calibrate([path], given)
    assert found.scores["tpot"]["after"].mape < found.scores["tpot"]["before"].mape / 2
    assert found.scores["tpot"]["after"].mape < 2 * NOISE
    assert found.chosen.key == ("sglang" if tool == "sglang" else "vllm")


def test_tables_of_genai_perf_state_users_by_littles_law(tmp_path: Path) -> None:
    for users, tpot, ttft in ((1, 0.008, 0.05), (16, 0.0095, 0.12), (64, 0.015, 0.4)):
        write(tmp_path / f"c{users:03d}_genai_perf.csv", metric_table(tpot, ttft, users))
    runs = read([tmp_path])
    assert [round(r.row.concurrency) for r in runs] == [1, 16, 64]
    assert [r.row.measured.tpot for r in runs] == pytest.approx([0.008, 0.0095, 0.015])
    assert {r.tool for r in runs} == {"GenAI-Perf"}
    found = calibrate([tmp_path / "*.csv"], Given(model=MODEL, machine=MACHINE, engine="trtllm"))
    assert len(found.points) == 3
    assert found.chosen.base == "trtllm"


def test_llama_bench_is_read_and_fitted(tmp_path: Path) -> None:
    tests = ((512, 0, 0), (2048, 0, 0), (0, 128, 0), (0, 128, 4096), (0, 512, 16384))
    path = write(tmp_path / "bench.csv", llama_bench([(*t, 1.0) for t in tests]))
    tpot, ttft = under(read([path]), Given(), {"memory": 0.75, "step": 0.7, "compute": 0.6})
    seconds = [ttft[i] if p else n * tpot[i] for i, (p, n, _) in enumerate(tests)]
    write(path, llama_bench([(*t, s) for t, s in zip(tests, seconds, strict=True)]))
    found = calibrate([path], Given())
    assert found.chosen.machine.name == "rtx-4090"
    assert found.points[0].point.precision.mlp.name == "q4_k_m"
    assert found.scores["tpot"]["after"].n == 3
    assert found.scores["tpot"]["after"].mape < found.scores["tpot"]["before"].mape / 3
    assert found.scores["ttft"]["after"].mape < found.scores["ttft"]["before"].mape / 2


def test_options_fill_in_what_a_file_does_not_say(tmp_path: Path) -> None:
    path = made("vllm", tmp_path)
    records = [{k: v for k, v in r.items() if k != "model_id"} for r in parsed(path.read_text())]
    write(path, json.dumps(records))
    with pytest.raises(BadInput, match="which model was served; give --model"):
        choose(read([path]), Given(machine=MACHINE))
    with pytest.raises(BadInput, match="on which machine it ran; give --on"):
        choose(read([path]), Given(model=MODEL))
    with pytest.raises(BadInput, match="cut over devices; give --tp"):
        choose(read([path]), Given(model=MODEL, machine="8xh100"))
    with pytest.raises(BadInput, match="needs 8 devices"):
        choose(read([path]), Given(model=MODEL, machine="h100", layout={"tp": 8.0}))
    chosen = choose(read([path]), Given(model=MODEL, machine="8xh100", layout={"tp": 2.0}, precision="fp8", kv="fp8"))
    point = chosen.points[0]
    assert point.run.row.decode.layout.label() == "TP2"
    assert (point.precision.mlp.name, point.precision.kv.name) == ("fp8", "fp8")


def test_what_servers_say_of_themselves_is_read(tmp_path: Path) -> None:
    server = {
        "model_path": "deepseek-ai/DeepSeek-R1",
        "tp_size": 8,
        "dp_size": 8,
        "ep_size": 8,
        "pp_size": 1,
        "enable_dp_attention": True,
        "quantization": "fp8",
        "version": "0.5.9",
    }
    path = write(tmp_path / "a.jsonl", sglang([(64, 0.03, 0.8), (256, 0.05, 2.0)], server_info=server))
    chosen = choose(read([path]), Given(machine="8xh200"))
    assert chosen.points[0].run.row.decode.layout.label() == "TP1 DP8 EP8"
    assert chosen.points[0].precision.experts.name == "fp8_block"  # the checkpoint's own eight bits
    assert chosen.base == "sglang@0.5.9"
    stated = write(tmp_path / "b.json", vllm([(4, 0.01, 0.1)], tensor_parallel_size="4", gpu="h100", version="0.18"))
    assert read([stated])[0].row.decode.layout.label() == "TP4"


def test_requests_at_a_rate_give_no_first_token(tmp_path: Path) -> None:
    """Users inside follow from Little's law; the first token of a clump of users is another thing."""
    path = write(tmp_path / "a.json", vllm([(1, 0.01, 0.1)], request_rate=2.0, max_concurrency=None, request_throughput=2.0))
    run = read([path])[0]
    assert run.at_random
    assert run.row.concurrency == pytest.approx(2.0 * (0.11 + (OSL - 1) * 0.0101))
    assert choose([run], Given(machine=MACHINE)).points[0].ttft is None


def test_all_at_once_is_one_round(tmp_path: Path) -> None:
    run = read([write(tmp_path / "a.json", vllm([(8, 0.01, 0.1)], max_concurrency=None))])[0]
    assert (run.row.concurrency, run.rounds) == (80, 1.0)


def test_rows_that_name_everything_are_picked_by_options(tmp_path: Path) -> None:
    one = json.loads(inferencex([(4, 0.01, 0.1), (16, 0.01, 0.1)]))
    other = [{**r, "framework": "sglang"} for r in one]
    two = [{**r, "disagg": True, "decode_num_workers": 1, "prefill_num_workers": 1} for r in one]
    drafts = [{**r, "spec_method": "mtp"} for r in one]
    path = write(tmp_path / "a.json", json.dumps([*one, *other, *two, *drafts]))
    with pytest.raises(BadInput, match=r"several engines \(vllm, sglang\)"):
        choose(read([path]), Given())
    chosen = choose(read([path]), Given(engine="vllm", machine="h100", model="llama-3.1-8b", isl=ISL))
    assert len(chosen.points) == 2
    assert dict(chosen.skipped) == {
        "two pools: only engines that prefill and decode on one are calibrated": 2,
        "run with speculative decoding: a step is not a token": 2,
    }
    with pytest.raises(BadInput, match="no row fits the options; the file has Llama"):
        choose(read([path]), Given(machine="b200"))


def test_a_job_of_inferencex_is_read(tmp_path: Path) -> None:
    record = {
        "hw": "h200",
        "tp": 8,
        "ep": 8,
        "dp_attention": "true",
        "conc": 64,
        "model": "deepseek-ai/DeepSeek-R1",
        "framework": "sglang",
        "precision": "fp8",
        "isl": 1024,
        "osl": 1024,
        "tput_per_gpu": 900.0,
        "mean_tpot": 0.03,
        "median_tpot": 0.029,
        "median_ttft": 0.4,
        "median_intvty": 34.0,
    }
    run = read([write(tmp_path / "agg.json", json.dumps(record))])[0]
    assert (run.row.decode.layout.label(), run.row.measured.tpot) == ("TP1 DP8 EP8", 0.029)


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -3.0, math.nan, math.inf, "fast", "nan", []])
def test_impossible_times_are_refused_by_name(value: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", vllm([(1, 0.01, 0.1), (4, 0.01, 0.1)], median_tpot_ms=value))
    with pytest.raises(BadInput, match=r"a\.json, run 1: median_tpot_ms = "):
        calibrate([path], GIVEN["vllm"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("{", "is not JSON"),
        ('{"a": 1}', "is not the output of a tool known here"),
        ('{"experiments": []}', "profile_export_genai_perf.json"),
        ("[1, 2]", "where the results of a run should be"),
        ("[]", "hold no runs"),
        ("a,b\n1,2\n", "is not the output of a tool known here"),
        ("a,b\n", "has no rows"),
        ("request_id,input_toks\n1,2\n", "rackmath score"),
        ('{"time_to_first_token": {"unit": "fortnights", "avg": 1}}', "the unit of time_to_first_token"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_files_that_are_no_results(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        read([write(tmp_path / "a.json", text)])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name, words in (("none.json", "there is no file"), ("*.json", "no file matches"), ("", "not the name")):
        with pytest.raises(BadInput, match=words):
            read([tmp_path / name if name else ""])
    with pytest.raises(BadInput, match="holds no"):
        read([tmp_path])
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not text in UTF-8"):
        read([tmp_path / "x.json"])


def test_one_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="1 point can be used; a calibration needs at least 2"):
        calibrate([made("vllm", tmp_path, users=(4,))], GIVEN["vllm"])


def test_runs_without_a_time_per_token_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", vllm([(1, 0.01, 0.1)], median_tpot_ms=None, mean_tpot_ms=None))
    with pytest.raises(BadInput, match=r"no run can be used .*no time per output token"):
        calibrate([path], GIVEN["vllm"])
    path = write(tmp_path / "a.json", vllm([(1, 0.01, 0.1)], spec_decode_acceptance_length=2.4))
    with pytest.raises(BadInput, match="speculative"):
        calibrate([path], GIVEN["vllm"])


def test_a_constant_at_the_edge_is_refused_by_name(tmp_path: Path) -> None:
    """Measured on one device and said to be of eight: no engine differs by that much."""
    path = made("vllm", tmp_path)
    given = Given(machine="8xh100", layout={"tp": 8.0})
    with pytest.raises(BadInput, match=r"step would have to be .* the edge of what it may be"):
        calibrate([path], given)


def test_a_model_that_does_not_fit_is_said_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", vllm([(1, 0.01, 0.1), (2, 0.01, 0.1)], model_id="meta-llama/Llama-3.1-405B"))
    with pytest.raises(BadInput, match=r"0 points can be used .*leaves no room"):
        calibrate([path], GIVEN["vllm"])


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", inferencex([(4, 0.01, 0.1)] * 401))
    with pytest.raises(BadInput, match="401 runs are more than the 400 fitted at once; pick some with --model"):
        choose(read([path]), Given())


def test_several_machines_are_refused(tmp_path: Path) -> None:
    rows = json.loads(inferencex([(4, 0.01, 0.1), (16, 0.01, 0.1)]))
    rows[1]["hardware"] = "h200"
    with pytest.raises(BadInput, match="several accelerators"):
        choose(read([write(tmp_path / "a.json", json.dumps(rows))]), Given())


# --- engines of one's own -----------------------------------------------------------------------------------------


def test_a_saved_fit_is_an_engine_everywhere(fitted: Calibration, home: Path) -> None:
    path = save(fitted, "ours-8b", today="2026-12-01")
    assert path == home / "engines" / "ours-8b.toml"
    found = engine("ours-8b")
    assert (found.name, found.chunk_tokens) == ("ours-8b", engine("vllm").chunk_tokens)
    assert engine_key("ours-8b") == "vllm"
    assert released(found.name, found.version) is None
    base, mine = tuning("vllm", "hopper"), tuning("ours-8b", "hopper")
    for name, factor in fitted.factors.items():
        ours, theirs = getattr(mine, name), getattr(base, name)
        if isinstance(ours, Mapping):
            ours, theirs = ours["gemm"], theirs["gemm"]
        assert ours == pytest.approx(factor * theirs, rel=1e-5)
    assert mine.source.startswith("calibrated: ours-8b (file vllm.json, points 4, machine h100, date 2026-12-01)")
    with_it = calibrated("hopper", found)
    assert with_it.step_overhead == pytest.approx(fitted.factors["step"] * base.step, rel=1e-5)


def test_the_next_save_is_seen_at_once(fitted: Calibration, home: Path) -> None:
    save(fitted, "ours")
    before = calibrated("hopper", engine("ours")).step_overhead
    own.write("ours", 'base = "vllm"\n[factors]\nstep = 3\n', force=True)
    assert tuning("ours", "hopper").step == pytest.approx(3 * tuning("vllm", "hopper").step)
    save(fitted, "ours", force=True)
    assert calibrated("hopper", engine("ours")).step_overhead == before


def test_an_engine_is_not_replaced_unasked(fitted: Calibration, home: Path) -> None:
    path = save(fitted, "ours")
    text = path.read_text()
    with pytest.raises(BadInput, match="exists already"):
        save(fitted, "ours")
    assert path.read_text() == text
    save(fitted, "ours", force=True)
    assert [p.name for p in path.parent.iterdir()] == ["ours.toml"]  # no half-written neighbours


def test_a_failed_write_leaves_nothing_behind(fitted: Calibration, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(fitted, "ours")
    text = path.read_text()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(BadInput, match=r"cannot write .*No space left"):
        save(fitted, "ours", force=True)
    assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["ours.toml"]


@pytest.mark.parametrize("name", ["", "vllm", "VLLM", "typical", "vllm-0.15", "../up", "a/b", "8gpu", "x" * 80, "a\nb"])
def test_names_that_cannot_be_an_engine(name: str) -> None:
    with pytest.raises(BadInput):
        own.check_name(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = ", "is not valid TOML"),
        ("[factors]\nstep = 1.0\n", "has no base"),
        ('base = "vlm9"\n', "is not an engine of the package"),
        ('base = "vllm"\n[factors]\nstpe = 1.0\n', "did you mean step"),
        ('base = "vllm"\n[factors]\nstep = -1\n', "out of range"),
        ('base = "vllm"\n[factors]\nstep = nan\n', "out of range"),
        ('base = "vllm"\n[factors]\nstep = true\n', "out of range"),
        ('base = "vllm"\nfactors = 3\n', "must be tables"),
        ('base = "vllm"\nstep = 3\n', "has the key 'step'"),
    ],
)
def test_broken_files_are_named(text: str, words: str, home: Path) -> None:
    (home / "engines").mkdir(parents=True)
    write(home / "engines" / "mine.toml", text)
    with pytest.raises(BadInput, match=words) as error:
        engine("mine")
    assert "mine.toml" in str(error.value) or "is not an engine of the package" in words


def test_a_calibrated_engine_is_no_base(fitted: Calibration) -> None:
    save(fitted, "ours")
    with pytest.raises(BadInput, match="was calibrated itself; name what it is based on: --engine vllm"):
        choose([p.point.run for p in fitted.points], Given(machine=MACHINE, engine="ours"))


def test_what_is_saved_predicts_what_the_fit_said(fitted: Calibration, home: Path) -> None:
    """The engine that is used later is the one whose errors were reported."""
    save(fitted, "ours")
    problem = FitProblem(fitted.chosen)
    ours = tuning("ours", catalog.machine(MACHINE).generation)
    said = own.scaled(problem.packaged, fitted.factors)
    assert ours.step == pytest.approx(said.step, rel=1e-5)
    assert ours.memory["experts"] == pytest.approx(said.memory["experts"], rel=1e-5)


# --- faces --------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(made("vllm", tmp_path))
    assert cli(["calibrate", "--from", path, "--on", MACHINE, "--save", "ours", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["base"] == "vllm"
    assert found["points"] == 4
    assert found["saved"]["name"] == "ours"
    assert found["errors"]["tpot"]["after"]["mape"] < found["errors"]["tpot"]["before"]["mape"]
    assert [c["name"] for c in found["constants"]] == list(NAMES)
    assert cli(["calibrate", "--from", path, "--on", MACHINE, "--save", "ours"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli(["calibrate", "--from", path, "--on", MACHINE, "--force"]) == 2
    assert "--save" in capsys.readouterr().err
    assert cli(["forward", MODEL, "--on", MACHINE, "--engine", "ours", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert cli(["forward", MODEL, "--on", MACHINE, "--engine", "vllm", "--json"]) == 0
    assert ours != json.loads(capsys.readouterr().out)


def test_the_screen_fits_100_columns(
    fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    answer = laid_out(fitted)

    def shown(**wanted: Any) -> str:
        export.Output.of(**{"json": False, "csv": False, "file": None, "explain": False, **wanted}).deliver(answer)
        return capsys.readouterr().out

    text = shown()
    assert "TPOT leave-one-out" in text
    assert "step, around a pass" in text
    assert "Nothing was written" in text
    assert max(map(len, text.splitlines())) <= 100
    assert shown(csv=True).startswith("run,tool,model,machine,layout")
    assert "TPOT after" in shown(explain=True)
    shown(file=tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size > 1000


def test_options_are_checked_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    for more, words in (
        (["--tp", "0"], "tp = 0 is out of range; give a whole number from 1"),
        (["--tp", "2.5"], "tp = 2.5 is out of range; give a whole number from 1"),
        (["--isl", "-1"], "isl = "),
        (["--save", "vllm"], "already means the packaged engine"),
    ):
        assert cli(["calibrate", "--from", "none.json", *more]) == 2
        assert words in capsys.readouterr().err
    assert cli(["calibrate"]) == 2
    assert "--from" in capsys.readouterr().err


def test_the_verb_of_python(tmp_path: Path) -> None:
    answer = rackmath.calibrate(files=str(made("vllm", tmp_path)), on=MACHINE, engine="vllm")
    assert answer.saved is None
    found = answer.subject
    assert found.files == ("vllm.json",)
    assert fit(found.chosen).factors == found.factors
    assert answer.constants[0]["after"] == found.constants[0].after
    assert [set(row) & {"tpot_error_before"} for row in answer.runs] == [{"tpot_error_before"}] * len(answer.runs)
    assert answer.charts


def test_a_tool_is_known_by_its_keys() -> None:
    assert tool_of({"mean_tpot_ms": 1.0, "model_id": "m", "num_prompts": 3}) == "vLLM"
    assert tool_of({"mean_tpot_ms": 1.0, "dataset_name": "random"}) == "SGLang"
