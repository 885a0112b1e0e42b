"""`score` on made-up files of every kind: spellings, new systems and models, bad input, and what may not be used."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hfdata import DATA
from hypothesis import given, settings
from hypothesis import strategies as st

import rackmath
from rackmath.errors import BadInput
from rackmath.evidence.answer import AnsweredRow, Asked, Estimate
from rackmath.evidence.kinds import KINDS, answered, answers, kind_named, recognised
from rackmath.evidence.maximum import layout_named
from rackmath.evidence.score import errors, score
from rackmath.faces.cli import run
from rackmath.kernel.efficiency import default_efficiency
from rackmath.questions.settings import changed
from rackmath.world import catalog
from rackmath.world.engine import TYPICAL

SERVING = DATA / "serving"
needs = pytest.mark.skipif(not SERVING.is_dir(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")

Rows = list[dict[str, str]]


def table(head: str, *lines: str) -> Rows:
    return list(csv.DictReader((head, *lines)))


MADE: dict[str, Rows] = {
    "silicon": table(
        "id,silicon_data_source,backend,backend_version,model_path,system,precision,mode,isl,osl,gemm_quant_mode,"
        "moe_quant_mode,batch_size,tp_size,pp_size,attention_dp_size,moe_tp_size,moe_ep_size,prefill_batch_size,"
        "prefill_num_workers,prefill_tp_size,prefill_pp_size,prefill_attention_dp_size,prefill_moe_tp_size,"
        "prefill_moe_ep_size,decode_batch_size,decode_num_workers,decode_tp_size,decode_pp_size,"
        "decode_attention_dp_size,decode_moe_tp_size,decode_moe_ep_size,silicon_ttft_ms,silicon_tpot_ms,source,"
        "silicon_concurrency,measured_date",
        "a,x,trtllm,1.2,moonshotai/Kimi-K2.5,b300_sxm,fp4,agg,1024,1024,nvfp4,nvfp4,64,8,1,1,1,8,,,,,,,,,,,,,,,500,30,"
        "made up,64,2026-10-01",
        "b,x,sglang,0.5.9,MiniMaxAI/MiniMax-M2.5,l40s,fp8,agg,1024,1024,fp8,fp8_block,8,8,1,1,8,1,,,,,,,,,,,,,,,900,40,"
        "made up,8,2026-10-01",
        "c,x,trtllm,1.2,zai-org/GLM-5,gb300,fp8,disagg,1024,1024,fp8,fp8,,,,,,,,2,8,1,1,1,8,,1,8,1,8,1,8,700,20,made up,256,2026-10-01",
    ),
    "inferencex": table(
        "model,hardware,framework,precision,spec_method,disagg,tp,ep,dp_attention,prefill_tp,prefill_ep,"
        "prefill_dp_attention,prefill_num_workers,decode_tp,decode_ep,decode_dp_attention,decode_num_workers,"
        "num_prefill_gpu,num_decode_gpu,isl,osl,conc,tput_per_gpu,output_tput_per_gpu,input_tput_per_gpu,mean_ttft,"
        "median_ttft,mean_tpot,median_tpot,median_intvty,median_e2el,image",
        "Qwen/Qwen3.5-397B-A17B-FP8,mi325x,sglang,fp8,none,False,8,1,False,8,1,False,0,8,1,False,0,8,8,1024,1024,64,"
        "900,450,450,0.9,0.8,0.026,0.025,40,25,img",
        "/models/DeepSeek-R1,gb300,dynamo-trt,fp4,none,True,32,32,True,4,4,True,5,32,32,True,1,20,32,8192,1024,512,"
        "2500,800,4000,0.9,0.8,0.016,0.015,66,16,img",
        "openai/gpt-oss-120b,b300,vllm,fp4,none,False,2,1,False,2,1,False,0,2,1,False,0,2,2,1024,8192,32,"
        "900,800,100,0.2,0.1,0.006,0.005,200,41,img",
    ),
    "trtllm-static": table(
        "trtllm_version,model,gpu,precision,tp,batch_size,isl,osl,out_tok_s_total,out_tok_s_per_gpu,"
        "first_token_latency_ms,section,methodology,source",
        "v0.9.0,LLaMA 7B,H100,FP8,1.0,64.0,128.0,128.0,9000,9000,,High Throughput,m,made up",
        "v0.9.0,LLaMA 70B,A100,FP16,4.0,1.0,2048.0,,,,400,Low Latency,m,made up",
        "v0.9.0,Falcon 180B,GH200,FP8,8.0,32,128,2048,2500,312,,Peak Throughput,m,made up",
    ),
    "trtllm-max": table(
        "trtllm_doc_version,model,gpu,precision,layout,n_gpus,isl,osl,out_tok_s_total,out_tok_s_per_gpu,methodology,source",
        "1.2,DeepSeek-R1,B300,FP4,DEP8,8,1000,1000,40000,5000,m,made up",
        "1.2,Llama-3.3-70B,RTX 6000 PRO,FP4,TP2,2,128,128,4000,2000,m,made up",
        "1.2,Qwen3-235B-A22B,GB200,FP4,DEP4,4,20000,2000,9000,2250,m,made up",
    ),
    "mlperf": table(
        "round,division,submitter,system,benchmark,scenario,system_name,number_of_nodes,accelerator_model_name,"
        "accelerators_per_node,host_processor_model_name,host_processors_per_node,framework,status,weight_data_types,"
        "validity,offline_tokens_per_s,server_tokens_per_s,samples_per_s,completed_samples_per_s,target_qps,"
        "ttft_limit_s,tpot_limit_s,e2e_p50_s,n_accel,tokens_per_s,tokens_per_s_per_accel",
        "v5.1,closed,X,s,llama2-70b-99,Offline,s,1,AMD Instinct MI325X 256GB HBM3E,8,cpu,2,vLLM 0.9,available,fp8,"
        "VALID,33000,,112,,,2,0.2,,8,33000,4125",
        "v5.1,closed,X,s,deepseek-r1,Server,s,1,NVIDIA GB300,72,cpu,2,TensorRT 10.2,available,fp16,VALID,,200000,,50,"
        "50,2,0.08,,72,200000,2777",
        "v5.1,closed,X,s,llama2-70b-interactive-99,Server,s,1,NVIDIA B300-SXM-270GB,8,cpu,2,TensorRT 10.2,available,"
        "fp16,VALID,,60000,,200,200,,,,8,60000,7500",
        "v4.1,closed,X,s,gptj-99,SingleStream,s,1,NVIDIA L40S,1,cpu,2,TensorRT 10.2,available,fp16,VALID,,,,,,,,1.1,1,,",
        "v4.1,closed,X,s,gptj-99,Offline,s,1,N/A,0,INTEL(R) XEON(R) PLATINUM 8592+,2,PyTorch,available,int4,VALID,100,,1.5,,,,,,0,100,",
    ),
    "llamacpp": table(
        "gpu,model,quant,metric,value,source",
        'M1 7-Core GPU 8GB,Llama-3-8B,Q4_K_M,"decode_tok_s (1024 generated, batch 1)",9.7,made up',
        'M2 Ultra 76-Core GPU 192GB,Llama-3-70B,F16,"decode_tok_s (1024 generated, batch 1)",4.7,made up',
        'M3 Max 40-Core GPU 64GB,Llama-3-8B,F16,"prefill_tok_s (1024-token prompt, batch 1)",750,made up',
        'RTX 5090 32GB * 2,Llama-3-70B,Q4_K_M,"decode_tok_s (1024 generated, batch 1)",30,made up',
    ),
    "palm": table(
        "source,paper_or_repo,table,model,gpu,num_gpus,global_batch,precision,metric,value,unit,note",
        "s,Pope et al. 2022 PaLM inference,Table 2,PaLM 540B decode,TPUv4,64,64,int8 weights,decode_latency_ms,28.5,ms,WS 2D / Batch",
        "s,Pope et al. 2022 PaLM inference,Table 2,PaLM 540B decode,TPUv4,64,512,bf16,mfu,33,%,WS 2D / Batch",
        "s,Narayanan et al. 2021,T,GPT 175B,A100,512,1536,bf16,step_time_s,20,s,",
    ),
}

NOT_PALM = MADE["palm"][:2]


def written(rows: Rows, path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def said(kind: str, **changed: str) -> AnsweredRow:
    """The answer for the first made-up row of a kind with some cells changed."""
    return answered(KINDS[kind], [MADE[kind][0] | changed], Asked())[0]


# --- every kind ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MADE)
def test_every_row_of_every_kind_is_answered_within_its_bound(kind: str, tmp_path: Path) -> None:
    path = written(MADE[kind], tmp_path / "made.csv")
    found, header, rows = answers(path)
    assert found.name == kind
    assert list(header) == list(MADE[kind][0])
    assert len(rows) == len(NOT_PALM if kind == "palm" else MADE[kind])
    for row in rows:
        assert row.said.reason == ""
        assert row.said.estimates
        assert set(row.said.estimates) <= set(found.predicts)
        for estimate in row.said.estimates.values():
            assert estimate.bound is not None
            assert 0 < estimate.pred < math.inf
            beyond = estimate.pred / estimate.bound - 1
            assert beyond <= 1e-9 if estimate.most else beyond >= -1e-9
            if estimate.low is None or estimate.high is None:  # too few rows of a column
                assert kind == "mlperf"
                continue
            assert 0 < estimate.low < estimate.high
        assert row.said.system
        assert row.said.model
        assert row.said.engine
        assert row.said.mode


@pytest.mark.parametrize("kind", MADE)
def test_a_measurement_never_changes_a_prediction(kind: str) -> None:
    """Blank, absurd or missing: what stands in the measured columns has no part in the answer."""
    one, rows = KINDS[kind], NOT_PALM if kind == "palm" else MADE[kind]

    def predictions(found: Rows) -> list[Any]:
        return [a.said.estimates for a in answered(one, found, Asked())]

    measured = [m for m in one.measured if m in rows[0]]
    assert measured
    plain = predictions(rows)
    for cell in ("", "1e-9", "123456789", "none"):
        assert predictions([row | dict.fromkeys(measured, cell) for row in rows]) == plain
    bare = predictions([{k: v for k, v in row.items() if k not in measured} for row in rows])
    for without, with_them in zip(bare, plain, strict=True):
        assert {k: without[k] for k in with_them} == with_them


@settings(max_examples=25)
@given(st.sampled_from(sorted(MADE)), st.floats(1e-6, 1e6), st.data())
def test_any_measured_cell_may_hold_anything(kind: str, value: float, data: st.DataObject) -> None:
    rows = NOT_PALM if kind == "palm" else MADE[kind]
    i = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from([m for m in KINDS[kind].measured if m in rows[0]]))
    changed = [row | ({column: repr(value)} if j == i else {}) for j, row in enumerate(rows)]
    before, after = answered(KINDS[kind], rows, Asked()), answered(KINDS[kind], changed, Asked())
    assert [a.said.estimates for a in before] == [a.said.estimates for a in after]


@pytest.mark.parametrize("kind", MADE)
def test_a_bad_row_does_not_spoil_the_file(kind: str, tmp_path: Path) -> None:
    rows = NOT_PALM if kind == "palm" else MADE[kind]
    first = rows[0]
    broken = []
    for column in [c for c in KINDS[kind].needs if c not in ("metric", "unit", "paper_or_repo", "table", "mode")]:
        broken += [first | {column: cell} for cell in ("", "?", "-1", "1e300", "nan", "\u2028")]
    _, _, found = answers(written([*rows, *broken], tmp_path / "made.csv"))
    assert len(found) == len(rows) + len(broken)
    assert all(a.answered for a in found[: len(rows)])
    alone = answered(KINDS[kind], rows, Asked())
    for a, b in zip(alone, found, strict=False):
        for name, e in a.said.estimates.items():
            assert b.said.estimates[name].pred == pytest.approx(e.pred, rel=1e-9)
    for a in found[len(rows) :]:
        assert a.answered == bool(a.said.estimates)
        assert all(math.isfinite(e.pred) for e in a.said.estimates.values())


def test_units_of_each_file() -> None:
    row = MADE["inferencex"][0]
    (a,) = answered(KINDS["inferencex"], [row], Asked())
    e = a.said.estimates
    assert e["median_intvty"].pred == pytest.approx(1 / e["median_tpot"].pred)
    assert e["median_e2el"].pred == pytest.approx(e["median_ttft"].pred + (0.9 * 1024 - 1) * e["median_tpot"].pred)
    parts = e["input_tput_per_gpu"].pred + e["output_tput_per_gpu"].pred
    assert parts == pytest.approx(e["tput_per_gpu"].pred)  # one pool: all devices do both
    two = answered(KINDS["inferencex"], [MADE["inferencex"][1]], Asked())[0].said.estimates
    everything = two["input_tput_per_gpu"].pred * 20 + two["output_tput_per_gpu"].pred * 32
    assert everything == pytest.approx(two["tput_per_gpu"].pred * 52)
    mtp = said("silicon")
    assert 1 < mtp.said.estimates["silicon_tpot_ms"].pred < 1000


def test_static_batches_grow_with_their_context() -> None:
    rates = [said("trtllm-static", osl=str(n)).said.estimates["out_tok_s_total"].pred for n in (2, 64, 2048)]
    assert rates[0] < rates[1]  # the prefill is shared by more tokens
    assert rates[1] > rates[2]  # and then the cache is longer
    one = said("trtllm-static", osl="1").said.estimates
    first = said("trtllm-static", osl="").said.estimates
    assert set(first) == {"first_token_latency_ms"}
    assert one["out_tok_s_total"].pred == pytest.approx(64 / first["first_token_latency_ms"].pred * 1e3)
    assert "heads" in said("trtllm-static", tp="7").said.reason


def test_layers_over_cards_do_not_decode_faster() -> None:
    one = said("llamacpp", gpu="A100 SXM 80GB").said.estimates["value"]
    four = said("llamacpp", gpu="A100 SXM 80GB * 4").said.estimates["value"]
    assert four.pred <= one.pred * 1.001
    assert four.pred > one.pred * 0.8
    assert "takes 141 GB" in said("llamacpp", gpu="RTX 4090", model="Llama-3-70B", quant="F16").said.reason
    assert "metric" in said("llamacpp", metric="energy").said.reason


def test_chips_with_fewer_cores_are_slower_where_they_compute() -> None:
    prefill = "prefill_tok_s (1024-token prompt, batch 1)"
    few, many = (said("llamacpp", gpu=f"M1 Max {n}-Core GPU 64GB").said.estimates["value"].pred for n in (24, 32))
    assert many * 24 / 32 < few * 1.1 <= many * 1.1
    few, many = (said("llamacpp", gpu=f"M1 Max {n}-Core GPU 64GB", metric=prefill).said.estimates["value"].pred for n in (24, 32))
    assert few == pytest.approx(many * 24 / 32, rel=0.1)


def test_limits_and_beams_of_mlperf() -> None:
    server = {"scenario": "Server", "tpot_limit_s": "0.2"}
    loose = said("mlperf", **server).said.estimates["server_tokens_per_s"]
    tight = said("mlperf", **server | {"tpot_limit_s": "0.03"}).said.estimates["server_tokens_per_s"]
    offline = said("mlperf").said.estimates["offline_tokens_per_s"]
    assert tight.pred < loose.pred <= offline.pred * 1.001
    impossible = said("mlperf", **server | {"tpot_limit_s": "1e-6"})
    assert "limits of latency" in impossible.said.reason
    per_device = said("mlperf").said.estimates["tokens_per_s_per_accel"]
    assert per_device.pred == pytest.approx(offline.pred / 8)
    assert "unknown benchmark" in said("mlperf", benchmark="resnet50").said.reason
    assert said("mlperf", division="open").said.mode == "offline, open"


def test_layouts_of_maximum_load() -> None:
    with pytest.raises(BadInput, match="layout 'all'"):
        layout_named("all", 8)
    dep = said("trtllm-max").said
    assert dep.notes[0].startswith("TP1 DP8 EP8")
    assert said("trtllm-max", osl="1").answered  # prompts alone: less than one sequence decodes at a time
    assert said("trtllm-max", layout="TP3").said.reason


# --- scores -------------------------------------------------------------------------------------------------------


def test_scores_by_column_and_key() -> None:
    kind, rows = KINDS["trtllm-static"], MADE["trtllm-static"]
    found = score(kind, tuple(rows[0]), answered(kind, [*rows, rows[0] | {"model": "nobody"}], Asked()))
    assert (found.total.rows, found.total.answered) == (4, 3)
    rate, first = found.total.columns["out_tok_s_per_gpu"], found.total.columns["first_token_latency_ms"]
    assert (rate.rows, rate.answered) == (3, 2)
    assert rate.coverage == pytest.approx(2 / 3)
    assert first.errors is not None
    assert first.errors.n == 1
    assert first.errors.rank is None
    assert [cell.key for cell in found.by["system"]] == ["A100", "GH200", "H100"]
    assert [cell.headline for cell in found.by["mode"]] == ["out_tok_s_per_gpu", "first_token_latency_ms", "out_tok_s_per_gpu"]
    assert len(found.reasons) == 1
    assert found.violations == ()


def test_errors_and_intervals() -> None:
    e = errors([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0], [(1.0, 2.0, 2.0), (1.0, 4.0, 8.0)])
    assert (e.mape, e.median, e.bias, e.within_20) == (0.5, 0.5, 0.25, 0.25)
    assert e.p90 == pytest.approx(0.85)
    assert e.rank is None  # one side is constant
    assert (e.inside, e.width) == (0.5, 3.0)


def test_a_measurement_beyond_its_bound_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [MADE["trtllm-static"][0] | {"out_tok_s_total": "9e9", "out_tok_s_per_gpu": "9000"}]
    assert run(["score", str(written(rows, tmp_path / "a.csv"))]) == 0
    assert "out_tok_s_total 9e+09, bound" in capsys.readouterr().out
    assert Estimate(pred=2.0, bound=1.0).broken_by(0.9)
    assert not Estimate(pred=2.0, bound=None).broken_by(0.9)


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MADE)
def test_predictions_repeat_the_file_and_add_five_columns(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = NOT_PALM if kind == "palm" else MADE[kind]
    path, out = written(rows, tmp_path / "made.csv"), tmp_path / "predictions.csv"
    assert run(["score", str(path), "--kind", kind, "--out", str(out)]) == 0
    assert "answered (100.0%)" in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as handle:
        read = csv.DictReader(handle)
        found, header = list(read), list(read.fieldnames or ())
    columns = [m for m in KINDS[kind].predicts if m in rows[0]]
    added = [f"{m}_{part}" for m in columns for part in ("pred", "lo", "hi", "bound")]
    assert header == [*rows[0], *added, "reason"]
    for row, line in zip(rows, found, strict=True):
        assert {k: line[k] for k in row} == row
        assert line["reason"] == ""
        assert any(float(line[f"{m}_pred"]) > 0 for m in columns if line[f"{m}_pred"])
    assert run(["score", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == kind
    assert said["answered"] == len(rows)
    assert {"system", "model", "engine", "mode", "columns", "reasons", "beyond_bound"} <= set(said)
    for name, column in said["columns"].items():
        if column["n"]:
            assert {"bias", "mape", "median", "p90", "within_20", "spearman", "interval_coverage"} <= set(column), name


def test_a_file_of_queries_gets_every_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = KINDS["silicon"]
    rows = [{k: v for k, v in row.items() if k not in kind.measured} for row in MADE["silicon"]]
    out = tmp_path / "predictions.csv"
    assert run(["score", str(written(rows, tmp_path / "q.csv")), "--out", str(out)]) == 0
    assert "no measurement to compare with" in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as handle:
        assert all(float(line["silicon_tpot_ms_pred"]) > 0 for line in csv.DictReader(handle))


def test_every_form_of_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(MADE["inferencex"], tmp_path / "a.csv")
    for form in (["--explain"], ["--csv"], ["-o", str(tmp_path / "a.txt")], ["-o", str(tmp_path / "a.html")]):
        assert run(["score", str(path), *form]) == 0
    capsys.readouterr()
    tpot = []
    for share in ("0.9", "0.1"):
        assert run(["score", str(path), "--json", "--set", f"efficiency.link_share={share}"]) == 0
        tpot.append(json.loads(capsys.readouterr().out)["predictions"][0]["median_tpot_pred"])
    assert tpot[0] < tpot[1]


def test_a_constant_set_by_hand_leaves_the_others_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Set to what a row's fit says, nothing moves; a constant that plays no part in a row moves nothing either."""
    engine, change = changed(TYPICAL, {"efficiency.overlap": 0})
    for machine, name in (("h200", "vllm"), ("mi300x", "sglang"), ("b200", "trtllm")):
        fitted = Asked().on(catalog.machine(machine), name)
        assert Asked(engine=engine, change=change).on(catalog.machine(machine), name) == fitted
        assert fitted != default_efficiency()
    path = written(MADE["inferencex"], tmp_path / "a.csv")
    said = []
    for words in ([], ["--set", "efficiency.overlap=0"]):
        assert run(["score", str(path), "--json", *words]) == 0
        said.append([p["median_tpot_pred"] for p in json.loads(capsys.readouterr().out)["predictions"]])
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        (None, [], "there is no file"),
        ("", [], "is empty"),
        ("a,b\n", [], "a header and no rows"),
        ("a,b\n1,2\n", [], "no known kind of measured file"),
        ("a,a\n1,2\n", [], "the column 'a' twice"),
        ("a,b\n1,2\n", ["--kind", "silicone"], "did you mean silicon?"),
        ("a,b\n1,2\n", ["--kind", "silicon"], "no column 'model_path'"),
        ("a,b\n1,2\n", ["--out", "predictions.txt"], "ends in .csv"),
        ("a,b\n1,2\n", ["--set", "machine.domain=8"], "engine or efficiency only"),
        ("gpu,model,quant,value\nH100,x,F16,1\n", [], "has no column 'metric'"),
        ("gpu,model,quant,metric,value\nH100,x,F16,1,1\n\0", [], "is not"),
    ],
)
def test_bad_input_is_one_sentence(
    text: str | None, words: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    code = run(["score", str(path), *words])
    caught = capsys.readouterr().err
    if error == "is not" and code == 0:  # some versions of the reader accept a null byte
        return
    assert code == 2
    assert error in caught
    assert caught.count("\n") == 1


def test_files_that_are_no_text_or_hold_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.csv"
    path.write_bytes(b"\xff\xfe\x00a,b\n\x81\x8d")
    assert run(["score", str(path)]) == 2
    rows = [row | {"isl": "long"} for row in MADE["trtllm-max"]]
    assert run(["score", str(written(rows, path))]) == 2
    assert "no row can be read; in the first, isl = 'long' is not a number" in capsys.readouterr().err
    assert run(["score", str(tmp_path)]) == 2


def test_inference_and_training_share_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inference, training = MADE["palm"][:2], MADE["palm"][2:]
    assert recognised(tuple(training[0]), training, "x").name == "training"
    assert recognised(tuple(training[0]), inference, "x").name == "palm"
    path = written(training, tmp_path / "runs.csv")
    assert run(["score", str(path), "--kind", "palm"]) == 2
    assert "has no rows of PaLM inference; --kind training reads those it has" in capsys.readouterr().err
    assert run(["score", str(written(inference, path)), "--kind", "training"]) == 2
    assert kind_named(" Trtllm_Max ").name == "trtllm-max"


# --- names --------------------------------------------------------------------------------------------------------

MACHINES = {
    "b300": "b300; B300; b300_sxm; NVIDIA B300-SXM-270GB; NVIDIA B300 288GB; b300-nv; 8xb300",
    "gb300": "gb300; NVIDIA GB300; GB300 NVL72; gb300-nvl72; gb300-nv; NVIDIA GB300-NVL72",
    "gb200": "gb200; NVIDIA GB200; GB200 NVL72; NVIDIA GB200-NVL72-186GB",
    "b200": "b200; b200_sxm; b200-trt; NVIDIA B200-SXM-180GB; b200-dgxc; b200-dgxc-slurm",
    "h200": "h200; h200_sxm; NVIDIA H200-SXM-141GB; NVIDIA H200-SXM-141GB-CTS; h200-dgxc-slurm",
    "h100": "h100; h100_sxm; NVIDIA H100-SXM-80GB",
    "h100-nvl": "NVIDIA H100-NVL-94GB; H100 NVL",
    "h100-pcie": "NVIDIA H100-PCIe-80GB; H100 PCIe 80GB; H100 PCIe 80GB * 4",
    "gh200": "GH200; NVIDIA GH200 Grace Hopper Superchip 96GB; NVIDIA GH200-GraceHopper-Superchip_96GB-HBM3",
    "gh200-144gb": "NVIDIA GH200 Grace Hopper Superchip 144GB",
    "a100": "A100; a100_sxm; A100 SXM 80GB; A100-SXM-80GB; NVIDIA A100-SXM-80GB; A100 SXM 80GB * 4",
    "a100-pcie": "A100 PCIe 80GB; a100_pcie",
    "mi300x": "mi300x; AMD Instinct MI300X-NPS1-SPX-192GB-750W; AMD MI300X-NPS1-SPX-192GB-750W",
    "mi325x": "mi325x; MI325X; AMD Instinct MI325X 256GB HBM3E; mi325x-amd; AMD Instinct MI325X-NPS1-SPX-256GB-1000W",
    "mi355x": "mi355x; mi355x-amd_0; AMD Instinct MI355X 288GB HBM3e",
    "gaudi3": "gaudi3; Gaudi 3; gaudi-3; Intel Gaudi 3; HL-325L; 8xgaudi3",
    "l40s": "l40s; L40S 48GB; NVIDIA L40S; l40s_pcie; L40S 48GB * 4",
    "rtx-pro-6000": "rtx pro 6000; rtx_pro_6000; rtxpro6000; RTX 6000 PRO; rtx_pro_6000_server; RTX PRO 6000 96GB;"
    " NVIDIA RTX PRO 6000 Blackwell Server Edition",
    "rtx-pro-6000-workstation": "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
    "rtx-pro-6000-max-q": "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    "tpu7x": "tpu7x; TPU7x; TPU v7x; TPU v7; tpu-v7; ironwood; Google TPU v7x Ironwood; tpu7x-8",
    "m1-7c": "M1 7-Core GPU 8GB",
    "m1": "M1 8-Core GPU 16GB; Apple M1",
    "m1-max": "M1 Max 32-Core GPU 64GB; Apple M1 Max",
    "m1-max-24c": "M1 Max 24-Core GPU 32GB",
    "m2-ultra": "M2 Ultra 76-Core GPU 192GB",
    "m2-ultra-60c": "M2 Ultra 60-Core GPU 128GB",
    "m3-max": "M3 Max 40-Core GPU 64GB",
    "m3-max-30c": "M3 Max 30-Core GPU 36GB",
    "m4": "Apple M4 (10c)",
    "m4-max-32c": "M4 Max 32-Core GPU",
    "xeon-8592": "INTEL(R) XEON(R) PLATINUM 8592+; Intel(R) Xeon(R) Platinum 8592+",
    "xeon-6980p": "INTEL(R) XEON(R) 6980P",
    "rtx-3090": "3090 24GB; 3090 24GB * 6",
    "rtx-4090": "4090 24GB * 8; NVIDIA GeForce RTX 4090",
    "rtx-a6000": "RTX A6000 48GB * 4",
    "rtx-6000-ada": "RTX 6000 Ada 48GB; NVIDIA RTX 6000 Ada Generation",
}


@pytest.mark.parametrize(("key", "text"), [(k, s.strip()) for k, v in MACHINES.items() for s in v.split(";")])
def test_spellings_of_accelerators(key: str, text: str) -> None:
    found, known = catalog.machine(text), catalog.machine(key)
    assert (found.accelerator, found.hbm_bandwidth, found.peak_bf16) == (known.accelerator, known.hbm_bandwidth, known.peak_bf16)


def test_memory_of_a_computer_is_the_one_that_is_named() -> None:
    assert float(catalog.machine("M3 Max 40-Core GPU 64GB").box) == 64e9
    assert float(catalog.machine("M1 7-Core GPU 8GB").box) == 8e9
    with pytest.raises(BadInput, match="names 999 GB"):
        catalog.machine("M3 Max 999GB")
    with pytest.raises(BadInput, match="names 40 GB"):
        catalog.machine("H100 40GB")


MODELS = {
    "MiniMaxAI/MiniMax-M2.5": "MiniMax-M2.5; minimaxm2.5; /models/MiniMax-M2.5; nvidia/MiniMax-M2.5-NVFP4; amd/MiniMax-M2.5-MXFP4",
    "moonshotai/Kimi-K2.5": "Kimi-K2.5; kimik2.5; nvidia/Kimi-K2.5-NVFP4; amd/Kimi-K2.5-MXFP4; /mnt/lustre01/models/kimi-k2.5-nvfp4",
    "zai-org/GLM-5": "GLM-5; glm5; zai-org/GLM-5-FP8; nvidia/GLM-5-NVFP4; amd/GLM-5-MXFP4",
    "Qwen/Qwen3.5-397B-A17B": "Qwen/Qwen3.5-397B-A17B-FP8; qwen3.5-397b-a17b; Qwen3.5-397B; qwen3.5;"
    " nvidia/Qwen3.5-397B-A17B-NVFP4; amd/Qwen3.5-397B-A17B-MXFP4",
    "deepseek-ai/DeepSeek-R1": "/models/DeepSeek-R1; deepseek-ai/DeepSeek-R1-0528; nvidia/DeepSeek-R1-0528-FP4-V2;"
    " amd/DeepSeek-R1-0528-MXFP4-Preview; /mnt/lustre01/models/deepseek-r1-0528-fp4-v2; dsr1; deepseek-r1;"
    " nvidia/DeepSeek-R1-NVFP4",
    "openai/gpt-oss-120b": "/mnt/lustre01/models/gpt-oss-120b; gpt-oss-120b; gptoss; GPT-OSS-120B",
    "meta-llama/Llama-3.3-70B-Instruct": "Llama-3.3-70B; nvidia/Llama-3.3-70B-Instruct-FP4; amd/Llama-3.3-70B-Instruct-FP8-KV",
    "meta-llama/Meta-Llama-3.1-405B": "llama3.1-405b; llama3_1-405b; Llama-3.1-405B",
    "meta-llama/Llama-2-70b-hf": "llama2-70b-99; llama2-70b-99.9; meta-llama/Llama-2-70b-chat-hf",
    "EleutherAI/gpt-j-6b": "GPT-J 6B; gptj-99; gptj-99.9",
    "mistralai/Mixtral-8x7B-v0.1": "mixtral-8x7b; mistralai/Mixtral-8x7B-Instruct-v0.1",
}


@pytest.mark.parametrize(("key", "text"), [(k, s.strip()) for k, v in MODELS.items() for s in v.split(";")])
def test_spellings_of_models(key: str, text: str) -> None:
    found, known = catalog.model(text), catalog.model(key)
    assert (found.d_model, found.n_layers, found.vocab) == (known.d_model, known.n_layers, known.vocab)
    for mark, formats in (("NVFP4", {"nvfp4"}), ("MXFP4", {"mxfp4"}), ("-FP8", {"fp8", "fp8_block"})):
        if mark in text:
            assert found.precision.experts.name in formats or found.precision.mlp.name in formats


# --- the files themselves -----------------------------------------------------------------------------------------


@needs
@pytest.mark.parametrize(
    ("file", "kind", "rows", "least", "median"),
    [
        ("trtllm_static_batch_v0.5-v0.9.csv", "trtllm-static", 292, 292, 0.25),
        ("trtllm_perf_overview_v1.0_v1.2.csv", "trtllm-max", 210, 210, 0.3),
        ("mlperf_inference_llm.csv", "mlperf", 790, 712, 0.45),
        ("llamacpp_batch1_gpus_apple.csv", "llamacpp", 178, 178, 0.35),
    ],
)
def test_whole_files(file: str, kind: str, rows: int, least: int, median: float) -> None:
    found, header, all_rows = answers(SERVING / file)
    assert (found.name, len(all_rows)) == (kind, rows)
    scores = score(found, header, all_rows)
    assert scores.total.answered >= least
    column = scores.total.columns[scores.total.headline].errors
    assert column is not None
    assert column.median < median
    assert column.rank is not None
    assert column.rank > 0.8
    broken = [a for a in scores.violations if "open" not in a.said.mode]  # pruned models are not those of the names
    assert broken == []


def test_the_example_is_close_and_drawn() -> None:
    answer = rackmath.score("example")
    assert answer.answered == len(answer.predictions) == 15
    assert answer.columns.median_tpot.mape < 0.1
    assert answer.rows()[0].keys() > {"model", "median_tpot", "median_tpot_pred", "reason"}
    assert answer.charts[0]["title"]["text"] == ["median_tpot, example"]
    assert rackmath.score("example", kind="InferenceX").record["columns"] == answer.record["columns"]
    with pytest.raises(BadInput, match="did you mean inferencex"):
        rackmath.score("example", kind="inferenceX2")
