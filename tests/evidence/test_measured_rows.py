"""Rows of published benchmarks: how they are read, that all are answered, and that none beats its bound.

A few single figures are quoted by hand; the rest needs the data folder and skips without it.
"""

from __future__ import annotations

import csv
import statistics
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hfdata import DATA

from rackmath.errors import BadInput
from rackmath.evidence import deployments, palm
from rackmath.evidence.answer import Asked
from rackmath.evidence.cells import WHOLE
from rackmath.evidence.kinds import KINDS, answered, answers
from rackmath.evidence.predict import MTP_DEPTH, Prediction, named, predict
from rackmath.evidence.published import listed
from rackmath.evidence.rows import MEAN_LENGTH, Row, read, rows
from rackmath.kernel.efficiency import default_efficiency

SILICON = DATA / "serving" / "inferencex_silicon_sample_aic.csv"
FIXED = DATA / "serving" / "inferencex_fixed_seq.csv"
REPORTED = DATA / "training" / "reported_runs.csv"
needs = pytest.mark.skipif(not SILICON.is_file(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")

# Single figures of InferenceX (github.com/SemiAnalysisAI/InferenceX, results of 2025) in the columns of its files.
FIXED_HEAD = (
    "model,hardware,framework,precision,spec_method,disagg,tp,ep,dp_attention,prefill_tp,prefill_ep,"
    "prefill_dp_attention,prefill_num_workers,decode_tp,decode_ep,decode_dp_attention,decode_num_workers,"
    "num_prefill_gpu,num_decode_gpu,isl,osl,conc,tput_per_gpu,median_ttft,median_tpot"
)
FIXED_ROWS = (
    "deepseek-ai/DeepSeek-R1-0528,mi355x,sglang,fp4,none,False,4,1,False,4,1,False,0,4,1,False,0,4,4,8192,1024,4,"
    "382.572,0.6068725,0.02170514",
    "deepseek-ai/DeepSeek-R1-0528,b200,sglang,fp4,none,False,8,1,False,8,1,False,0,8,1,False,0,8,8,8192,1024,64,"
    "2119.739,0.8668639,0.03131555",
)


def fixed(**given: str) -> Row:
    base = dict(zip(FIXED_HEAD.split(","), FIXED_ROWS[1].split(","), strict=True))
    return rows([base | given])[0]


def silicon(**given: str) -> Row:
    base = {
        "id": "x",
        "backend": "trtllm",
        "model_path": "deepseek-ai/DeepSeek-R1",
        "system": "b200_sxm",
        "mode": "agg",
        "isl": "1024",
        "osl": "1024",
        "moe_quant_mode": "fp8",
        "silicon_concurrency": "256",
        "batch_size": "256",
        "tp_size": "8.0",
        "pp_size": "1.0",
        "attention_dp_size": "1.0",
        "moe_tp_size": "8.0",
        "moe_ep_size": "1.0",
        "silicon_ttft_ms": "900",
        "silicon_tpot_ms": "30",
        "silicon_data_source": "source_file=2026-03-25.csv",
    }
    return rows([base | given])[0]


# --- reading ------------------------------------------------------------------------------------------------------


def test_quoted_rows_are_answered_above_their_bound_and_near_the_measurement() -> None:
    lines = (FIXED_HEAD, *FIXED_ROWS)
    found = predict(rows(list(csv.DictReader(lines))))
    for p in found:
        assert p.answered
        assert not p.beats_bound
        assert p.tpot_bound is not None
        assert p.tpot is not None
        assert p.row.measured.tpot is not None
        assert p.tpot_bound <= p.tpot
        assert p.tpot == pytest.approx(p.row.measured.tpot, rel=0.7)  # software of 2025, no constant fitted
    assert [p.row.measured.tput_per_gpu for p in found] == [382.572, 2119.739]


def test_lengths_are_the_mean_of_the_drawn_ones() -> None:
    assert fixed().isl == pytest.approx(MEAN_LENGTH * 8192)
    assert silicon().isl == pytest.approx(MEAN_LENGTH * 1024)
    assert silicon(silicon_data_source="source_file=aic gap analysis: x").isl == 1024


@pytest.mark.parametrize(
    ("given", "label", "devices"),
    [
        ({"tp": "8", "ep": "1", "dp_attention": "False"}, "TP8", 8),
        ({"tp": "8", "ep": "8", "dp_attention": "False", "num_decode_gpu": "64"}, "TP8 EP8", 8),
        ({"tp": "8", "ep": "8", "dp_attention": "True", "num_decode_gpu": "64"}, "TP1 DP8 EP8", 8),
        ({"tp": "2", "ep": "1", "dp_attention": "True"}, "TP1 DP2", 2),
    ],
)
def test_layouts_of_inferencex(given: dict[str, str], label: str, devices: float) -> None:
    layout = fixed(**given).decode.layout
    assert (layout.label(), float(layout.gpus)) == (label, devices)


def test_pools_of_inferencex() -> None:
    row = fixed(
        disagg="True",
        prefill_tp="4",
        prefill_ep="4",
        prefill_dp_attention="True",
        prefill_num_workers="5",
        num_prefill_gpu="20",
        decode_tp="32",
        decode_ep="32",
        decode_dp_attention="True",
        decode_num_workers="1",
        num_decode_gpu="32",
    )
    assert row.prefill is not None
    assert (row.prefill.layout.label(), row.prefill.workers) == ("TP1 DP4 EP4", 5)
    assert (row.decode.layout.label(), row.decode.workers) == ("TP1 DP32 EP32", 1)
    one = fixed(
        disagg="True",
        prefill_tp="1",
        prefill_ep="8",
        prefill_dp_attention="True",
        prefill_num_workers="1",
        num_prefill_gpu="8",
        decode_tp="8",
        decode_ep="8",
        decode_dp_attention="True",
        decode_num_workers="1",
        num_decode_gpu="16",
    )
    assert one.prefill is not None
    assert one.prefill.layout.label() == "TP1 DP8 EP8"
    assert one.decode.layout.label() == "TP1 DP16 EP16"
    assert one.readings


def test_layouts_of_the_silicon_sample() -> None:
    product = silicon(tp_size="64.0", moe_tp_size="8.0", moe_ep_size="8.0")
    assert product.decode.layout.label() == "TP8 EP8"
    attention = silicon(tp_size="1.0", attention_dp_size="64.0", moe_tp_size="8.0", moe_ep_size="8.0", batch_size="4")
    assert attention.decode.layout.label() == "TP1 DP8 EP8"
    stated = silicon(tp_size="8.0", moe_tp_size="2.0", moe_ep_size="4.0")
    assert stated.decode.layout.label() == "TP8 EP4"
    hidden = silicon(tp_size="8.0", attention_dp_size="", moe_tp_size="1.0", moe_ep_size="8.0", batch_size="32")
    assert hidden.decode.layout.label() == "TP1 DP8 EP8"
    replicas = silicon(tp_size="2.0", moe_tp_size="1.0", moe_ep_size="1.0", batch_size="16")
    assert (replicas.decode.layout.label(), replicas.decode.workers) == ("TP2", 16)


def test_rows_that_cannot_be_read_say_why() -> None:
    whole = silicon(system="gb200", tp_size="44.0", moe_tp_size="44.0")  # no deployment has so many
    assert whole.reason == WHOLE
    assert "concurrency" in silicon(silicon_concurrency="", batch_size="").reason
    (p,) = predict([silicon(model_path="nobody/knows-this")])
    assert not p.answered
    assert "knows-this" in p.reason
    (p,) = predict([silicon(model_path="meta-llama/Llama-3.1-8B", tp_size="3.0", moe_tp_size="1.0")])
    assert "heads" in p.reason
    (p,) = predict([silicon(system="h100_sxm", tp_size="4.0", moe_tp_size="4.0")])
    assert "leaves no room" in p.reason
    assert "number of devices" in silicon(tp_size="-8").reason
    assert "number of devices" in fixed(ep="2.5").reason
    (p,) = predict(rows([{"silicon_tpot_ms": "1", "id": None}]))  # type: ignore[dict-item]
    assert "isl is not stated" in p.reason
    with pytest.raises(BadInput, match="neither the column"):
        rows([{"a": "1"}])
    with pytest.raises(BadInput, match="is not a number"):
        silicon(isl="many")


def test_formats_of_weights_and_cache() -> None:
    def formats(*words: str) -> tuple[str, str]:
        precision = named(*words)[2]
        return precision.experts.name, precision.kv.name

    assert formats("deepseek-ai/DeepSeek-R1", "h200_sxm", "sglang", "fp8_block") == ("fp8_block", "bf16")
    assert formats("deepseek-ai/DeepSeek-R1", "h200_sxm", "trtllm", "fp8") == ("fp8_block", "fp8")
    assert formats("deepseek-ai/DeepSeek-R1", "b200_sxm", "sglang", "fp4") == ("nvfp4", "fp8")
    assert formats("deepseek-ai/DeepSeek-R1-0528", "mi355x", "sglang", "fp4")[0] == "mxfp4"
    assert formats("openai/gpt-oss-120b", "h100_sxm", "trtllm", "fp8")[0] == "mxfp4"
    assert formats("openai/gpt-oss-120b", "b200_sxm", "trtllm", "fp4")[0] == "mxfp4"
    assert formats("moonshotai/Kimi-K2.5", "b200_sxm", "vllm", "fp4")[0] == "nvfp4"  # published in INT4
    assert formats("moonshotai/Kimi-K2.5", "b200_sxm", "vllm", "nvfp4")[0] == "nvfp4"
    assert formats("moonshotai/Kimi-K2.5", "h200_sxm", "vllm", "int4")[0].startswith("w4a16")
    assert formats("MiniMaxAI/MiniMax-M2.5", "b200_sxm", "vllm", "fp4")[0] == "nvfp4"
    assert named("Qwen/Qwen3-32B", "h100_sxm", "sglang", "")[2].mlp.name == "bf16"
    assert named("Qwen/Qwen3-32B", "h100_sxm", "trtllm", "fp8")[2].mlp.name.startswith("fp8")


def test_multi_token_prediction_is_faster_and_its_bound_counts_every_draft() -> None:
    plain, drafted = predict([fixed(), fixed(spec_method="mtp")])
    assert plain.tpot is not None
    assert drafted.tpot is not None
    assert plain.tpot_bound is not None
    assert drafted.tpot_bound is not None
    assert drafted.tpot < plain.tpot
    assert drafted.tpot_bound > plain.tpot_bound / (MTP_DEPTH + 1)
    assert drafted.tpot_bound < plain.tpot_bound
    assert any("assumed" in note for note in drafted.notes)


def test_a_row_alone_is_answered_as_among_others() -> None:
    many = [silicon(), silicon(silicon_concurrency="8", batch_size="8"), silicon(tp_size="4.0", moe_tp_size="4.0")]
    for row, among in zip(many, predict(many), strict=True):
        (alone,) = predict([row])
        assert alone.tpot == pytest.approx(among.tpot, rel=1e-9)
        assert alone.ttft == pytest.approx(among.ttft, rel=1e-9)


def test_more_workers_share_the_concurrency() -> None:
    pool = {
        "mode": "disagg",
        "prefill_tp_size": "8",
        "prefill_attention_dp_size": "1",
        "prefill_moe_tp_size": "1",
        "prefill_moe_ep_size": "8",
        "prefill_num_workers": "2",
        "decode_tp_size": "8",
        "decode_attention_dp_size": "1",
        "decode_moe_tp_size": "1",
        "decode_moe_ep_size": "8",
    }
    pool["isl"] = "2048"  # no recipe has such lengths
    one, three, four, unstated = predict([silicon(**pool, decode_num_workers=n) for n in ("1", "3", "4", "")])
    assert one.tpot is not None
    assert four.tpot is not None
    assert one.batch is not None
    assert four.batch is not None
    assert four.tpot < one.tpot
    assert four.batch < one.batch / 3
    assert unstated.tpot == three.tpot  # the median of the rows that say
    assert not unstated.row.counted
    assert unstated.tpot_bound is not None
    assert four.tpot_bound is not None
    assert unstated.tpot_bound <= four.tpot_bound


def test_devices_that_hold_attention_and_experts_are_counted_once() -> None:
    """MiniMax-M2.5 on 4 devices with attention DP: read as 16, 26 rows were answered 37 % too fast."""
    row = silicon(model_path="MiniMaxAI/MiniMax-M2.5", tp_size="4", attention_dp_size="4", moe_tp_size="1", moe_ep_size="16")
    assert row.decode.layout.label() == "TP1 DP4 EP4"
    row = silicon(tp_size="8", attention_dp_size="2", moe_tp_size="1", moe_ep_size="16")
    assert row.decode.layout.label() == "TP4 DP2 EP8"


def test_pools_not_stated_are_those_of_the_benchmarks_recipe() -> None:
    """Runs of the other file with 36 devices: 4 that prefill, and four workers of 8 or one of 32 that decode."""
    whole = {"system": "gb200", "backend": "trtllm", "precision": "fp4", "tp_size": "36.0", "moe_tp_size": "36.0"}
    few = silicon(**whole, silicon_concurrency="64", batch_size="64")
    many = silicon(**whole, silicon_concurrency="1075", batch_size="1075")
    assert few.prefill is not None
    assert (few.prefill.layout.label(), few.prefill.count) == ("TP4 EP4", 1)
    assert (few.decode.layout.label(), few.decode.count) == ("TP8 EP8", 4)
    assert (many.decode.layout.label(), many.decode.count) == ("TP1 DP32 EP32", 1)
    assert not few.counted
    assert "36 devices are a whole deployment" in few.readings[0]
    for name, of in deployments.recipes().items():
        for one in of:
            found = deployments.deployment(name, one.users, each=one.decode[1], devices=one.devices)
            assert found is not None
            assert (found.users, found.devices) == (one.users, one.devices)


def test_a_source_that_repeats_its_prompts_is_read_so_for_time_per_token_only() -> None:
    """94,000 prompt tokens a second on one H200 came out of a cache; at a tenth of the pace they may have been computed."""
    fast = {
        "model_path": "meta-llama/Llama-3.1-8B",
        "system": "h200_sxm",
        "backend": "vllm",
        "backend_version": "0.12.0",
        "mode": "agg",
        "precision": "fp8",
        "isl": "1000",
        "osl": "100",
        "tp_size": "1",
        "silicon_concurrency": "112",
        "batch_size": "112",
        "silicon_ttft_ms": "72",
        "silicon_tpot_ms": "11.25",
        "silicon_data_source": "source_file=aic gap analysis: a.csv; one",
    }
    slow = fast | {"silicon_ttft_ms": "720", "silicon_tpot_ms": "112.5", "silicon_data_source": "source_file=aic gap analysis: b.csv"}
    bad = fast | {"tp_size": "many"}
    one, other, refused = (a.said for a in answered(KINDS["silicon"], [fast, slow, bad], Asked()))
    assert one.estimates["silicon_tpot_ms"].pred < other.estimates["silicon_tpot_ms"].pred / 2
    assert one.estimates["silicon_ttft_ms"].pred == other.estimates["silicon_ttft_ms"].pred
    assert any("prompts repeat" in note for note in one.notes)
    assert "tp_size" in refused.reason


def test_modes_keep_unequal_readings_apart() -> None:
    given = dict(zip(FIXED_HEAD.split(","), FIXED_ROWS[1].split(","), strict=True))
    plain, drafts = answered(KINDS["inferencex"], [given, given | {"spec_method": "mtp"}], Asked())
    assert (plain.said.mode, drafts.said.mode) == ("aggregated", "aggregated, MTP")
    assert plain.said.estimates["median_tpot"].pred > drafts.said.estimates["median_tpot"].pred
    p = predict([fixed()])[0]
    assert p.tpot_median == pytest.approx(plain.said.estimates["median_tpot"].pred)


# --- all rows -----------------------------------------------------------------------------------------------------


@cache
def predictions(path: Path) -> tuple[Prediction, ...]:
    """Of all rows of a file; some tests share them."""
    return predict(read(path))


@needs
@pytest.mark.parametrize(("path", "n", "answered"), [(SILICON, 2869, 2362), (FIXED, 1797, 1797)])
def test_every_row_has_an_answer_or_a_reason_and_none_beats_its_bound(path: Path, n: int, answered: int) -> None:
    """The best peer answers 1,178 of the first file's rows."""
    every = predictions(path)
    assert len(every) == n
    # rows that joined the first file later are read by rules still to come, and are scored, not held
    first = set(listed())
    found = [p for p in every if path != SILICON or p.row.id in first]
    assert sum(p.answered for p in found) >= answered
    assert {p.reason for p in found if not p.answered} <= {WHOLE}
    for p in found:
        if p.answered:
            assert all(np.isfinite([p.tpot, p.ttft, p.tput_per_gpu, p.output_tput_per_gpu]))  # type: ignore[arg-type]
            assert p.tpot_bound <= p.tpot * (1 + 1e-9)  # type: ignore[operator]
            assert p.ttft_bound <= p.ttft * (1 + 1e-9)  # type: ignore[operator]
    assert [p.row.id for p in found if p.beats_bound] == []


@needs
def test_errors_stay_where_they_are() -> None:
    """A change that makes the model worse on these rows must be noticed."""
    for path, limits in ((SILICON, {"aggregated": 0.10, "disaggregated": 0.20}), (FIXED, {"aggregated": 0.11, "disaggregated": 0.23})):
        for mode, most in limits.items():
            errors = [
                abs((p.tpot if path == SILICON else p.tpot_median) / p.row.measured.tpot - 1)  # type: ignore[operator]
                for p in predictions(path)
                if p.answered and p.row.mode == mode and p.row.counted and p.row.speculation != "mtp" and p.row.measured.tpot
            ]
            assert statistics.median(errors) < most


@needs
def test_devices_read_are_those_that_published_rates_were_divided_by() -> None:
    """concurrency x tokens of a request / (its time x the rate per device) counts devices without any layout column.

    Input rates count the devices that prefill, output rates those that decode.
    """
    with FIXED.open(encoding="utf-8") as handle:
        raw = list(csv.DictReader(handle))
    seen: dict[tuple[str, str, float], list[float]] = {}
    for row, given in zip(read(FIXED), raw, strict=True):
        life = given["mean_e2el"] or given["median_e2el"]
        if row.reason or not life or row.concurrency > 512:
            continue
        pools = {"output": row.decode, "input": row.prefill or row.decode}
        for side, pool in pools.items():
            rate = given[f"{side}_tput_per_gpu"]
            if rate:
                tokens = row.osl if side == "output" else row.isl
                counted = row.concurrency * tokens / float(life) / float(rate)
                devices = float(pool.layout.gpus) * pool.count
                seen.setdefault((row.mode, pool.layout.label(), devices), []).append(counted / devices)
    several = {key: ratios for key, ratios in seen.items() if len(ratios) > 1}  # long warm-ups distort single runs
    assert len(several) > 30
    for key, ratios in several.items():
        assert 0.9 < statistics.median(ratios) < 1.15, key


@needs
def test_rows_in_both_files_are_read_alike() -> None:
    """Aggregated rows with the same measurement, concurrency and model must be one layout."""
    index: dict[tuple[float, float, float], Row] = {}
    with FIXED.open(encoding="utf-8") as handle:
        for row, given in zip(read(FIXED), csv.DictReader(handle), strict=True):
            for statistic in ("mean", "median"):
                if row.mode == "aggregated" and (tpot := given[f"{statistic}_tpot"]):
                    ttft = float(given[f"{statistic}_ttft"])
                    index[round(float(tpot), 6), round(ttft, 4), row.concurrency] = row
    both = []
    for row in read(SILICON):
        if row.mode == "aggregated" and not row.reason and row.measured.tpot and row.measured.ttft:
            key = (round(row.measured.tpot, 6), round(row.measured.ttft, 4), row.concurrency)
            if key in index:
                both.append((row, index[key]))
    assert len(both) > 50
    for one, other in both:
        assert one.decode.layout == other.decode.layout
        assert one.machine.removesuffix("_sxm") == other.machine
        assert (one.isl, one.osl) == (other.isl, other.osl)


# --- PaLM ---------------------------------------------------------------------------------------------------------

POPE = {"paper_or_repo": "Pope et al. 2022 PaLM inference", "gpu": "TPUv4", "note": "", "unit": "tokens"}


@pytest.mark.parametrize(
    ("model", "batch", "published"),
    [
        ("PaLM 540B multihead", 128, 1320),
        ("PaLM 540B multihead", 512, 330),
        ("PaLM 540B multiquery sharded over heads", 128, 660),
        ("PaLM 540B multiquery sharded over heads", 512, 165),
        ("PaLM 540B multiquery sharded over batch", 128, 43000),
        ("PaLM 540B multiquery sharded over batch", 512, 10700),
    ],
)
def test_longest_contexts_of_pope_et_al(model: str, batch: int, published: float) -> None:
    """Table 1, 30 % of memory on 64 chips; the paper counts 32 GiB to a chip, the catalogue 32 GB."""
    row = POPE | {
        "model": model,
        "table": "Table 1",
        "metric": "max_context_tokens",
        "num_gpus": "64",
        "global_batch": str(batch),
        "precision": "bf16",
        "value": str(published),
    }
    found = palm.estimate(row, default_efficiency())  # type: ignore[arg-type]
    assert found.pred * 2**30 / 1e9 == pytest.approx(published, rel=0.015)
    assert found.most


@needs
def test_palm_inference_against_the_paper() -> None:
    found = answers(REPORTED, "palm")[2]
    assert len(found) == 37
    assert [a.said.reason for a in found if a.said.reason] == ["the batch is not stated"]
    assert not any(a.broken for a in found)
    times = [a for a in found if a.answered and a.said.mode != "longest context"]
    ratios = [a.said.estimates["value"].pred / a.measured["value"] for a in times]
    assert statistics.median(abs(r - 1) for r in ratios) < 0.22
    assert all(0.5 < r < 1.8 for r in ratios)
