"""Every method of quantisation in its tools' own spelling: bytes against arithmetic on a Llama of 8 billion.

The expected bits are written out from the layouts that the tools document: bits of a weight, of its scale and of its
zero point over the weights that share them, and tables per matrix where a method has them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hfdata import QWEN

from rackmath.errors import BadInput
from rackmath.kernel.counts import parameters, weight_bytes
from rackmath.world.huggingface import read_model
from rackmath.world.huggingface.methods import METHODS, ROWS
from rackmath.world.huggingface.tools import READERS
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
ATTENTION = [(4096, 4096), (4096, 1024), (4096, 1024), (4096, 4096)]
MLP = [(4096, 14336), (4096, 14336), (14336, 4096)]
TABLE = 128256 * 4096
MODULES = [*(f"self_attn.{x}_proj" for x in "qkvo"), *(f"mlp.{x}_proj" for x in ("gate", "up", "down"))]


def mean(bits: Callable[[int, int], float], shapes: list[tuple[int, int]]) -> float:
    return sum(bits(i, o) * i * o for i, o in shapes) / sum(i * o for i, o in shapes)


def quantised(section: dict[str, Any], **beside: Any) -> Model:
    return read_model({**LLAMA, "quantization_config": section, **beside}, "quantised")


def of(method: str, /, **keys: Any) -> dict[str, Any]:
    return {"quant_method": method, **keys}


# --- sections as the tools write them -------------------------------------------------------------------------------


def integers(bits: int, strategy: str = "group", group: int | None = 128, symmetric: bool = True) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": "int",
        "strategy": strategy,
        "group_size": group if strategy == "group" else None,
        "symmetric": symmetric,
        "dynamic": False,
        "actorder": None,
        "observer": "minmax",
        "observer_kwargs": {},
        "block_structure": None,
    }


def floats(bits: int, strategy: str, group: int | None = None, **more: Any) -> dict[str, Any]:
    return {"num_bits": bits, "type": "float", "strategy": strategy, "group_size": group, "symmetric": True, "dynamic": False, **more}


def compressed(weights: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}
    return of("compressed-tensors", ignore=["lm_head"], config_groups={"group_0": group}, **more)


def torchao(kind: str, **data: Any) -> dict[str, Any]:
    default = {"_type": kind, "_version": 1, "_data": data}
    return of(
        "torchao",
        quant_type={"default": default},
        modules_to_not_convert=["lm_head"],
        include_input_output_embeddings=False,
        untie_embedding_weights=False,
    )


def quark(weight: Any, inputs: Any = None, **more: Any) -> dict[str, Any]:
    whole = {"weight": weight, "input_tensors": inputs, "bias": None, "output_tensors": None, "target_device": None}
    return of(
        "quark",
        quant_mode="eager_mode",
        global_quant_config=whole,
        exclude=["lm_head"],
        layer_quant_config={},
        layer_type_quant_config={},
        export={"pack_method": "reorder"},
        algo_config=None,
        **more,
    )


def hqq(**params: Any) -> dict[str, Any]:
    whole = {"weight_quant_params": params, "scale_quant_params": None, "zero_quant_params": None}
    return of("hqq", quant_config={**whole, "offload_meta": False}, skip_modules=["lm_head"])


INT8 = {"num_bits": 8, "type": "int", "strategy": "token", "symmetric": True, "dynamic": True}
FP8 = {**INT8, "type": "float"}
FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "dynamic": "local"}
SPARSE = {
    "format": "sparse-24-bitmask",
    "global_sparsity": 0.5,
    "ignore": ["lm_head"],
    "sparsity_structure": "2:4",
    "registry_requires_subclass": False,
    "targets": ["Linear"],
}
INT4_DTYPE = {"_type": "torch.dtype", "_data": "int4"}
PER_32 = {"_type": "PerGroup", "_version": 1, "_data": {"group_size": 32}}

# fmt: off
VPTQ = {"vector_lens": [-1, 8], "num_centroids": [-1, 65536], "num_res_centroids": [-1, 256], "group_num": 1,
        "group_size": 4096, "outlier_size": 0, "enable_norm": True, "enable_perm": True, "is_indice_packed": True}
# fmt: on

SECTIONS: list[tuple[dict[str, Any], float]] = [
    # GPTQ, AWQ, AutoRound and their kernels
    (of("gptq", bits=4, group_size=128, desc_act=True, sym=True, damp_percent=0.01), 4 + 16 / 128),
    (of("gptq", bits=4, group_size=32, sym=False), 4 + 16 / 32 + 4 / 32),
    (of("gptq", bits=8, group_size=-1, sym=True), 8),
    (of("gptq", bits=2, group_size=64, sym=True), 2 + 16 / 64),
    (of("gptq", bits=4, group_size=128, sym=True, checkpoint_format="marlin_24"), 4 / 2 + 1 + 16 / 128),
    (of("gptq_marlin", bits=4, group_size=64, sym=True), 4 + 16 / 64),
    (of("gptq_marlin_24", bits=4, group_size=128), 4 / 2 + 1 + 16 / 128),
    (of("marlin", bits=4, group_size=128), 4 + 16 / 128),
    (of("awq", bits=4, group_size=128, zero_point=True, version="gemm", modules_to_not_convert=None), 4 + 20 / 128),
    (of("awq", w_bit=4, q_group_size=64, zero_point=True, version="GEMM"), 4 + 20 / 64),
    (
        of(
            "auto-round",
            bits=4,
            group_size=128,
            sym=True,
            data_type="int",
            packing_format="auto_round:auto_gptq",
            autoround_version="0.6",
            iters=200,
            block_name_to_quantize="model.layers",
        ),
        4 + 16 / 128,
    ),
    (of("auto-round", bits=3, group_size=128, sym=False, packing_format="auto_round:gptq"), 3 + 19 / 128),
    (of("auto-round", bits=4, group_size=32, data_type="mx_fp", act_bits=4, act_data_type="mx_fp_rceil"), 4 + 8 / 32),
    (of("auto-round", bits=4, group_size=16, data_type="nv_fp", act_bits=4), 4 + 8 / 16),
    (of("auto-round", bits=8, group_size=-1, data_type="fp", act_bits=8), 8),
    (of("inc", bits=4, group_size=128, sym=True), 4 + 16 / 128),
    (of("qqq", wbits=4, group_size=128), 4 + 16 / 128),
    (of("qoq", wbits=4, group_size=128), 4 + 16 / 128),
    (of("squeezellm", wbits=4), mean(lambda i, o: 4 + 16 * 16 / i, ATTENTION + MLP)),
    (of("paroquant", bits=4, group_size=128, krot=8), mean(lambda i, o: 4 + 20 / 128 + (8 * 8 + 8 * 16 + 16) / o, ATTENTION + MLP)),
    # compressed-tensors, in all its strategies
    (compressed(integers(4)), 4 + 16 / 128),
    (compressed(integers(4, group=32, symmetric=False)), 4 + 20 / 32),
    (compressed(integers(4, "channel")), 4),
    (compressed(integers(3)), 3 + 16 / 128),
    (compressed(integers(2, group=64)), 2 + 16 / 64),
    (compressed(integers(8)), 8 + 16 / 128),
    (compressed(integers(8, "channel")), 8),
    (compressed(integers(8, "channel"), INT8), 8),
    (compressed(integers(8, "tensor"), INT8), 8),
    (compressed(integers(4, "channel"), INT8), 4),
    (compressed(integers(4), FP8), 4 + 16 / 128),
    (compressed(floats(8, "channel"), FP8), 8),
    (compressed(floats(8, "tensor"), FP8), 8),
    (compressed(floats(8, "block", block_structure=[128, 128]), FP8), 8 + 32 / 128**2),
    (compressed(floats(8, "block", block_structure="128x128"), FP8), 8 + 32 / 128**2),
    (compressed(floats(8, "group", 32, scale_dtype="torch.uint8"), FP8), 8 + 8 / 32),
    (compressed(floats(6, "group", 32, scale_dtype="torch.uint8")), 6 + 8 / 32),
    (compressed(floats(4, "group", 32, scale_dtype="torch.uint8"), {**FP4, "group_size": 32}), 4 + 8 / 32),
    (compressed(floats(4, "tensor_group", 16), FP4), 4 + 8 / 16),
    (compressed(floats(4, "tensor_group", 16)), 4 + 8 / 16),
    (of("compressed-tensors", ignore=["lm_head"], config_groups={"W4A16": ["Linear"]}), 4 + 16 / 128),
    (of("compressed-tensors", ignore=["lm_head"], config_groups={"FP8_BLOCK": ["Linear"]}), 8 + 32 / 128**2),
    (compressed(floats(8, "channel"), FP8, sparsity_config=SPARSE), 8 / 2 + 1),
    (compressed(floats(8, "channel"), FP8, sparsity_config={**SPARSE, "format": "dense"}), 8),
    (compressed(integers(4), format="marlin-24"), 4 / 2 + 1 + 16 / 128),
    (of("compressed-tensors", sparsity_config=SPARSE), 16 / 2 + 1),
    (of("compressed-tensors", sparsity_config={**SPARSE, "format": "sparse-bitmask", "global_sparsity": 0.6}), 16 * 0.4 + 1),
    # FP8 of every maker
    (of("fp8", activation_scheme="static", ignored_layers=["lm_head"]), 8),
    (of("fp8", activation_scheme="dynamic", weight_block_size=[128, 128], fmt="e4m3"), 8 + 32 / 128**2),
    (of("fp8", activation_scheme="dynamic", weight_block_size=[1, 128]), 8 + 32 / 128),
    (of("fp8", activation_scheme="dynamic", weight_block_size=[32, 32], scale_fmt="ue8m0"), 8 + 8 / 32**2),
    (of("fbgemm_fp8", activation_scale_ub=1200.0, modules_to_not_convert=["lm_head"]), 8),
    (of("ptpc_fp8", activation_scheme="dynamic"), 8),
    (of("mxfp8", weight_block_size=[1, 32], modules_to_not_convert=["lm_head"]), 8 + 8 / 32),
    (of("deepspeedfp", bits=6, group_size=512), 6 + 16 / 512),
    # ModelOpt
    (of("modelopt", quant_algo="FP8", kv_cache_quant_algo="FP8", exclude_modules=["lm_head"]), 8),
    (of("modelopt", quant_algo="NVFP4", group_size=16, exclude_modules=["lm_head"], kv_cache_quant_algo=None), 4.5),
    (of("modelopt", quant_algo="MXFP8", exclude_modules=["lm_head"]), 8 + 8 / 32),
    ({"quant_algo": "W4A16_AWQ", "group_size": 128, "has_zero_point": False, "pre_quant_scale": True}, 4 + 16 / 128),
    ({"quant_algo": "W4A16_AWQ", "group_size": 64}, 4 + 16 / 64),
    ({"quant_algo": "W4A8_AWQ", "group_size": 128, "exclude_modules": ["lm_head"]}, 4 + 16 / 128),
    ({"quant_algo": "INT8_SQ", "exclude_modules": ["lm_head"]}, 8),
    ({"quant_algo": "FP8_PB_WO", "exclude_modules": ["lm_head"]}, 8),
    (of("modelopt_fp4"), 4 + 8 / 16),
    # bitsandbytes, HQQ, quanto, EETQ, torchao
    (of("bitsandbytes", load_in_8bit=True, load_in_4bit=False, llm_int8_skip_modules=["lm_head"]), 8),
    (of("bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4"), 4 + 32 / 64),
    (of("bitsandbytes", _load_in_4bit=True, bnb_4bit_quant_type="fp4"), 4 + 32 / 64),
    (of("bitsandbytes", load_in_4bit=True, bnb_4bit_use_double_quant=True), 4 + 8 / 64 + 32 / 64 / 256),
    (of("bitsandbytes", load_in_4bit=True, bnb_4bit_blocksize=128), 4 + 32 / 128),
    ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 4 + 32 / 64),
    (hqq(nbits=4, group_size=64, axis=1), 4 + 32 / 64),
    (hqq(nbits=2, group_size=16), 2 + 32 / 16),
    (
        of(
            "hqq",
            quant_config={
                "weight_quant_params": {"nbits": 4, "group_size": 64},
                "scale_quant_params": {"nbits": 8, "group_size": 128},
                "zero_quant_params": {"nbits": 8, "group_size": None},
            },
        ),
        4 + (8 + 32 / 128 + 8) / 64,
    ),
    (of("eetq", weights="int8", modules_to_not_convert=["lm_head"]), 8),
    (of("quanto", weights="int8", activations=None), 8),
    (of("quanto", weights="int4"), 4 + 32 / 128),
    (of("quanto", weights="float8"), 8),
    (torchao("Int4WeightOnlyConfig", group_size=32), 4 + 32 / 32),
    (torchao("Int8WeightOnlyConfig"), 8),
    (torchao("Int8DynamicActivationInt8WeightConfig"), 8),
    (torchao("Int8DynamicActivationInt4WeightConfig", group_size=32), 4 + 16 / 32),
    (torchao("Float8DynamicActivationFloat8WeightConfig"), 8),
    (torchao("Float8WeightOnlyConfig"), 8),
    (torchao("IntxWeightOnlyConfig", weight_dtype=INT4_DTYPE, granularity=PER_32), 4 + 16 / 32),
    (torchao("NVFP4DynamicActivationNVFP4WeightConfig"), 4 + 8 / 16),
    (
        torchao("MXDynamicActivationMXWeightConfig", block_size=32, weight_dtype={"_type": "torch.dtype", "_data": "float4_e2m1fn_x2"}),
        4 + 8 / 32,
    ),
    (of("torchao", quant_type="int4_weight_only", quant_type_kwargs={"group_size": 64}), 4 + 32 / 64),
    (of("torchao", quant_type="fpx_weight_only", quant_type_kwargs={"ebits": 3, "mbits": 2}), 6),
    # Quark
    (quark({"dtype": "fp8_e4m3", "qscheme": "per_tensor", "scale_type": "float"}, {"dtype": "fp8_e4m3"}), 8),
    (quark({"dtype": "uint4", "qscheme": "per_group", "group_size": 128, "symmetric": False}), 4 + 20 / 128),
    (quark({"dtype": "fp6_e3m2", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0"}), 6 + 8 / 32),
    (quark({"dtype": "int8", "qscheme": "per_channel"}, {"dtype": "int8", "qscheme": "per_token"}), 8),
    (quark([{"dtype": "fp8_e4m3", "qscheme": "per_tensor"}, {"dtype": "int4", "qscheme": "per_channel"}], {"dtype": "fp8_e4m3"}), 4),
    (quark([{"dtype": "fp4", "group_size": 16}, {"dtype": "fp8_e4m3", "is_scale_quant": True}]), 4 + 8 / 16),
    (quark({"dtype": "mx", "mx_element_dtype": "fp4", "group_size": 32}), 4 + 8 / 32),
    # the rest
    (
        of(
            "aqlm",
            in_group_size=8,
            out_group_size=1,
            num_codebooks=1,
            nbits_per_codebook=16,
            linear_weights_not_to_quantize=["lm_head.weight"],
        ),
        mean(lambda i, o: 16 / 8 + 16 / i + 2**16 * 8 * 16 / (i * o), ATTENTION + MLP),
    ),
    (
        of("aqlm", in_group_size=8, out_group_size=1, num_codebooks=2, nbits_per_codebook=8),
        mean(lambda i, o: 2 * 8 / 8 + 16 / i + 2 * 2**8 * 8 * 16 / (i * o), ATTENTION + MLP),
    ),
    (
        of("vptq", config_for_layers={f"model.layers.{n}.{m}": VPTQ for n in range(32) for m in MODULES}),
        mean(lambda i, o: (16 + 8) / 8 + (65536 + 256) * 8 * 16 / (i * o) + 48 / o, ATTENTION + MLP),
    ),
    (
        of(
            "spqr",
            bits=3,
            beta1=16,
            beta2=16,
            shapes={
                f"model.layers.{n}.self_attn.q_proj.{k}.shape": v
                for n in range(32)
                for k, v in (("dense_weights", 4096 * 256), ("row_offsets", 4097), ("col_vals", 4096 * 40), ("in_perm", 0))
            },
        ),
        4 + (4097 + 4096 * 40) * 32 / 4096**2,
    ),
    (of("higgs", bits=4, p=2, group_size=256, hadamard_size=512, tune_metadata={}), 4 + 16 / 256),
    (of("quip", codebook="E8P12", codesz=8, rescale_WH=False), 2),
    (of("bitnet", linear_class="autobitlinear", quantization_mode="offline"), 2),
    (of("sinq", nbits=4, group_size=64, tiling_mode="1D", method="sinq"), 4 + 32 / 64),
    (of("fouroversix", dtype="nvfp4", scale_rule="mse", modules_to_not_convert=["lm_head"]), 4 + 8 / 16),
    (of("fp_quant", forward_dtype="mxfp4", forward_method="abs_max", hadamard_group_size=32), 4 + 8 / 32),
    (of("metal", bits=4, group_size=64), 4 + 32 / 64),
    (of("nvfp4"), 4 + 8 / 16),
    (of("w8a8_int8"), 8),
    (of("blockwise_int8", weight_block_size=[128, 128], activation_scheme="dynamic"), 8),
    (of("tpu_int8", activation_scheme="none"), 8),
]


@pytest.mark.parametrize(("section", "bits"), SECTIONS, ids=lambda v: v.get("quant_method") if isinstance(v, dict) else "")
def test_bits_of_linear_weights(section: dict[str, Any], bits: float) -> None:
    """16 bits elsewhere, and nothing left to say."""
    model = quantised(section)
    linear = sum(parameters(model)[c] for c in ("attention", "mlp"))
    assert 8 * (weight_bytes(model) - 2 * 2 * TABLE) / linear == pytest.approx(bits, rel=0.005)
    assert not model.notes


def test_every_row_of_the_table_is_read() -> None:
    """Under each of its names, with what a section of that method needs at least."""
    least = {
        "exl2": {"bits": 4},
        "hqq": {"quant_config": {"nbits": 4, "group_size": 64}},
        "quark": {"global_quant_config": {"weight": {"dtype": "int8"}}},
        "torchao": {"quant_type": "int8_weight_only"},
        "vptq": {"shared_layer_config": {"q_proj": VPTQ}},
    }
    for row in ROWS:
        assert row.get("reads", "gptq") in READERS
        for name in row["names"]:
            model = quantised(of(name, **least.get(row["names"][0], {})))  # type: ignore[arg-type]
            assert 2 * TABLE < weight_bytes(model) <= 2 * sum(parameters(model).values())
    assert len(METHODS) >= 80


TRANSFORMERS = (
    "awq bitsandbytes gptq aqlm quanto quark fouroversix fp_quant eetq higgs hqq compressed-tensors fbgemm_fp8 "
    "torchao bitnet vptq spqr fp8 gguf nvfp4 mxfp8 auto-round mxfp4 metal sinq gemma"
)
"""Methods of transformers 5.24 (quantizers/auto.py)."""

VLLM = (
    "aqlm awq auto_awq cpu_awq deepspeedfp tpu_int8 fp8 ptpc_fp8 fbgemm_fp8 fp_quant deepgemm_fp8 "
    "modelopt modelopt_fp4 modelopt_mxfp8 marlin bitblas gguf gptq_marlin_24 gptq_marlin gptq_bitblas "
    "awq_marlin gptq auto_gptq qqq hqq compressed-tensors bitsandbytes experts_int8 neuron_quant ipex "
    "quark moe_wna16 torchao auto-round inc mxfp4 gpt_oss_mxfp4 deepseek_v4_fp8 fp8_per_tensor "
    "fp8_per_block fp8_per_channel int8_per_channel_weight_only mxfp8 nvfp4_per_token petit_nvfp4 "
    "squeezellm"
)
"""Methods of vLLM's registry from 2025 to 2026; `humming` and `online` make weights anew from those of others."""


