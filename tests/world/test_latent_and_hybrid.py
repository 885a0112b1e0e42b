"""Latent, sparse, compressed and hybrid families: parameters against an oracle, caches and states in closed form."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackmath.errors import BadInput
from rackmath.kernel.counts import (
    active_parameters,
    attended_entries,
    attention_flops,
    cache_bytes,
    kv_bytes_per_token,
    layer_parameters,
    parameters,
    read_bytes,
    state_bytes,
    total_parameters,
    weight_flops,
)
from rackmath.world.description import build
from rackmath.world.huggingface import describe, read_model
from rackmath.world.model import Model, Stream
from rackmath.world.precision import FORMATS, Precision

HERE = Path(__file__).parents[1]
DATA = Path(os.environ.get("RACKMATH_DATA") or HERE.parents[1] / "shared" / "data") / "hf_configs"
ORACLE = json.loads((HERE / "against" / "transformers_counts.json").read_text())
BF16 = Precision(name="bf16")
FP8 = Precision(name="fp8", kv=FORMATS["fp8"])

DEFAULTS = (
    "deepseek-v2-style",
    "deepseek-v2-236b",
    "deepseek_v3",
    "deepseek-v3-biases-style",
    "glm4_moe_lite",
    "glm-dsa-shared-indexer-style",
    "qwen3_next",
    "qwen3-next-mixed-style",
    "kimi-linear-48b",
    "nemotron_h",
    "nemotron-h-biases-style",
    "jamba",
    "jamba-1.5-large-style",
    "minimax",
    "minimax-m1-style",
)
OURS = ("deepseek", "kimi", "glm", "minimax_m3", "mimo_v2", "step3", "qwen3_next", "qwen3_5", "nemotron_h")

# --- the facts of some models, as their config.json states them -------------------------------------------------

V3: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "intermediate_size": 18432,
    "vocab_size": 129280,
    "num_attention_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 3,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "n_shared_experts": 1,
    "n_group": 8,
    "topk_group": 4,
    "num_nextn_predict_layers": 1,
}
V32 = {**V3, "model_type": "deepseek_v32", "index_topk": 2048, "index_n_heads": 64, "index_head_dim": 128}
V4_PRO: dict[str, Any] = {
    "model_type": "deepseek_v4",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "vocab_size": 129280,
    "num_attention_heads": 128,
    "num_key_value_heads": 1,
    "head_dim": 512,
    "qk_rope_head_dim": 64,
    "q_lora_rank": 1536,
    "o_lora_rank": 1024,
    "o_groups": 16,
    "sliding_window": 128,
    "index_topk": 1024,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "compress_ratios": [128, *[128, 4] * 30, 0],
    "n_routed_experts": 384,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 3072,
    "n_shared_experts": 1,
    "num_hash_layers": 3,
    "hc_mult": 4,
    "num_nextn_predict_layers": 1,
}
GLM52 = {
    **V32,
    "model_type": "glm_moe_dsa",
    "hidden_size": 6144,
    "num_hidden_layers": 78,
    "intermediate_size": 12288,
    "vocab_size": 154880,
    "num_attention_heads": 64,
    "q_lora_rank": 2048,
    "qk_nope_head_dim": 192,
    "v_head_dim": 256,
    "index_n_heads": 32,
    "n_group": 1,
    "topk_group": 1,
    "indexer_types": [*["full"] * 3, *[*["shared"] * 3, "full"] * 18, *["shared"] * 3],
}
K3: dict[str, Any] = {
    "model_type": "kimi_linear",
    "hidden_size": 7168,
    "num_hidden_layers": 93,
    "intermediate_size": 33792,
    "vocab_size": 163840,
    "num_attention_heads": 96,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "mla_use_output_gate": True,
    "linear_attn_config": {
        "full_attn_layers": [*range(4, 93, 4), 93],
        "num_heads": 96,
        "head_dim": 128,
        "short_conv_kernel_size": 4,
        "use_full_rank_gate": True,
    },
    "first_k_dense_replace": 1,
    "num_experts": 896,
    "num_experts_per_token": 16,
    "num_shared_experts": 2,
    "moe_intermediate_size": 3072,
    "routed_expert_hidden_size": 3584,
    "latent_moe_use_norm": True,
    "attn_res_block_size": 12,
}
QWEN3_NEXT: dict[str, Any] = {
    "model_type": "qwen3_next",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "vocab_size": 151936,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
}
NANO: dict[str, Any] = {
    "model_type": "nemotron_h",
    "hidden_size": 2688,
    "vocab_size": 131072,
    "intermediate_size": 1856,
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "n_groups": 8,
    "conv_kernel": 4,
    "mamba_ssm_cache_dtype": "float32",
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 3712,
}
M3: dict[str, Any] = {
    "model_type": "minimax_m3",
    "hidden_size": 6144,
    "num_hidden_layers": 60,
    "vocab_size": 200064,
    "num_attention_heads": 64,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 3072,
    "dense_intermediate_size": 12288,
    "shared_intermediate_size": 3072,
    "num_local_experts": 128,
    "num_experts_per_tok": 4,
    "n_shared_experts": 1,
    "moe_layer_freq": [0] * 3 + [1] * 57,
    "sparse_attention_config": {
        "use_sparse_attention": True,
        "sparse_index_dim": 128,
        "sparse_num_index_heads": 4,
        "sparse_topk_blocks": 16,
        "sparse_block_size": 128,
        "sparse_attention_freq": [0] * 3 + [1] * 57,
    },
}
STEP: dict[str, Any] = {
    "model_type": "step3p7",
    "hidden_size": 4096,
    "num_hidden_layers": 45,
    "vocab_size": 128896,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 11264,
    "sliding_window": 512,
    "layer_types": [*["full_attention", *["sliding_attention"] * 3] * 11, "full_attention"],
    "num_experts": 288,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 1280,
    "share_expert_dim": 1280,
    "first_k_dense_replace": 3,
    "num_nextn_predict_layers": 3,
}
MIMO: dict[str, Any] = {
    "model_type": "mimo_v2_flash",
    "hidden_size": 4096,
    "num_hidden_layers": 48,
    "vocab_size": 152576,
    "num_attention_heads": 64,
    "num_key_value_heads": 4,
    "head_dim": 192,
    "v_head_dim": 128,
    "intermediate_size": 16384,
    "sliding_window": 128,
    "swa_num_key_value_heads": 8,
    "swa_head_dim": 192,
    "swa_v_head_dim": 128,
    "hybrid_layer_pattern": [0, *[1] * 4, *[0, 1, 1, 1, 1, 1] * 7, 0],
    "moe_layer_freq": [0] + [1] * 47,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
}
EVERY = {
    "V3": V3,
    "V3.2": V32,
    "V4-Pro": V4_PRO,
    "GLM-5.2": GLM52,
    "K3": K3,
    "Qwen3-Next": QWEN3_NEXT,
    "Nano": NANO,
    "M3": M3,
    "Step-3.7": STEP,
    "MiMo-V2": MIMO,
}


def model(config: dict[str, Any]) -> Model:
    return build(describe(config, name=str(config["model_type"])))


def streams(m: Model) -> dict[str, list[tuple[float, Stream]]]:
    found: dict[str, list[tuple[float, Stream]]] = {}
    for group in m.groups:
        for stream in group.mixer.streams if group.mixer else ():
            found.setdefault(stream.name, []).append((group.count, stream))
    return found


# --- parameters -------------------------------------------------------------------------------------------------


def assert_equals(m: Model, recorded: dict[str, Any]) -> None:
    got = {k: round(v) for k, v in parameters(m).items() if v}
    assert got == {k: v for k, v in recorded["counts"].items() if v and k != "draft"}
    assert total_parameters(m) == recorded["total"]


@pytest.mark.parametrize("name", DEFAULTS)
def test_parameters_by_component_equal_the_oracle(name: str) -> None:
    recorded = ORACLE["defaults"][name]
    assert_equals(build(describe({"model_type": recorded["model_type"], **recorded["config"]}, name=name)), recorded)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set RACKMATH_DATA")
def test_every_config_of_these_families_equals_the_oracle() -> None:
    held = 0
    for name, recorded in ORACLE["configs"].items():
        if "total" in recorded and recorded["model_type"].startswith(OURS) and "glm4" not in recorded["model_type"]:
            assert_equals(read_model(DATA / name), recorded)
            held += 1
    assert held >= 45


def test_minimax_m3_flat_and_nested_configs_are_one_model() -> None:
    nested = {"model_type": "minimax_m3_vl", "text_config": {**M3, "model_type": "x"}, "vision_config": {}}
    recorded = ORACLE["configs"]["nvidia--MiniMax-M3-NVFP4.json"]
    assert_equals(model(M3), recorded)
    both = build(describe(nested, name="m3"))
    assert_equals(both, recorded)
    assert any("vision" in note for note in both.notes)


@pytest.mark.parametrize(
    ("name", "total", "active", "definition"),
    [  # total and active parameters in billions as their makers publish them, and which definition of active agrees
        ("V3", 671, 37, "with one"),  # DeepSeek-V3 technical report, arXiv 2412.19437
        ("V4-Pro", 1600, 49, "with one"),  # DeepSeek-V4 technical report, arXiv 2606.19348
        ("GLM-5.2", 744, 40, "with one"),  # model card
        ("K3", 2800, 104, "with one"),  # model card
        ("Nano", 31.6, 3.6, "with both"),  # Nemotron 3 Nano report: 31.6 B, 3.6 B active with embeddings
        ("M3", 428, 23, "with none"),  # release notes; the total includes the vision encoder
        ("Step-3.7", 196, 11, "with both"),  # Step 3.5 Flash report, the same text model
        ("MiMo-V2", 309, 15, "with one"),  # technical report
    ],
)
def test_published_totals_and_active_parameters(name: str, total: float, active: float, definition: str) -> None:
    m = model(EVERY[name])
    assert total_parameters(m) / 1e9 == pytest.approx(total, rel=0.03)
    assert active_parameters(m)[definition] / 1e9 == pytest.approx(active, rel=0.03)


def test_draft_layers_stand_apart_and_complete_the_published_checkpoint() -> None:
    m = model(V3)
    draft = sum(layer_parameters(m.draft).values())
    copies = m.embedding_parameters + m.head_parameters  # the checkpoint repeats both in its prediction module
    assert (total_parameters(m) + draft + copies) / 1e9 == pytest.approx(684.5, rel=1e-3)  # 685 B on the model card
    assert [g.ffn.kind for g in m.draft if g.ffn] == ["projection", "moe"]
    assert total_parameters(m) == total_parameters(model({**V3, "num_nextn_predict_layers": 0}))


# --- latent and sparse attention --------------------------------------------------------------------------------


def test_deepseek_v3_cache_and_absorbed_attention() -> None:
    m = model(V3)
    assert kv_bytes_per_token(m, BF16) == 70272
    ((_, latent),) = [(n, s) for n, s in streams(m)["latent"] if n == 58]
    assert (latent.decode_flops, latent.prefill_flops) == (2 * 128 * (576 + 512), 2 * 128 * (192 + 128))
    assert {g.ffn.node_limit for g in m.groups if g.ffn and g.ffn.n_experts} == {4}


def test_v32_reads_an_index_and_2048_entries() -> None:
    m, dense, context = model(V32), model(V3), 128.0 * 1024
    per_layer = 132 * context + 2048 * 656  # a key and its scale; 512 in 8 bits, 4 scales, the rotary part in 16 bits
    assert read_bytes(m, context, FP8) == pytest.approx(61 * per_layer)
    assert read_bytes(dense, context, FP8) == pytest.approx(61 * context * 576)
    assert cache_bytes(m, context, FP8) == pytest.approx(61 * context * (656 + 132))
    (_, latent), *_ = streams(m)["latent"]
    assert latent.prefill_flops == latent.decode_flops  # every query reads entries of its own: no shared expansion


@pytest.mark.parametrize(("kv", "each"), [("bf16", 1284), ("fp8", 788)])
def test_index_keys_keep_their_own_format(kv: str, each: float) -> None:
    """132 bytes a token and layer whatever the cache's format: 78,324 bytes a token beside a BF16 latent."""
    m = model(V32)
    assert kv_bytes_per_token(m, Precision.uniform("fp8", kv=kv)) == 61 * each
    assert kv_bytes_per_token(m, Precision.uniform("fp8").with_kv(kv)) == 61 * each
    assert kv_bytes_per_token(m, BF16) == 78324
    given = build({**m.description, "precision": {"index": "bf16"}})
    assert kv_bytes_per_token(given) == 61 * (1152 + 256)


