"""Quantisation sections of config.json: bytes of each tool's checkpoints, and nothing passed over in silence."""

from __future__ import annotations

from typing import Any

import pytest
from hfdata import QWEN

from rackmath.kernel.counts import parameters, weight_bytes
from rackmath.world.huggingface import read_model
from rackmath.world.model import Model
from rackmath.world.precision import format_named

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
LINEAR, TABLE = 32 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336), 128256 * 4096


def quantised(section: dict[str, Any], base: dict[str, Any] = LLAMA) -> Model:
    return read_model({**base, "quantization_config": section}, "quantised")


# --- the bytes of each tool -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "bits"),
    [
        ({"quant_method": "gptq", "bits": 3, "group_size": 128, "sym": True}, 3 + 16 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": False}, 4 + 16 / 64 + 4 / 64),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, 4 + 16 / 128 + 4 / 128),
        ({"quant_method": "exl2", "bits": 4.25}, 4.25),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, 4 + 32 / 64),
        (
            {
                "quant_method": "quark",
                "exclude": ["lm_head"],
                "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}},
            },
            4 + 8 / 32,
        ),
        (
            {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}},
            4 + 32 / 128,
        ),
        ({"quant_method": "bitnet", "modules_to_not_convert": ["lm_head"]}, 2),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 4 + 32 / 64),
        ({"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "static"}, 8),
        ({"quant_method": "auto-round", "bits": 2, "group_size": 32, "sym": True}, 2 + 16 / 32),
    ],
    ids=lambda v: v.get("quant_method") if isinstance(v, dict) else None,
)
def test_bits_scales_and_zeros_over_the_linear_weights(section: dict[str, Any], bits: float) -> None:
    """16 bits elsewhere, as the tools' own documentation counts; nothing is left to say."""
    model = quantised(section)
    assert sum(parameters(model)[c] for c in ("attention", "mlp")) == LINEAR
    assert weight_bytes(model) == pytest.approx(LINEAR * bits / 8 + 2 * (2 * TABLE), rel=0.001)
    assert not model.notes


def test_a_static_cache_scale_is_of_the_cache() -> None:
    model = quantised({"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "static"})
    assert (model.precision.mlp.name, model.precision.kv.name) == ("fp8", "fp8")


def test_experts_of_their_own_in_w4afp8() -> None:
    model = quantised({"quant_method": "w4afp8", "weight_block_size": [128, 128]}, QWEN)
    assert (model.precision.attention.name, model.precision.experts.name) == ("fp8_block", "w4a8")


def test_the_output_head_has_bits_of_its_own() -> None:
    model = quantised({"quant_method": "exl2", "bits": 4.0, "head_bits": 6})
    assert weight_bytes(model) == pytest.approx(LINEAR / 2 + TABLE * (2 + 6 / 8), rel=0.001)


# --- overrides ------------------------------------------------------------------------------------------------------


def test_gptq_dynamic_leaves_out_and_widens() -> None:
    """Attention out, down_proj in 8 bits: about 22.7 GB."""
    section = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "sym": True,
        "dynamic": {"-:.*mlp.gate.*": {}, "-:.*self_attn.*": {}, "+:.*down_proj.*": {"bits": 8}},
    }
    model = quantised(section, QWEN)
    assert weight_bytes(model) == pytest.approx(22.7e9, rel=0.01)
    assert model.precision.attention.name == "bf16"
    assert model.precision.experts.name == "66.67% w4a16 + 33.33% w8a16_g128"
    assert len(model.notes) == 1  # that the experts are of two formats


@pytest.mark.parametrize(
    ("section", "eighth"),
    [
        ({"quant_method": "gptq", "bits": 4, "dynamic": {r"-:model\.layers\.[0-3]\..*": {}}}, 4),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {r"-:((model)+)+\.layers\.[0-3]": {}}}, 0),  # not understood
        ({"quant_method": "gptq", "bits": 4, "dynamic": {rf"-:model\.layers\.{i}\..*": {} for i in range(4)}}, 4),
        ({"quant_method": "gptq", "bits": 4, "sym": True, "dynamic": {r"-:.*layers\.\d+\.mlp.*": {}}}, 32),
        ({"quant_method": "awq", "bits": 4, "zero_point": False, "modules_to_not_convert": [f"model.layers.{i}.mlp" for i in range(4)]}, 4),
        (
            {
                "quant_method": "auto-round",
                "bits": 4,
                "group_size": 128,
                "sym": True,
                "extra_config": {f"model.layers.{i}.mlp.{p}_proj": {"bits": 16} for i in range(4) for p in ("up", "gate", "down")},
            },
            4,
        ),
        (
            {
                "quant_method": "quark",
                "exclude": [f"model.layers.{i}.mlp.*" for i in range(4)] + ["lm_head"],
                "global_quant_config": {"weight": {"dtype": "int4", "group_size": 128}},
            },
            4,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "ignore": ["lm_head", *(f"re:.*layers\\.{i}\\.mlp.*" for i in range(4))],
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 128}}},
            },
            4,
        ),
    ],
)
def test_layers_left_out_are_in_16_bits(section: dict[str, Any], eighth: int) -> None:
    model = quantised(section)
    share = eighth / 32
    assert model.precision.mlp.bytes == pytest.approx(share * 2 + (1 - share) * format_named("w4a16").bytes, rel=1e-3)
    assert any("not understood" in note for note in model.notes) == (eighth == 0)


def test_groups_of_compressed_tensors_and_layers_of_quark() -> None:
    groups = {
        "group_0": {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8, "type": "float"}},
        "group_1": {"targets": ["re:.*mlp.*"], "weights": {"num_bits": 4, "group_size": 128, "type": "int"}},
    }
    model = quantised({"quant_method": "compressed-tensors", "config_groups": groups})
    assert (model.precision.attention.name, model.precision.mlp.name) == ("fp8", "w4a16")
    layers = {"*self_attn*": {"weight": {"dtype": "fp8_e4m3"}, "input_tensors": {"dtype": "fp8_e4m3"}}}
    whole = {"weight": {"dtype": "fp4", "group_size": 32}}
    model = quantised({"quant_method": "quark", "global_quant_config": whole, "layer_quant_config": layers})
    assert (model.precision.attention.name, model.precision.mlp.name) == ("fp8", "mxfp4")


# --- nothing in silence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"quant_method": "gptq", "bits": 4, "secret_bits": {"mlp": 8}}, "'secret_bits'"),
        ({"quant_method": "fp8", "layer_overrides": [1]}, "'layer_overrides'"),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {"weight": {"dtype": "fp4"}},
                "layer_type_quant_config": {"Conv1d": {"weight": {"dtype": "int8"}}},
            },
            "'layer_type_quant_config'",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"targets": ["Linear"], "exceptions": ["mlp"], "weights": {"num_bits": 4}}},
            },
            "'exceptions'",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 4, "outliers": 3}}},
            },
            "'outliers'",
        ),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*nothing_here.*": {"bits": 8}}}, "nothing_here"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:(a+)+": {"bits": 8}}}, "(a+)+"),
    ],
)
def test_what_is_not_understood_is_said(section: dict[str, Any], says: str) -> None:
    (note,) = quantised(section).notes
    assert says in note
    assert "left out" in note
