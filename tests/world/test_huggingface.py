"""config.json to model: held to the parameter counts of transformers, recorded in tests/against."""

from __future__ import annotations

import csv
import json
import tomllib
from typing import Any

import pytest
from hfdata import CONFIGS, HERE, RECORDED, needs_configs

from rackmath.errors import BadInput
from rackmath.kernel.counts import cache_bytes, layer_parameters, parameters, total_parameters, weight_bytes
from rackmath.world.description import build
from rackmath.world.huggingface import describe, families, group_layers, read_model
from rackmath.world.huggingface.modules import Modules
from rackmath.world.model import Model

BUILDABLE = sorted(name for name, found in RECORDED["configs"].items() if "counts" in found)
REFUSED = {
    "blip": "encoder of BERT's kind",
    "git": "encoder of BERT's kind",
    "blt": "how many bytes make a patch",
    "deepseek_ocr2": "lacks 'num_experts_per_tok'",
    "diffusion_gemma": "denoises blocks of tokens",
    "evolla": "protein encoder's output",
    "gemma4_unified_assistant": "drafts for a Gemma 4",
    "pi0": "an action expert",
    "qwen4_exp": "embeddings of n-grams",
    "qwen4_exp_text": "embeddings of n-grams",
    "inkling2_loop": "loop_layer_index_start",
    "inkling2_loop_text": "loop_layer_index_start",
}
"""Families of the library that are refused, each with the fact that is missing."""

DEFAULTS = sorted(name for name, found in RECORDED["defaults"].items() if "counts" in found)


def counts(model: Model) -> dict[str, int]:
    found = parameters(model)
    assert all(value == int(value) for value in found.values())
    return {component: int(value) for component, value in found.items() if value}


def read(name: str) -> Model:
    return read_model(CONFIGS / name)


@needs_configs
@pytest.mark.parametrize("name", BUILDABLE)
def test_every_config_has_the_parameters_transformers_gives_it(name: str) -> None:
    assert counts(read(name)) == {k: v for k, v in RECORDED["configs"][name]["counts"].items() if v}