def test_glm_52_shares_indexers_between_layers() -> None:
    found = streams(model(GLM52))
    assert sum(n for n, _ in found["index"]) == 21
    assert sum(n for n, _ in found["latent"]) == 78
    assert {s.top_k for _, s in found["latent"]} == {2048}
    by_frequency = {k: v for k, v in GLM52.items() if k != "indexer_types"}
    by_frequency |= {"index_topk_freq": 4, "index_skip_topk_offset": 3}
    assert parameters(model(by_frequency)) == parameters(model(GLM52))
    by_letters = {**by_frequency, "index_topk_pattern": "FFF" + "SSSF" * 18 + "SSS"}
    assert parameters(model(by_letters)) == parameters(model(GLM52))


def test_v4_cache_in_closed_form_and_against_its_report() -> None:
    m, v32, context = model(V4_PRO), model(V32), 2.0**20
    indexed = 128 * 584 + context / 4 * (584 + 132) + 4 * 8 * (2 * 1024 + 2 * 256)
    pooled = 128 * 584 + context / 128 * 584 + 4 * 128 * 2 * 512
    assert cache_bytes(m, context, FP8) == pytest.approx(30 * indexed + 31 * pooled)
    read = 61 * 128 * 584 + 30 * (1024 * 584 + context / 4 * 132) + 31 * context / 128 * 584
    one_open = 4 * (30 * (2 * 1024 + 4 * 128) + 31 * 2 * 512)
    assert read_bytes(m, context, FP8) == pytest.approx(read + one_open)
    # the report, at one million tokens and with formats of its own: 27 % of V3.2's FLOPs, 10 % of its cache
    flops = [float(attention_flops(x, context)) + weight_flops(x) for x in (m, v32)]
    assert 0.24 < flops[0] / flops[1] < 0.30
    assert 0.09 < float(cache_bytes(m, context, FP8)) / float(cache_bytes(v32, context, FP8)) < 0.12