@pytest.mark.parametrize("name", sorted({*TRANSFORMERS.split(), *VLLM.split()}))
def test_methods_of_transformers_and_vllm_are_known(name: str) -> None:
    assert name.replace("_", "-") in METHODS or name in ("compressed-tensors", "gguf")


@pytest.mark.parametrize("inside", [True, False])
def test_a_section_of_modelopt_carried_over_whole(inside: bool, tmp_path: Path) -> None:
    said = {"quant_algo": "NVFP4", "group_size": 16, "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    whole = {"producer": {"name": "modelopt"}, "quantization": said}
    if inside:
        model = quantised({**whole, "quant_method": "modelopt"})
    else:
        (tmp_path / "config.json").write_text(json.dumps(LLAMA))
        (tmp_path / "hf_quant_config.json").write_text(json.dumps(whole))
        model = read_model(tmp_path)
    assert (model.precision.mlp.name, model.precision.kv.name, model.notes) == ("nvfp4", "fp8", ())


@pytest.mark.parametrize(
    ("file", "section", "form"),
    [
        ("quantize_config", {"bits": 4, "group_size": 128, "damp_percent": 0.01, "sym": True}, "w4a16"),
        ("quant_config", {"zero_point": True, "q_group_size": 64, "w_bit": 4, "version": "GEMM"}, "w4a16_g64_z"),
        ("quantization_config", of("auto-round", bits=2, group_size=32, sym=True), "w2a16_g32"),
        (
            "quant_model_description",
            {f"model.layers.{i}.mlp.{p}_proj.weight": "W8A8_DYNAMIC" for i in range(32) for p in ("gate", "up", "down")},
            "int8",
        ),
    ],
)
def test_files_of_tools_beside_the_config(tmp_path: Path, file: str, section: dict[str, Any], form: str) -> None:
    for name, beside in (("config.json", f"{file}.json"), ("mine.json", f"mine_{file}.json")):
        (tmp_path / name).write_text(json.dumps(LLAMA))
        (tmp_path / beside).write_text(json.dumps(section))
        assert read_model(tmp_path / name).precision.mlp.name == form


def test_the_documented_tables_are_in_step() -> None:
    run = [sys.executable, str(Path(__file__).parents[2] / "tools" / "quantization_table.py"), "--check"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_head_and_embeddings_of_those_that_quantise_them() -> None:
    mlx = quantised(
        {
            "group_size": 64,
            "bits": 4,
            "mode": "affine",
            "lm_head": {"group_size": 64, "bits": 8},
            "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 6},
        }
    )
    assert (mlx.precision.embedding.bytes * 8, mlx.precision.head.bytes * 8) == (4.5, 8.5)
    assert mlx.precision.mlp.bytes * 8 == pytest.approx(4.5 + 2 / 96, rel=1e-4)
    exl3 = quantised(of("exl3", bits=3.5, head_bits=6, out_scales="auto", codebook="mcg", version="0.0.4"))
    assert (exl3.precision.mlp.bytes * 8, exl3.precision.head.bytes * 8) == (3.5, 6)
    tables = quantised(of("torchao", quant_type="int8_weight_only", include_input_output_embeddings=True))
    assert (tables.precision.embedding.name, tables.precision.head.name) == ("w8a16", "w8a16")
    gemma = quantised(of("gemma", num_bits=4, quantize_embeddings=True, module_quant_configs={r"mlp\.down_proj": {"num_bits": 8}}))
    assert gemma.precision.embedding.bytes == 0.5
    assert gemma.precision.mlp.bytes * 8 == pytest.approx((4 + 4 + 8) / 3, rel=1e-3)


def test_a_file_named_by_a_config() -> None:
    model = quantised(of("gguf", gguf_file="Llama-3.1-8B-Instruct-Q4_K_M.gguf", dequantize=False))
    assert (model.precision.name, model.precision.head.bytes * 8) == ("q4_k_m", 6.5625)


@pytest.mark.parametrize(
    "section",
    [
        of("bitnet", quantization_mode="online"),
        of("fp_quant", forward_dtype="mxfp4", pseudoquantization=True),
        of("fp_quant", forward_dtype="nvfp4", store_master_weights=True),
        of("fouroversix", dtype="nvfp4", keep_master_weights=True),
    ],
)
def test_weights_quantised_as_they_run_are_stored_in_16_bits(section: dict[str, Any]) -> None:
    assert quantised(section).precision.mlp.name == "bf16"


# --- mixtures of experts --------------------------------------------------------------------------------------------

DEEPSEEK: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "vocab_size": 129280,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_shared_experts": 1,
    "n_routed_experts": 256,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "qk_nope_head_dim": 128,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
}
EXPERTS = r"re:.*mlp\.experts\.[0-9]+\.(gate|up|gate_up|down)_proj.*"


@pytest.mark.parametrize(
    ("base", "section", "formats"),
    [
        (QWEN, of("mxfp4", modules_to_not_convert=["model.layers.*.self_attn", "model.layers.*.mlp.router"]), {"experts": "mxfp4"}),
        (QWEN, of("experts_int8"), {"experts": "w8a16"}),
        (
            DEEPSEEK,
            of("fp8", weight_block_size=[128, 128], expert_dtype="fp4", scale_fmt="ue8m0", fmt="e4m3"),
            {"attention": "fp8_block", "mlp": "fp8_block", "shared_experts": "fp8_block", "experts": "mxfp4"},
        ),
        (
            DEEPSEEK,
            compressed(integers(4, group=32))
            | {"ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]},
            {"experts": "w4a16_g32"},
        ),
        (
            DEEPSEEK,
            of(
                "compressed-tensors",
                ignore=["lm_head"],
                config_groups={
                    "a": {
                        "targets": ["re:.*self_attn.*", "re:.*shared_experts.*"],
                        "weights": floats(8, "channel"),
                        "input_activations": FP8,
                    },
                    "b": {"targets": [EXPERTS], "weights": integers(4, group=32)},
                },
            ),
            {"attention": "fp8", "shared_experts": "fp8", "experts": "w4a16_g32"},
        ),
        (
            DEEPSEEK,
            of(
                "awq",
                bits=4,
                group_size=64,
                modules_to_not_convert=["self_attn", "shared_experts", "mlp.gate", "model.layers.0.", "model.layers.1.", "model.layers.2."],
            ),
            {"experts": "w4a16_g64_z"},
        ),
        (
            DEEPSEEK,
            of("modelopt", quant_algo="NVFP4", group_size=16, exclude_modules=["lm_head", "model.layers.*.self_attn*", "model.layers.61*"]),
            {"mlp": "nvfp4", "shared_experts": "nvfp4", "experts": "nvfp4"},
        ),
        (QWEN, of("gptq", bits=4, group_size=128, sym=True, dynamic={r"-:^(?!.*experts).*$": {}}), {"experts": "w4a16"}),
        (
            QWEN,
            of("gptq", bits=4, group_size=128, sym=True, dynamic={r"+:.*\.gate_proj.*": {"bits": 8}}),
            {"attention": "w4a16", "experts": "66.67% w4a16 + 33.33% w8a16_g128"},
        ),
        (
            QWEN,
            of(
                "auto-round",
                bits=4,
                group_size=128,
                sym=True,
                extra_config={".*self_attn.*": {"bits": 8}, r".*mlp\.gate.*": {"bits": 16, "data_type": "float"}},
            ),
            {"attention": "w8a16_g128", "experts": "w4a16"},
        ),
        (
            QWEN,
            quark({"dtype": "fp4", "group_size": 32})
            | {
                "layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3"}}, "*lm_head": {"weight": {"dtype": "fp8_e4m3"}}},
                "exclude": ["re:.*gate$"],
                "kv_cache_quant_config": {"*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}},
            },
            {"attention": "fp8", "experts": "mxfp4", "head": "fp8", "kv": "fp8"},
        ),
        (
            QWEN,
            of(
                "torchao",
                quant_type={
                    "default": {
                        "_type": "ModuleFqnToConfig",
                        "_data": {
                            "module_fqn_to_config": {
                                "_default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}},
                                "lm_head": None,
                                "re:.*self_attn.*": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}},
                                "model.embed_tokens": {"_type": "Int8WeightOnlyConfig", "_data": {}},
                            }
                        },
                    }
                },
            ),
            {"attention": "fp8", "experts": "w4a16_g128_z16", "embedding": "w8a16"},
        ),
        (
            QWEN,
            of(
                "hqq",
                quant_config={
                    **{f"self_attn.{x}_proj": {"weight_quant_params": {"nbits": 4, "group_size": 64}} for x in "qkvo"},
                    **{f"mlp.experts.{x}_proj": {"weight_quant_params": {"nbits": 3, "group_size": 64}} for x in ("gate", "up", "down")},
                },
            ),
            {"attention": "w4a16_g64_z16", "experts": "w3a16_g64_z16"},
        ),
    ],
)
def test_formats_by_component(base: dict[str, Any], section: dict[str, Any], formats: dict[str, str]) -> None:
    model = read_model({**base, "quantization_config": section}, "quantised")
    assert {k: v for k, v in model.description["precision"].items() if k != "router"} == formats