@pytest.mark.parametrize("name", sorted(set(DEFAULTS) - set(REFUSED)))
def test_every_default_configuration_has_the_parameters_transformers_gives_it(name: str) -> None:
    found = RECORDED["defaults"][name]
    assert counts(build(describe(found["config"], name=name))) == {k: v for k, v in found["counts"].items() if v}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_which_fact_is_missing(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        describe(RECORDED["defaults"][name]["config"], name=name)
    assert REFUSED[name] in str(caught.value)


def test_every_other_family_of_the_library_is_answered() -> None:
    answered = [name for name, found in RECORDED["defaults"].items() if "config" in found and name not in REFUSED]
    for name in answered:
        build(describe(RECORDED["defaults"][name]["config"], name=name))
    assert len(answered) > 260


def test_the_record_covers_the_families() -> None:
    kinds = {found["model_type"] for found in RECORDED["defaults"].values()}
    assert kinds >= {
        "gemma2",
        "gemma3_text",
        "jamba",
        "olmo",
        "olmo2",
        "falcon",
        "opt",
        "bloom",
        "gpt2",
        "gptj",
        "minimax",
        "glm4_moe",
        "llama4_text",
        "gpt_oss",
        "phi",
        "phi3",
        "phimoe",
        "mixtral",
        "qwen3_moe",
        "gemma4_text",
    }
    assert len(BUILDABLE) >= 100


@needs_configs
def test_every_config_in_the_folder_is_answered() -> None:
    files = [p for p in sorted(CONFIGS.glob("*.json")) if not p.name.endswith("_hf_quant_config.json")]
    assert len(files) > 100
    for path in files:
        assert 1e8 < total_parameters(read_model(path)) < 4e12


@needs_configs
def test_totals_agree_with_the_published_figures() -> None:
    """Within 3 % of a figure from a card or report; a nominal size in a name is allowed 15 %."""
    compared = 0
    for row in csv.DictReader((CONFIGS / "index.csv").read_text().splitlines()):
        if not row["total_params_B"]:
            continue
        total, published = total_parameters(read(row["file"])) / 1e9, float(row["total_params_B"])
        allowed = 0.15 if row["params_source"].startswith("from model name") else 0.03
        assert abs(total / published - 1) <= allowed, (row["name"], total, published)
        compared += 1
    assert compared > 80


@needs_configs
def test_what_transformers_cannot_build_agrees_with_what_is_known() -> None:
    # transformers has no reader for this spelling of MiniMax M3, but for the same model's NVFP4 release
    sibling = RECORDED["configs"]["nvidia--MiniMax-M3-NVFP4.json"]["counts"]
    assert counts(read("MiniMaxAI--MiniMax-M3.json")) == sibling
    # Nemotron Super: 49.9 billion, of which only 49 of 80 layers hold a cache (8 KV heads of 128 for K and V)
    nas = read("nvidia--Llama-3_3-Nemotron-Super-49B-v1.json")
    assert total_parameters(nas) == pytest.approx(49.87e9, rel=1e-3)
    assert sum(g.count for g in nas.groups if g.mixer) == 49
    assert cache_bytes(nas, 1.0) == 49 * 2 * 8 * 128 * 2
    # MiMo-7B: Qwen2's shape (36 layers of 4096, 11008 wide, 8 KV heads), and one draft layer
    mimo = read("XiaomiMiMo--MiMo-7B-Base.json")
    layer = 2 * 4096**2 + 2 * 4096 * 1024 + (4096 + 2 * 1024) + 3 * 4096 * 11008 + 2 * 4096
    assert total_parameters(mimo) == 36 * layer + 2 * 151680 * 4096 + 4096
    assert sum(layer_parameters(mimo.draft).values()) == layer + 2 * 4096**2 + 3 * 4096


@needs_configs
@pytest.mark.parametrize(
    ("name", "per_token"),
    [("meta-llama--Meta-Llama-3.1-70B.json", 327_680), ("Qwen--Qwen3-235B-A22B.json", 192_512), ("deepseek-ai--DeepSeek-V3.json", 70_272)],
)
def test_cache_per_token_in_bf16(name: str, per_token: int) -> None:
    model = read(name)
    assert sum(g.count * s.elements * 2 for g in model.groups if g.mixer for s in g.mixer.streams) == per_token


@needs_configs
def test_windows_and_chunks_end_what_is_attended() -> None:
    gemma = read("google--gemma-4-26B-A4B.json")
    windows = {s.window: g.count for g in gemma.groups if g.mixer for s in g.mixer.streams}
    assert windows == {1024: 25, float("inf"): 5}
    global_layer = next(g.mixer for g in gemma.groups if g.mixer and g.mixer.streams[0].window > 1024)
    assert "v" not in {m.name for m in global_layer.matrices}  # keys serve as values
    gpt_oss = read("openai--gpt-oss-120b.json")
    assert {s.window: g.count for g in gpt_oss.groups if g.mixer for s in g.mixer.streams} == {128: 18, float("inf"): 18}
    llama4 = read("meta-llama--Llama-4-Maverick-17B-128E-Instruct.json")
    assert sum(g.count for g in llama4.groups if g.mixer and g.mixer.streams[0].chunk == 8192) == 36
    assert sum(g.count for g in llama4.groups if g.ffn and g.ffn.n_experts == 128) == 24


def test_late_layers_of_gemma_read_an_earlier_cache() -> None:
    model = build(describe(RECORDED["defaults"]["gemma4-e4b-style"]["config"], name="e4b"))
    shared = sum(g.count for g in model.groups if g.mixer and not g.mixer.streams[0].stored)
    assert (shared, model.n_layers) == (18, 42)


@needs_configs
@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("openai--gpt-oss-120b.json", {"experts": "mxfp4"}),
        ("deepseek-ai--DeepSeek-V3.json", dict.fromkeys(("attention", "mlp", "experts", "shared_experts"), "fp8_block")),
        ("nvidia--Llama-3.1-70B-Instruct-FP8.json", {"attention": "fp8", "mlp": "fp8", "kv": "fp8"}),
        ("moonshotai--Kimi-K2.5.json", {"experts": "w4a16_g32"}),
        ("llama-4-scout-17b-16e-instruct-fp8-dynamic.json", {"experts": "fp8", "shared_experts": "fp8"}),
        ("nvidia--MiniMax-M3-NVFP4.json", {"attention": "mxfp8", "mlp": "mxfp8", "shared_experts": "mxfp8", "experts": "nvfp4"}),
        ("nvidia--Gemma-4-26B-A4B-NVFP4.json", {"experts": "nvfp4", "kv": "fp8"}),
        ("nvidia--Gemma-4-31B-IT-NVFP4.json", {"mlp": "nvfp4", "kv": "fp8"}),
        ("nvidia--DeepSeek-V4-Flash-NVFP4.json", {"attention": "fp8_block", "shared_experts": "fp8_block", "experts": "nvfp4"}),
        ("nvidia--Qwen3-235B-A22B-NVFP4.json", {"attention": "nvfp4", "experts": "nvfp4", "kv": "fp8"}),
        ("nvidia--Qwen3.6-27B-NVFP4.json", {"attention": "fp8", "mlp": "nvfp4_w4a16", "head": "nvfp4_w4a16", "kv": "fp8"}),
        ("meta-llama--Meta-Llama-3.1-8B.json", {}),
    ],
)
def test_formats_are_those_the_publisher_states(name: str, formats: dict[str, str]) -> None:
    assert read(name).description["precision"] == formats