def test_v4_reference_keys_give_the_same_model() -> None:
    kinds = {128: "heavily_compressed_attention", 4: "compressed_sparse_attention", 0: "sliding_attention"}
    listed = {k: v for k, v in V4_PRO.items() if k != "compress_ratios"}
    listed["layer_types"] = [kinds[r] for r in V4_PRO["compress_ratios"][:61]]
    for same in ({**V4_PRO, "model_type": "deepseek_ref"}, listed):
        assert parameters(model(same)) == parameters(model(V4_PRO))
        assert cache_bytes(model(same), 1e5, FP8) == cache_bytes(model(V4_PRO), 1e5, FP8)
    recorded = ORACLE["configs"]["deepseek-ai--DeepSeek-V4-Pro.json"]
    assert_equals(model(V4_PRO), recorded)
    mixers = [g.mixer for g in model(V4_PRO).groups if g.mixer]
    assert {mixer.heads for mixer in mixers} == {16}  # groups of the output projection stay whole


def test_minimax_m3_reads_sixteen_blocks_and_its_index() -> None:
    m, context = model(M3), 1e5
    dense, sparse = 2 * 4 * 128 * context, 2 * 4 * 128 * 2048 + 128 * context
    assert read_bytes(m, context, BF16) == pytest.approx(2 * (3 * dense + 57 * sparse))
    assert attended_entries(streams(m)["kv"][0][1], context) == context


