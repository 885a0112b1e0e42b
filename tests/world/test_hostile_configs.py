"""Bad config.json files: one clear sentence each, never another exception."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hfdata import RECORDED
from hypothesis import given, settings
from hypothesis import strategies as st

from rackmath.errors import BadInput
from rackmath.kernel.counts import cache_bytes, parameters, total_parameters
from rackmath.world.huggingface import read_model
from rackmath.world.huggingface.methods import METHODS as METHODS_READ
from rackmath.world.model import Model

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def refused(raw: Any) -> str:
    with pytest.raises(BadInput) as caught:
        read_model(raw)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (json.dumps(LLAMA).encode()[:-9], "not valid JSON"),
        (b"\xff\xfe\x00garbage", "not text in UTF-8"),
        (b"[1, 2]", "not a JSON object"),
        (b'"llama"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "nested too deeply"),
        (b'{"model_type": "llama", "hidden_size": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"{}", "neither 'model_type' nor 'architectures'"),
        (b'{"model_type": 7, "architectures": "llama"}', "neither 'model_type' nor 'architectures'"),
    ],
)
def test_malformed_files(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    assert says in refused(path)


def test_a_huge_file_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(65 * 10**6)
    assert "65,000,000 bytes" in refused(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "cannot read" in refused(tmp_path / "absent.json")
    assert "config.json" in refused(tmp_path)  # a folder without one
    assert "is a device, not a file" in refused(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": -1}, "num_hidden_layers = -1 is out of range"),
        ({"num_hidden_layers": 0}, "out of range"),
        ({"num_hidden_layers": 10**9}, "out of range; it must lie between 1 and 4096"),
        ({"num_hidden_layers": 1e300}, "out of range"),
        ({"num_hidden_layers": 10**400}, "a number above 1e30"),
        ({"num_hidden_layers": 3.5}, "is not a whole number"),
        ({"num_hidden_layers": "32"}, "num_hidden_layers = '32' is not a number"),
        ({"num_hidden_layers": True}, "is not a number"),
        ({"num_hidden_layers": None}, "lacks 'num_hidden_layers'"),
        ({"num_hidden_layers": [4]}, "is not a number"),
        ({"hidden_size": math.nan}, "out of range"),
        ({"hidden_size": math.inf}, "out of range"),
        ({"hidden_size": -math.inf}, "out of range"),
        ({"vocab_size": 1e18}, "out of range"),
        ({"num_attention_heads": 5}, "num_attention_heads = 5 does not divide hidden_size = 64"),
        ({"num_key_value_heads": 3}, "n_heads = 4 is not a multiple of n_kv_heads = 3"),
        ({"num_key_value_heads": 8}, "not a multiple"),
        ({"head_dim": -8}, "out of range"),
        ({"tie_word_embeddings": "yes"}, "is not true or false"),
        ({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 5}, "num_experts_per_tok = 5"),
        ({"model_type": "olmo2", "layer_types": ["full_attention"]}, "lists 1 entries"),
        (
            {"model_type": "gpt_oss", "num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": [{}] * 4},
            "is not a kind of attention",
        ),
        ({"model_type": "olmo2", "layer_types": "full_attention"}, "is not a list"),
        ({"model_type": "nemotron-nas"}, "lacks 'block_configs'"),
        ({"model_type": "nemotron-nas", "block_configs": [1, 2, 3, 4]}, "is not an object"),
        ({"model_type": "nemotron-nas", "block_configs": [{"ffn": {"ffn_mult": 1e300}}] * 4}, "ffn_mult"),
        ({"text_config": {**LLAMA, "vocab_size": "x"}}, "vocab_size = 'x' is not a number"),
        ({"quantization_config": 8}, "is not an object"),
        ({"quantization_config": {"bits": 4}}, "without a name"),
        ({"quantization_config": {"quant_method": "fp7"}}, "'fp7' is not known"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 33}}, "bits = 33.0 is not a width"),
        ({"quantization_config": {"quant_method": "gptq", "dynamic": {"+:up": 8}}}, "maps a pattern to no mapping"),
        ({"quantization_config": {"quant_method": "auto-round", "extra_config": {"m": 8}}}, "maps a module to no"),
        (
            {"quantization_config": {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "x"}}}},
            "dtype = 'x' is not a format",
        ),
        ({"quantization_config": {"quant_method": "torchao", "quant_type": "int7"}}, "'int7' is not a type"),
        ({"quantization_config": {"quant_method": "hqq", "quant_config": {}}}, "has no weight_quant_params"),
        ({"quantization_config": {"quant_method": "exl2"}}, "lacks 'bits'"),
        ({"quantization_config": {"quant_method": "fp8", "ignore": [["a"]]}}, "not the name of a module"),
        ({"quantization_config": {"quant_method": "fp8", "ignore": "lm_head"}}, "is not a list"),
        ({"quantization_config": {"quant_method": "fp8", "ignore": [f"m{i}" for i in range(9999)]}}, "too long"),
        ({"quantization_config": {"quantized_layers": {"a": 1}}}, "names no quant_algo"),
        ({"quantization_config": {"config_groups": {"g": {"weights": {"num_bits": 4.5}}}}}, "not a whole number"),
    ],
)
def test_nonsense_values(changes: dict[str, Any], says: str) -> None:
    assert says in refused({**LLAMA, **changes})


@pytest.mark.parametrize("key", sorted(set(LLAMA) - {"num_key_value_heads", "model_type"}))
def test_every_missing_key_is_named(key: str) -> None:
    assert f"lacks {key!r}" in refused({k: v for k, v in LLAMA.items() if k != key})


def test_a_slow_pattern_is_not_run() -> None:
    section = {"quant_method": "fp8", "ignore": ["re:" + "(a+)+" * 20 + "$", "*a" * 100 + "b", "re:" + ".*a" * 50]}
    model = read_model({**LLAMA, "quantization_config": section}, "slow")  # each would take longer than anybody waits
    assert sum("is not understood" in note for note in model.notes) == 1


# --- properties ---------------------------------------------------------------------------------------------------

BASES = [found["config"] for found in RECORDED["defaults"].values() if "config" in found]
KEYS = sorted({key for base in BASES for key in base})

nonsense = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.floats(),
    st.integers(-10, 300),
    st.sampled_from([0, 1, 2, 7, 64, 4096, 10**9, 10**20, 1e300, math.nan, math.inf, -1, [], {}, [1], "x"]),
    st.lists(st.integers(0, 3), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)

module_names = st.sampled_from(
    ["lm_head", "gate", "model.layers.0.self_attn*", "re:.*mlp.*", "re:(", "*", "", "[", "model.layers.99999.x", "re:["]
)
METHODS = (*sorted(METHODS_READ), "compressed-tensors", "modelopt_mixed", "", "?")

quantisation = st.fixed_dictionaries(
    {},
    optional={
        "quant_method": st.sampled_from(METHODS),
        "quant_algo": st.sampled_from(["FP8", "NVFP4", "MIXED_PRECISION", "W4A16_NVFP4", "no"]),
        "bits": nonsense,
        "weight_block_size": nonsense,
        "ignore": st.one_of(nonsense, st.lists(module_names, max_size=4)),
        "quantized_layers": st.one_of(nonsense, st.dictionaries(module_names, st.just({"quant_algo": "FP8"}), max_size=3)),
        "config_groups": st.one_of(
            nonsense,
            st.fixed_dictionaries(
                {
                    "group_0": st.fixed_dictionaries(
                        {
                            "weights": st.fixed_dictionaries(
                                {},
                                optional={
                                    "num_bits": st.sampled_from([4, 8, 16, "x"]),
                                    "type": st.sampled_from(["int", "float", 3]),
                                    "group_size": nonsense,
                                },
                            )
                        },
                        optional={"targets": st.one_of(nonsense, st.lists(module_names))},
                    )
                }
            ),
        ),
        "dynamic": st.one_of(nonsense, st.dictionaries(module_names, nonsense, max_size=3)),
        "extra_config": st.one_of(nonsense, st.dictionaries(module_names, st.just({"bits": 8}), max_size=3)),
        "modules_in_block_to_quantize": nonsense,
        "global_quant_config": st.one_of(nonsense, st.fixed_dictionaries({"weight": nonsense})),
        "layer_quant_config": nonsense,
        "quant_type": st.one_of(
            nonsense,
            st.fixed_dictionaries(
                {
                    "default": st.fixed_dictionaries(
                        {
                            "_type": st.sampled_from(
                                [
                                    "Int4WeightOnlyConfig",
                                    "IntxWeightOnlyConfig",
                                    "FqnToConfig",
                                    "AWQConfig",
                                    "MXDynamicActivationMXWeightConfig",
                                    "?",
                                ]
                            )
                        },
                        optional={
                            "_data": st.one_of(
                                nonsense,
                                st.fixed_dictionaries(
                                    {},
                                    optional={
                                        "group_size": nonsense,
                                        "fqn_to_config": nonsense,
                                        "weight_dtype": nonsense,
                                        "granularity": nonsense,
                                        "base_config": nonsense,
                                        "block_size": nonsense,
                                    },
                                ),
                            )
                        },
                    )
                }
            ),
        ),
        "quant_type_kwargs": nonsense,
        "quant_config": st.one_of(nonsense, st.dictionaries(module_names, st.just({"nbits": 4}), max_size=2)),
        "sparsity_config": st.one_of(
            nonsense,
            st.fixed_dictionaries(
                {"format": st.sampled_from(["dense", "sparse-24-bitmask", "sparse-bitmask"])},
                optional={"global_sparsity": nonsense, "ignore": nonsense},
            ),
        ),
        "group_size": nonsense,
        "num_codebooks": nonsense,
        "nbits_per_codebook": nonsense,
        "in_group_size": nonsense,
        "config_for_layers": st.one_of(
            nonsense, st.dictionaries(module_names, st.fixed_dictionaries({"vector_lens": nonsense, "num_centroids": nonsense}), max_size=2)
        ),
        "shapes": st.one_of(nonsense, st.dictionaries(st.just("a.dense_weights.shape"), nonsense)),
        "module_quant_configs": st.one_of(nonsense, st.dictionaries(module_names, nonsense, max_size=2)),
        "module_config_overrides": st.one_of(nonsense, st.dictionaries(module_names, nonsense, max_size=2)),
        "layer_type_quant_config": nonsense,
        "kv_cache_quant_config": nonsense,
        "forward_dtype": nonsense,
        "codebook": nonsense,
        "mode": nonsense,
        "moe_quant_algo": nonsense,
        "load_in_4bit": nonsense,
        "bnb_4bit_blocksize": nonsense,
        "lm_head": nonsense,
        "module_include": nonsense,
        "head_bits": nonsense,
        "weights": nonsense,
        "kv_cache_scheme": nonsense,
        "kv_cache_quant_algo": st.sampled_from(["FP8", "INT9", None]),
    },
)


@settings(max_examples=600)
@given(
    base=st.sampled_from(BASES),
    changes=st.dictionaries(st.sampled_from(KEYS), nonsense, max_size=4),
    dropped=st.sets(st.sampled_from(KEYS), max_size=2),
    wrapped=st.booleans(),
    quant=st.none() | quantisation,
)
def test_any_config_is_a_model_or_one_sentence(
    base: dict[str, Any], changes: dict[str, Any], dropped: set[str], wrapped: bool, quant: dict[str, Any] | None
) -> None:
    raw: dict[str, Any] = {k: v for k, v in {**base, **changes}.items() if k not in dropped}
    if wrapped:
        raw = {"model_type": "wrapper", "text_config": raw, "vision_config": {}}
    if quant is not None:
        raw["quantization_config"] = quant
    try:
        model = read_model(raw, "random")
    except BadInput:
        return
    _is_sane(model)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_json_is_refused_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "config.json"
    path.write_text(json.dumps(value))
    with pytest.raises(BadInput):
        read_model(path)


def _is_sane(model: Model) -> None:
    found = parameters(model)
    assert all(math.isfinite(v) and v >= 0 for v in found.values())
    assert 0 < total_parameters(model) < 1e40
    assert model.n_layers >= 1
    assert 0 <= cache_bytes(model, 1000.0) < math.inf