# --- published sizes -----------------------------------------------------------------------------------------------


def shape(d: int, ff: int, layers: int, kv: int, vocab: int) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": d,
        "intermediate_size": ff,
        "num_hidden_layers": layers,
        "num_attention_heads": d // 128,
        "num_key_value_heads": kv,
    }


ONE_16, TWO_8 = (of("aqlm", in_group_size=8, out_group_size=1, num_codebooks=k, nbits_per_codebook=b) for k, b in ((1, 16), (2, 8)))
QWEN3_8B = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}


@pytest.mark.parametrize(
    ("config", "section", "size", "within"),
    [
        # "Model size, Gb" of Vahe1994/AQLM README.md: Llama 2 and 3, to a tenth
        (shape(4096, 11008, 32, 32, 32000), ONE_16, 2.4e9, 0.05e9),
        (shape(5120, 13824, 40, 40, 32000), ONE_16, 4.1e9, 0.05e9),
        (shape(8192, 28672, 80, 8, 32000), ONE_16, 18.8e9, 0.05e9),
        (shape(8192, 28672, 80, 8, 32000), TWO_8, 18.2e9, 0.05e9),
        (LLAMA, ONE_16, 4.1e9, 0.05e9),
        (shape(8192, 28672, 80, 8, 128256), ONE_16, 21.9e9, 0.05e9),
        # "Model loading took" in logs of vLLM: llama3-8b-gptq-4bit, and Qwen3-8B-FP8
        (LLAMA, of("gptq", bits=4, group_size=128, sym=True), 5.3473 * 2**30, 0.01 * 5.3473 * 2**30),
        (QWEN3_8B, of("fp8", weight_block_size=[128, 128], activation_scheme="dynamic"), 8.8 * 2**30, 0.05 * 2**30),
    ],
)
def test_sizes_that_were_published(config: dict[str, Any], section: dict[str, Any], size: float, within: float) -> None:
    model = read_model({**config, "quantization_config": section}, "published")
    assert weight_bytes(model) == pytest.approx(size, abs=within)