def test_mimo_windows_have_their_own_heads() -> None:
    m, context = model(MIMO), 1e5
    full, local = 4 * (192 + 128), 8 * (192 + 128)
    assert cache_bytes(m, context, BF16) == pytest.approx(2 * (9 * full * context + 39 * local * 128))
    assert_equals(m, ORACLE["configs"]["XiaomiMiMo--MiMo-V2-Flash.json"])


def test_step_window_layers_take_their_own_heads_where_stated() -> None:
    plain, wide = model(STEP), model({**STEP, "attention_other_setting": {"num_attention_heads": 96}})
    more = 33 * (2 * 32 * 128 * 4096 + 32 * 4096)  # queries, outputs and gates of 32 more heads
    assert total_parameters(wide) - total_parameters(plain) == more
    assert cache_bytes(wide, 1e5, BF16) == cache_bytes(plain, 1e5, BF16)
    assert plain.notes
    assert not wide.notes


# --- states instead of caches -----------------------------------------------------------------------------------


def test_qwen3_next_state_does_not_grow() -> None:
    m = model(QWEN3_NEXT)
    state = 36 * (32 * 128 * 128 * 4 + 3 * (2 * 16 * 128 + 32 * 128) * 2)
    assert state_bytes(m) == pytest.approx(state)
    assert kv_bytes_per_token(m, BF16) == 12 * 2 * 2 * 256 * 2
    for context in (1.0, 1e3, 1e6):
        assert cache_bytes(m, context, BF16) == pytest.approx(state + 24576 * context)
    linear = next(g.mixer for g in m.groups if g.mixer and g.mixer.kind == "gated_delta")
    assert linear.scan_flops == 7 * 32 * 128 * 128 + 2 * 4 * 8192