@needs_configs
@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("openai--gpt-oss-120b.json", 65.3),  # published: 60.8 GiB checkpoint
        ("openai--gpt-oss-20b.json", 13.8),  # published: 12.8 GiB checkpoint
    ],
)
def test_weights_weigh_what_the_checkpoint_weighs(name: str, gigabytes: float) -> None:
    assert weight_bytes(read(name)) / 1e9 == pytest.approx(gigabytes, rel=0.01)


@needs_configs
def test_a_mixed_component_says_so() -> None:
    model = read("nvidia--DeepSeek-V3.1-NVFP4.json")
    assert model.precision.attention.name == "62.77% nvfp4 + 37.23% bf16"  # the output projection, most of it
    assert model.precision.attention.bytes == pytest.approx(0.6277 * 0.5625 + 0.3723 * 2)
    assert model.precision.attention.kernel == "nvfp4"
    assert any("attention weights are of several formats" in note and "62.77% nvfp4" in note for note in model.notes)


TINY: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("section", "mlp", "attention"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "w4a16", "w4a16"),
        ({"quant_method": "awq", "bits": 4, "group_size": 32}, "w4a16_g32_z", "w4a16_g32_z"),
        ({"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": False}, "w4a16_g32", "w4a16_g32"),
        ({"quant_method": "gptq", "bits": 8}, "w8a16_g128", "w8a16_g128"),
        ({"quant_method": "fp8", "modules_to_not_convert": ["self_attn"]}, "fp8", "bf16"),
        ({"quant_method": "fp8", "ignored_layers": ["re:.*mlp.*"]}, "bf16", "fp8"),
        ({"quant_method": "fp8", "ignore": ["model.layers.0.mlp*"]}, "75% fp8 + 25% bf16", "fp8"),
        ({"quant_method": "fp8", "ignore": [f"model.layers.{i}.mlp.*" for i in range(3)]}, "75% bf16 + 25% fp8", "fp8"),
        ({"quant_algo": "W4A8_AWQ"}, "w4a8", "w4a8"),
    ],
)
def test_schemes_without_a_config_in_the_folder(section: dict[str, Any], mlp: str, attention: str) -> None:
    model = read_model({**TINY, "quantization_config": section}, "tiny")
    assert (model.precision.mlp.name, model.precision.attention.name) == (mlp, attention)


def test_a_quant_file_beside_the_config_is_read(tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    quant = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(quant))
    model = read_model(tmp_path)
    assert (model.precision.mlp.name, model.precision.kv.name, model.name) == ("nvfp4", "fp8", tmp_path.name)


def test_patterns_count_layers() -> None:
    found = Modules.of(["model.layers.*.self_attn", "re:.*shared_experts.*", "re:(a+)+$", "gate"], n_layers=4)
    assert len(found.layers(["self_attn.q_proj"])) == 4
    assert len(found.layers(["mlp.shared_experts.up_proj"])) == 4
    assert not found.layers(["mlp.up_proj"])
    assert found.unread == {"re:(a+)+$"}  # it could take for ever, and is reported instead


def test_draft_layers_are_no_part_of_the_total() -> None:
    raw = RECORDED["defaults"]["glm-4.5-air-style"]["config"]
    with_draft, without = (build(describe({**raw, "num_nextn_predict_layers": n}, name="air")) for n in (1, 0))
    assert counts(with_draft) == counts(without)
    assert sum(layer_parameters(with_draft.draft).values()) > 2e9
    assert not without.draft


def test_alike_layers_are_counted_together() -> None:
    model = build(describe(RECORDED["defaults"]["gemma2"]["config"], name="gemma-2"))
    assert [g.count for g in model.groups] == [13, 13]
    assert group_layers([]) == []


def test_published_gemma_3_configs_leave_out_defaults() -> None:
    found = RECORDED["defaults"]["gemma3_text"]
    left_out = ("vocab_size", "num_attention_heads", "num_key_value_heads", "head_dim", "layer_types")
    lean = {"text_config": {k: v for k, v in found["config"].items() if k not in left_out}}
    assert counts(build(describe(lean, name="gemma-3"))) == found["counts"]


def test_an_unknown_family_is_named_and_shown_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"NovaForCausalLM / nova.*docs/concepts/models\.md"):
        describe({"model_type": "nova", "architectures": ["NovaForCausalLM"]}, name="nova")
    with pytest.raises(BadInput, match="did you mean qwen3"):
        describe({"model_type": "qwen-3"}, name="q")
    assert len(families()) > 60


def test_the_documented_example_is_a_model() -> None:
    text = (HERE.parent / "docs" / "concepts" / "models.md").read_text()
    model = build(tomllib.loads(text.split("```toml\n")[1].split("```")[0]))
    assert (model.n_layers, model.precision.experts.name, model.precision.kv.name) == (32, "mxfp4", "fp8")