# --- words of the cache, and what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "kv"),
    [
        ({"kv_cache_scheme": "static"}, "fp8"),
        ({"kv_cache_scheme": "dynamic"}, "fp8"),
        ({"kv_cache_scheme": "fp8_e5m2"}, "fp8"),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}}, "fp8"),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "int", "strategy": "tensor"}}, "int8"),
        ({"kv_cache_quant_algo": "NVFP4"}, "nvfp4"),
        ({"kv_cache_scheme": "auto"}, "bf16"),
        ({}, "bf16"),
    ],
)
def test_words_of_the_cache_leave_the_weights_alone(keys: dict[str, Any], kv: str) -> None:
    model = quantised(of("fp8", activation_scheme="static", **keys))
    assert (model.precision.mlp.name, model.precision.kv.name) == ("fp8", kv)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (of("fancy4"), "'fancy4' is not known"),
        (of("gguf"), "give the .gguf file itself"),
        (of("gguf", gguf_file="model-Q9_Z.gguf"), "names no mixture"),
        (of("gptq_marlim", bits=4), "did you mean gptq-marlin"),
        (of("fp8", kv_cache_scheme="foo"), "is no format of a cache"),
        (of("gptq", bits=-4), "bits = -4.0 is not a width"),
        (of("gptq", bits=4, group_size=float("nan")), "group_size"),
        (of("gptq", bits=4, group_size=1e18), "group_size"),
        (of("gptq", bits="4"), "is not a number"),
        (of("fp8", weight_block_size=[0, 128]), "weight_block_size"),
        (of("fp8", weight_block_size=[128]), "weight_block_size"),
        (of("aqlm", nbits_per_codebook=99), "nbits_per_codebook"),
        (of("vptq"), "describes no layer"),
        (of("vptq", config_for_layers={"a": {"vector_lens": [-1, "x"]}}), "is not a pair of whole numbers"),
        (of("spqr", bits=3, shapes={"a.dense_weights.shape": "x"}), "is not a number of entries"),
        (of("quip", codebook="Z9"), "codebook"),
        (of("fouroversix", dtype="int3"), "is not nvfp4 or mxfp4"),
        (of("fp_quant", forward_dtype=4), "is not text"),
        (of("auto-round", bits=4, data_type="odd"), "data_type = 'odd'"),
        (of("quanto", weights="int5"), "weights = 'int5'"),
        ({"group_size": 64, "bits": 4, "mode": "odd"}, "mode = 'odd'"),
        (of("torchao", quant_type={"default": {"_type": "Odd"}}), "'Odd' is not a type"),
        (of("torchao", quant_type="intx_weight_only", quant_type_kwargs={"weight_dtype": "int99"}), "1 to 8 bits"),
        (compressed(integers(9)), "num_bits = 9"),
        (compressed(floats(5, "group", 32)), "num_bits = 5"),
        (of("compressed-tensors", config_groups={"W9Z": ["Linear"]}), "no scheme known by its name"),
        (of("compressed-tensors", sparsity_config={"format": "odd"}), "sparsity_config = 'odd'"),
        (of("compressed-tensors", sparsity_config={"format": "sparse-bitmask", "global_sparsity": 7}), "0 to 1"),
        (of("modelopt", quant_algo="ODD5"), "'odd5' is not known"),
        (of("bitsandbytes", load_in_4bit="yes"), "is not true or false"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(section: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        quantised(section)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("word", "bits"), [("awq", 4 + 16 / 128), ("GPTQ-Int8", 8 + 16 / 128), ("w8a8", 8), ("fp8_e5m2", 8), ("bnb-4bit", 4.126953125)]
)
def test_words_for_formats(word: str, bits: float) -> None:
    assert format_named(word).bytes * 8 == bits