def test_nemotron_has_one_block_per_layer_and_a_state() -> None:
    m = model(NANO)
    assert {(g.mixer is None, g.ffn is None) for g in m.groups} == {(True, False), (False, True)}
    assert m.n_layers == 52
    assert state_bytes(m) == pytest.approx(23 * (64 * 64 * 128 * 4 + 3 * (4096 + 2 * 8 * 128) * 2))
    assert kv_bytes_per_token(m, BF16) == 6 * 2 * 2 * 128 * 2
    half = model({**NANO, "mamba_ssm_cache_dtype": "bfloat16"})
    assert state_bytes(half) == pytest.approx(23 * (64 * 64 * 128 * 2 + 3 * 6144 * 2))
    words = ["mamba" if c == "M" else "moe" if c == "E" else "attention" for c in NANO["hybrid_override_pattern"]]
    listed = {k: v for k, v in NANO.items() if k != "hybrid_override_pattern"} | {"layers_block_type": words}
    assert parameters(model(listed)) == parameters(m)


def test_nemotron_latent_experts_dispatch_the_narrow_vector() -> None:
    m = model({**NANO, "moe_latent_size": 512, "num_nextn_predict_layers": 1, "mtp_hybrid_override_pattern": "*E"})
    moe = next(g.ffn for g in m.groups if g.ffn)
    assert (moe.d_dispatch, sum(w.parameters for w in moe.expert)) == (512, 2 * 512 * 1856)
    assert [(g.mixer is not None, g.ffn is not None) for g in m.draft] == [(False, True), (True, False), (False, True)]


def test_kimi_k3_state_and_latent_cache() -> None:
    m = model(K3)
    assert kv_bytes_per_token(m, BF16) == 24 * 576 * 2
    assert state_bytes(m) == pytest.approx(69 * (96 * 128 * 128 * 4 + 3 * 3 * 96 * 128 * 2))
    assert {g.ffn.d_dispatch for g in m.groups if g.ffn and g.ffn.n_experts} == {3584}


def test_jamba_and_minimax_m1_states() -> None:
    for name, layers, each in (("jamba", 28, 8192 * 16 * 4 + 3 * 8192 * 2), ("minimax-m1-style", 70, 64 * 128 * 128 * 4)):
        recorded = ORACLE["defaults"][name]
        m = build(describe({"model_type": recorded["model_type"], **recorded["config"]}, name=name))
        assert state_bytes(m) == pytest.approx(layers * each)


# --- bad input --------------------------------------------------------------------------------------------------

JUNK: tuple[Any, ...] = (-1, 0, 3.5, 10**40, math.nan, math.inf, "8", [], {}, True, [7] * 5000)


def spoilt(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The config with one value replaced by junk, or left out, at a time; sections inside it too."""
    for key, value in config.items():
        for junk in (*JUNK, None):
            yield {**config, key: junk}
        if isinstance(value, dict):
            for inner in spoilt(value):
                yield {**config, key: inner}


@pytest.mark.parametrize("name", EVERY)
def test_nonsense_is_refused_in_a_sentence_or_makes_a_finite_model(name: str) -> None:
    refused = 0
    for changed in spoilt(EVERY[name]):
        try:
            m = build(describe(changed, name=name))
        except BadInput:
            refused += 1
            continue
        assert math.isfinite(total_parameters(m))
        assert math.isfinite(float(cache_bytes(m, 1e5, BF16)))
    assert refused > 50


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (GLM52, {"indexer_types": ["full"] * 77 + ["half"]}, "'full' or 'shared'"),
        (V4_PRO, {"compress_ratios": [4] * 7}, "must list 61 layers"),
        (V4_PRO, {"o_groups": 24}, "does not divide"),
        (NANO, {"hybrid_override_pattern": "MEX"}, "'X'"),
        (QWEN3_NEXT, {"linear_num_key_heads": 12}, "does not divide"),
        (K3, {"linear_attn_config": {"full_attn_layers": [4, 200]}}, "must name layers 1 to 93"),
        (STEP, {"moe_layers_enum": "3,four"}, "is not a list of layer numbers"),
        (M3, {"moe_layer_freq": [1, 1]}, "60 layers"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        model({**config, **change})
