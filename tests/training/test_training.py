"""The model of a training step: FLOPs, memory, seconds; and its score on reported runs."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rackmath.arrays import take
from rackmath.errors import BadInput
from rackmath.evidence.kinds import answered, kind_named
from rackmath.evidence.training_rows import ZERO_BUBBLE, found, run_of
from rackmath.evidence.training_runs import by_source
from rackmath.kernel.counts import total_parameters
from rackmath.training.activations import layer_activations
from rackmath.training.constants import TrainConstants, constants, frameworks
from rackmath.training.flops import ACCOUNTING, accounting, forward_flops, train_flops, utilisation
from rackmath.training.goodput import Failures, goodput
from rackmath.training.job import Batch, TrainLayout, illegal, layout_of, recipe_named
from rackmath.training.memory import frontier, memory
from rackmath.training.step import TERMS, step
from rackmath.training.uncertainty import training_interval
from rackmath.world import catalog
from rackmath.world.description import build
from rackmath.world.model import Model

DATA = Path(os.environ.get("RACKMATH_DATA", Path(__file__).parents[3] / "shared" / "data"))
TABLE = DATA / "training" / "reported_runs.csv"
A100, H100 = catalog.machine("a100"), catalog.machine("h100")
OLD = recipe_named("bf16", attention="unfused", dropout=True)
IDEAL = TrainConstants()


def gpt(layers: int, width: int, heads: int, vocab: int = 51200) -> Model:
    group = {"count": layers, "mixer": {"kind": "gqa", "n_heads": heads}, "ffn": {"kind": "mlp", "d_ff": 4 * width, "gated": False}}
    return build(
        {
            "name": f"gpt-{width}",
            "d_model": width,
            "vocab": vocab,
            "tied_embeddings": True,
            "embedding_parameters": vocab * width,
            "groups": [group],
        }
    )


GPT3 = gpt(96, 12288, 96)

# --- FLOPs --------------------------------------------------------------------------------------------------------


def test_gpt3_trains_on_300_billion_tokens_with_3_14e23_flops() -> None:
    """Brown et al. 2020 print 3.14e23 for 174.6 billion parameters: 6 N D without attention."""
    layers_only = replace(accounting("palm without attention"), head=False)
    assert float(train_flops(GPT3, 2048.0, layers_only)) * 300e9 == pytest.approx(3.14e23, rel=0.01)


@pytest.mark.parametrize(("layers", "width", "heads", "days"), [(96, 12288, 96, 34), (128, 25600, 160, 84)])
def test_narayanan_s_own_days_follow_from_his_formula(layers: int, width: int, heads: int, days: int) -> None:
    """Section 5.1: 175B, 300B tokens, 1,024 A100s at 140 TFLOP/s: 34 days; 1T, 450B tokens, 3,072 at 163: 84 days."""
    tokens, devices, rate = (300e9, 1024, 140e12) if days == 34 else (450e9, 3072, 163e12)
    flops = float(train_flops(gpt(layers, width, heads), 2048.0, accounting("narayanan")))
    assert flops * tokens / (devices * rate) / 86400 == pytest.approx(days, rel=0.04)


def test_korthikanti_mfu_and_hfu() -> None:
    """Table 5 prints both of 312 TFLOP/s, e.g. 56.0 and 57.0 % for 530B at 37.83 s a step."""
    for (layers, width, heads, _, batch, _, seconds), devices, shares in zip(
        TABLE_5, (8, 64, 280, 512), ((41.5, 43.7), (51.4, 52.8), (56.0, 57.0), (56.3, 57.0)), strict=True
    ):
        for name, share in zip(("korthikanti", "narayanan"), shares, strict=True):
            flops = float(train_flops(gpt(layers, width, heads), 2048.0, accounting(name), selective=True))
            assert 100 * utilisation(flops, batch * 2048 / seconds, devices, 312e12) == pytest.approx(share, abs=0.3)


def test_palm_counts_attention_in_half_a_point() -> None:
    """46.2 % with attention and 45.7 % without, at 238,300 tokens/s on 6,144 chips."""
    palm = catalog.model("google/palm-540B")
    found_ = [
        utilisation(float(train_flops(palm, 2048.0, accounting(name))), 238300, 6144, 275e12) for name in ("palm", "palm without attention")
    ]
    assert found_ == [pytest.approx(0.462, abs=0.003), pytest.approx(0.457, abs=0.003)]


def test_causal_attention_is_half_of_full_and_ways_of_counting_differ() -> None:
    full, half = (forward_flops(GPT3, 2048.0, causal=causal)[1] for causal in (False, True))
    assert float(half) == pytest.approx(float(full) / 2)
    counts = {name: float(train_flops(GPT3, 8192.0, how)) for name, how in ACCOUNTING.items()}
    assert counts["maxtext"] > counts["maxtext causal"]
    assert counts["narayanan"] / counts["korthikanti"] == pytest.approx(4 / 3, abs=0.01)
    with pytest.raises(BadInput, match="did you mean narayanan"):
        accounting("narayan")


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "bytes_"),
    [
        ("TP1", lambda a, s, h: 34 + 5 * a * s / h),
        ("TP8", lambda a, s, h: 10 + 24 / 8 + 5 * a * s / (8 * h)),
        ("TP8 SP", lambda a, s, h: (34 + 5 * a * s / h) / 8),
        ("TP8 SP selective", lambda a, s, h: 34 / 8),
    ],
)
def test_korthikanti_activations(words: str, bytes_) -> None:
    """Equations 1 to 4 and Table 2 of arXiv 2205.05198, in bytes of s b h."""
    for a, s, h in ((64, 2048, 6144), (96, 2048, 12288), (160, 2048, 25600)):
        found_ = layer_activations(gpt(8, h, a), layout_of(words), OLD, Batch(seq=float(s), global_batch=1.0))
        assert float(found_) / (s * h) == pytest.approx(bytes_(a, s, h))


def test_full_recomputation_keeps_2_s_b_h() -> None:
    sizes = Batch(seq=2048.0, global_batch=8.0)
    one = memory(GPT3, A100, layout_of("PP8 full"), OLD, sizes, IDEAL)
    mask = 2048 * 12288  # of the embedding's dropout
    assert float(one.first.activations) / 8 == pytest.approx(12 * 2 * 2048 * 12288 + mask)


def test_memory_of_one_parameter_and_its_shards() -> None:
    """Adam in mixed precision: 18 bytes a parameter with 32-bit gradients (Korthikanti, Figure 1)."""
    model, sizes = gpt(48, 6144, 64), Batch(seq=2048.0, global_batch=64.0)
    for zero, bytes_ in ((0, 18.0), (1, 6 + 12 / 8), (2, 2 + 16 / 8), (3, 18 / 8)):
        first = memory(model, A100, layout_of(f"DP8 ZeRO{zero}"), OLD, sizes, IDEAL).first
        held = float(first.weights + first.gradients + first.optimizer)
        assert held / total_parameters(model) == pytest.approx(bytes_)


def test_grouped_heads_and_experts_keep_less() -> None:
    sizes = Batch(seq=4096.0, global_batch=64.0)
    recipe = recipe_named("bf16")
    many, few = (
        build(
            {
                "name": "x",
                "d_model": 4096,
                "vocab": 1000,
                "groups": [{"count": 4, "mixer": {"kind": "gqa", "n_heads": 32, "n_kv_heads": kv}, "ffn": {"kind": "mlp", "d_ff": 14336}}],
            }
        )
        for kv in (32, 8)
    )
    saved = layer_activations(many, layout_of("TP1"), recipe, sizes) - layer_activations(few, layout_of("TP1"), recipe, sizes)
    assert float(saved) == pytest.approx(4096 * 2 * 2 * 24 * 128)  # keys and values of 24 heads in 16 bits
    v3 = catalog.model("deepseek-ai/DeepSeek-V3")
    alone, spread = (
        memory(v3, H100, layout_of(f"PP16 DP64 EP{ep} ZeRO1"), recipe, Batch(seq=4096.0, global_batch=4096.0)) for ep in (1, 64)
    )
    assert float(spread.first.weights) < float(alone.first.weights) / 8


def test_the_frontier_of_memory_and_compute() -> None:
    sizes = Batch(seq=2048.0, global_batch=64.0)
    choices = {c.recompute: c for c in frontier(GPT3, A100, layout_of("TP8 PP8"), OLD, sizes)}
    assert choices["none"].extra_compute == choices["offload"].extra_compute == 0
    assert choices["full"].extra_compute == choices["reversible"].extra_compute == pytest.approx(1 / 3)
    assert 0 < choices["selective"].extra_compute < 0.03  # "about 2 %" at 175B, Korthikanti section 5
    order = [float(choices[w].activations) for w in ("none", "selective", "full", "reversible")]
    assert order == sorted(order, reverse=True)
    deeper = gpt(192, 12288, 96)
    twice = {c.recompute: c for c in frontier(deeper, A100, layout_of("TP8 PP8"), OLD, sizes)}
    assert float(twice["reversible"].activations) == pytest.approx(float(choices["reversible"].activations))
    assert float(twice["full"].activations) > float(choices["full"].activations)


# --- seconds ------------------------------------------------------------------------------------------------------

TABLE_5 = [
    (48, 6144, 64, "TP8 MB4", 4, 1.42, 1.10),
    (96, 12288, 96, "TP8 PP8 interleave 3", 64, 18.13, 13.75),
    (105, 20480, 128, "TP8 PP35 interleave 3", 280, 49.05, 37.83),
    (128, 25600, 160, "TP8 PP64", 512, 94.42, 71.49),
]


def test_korthikanti_table_5_within_5_percent_with_nothing_fitted() -> None:
    errors = []
    for layers, width, heads, words, batch, full, selective in TABLE_5:
        for more, seconds in (("full", full), ("SP selective", selective)):
            sizes = Batch(seq=2048.0, global_batch=float(batch))
            one = step(gpt(layers, width, heads), A100, layout_of(f"{words} {more}"), OLD, sizes, constants("megatron"))
            errors.append(float(one.seconds) / seconds - 1)
    assert np.abs(errors).mean() < 0.05
    assert np.abs(errors).max() < 0.08


def test_gpipe_s_bubble_is_that_of_its_formula() -> None:
    """(p - 1) / (m + p - 1) of the time, 43, 27 and 9 % (LECTURE 14c), where the ends of the model weigh nothing."""
    model = gpt(32, 8192, 64, vocab=8)
    for micro, share in ((4, 43), (8, 27), (32, 9)):
        sizes = Batch(seq=2048.0, global_batch=float(micro))
        one = step(model, A100, layout_of("PP4 gpipe"), OLD, sizes, IDEAL)
        working = sum(float(one.terms[name]) for name in ("forward", "input_grad", "weight_grad", "vocabulary"))
        assert round(100 * float(one.bubble) / (float(one.bubble) + working)) == share


MODELS = {
    "dense": catalog.model("llama-3.1-8b"),
    "latent and routed": catalog.model("deepseek-ai/DeepSeek-V3"),
    "hybrid": catalog.model("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"),
}


def columns(n: int, model: Model, seed: int = 0) -> TrainLayout:
    rng = np.random.default_rng(seed)

    def some(*values: float) -> np.ndarray:
        return rng.choice(np.array(values, dtype=float), n)

    return TrainLayout(
        tp=some(1, 2, 4, 8),
        pp=some(1, 2, 4),
        dp=some(8, 16, 64),
        ep=some(1, 2, 8) if model.has_experts else 1.0,
        cp=some(1, 2),
        micro_batch=some(1, 2),
        zero=1,
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", ["bf16", "fp8", "nvfp4"])
@pytest.mark.parametrize("words", ["none", "full", "selective"])
def test_columns_scalars_bound_and_sum(name: str, form: str, words: str) -> None:
    model, recipe, sizes = MODELS[name], recipe_named(form), Batch(seq=4096.0, global_batch=1024.0)
    layout = replace(columns(60, model), recompute=words, sequence_parallel=words == "selective")
    of = replace(constants("megatron-bridge", "hopper"), dp=1.0, tp=1.0, ep=1.0, cp=1.0, pp=1.0)
    whole = step(model, H100, layout, recipe, sizes, of)
    held = memory(model, H100, layout, recipe, sizes, of)
    assert np.all(whole.bound <= whole.seconds)
    assert np.all(np.isfinite(whole.seconds))
    assert whole.seconds == pytest.approx(sum(whole.terms[t] for t in TERMS))
    assert all(np.all(np.asarray(value) >= -1e-9) for value in whole.terms.values())
    for i in (0, 17, 59):
        one = take(layout, i)
        assert float(step(model, H100, one, recipe, sizes, of).seconds) == pytest.approx(whole.seconds[i])  # type: ignore[index]
        assert float(memory(model, H100, one, recipe, sizes, of).peak) == pytest.approx(held.peak[i])  # type: ignore[index]


@pytest.mark.parametrize("field", ["hbm_bandwidth", "scaleup_bandwidth", "scaleout_bandwidth", "peak_bf16"])
def test_a_faster_machine_is_never_slower(field: str) -> None:
    sizes, layout = Batch(seq=4096.0, global_batch=1024.0), columns(60, MODELS["latent and routed"])
    model, recipe = MODELS["latent and routed"], recipe_named("bf16")
    faster = replace(H100, **{field: 2 * float(getattr(H100, field))})  # type: ignore[arg-type]
    before, after = (step(model, m, layout, recipe, sizes, IDEAL) for m in (H100, faster))
    assert np.all(after.seconds <= before.seconds * (1 + 1e-9))
    assert np.all(after.bound <= before.bound * (1 + 1e-9))


def test_cutting_further_needs_less_memory_a_device() -> None:
    sizes, recipe = Batch(seq=4096.0, global_batch=1024.0), recipe_named("bf16")
    for words in (
        ("TP1", "TP2", "TP4", "TP8"),
        ("DP8", "DP8 ZeRO1", "DP8 ZeRO2", "DP8 ZeRO3"),
        ("full", "full PP2", "full PP4"),
        ("CP1", "CP2", "CP4"),
    ):
        peaks = [float(memory(MODELS["dense"], H100, layout_of(w), recipe, sizes, IDEAL).peak) for w in words]
        assert peaks == sorted(peaks, reverse=True), words


def test_each_constant_makes_a_step_longer() -> None:
    sizes, layout = Batch(seq=4096.0, global_batch=1024.0), layout_of("TP2 PP4 DP8 EP8 MB1")
    model, recipe = MODELS["latent and routed"], recipe_named("bf16")
    plain = float(step(model, H100, layout, recipe, sizes, IDEAL).seconds)
    for change in (
        {"layer": 5e-3},
        {"routed_layer": 5e-3},
        {"kernels": 0.8},
        {"attention": 0.5},
        {"experts": 0.5},
        {"imbalance": 0.2},
        {"straggler": 0.05},
        {"optimizer": 0.1},
    ):
        assert float(step(model, H100, layout, recipe, sizes, replace(IDEAL, **change)).seconds) > plain, change  # type: ignore[arg-type]
    for change in ({"tp": 0.5}, {"ep": 0.5}, {"dp": 0.5}, {"pp": 0.5}):
        assert float(step(model, H100, layout, recipe, sizes, replace(IDEAL, **change)).seconds) < plain, change  # type: ignore[arg-type]


def test_a_host_slower_than_the_device_sets_the_pace() -> None:
    sizes = Batch(seq=1024.0, global_batch=16.0)
    of = replace(IDEAL, layer=1.0)
    one = step(gpt(12, 1024, 16), A100, layout_of("MB1 full"), OLD, sizes, of)
    assert float(one.seconds) == pytest.approx(16 * 12, rel=0.01)


def test_goodput_is_whole_and_best_at_young_s_interval() -> None:
    one = goodput(16384.0, 10.0)
    assert float(one.useful + one.restarting + one.repeating + one.saving) == pytest.approx(1)
    for factor in (0.5, 2.0):
        assert goodput(16384.0, 10.0, interval=factor * one.interval).useful < one.useful
    assert goodput(16384.0, 10.0, Failures(per_device=1e-12)).useful > 0.999


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "devices", "batch", "reason"),
    [
        ("TP8 DP2", 64, 64, "tp x pp x dp x cp is not the number of devices"),
        ("TP3", 3, 64, "attention heads do not divide by tp"),
        ("PP5", 5, 64, "layers do not divide by pp x interleave"),
        ("DP3", 3, 64, "the batch does not divide by dp x micro-batch"),
        ("DP8 EP8", 8, 64, "ep without experts"),
        ("PP64", 64, 64, "more stages than layers"),
        ("PP8 ZeRO3", 8, 64, "ZeRO 3 gathers weights for every micro-batch of every stage; give ZeRO 2 with pp"),
        ("PP8 zb-h2", 8, 8, "the schedule cannot run these micro-batches"),
    ],
)
def test_why_a_layout_cannot_run(words: str, devices: int, batch: int, reason: str) -> None:
    sizes = Batch(seq=8192.0, global_batch=float(batch))
    reasons = illegal(MODELS["dense"], layout_of(words), sizes, float(devices))
    assert bool(reasons[reason])
    legal = illegal(MODELS["dense"], layout_of("TP8 PP4 DP2 SP"), sizes, 64.0)
    assert not any(bool(bad) for bad in legal.values())


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("TP8 TP4", "gives tp twice"),
        ("TP0", "sizes are 1 or more"),
        ("QP8", "has 'QP8', which is no part of a layout"),
        ("ZeRO4", "is no part of a layout"),
    ],
)
def test_bad_words_for_a_layout(words: str, error: str) -> None:
    with pytest.raises(BadInput, match=error):
        layout_of(words)


def test_bad_constants_and_formats() -> None:
    with pytest.raises(BadInput, match=r"share of tp that overlaps is 1\.5; give 0 to 1"):
        TrainConstants(tp=1.5)
    with pytest.raises(BadInput, match="layer is -1"):
        TrainConstants(layer=-1)
    with pytest.raises(BadInput, match="speed of kernels is nan"):
        TrainConstants(kernels=float("nan"))
    with pytest.raises(BadInput, match="products in int8 are not trained with here"):
        recipe_named("int8")
    for name in ("int4", "fp32", "w4a8", "q8_0", "nvfp4_w4a16"):
        with pytest.raises(BadInput, match=f"products in {name} are not trained with here"):
            recipe_named(name)
    assert [recipe_named(name).weight_bytes for name in ("fp16", "mxfp8", "nvfp4")] == [2.0, 3.03125, 2.5625]
    with pytest.raises(BadInput, match=r"straggler is 1e\+30; give 0 to 1,000"):
        TrainConstants(straggler=1e30)
    with pytest.raises(BadInput, match="unknown training framework"):
        constants("megatr0n")
    assert all(constants(name).name == name for name in frameworks())


# --- reported runs ------------------------------------------------------------------------------------------------

ROW = {
    "source": "s",
    "paper_or_repo": "Korthikanti et al. 2022",
    "table": "T",
    "model": "GPT 22B",
    "layers": "48",
    "hidden": "6144",
    "heads": "64",
    "seq_len": "2048",
    "global_batch": "4",
    "micro_batch": "4",
    "gpu": "A100-SXM-80GB (Selene)",
    "num_gpus": "8",
    "tp": "8",
    "pp": "1",
    "dp": "1",
    "recompute": "full",
    "precision": "mixed fp16",
    "metric": "iteration_time",
    "value": "1.42",
    "unit": "s",
    "note": "",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"paper_or_repo": "Nobody 2030"}, "nothing is known of how Nobody 2030 trained"),
        ({"tp": ""}, r"the layout \(tp, pp\) is not stated"),
        ({"layers": ""}, "the architecture"),
        ({"micro_batch": ""}, "the micro-batch is not stated"),
        ({"recompute": "some of it"}, "which says too little"),
        ({"dp": "3"}, "tp 8 x pp 1 x dp 3 is not 8 devices"),
        ({"global_batch": ""}, "global_batch is not stated"),
        ({"tp": "0"}, "tp = 0 is out of range"),
        ({"layers": "0"}, "layers = 0 is out of range"),
        ({"hidden": "0.5"}, "hidden = 0.5 is not a whole number"),
        ({"seq_len": "1e-320"}, "is not a whole number"),
        ({"paper_or_repo": "Zero Bubble", "model": "GPT 6.2B", "note": "microbatches=0"}, "number of micro-batches"),
        ({"micro_batch": "0"}, "micro_batch = 0 is out of range"),
        ({"note": "schedule=ZB-9x"}, "unknown schedule"),
        ({"paper_or_repo": "Zero Bubble", "model": "LLAMA3_8B", "micro_batch": ""}, "no shape is known for 'LLAMA3_8B'"),
        ({"metric": "energy", "unit": "MWh"}, "energy is no figure of one step"),
    ],
)
def test_a_row_that_says_too_little_gets_the_reason(changes: dict[str, str], reason: str) -> None:
    import re

    said = kind_named("training").read([ROW | changes], None)[0]  # type: ignore[arg-type]
    assert re.search(reason, said.reason)
    assert not said.estimates


def test_one_run_is_one_measurement_and_no_measurement_is_seen() -> None:
    kind = kind_named("training")
    rows = [ROW, ROW | {"metric": "mfu", "value": "33", "unit": "%"}]
    first, second = answered(kind, rows, None)  # type: ignore[arg-type]
    assert first.answered
    assert second.said.reason == "another figure of the run whose iteration time is scored"
    changed = answered(kind, [row | {"value": "9e9"} for row in rows], None)  # type: ignore[arg-type]
    assert [a.said for a in changed] == [first.said, second.said]
    alone = answered(kind, rows[1:], None)[0]  # type: ignore[arg-type]
    assert alone.answered


def test_zero_bubble_shapes_have_the_parameters_they_are_named_by() -> None:
    for size, (layers, heads, width, _) in ZERO_BUBBLE.items():
        count = total_parameters(gpt(layers, width, heads, vocab=32000)) / 1e9
        assert count == pytest.approx(float(size[:-1]), abs=0.06), size


def test_intervals_leave_a_source_out() -> None:
    everything = training_interval()
    assert 0 < everything.low < 1 < everything.high  # type: ignore[operator]
    assert training_interval("memory").high < everything.high  # type: ignore[operator]
    assert training_interval("step", "vTrain") != everything


def reported(*papers: str) -> list[dict[str, str]]:
    if not TABLE.is_file():
        pytest.skip(f"no {TABLE}")
    with TABLE.open(encoding="utf-8", newline="") as handle:
        return [row for row in csv.DictReader(handle) if any(p in row["paper_or_repo"] for p in papers)]


MOST = {
    ("Korthikanti 2022", "step"): 0.05,
    ("Korthikanti 2022", "memory"): 0.04,
    ("zero bubble 2024", "step"): 0.08,
    ("zero bubble 2024", "memory"): 0.08,
    ("Narayanan 2021", "step"): 0.08,
    ("Megatron-Bridge, dense", "step"): 0.10,
    ("Megatron-Bridge, routed", "step"): 0.18,
    ("Megatron-LM README", "step"): 0.05,
    ("llm-foundry", "step"): 0.12,
    ("MaxText", "step"): 0.14,
    ("Llama 3 2024", "step"): 0.14,
    ("DeepSeek-V3 2024", "step"): 0.17,
    ("MT-NLG 2022", "step"): 0.24,
    ("BLOOM 2022", "step"): 0.20,
}
"""Mean absolute errors of sources that nothing was fitted on, or with constants from other models, rounded up."""


def test_scores_of_reported_runs() -> None:
    """Figures of docs/concepts/training.md, on the shared table; a source nobody can predict would show up here."""
    rows = [r for r in reported("") if "vTrain" not in r["paper_or_repo"] and "Pope" not in r["paper_or_repo"]]
    scored = answered(kind_named("training"), rows, None)  # type: ignore[arg-type]
    lines = {(line.source, line.quantity): line for line in by_source(scored)}
    for key, most in MOST.items():
        assert lines[key].errors.mape < most, key
    assert not [a for a in scored if a.broken]
    memory_errors = [a.said.estimates["value"].pred / a.measured["value"] - 1 for a in scored if "memory" in a.said.mode and a.answered]
    assert min(memory_errors) > -0.05


def test_vtrain_on_sizes_it_was_not_fitted_on() -> None:
    """Every tenth of 1,440 rows, each with the constant of the other half of the sizes: 12 % asked."""
    rows = reported("vTrain")[::10]
    scored = answered(kind_named("training"), rows, None)  # type: ignore[arg-type]
    (line,) = by_source(scored)
    assert line.errors.n == len(rows)
    assert line.errors.mape < 0.09
    plain = [found(run_of(r), replace(constants("megatron-deepspeed"), layer=0.0)).seconds for r in rows]
    off = np.array(plain) / np.array([float(r["value"]) for r in rows]) - 1
    assert np.abs(off).mean() > 0.25  # the host's time per layer is most of it
