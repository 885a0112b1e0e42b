"""Headers of .gguf files: shape and bytes as the file has them, by hand-made headers of several architectures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="the extra `gguf` is not installed")

from rackmath.errors import BadInput  # noqa: E402
from rackmath.kernel.counts import parameters, stored_entries, weight_bytes  # noqa: E402
from rackmath.world import catalog  # noqa: E402
from rackmath.world.gguf_model import _FILE_TYPES  # noqa: E402
from rackmath.world.precision import GGUF, format_named  # noqa: E402

TYPES = gguf.GGMLQuantizationType
Sides = dict[str, tuple[tuple[int, ...], str]]
"""Tensors by name: sides with the length of a row first, and the type."""


def write(path: Path, arch: str, said: dict[str, Any], tensors: Sides, *, plain: dict[str, Any] | None = None) -> Path:
    """A file with a header and no weights behind it."""
    writer = gguf.GGUFWriter(path, arch)
    for key, value in {**{f"{arch}.{k}": v for k, v in said.items()}, **(plain or {})}.items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            (writer.add_uint16 if key.startswith("split.no") or key == "split.count" else writer.add_uint32)(key, value)
    for name, (sides, kind) in tensors.items():
        block, size = gguf.GGML_QUANT_SIZES[TYPES[kind]]
        bytes_ = math.prod(sides) * size // block
        shape = (*reversed(sides[1:]), sides[0] * size // block)
        dtype = np.dtype("uint8")
        writer.add_tensor_info(name, shape, dtype, bytes_, raw_dtype=TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path


def size(tensors: Sides) -> float:
    """Bytes of tensors, by the package's table of blocks."""
    found = 0.0
    for sides, kind in tensors.values():
        block, bytes_ = gguf.GGML_QUANT_SIZES[TYPES[kind]]
        found += math.prod(sides) * bytes_ / block
    return found


LLAMA = {
    "block_count": 32,
    "context_length": 131072,
    "embedding_length": 4096,
    "feed_forward_length": 14336,
    "attention.head_count": 32,
    "attention.head_count_kv": 8,
    "rope.dimension_count": 128,
}


def llama(layers: int = 32) -> Sides:
    """Llama 3.1 8B in Q4_K_M: values and down projections in 6 bits in half of the layers, and so the head."""
    found: Sides = {
        "token_embd.weight": ((4096, 128256), "Q4_K"),
        "output.weight": ((4096, 128256), "Q6_K"),
        "output_norm.weight": ((4096,), "F32"),
        "rope_freqs.weight": ((64,), "F32"),
    }
    for i in range(layers):
        more = "Q6_K" if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 else "Q4_K"
        found |= {
            f"blk.{i}.{name}.weight": (sides, kind)
            for name, sides, kind in (
                ("attn_norm", (4096,), "F32"),
                ("ffn_norm", (4096,), "F32"),
                ("attn_q", (4096, 4096), "Q4_K"),
                ("attn_k", (4096, 1024), "Q4_K"),
                ("attn_v", (4096, 1024), more),
                ("attn_output", (4096, 4096), "Q4_K"),
                ("ffn_gate", (4096, 14336), "Q4_K"),
                ("ffn_up", (4096, 14336), "Q4_K"),
                ("ffn_down", (14336, 4096), more),
            )
        }
    return found


def test_shape_and_bytes_of_a_llama(tmp_path: Path) -> None:
    """Bytes are the tensors', and those of the recipe of the same name; the published file has 4.9207 GB."""
    tensors = llama()
    path = write(
        tmp_path / "Llama-3.1-8B-Q4_K_M.gguf", "llama", LLAMA, tensors, plain={"general.file_type": 15, "general.name": "Llama 3.1 8B"}
    )
    model, published = catalog.model(str(path)), catalog.model("meta-llama/Llama-3.1-8B")
    assert model.name == "Llama 3.1 8B"
    assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)
    assert weight_bytes(model) == pytest.approx(4.9207e9 - 7.8e6, rel=1e-4)  # the header has 7.8 MB
    assert parameters(model) == parameters(published) | {"norm": parameters(published)["norm"] + 64}
    assert (model.precision.name, model.max_context) == ("q4_k_m", 131072)
    assert model.precision.head.bytes == format_named("ggml_q6_k").bytes
    named = catalog.find_model("Llama-3.1-8B-Q4_K_M")
    assert named[1] == "q4_k_m"
    from rackmath.world.gguf import in_file

    recipe = in_file(published, "q4_k_m")
    for component in ("attention", "mlp", "embedding", "head"):
        assert model.precision.of(component).bytes == pytest.approx(recipe.of(component).bytes, rel=1e-6)


def test_every_type_of_block_has_the_packages_size() -> None:
    for kind, (block, bytes_) in gguf.GGML_QUANT_SIZES.items():
        assert GGUF["types"][kind.name.lower()]["bits"] == 8 * bytes_ / block
        assert GGUF["types"][kind.name.lower()]["block"] == block
    named = {
        kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").lower() for kind in gguf.LlamaFileType if kind.name != "GUESSED"
    }
    assert named == _FILE_TYPES


def test_experts_and_a_shared_one(tmp_path: Path) -> None:
    said = {
        "block_count": 2,
        "embedding_length": 512,
        "attention.head_count": 8,
        "attention.head_count_kv": 2,
        "attention.key_length": 128,
        "attention.value_length": 128,
        "expert_count": 16,
        "expert_used_count": 4,
        "expert_feed_forward_length": 256,
        "expert_shared_feed_forward_length": 256,
        "leading_dense_block_count": 1,
        "feed_forward_length": 1024,
        "expert_group_count": 4,
        "expert_group_used_count": 2,
    }
    tensors: Sides = {"token_embd.weight": ((512, 1000), "Q8_0"), "output_norm.weight": ((512,), "F32")}
    for i in range(2):
        tensors |= {
            f"blk.{i}.{n}.weight": s
            for n, s in {
                "attn_q": ((512, 1024), "IQ4_XS"),
                "attn_k": ((512, 256), "IQ4_XS"),
                "attn_v": ((512, 256), "Q5_K"),
                "attn_output": ((1024, 512), "IQ4_XS"),
                "attn_q_norm": ((128,), "F32"),
                "attn_k_norm": ((128,), "F32"),
                "attn_norm": ((512,), "F32"),
                "ffn_norm": ((512,), "F32"),
            }.items()
        }
    tensors |= {
        "blk.0.ffn_gate.weight": ((512, 1024), "Q6_K"),
        "blk.0.ffn_up.weight": ((512, 1024), "Q6_K"),
        "blk.0.ffn_down.weight": ((1024, 512), "Q6_K"),
    }
    tensors |= {
        f"blk.1.{n}": s
        for n, s in {
            "ffn_gate_inp.weight": ((512, 16), "F32"),
            "exp_probs_b.bias": ((16,), "F32"),
            "ffn_gate_exps.weight": ((512, 256, 16), "IQ2_XXS"),
            "ffn_up_exps.weight": ((512, 256, 16), "IQ2_XXS"),
            "ffn_down_exps.weight": ((256, 512, 16), "IQ3_S"),
            "ffn_gate_shexp.weight": ((512, 256), "Q8_0"),
            "ffn_up_shexp.weight": ((512, 256), "Q8_0"),
            "ffn_down_shexp.weight": ((256, 512), "Q8_0"),
        }.items()
    }
    model = catalog.model(str(write(tmp_path / "moe.gguf", "glm4moe", said, tensors)))
    assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)
    ffn = model.groups[1].ffn
    assert ffn is not None
    assert (ffn.n_experts, ffn.top_k, ffn.d_expert, ffn.n_shared) == (16, 4, 256, 1)
    assert (ffn.node_groups, ffn.node_limit, model.tied_embeddings) == (4, 2, True)
    assert model.precision.experts.bytes * 8 == pytest.approx((2 * 2.0625 + 3.4375) / 3, rel=1e-6)
    assert sum(parameters(model).values()) == sum(math.prod(s) for s, _ in tensors.values())


def test_latent_attention_with_its_halves_apart(tmp_path: Path) -> None:
    said = {
        "block_count": 1,
        "embedding_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "attention.q_lora_rank": 128,
        "attention.kv_lora_rank": 512,
        "rope.dimension_count": 64,
        "feed_forward_length": 512,
        "vocab_size": 300,
    }
    tensors: Sides = {"token_embd.weight": ((256, 300), "Q4_K"), "output.weight": ((256, 300), "Q6_K")} | {
        f"blk.0.{n}.weight": s
        for n, s in {
            "attn_q_a": ((256, 128), "Q4_K"),
            "attn_q_b": ((256, 4 * 192), "Q4_K"),
            "attn_kv_a_mqa": ((256, 576), "Q4_K"),
            "attn_k_b": ((128, 512, 4), "Q8_0"),
            "attn_v_b": ((512, 128, 4), "Q8_0"),
            "attn_output": ((512, 256), "Q4_K"),
            "attn_norm": ((256,), "F32"),
            "ffn_gate": ((256, 512), "Q4_K"),
            "ffn_up": ((256, 512), "Q4_K"),
            "ffn_down": ((512, 256), "Q4_K"),
        }.items()
    }
    tensors["blk.0.attn_q_b.weight"] = ((128, 4 * 192), "Q8_0")
    model = catalog.model(str(write(tmp_path / "latent.gguf", "deepseek2", said, tensors)))
    mixer = model.groups[0].mixer
    assert mixer is not None
    assert (mixer.kind, mixer.streams[0].elements, mixer.heads) == ("mla", 576, 4)
    assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)


@pytest.mark.parametrize(
    ("arch", "more", "windowed"),
    [
        ("gemma3", {}, 10),  # five of six, by the architecture
        ("gpt-oss", {}, 6),
        ("gemma4", {"attention.sliding_window_pattern": [True] * 11 + [False]}, 11),  # as the file lists them
        ("llama", {}, 0),
        ("plamo3", {"attention.sliding_window_pattern": 3}, 8),
    ],
)
def test_windows(tmp_path: Path, arch: str, more: dict[str, Any], windowed: int) -> None:
    said = {
        "block_count": 12,
        "embedding_length": 256,
        "attention.head_count": 2,
        "attention.sliding_window": 128,
        "feed_forward_length": 256,
        **more,
    }
    tensors: Sides = {"token_embd.weight": ((256, 300), "F16")}
    for i in range(12):
        tensors |= {f"blk.{i}.{n}.weight": ((256, 256), "F16") for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")}
    model = catalog.model(str(write(tmp_path / "windows.gguf", arch, said, tensors)))
    kept = [(g.count, float(stored_entries(g.mixer.streams[0], 1000.0))) for g in model.groups if g.mixer]
    assert sum(n for n, entries in kept if entries == 128) == windowed


def test_recurrent_layers(tmp_path: Path) -> None:
    """A gated delta net as Qwen3-Next has it, and attention with a gate in its queries."""
    said = {
        "block_count": 2,
        "embedding_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 64,
        "attention.value_length": 64,
        "feed_forward_length": 512,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 512,
        "ssm.state_size": 64,
        "ssm.time_step_rank": 8,
        "ssm.group_count": 4,
    }
    mlp = {"ffn_gate": ((256, 512), "Q4_K"), "ffn_up": ((256, 512), "Q4_K"), "ffn_down": ((512, 256), "Q4_K")}
    delta = {
        "attn_qkv": ((256, 2 * 256 + 512), "Q8_0"),
        "attn_gate": ((256, 512), "Q8_0"),
        "ssm_ba": ((256, 16), "F32"),
        "ssm_conv1d": ((4, 1024), "F32"),
        "ssm_norm": ((64,), "F32"),
        "ssm_out": ((512, 256), "Q8_0"),
        **mlp,
    }
    full = {
        "attn_q": ((256, 512), "Q8_0"),
        "attn_k": ((256, 128), "Q8_0"),
        "attn_v": ((256, 128), "Q8_0"),
        "attn_output": ((256, 256), "Q8_0"),
        **mlp,
    }
    tensors: Sides = {"token_embd.weight": ((256, 300), "Q8_0"), "blk.0.ssm_a": ((8,), "F32"), "blk.0.ssm_dt.bias": ((8,), "F32")}
    tensors |= {f"blk.0.{n}.weight": s for n, s in delta.items()} | {f"blk.1.{n}.weight": s for n, s in full.items()}
    model = catalog.model(str(write(tmp_path / "next.gguf", "qwen3next", said, tensors)))
    assert [g.mixer.kind for g in model.groups if g.mixer] == ["gated_delta", "gqa"]
    assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)


def test_short_convolutions(tmp_path: Path) -> None:
    """LFM2: which layers convolve is seen by their tensors; a list of heads has none for them."""
    said = {
        "block_count": 2,
        "embedding_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": [0, 2],
        "feed_forward_length": 512,
        "shortconv.l_cache": 3,
    }
    mlp = {"ffn_gate": ((256, 512), "Q4_0"), "ffn_up": ((256, 512), "Q4_0"), "ffn_down": ((512, 256), "Q4_0")}
    layers = [
        {"shortconv.conv": ((3, 256), "F32"), "shortconv.in_proj": ((256, 768), "Q4_0"), "shortconv.out_proj": ((256, 256), "Q4_0"), **mlp},
        {
            "attn_q": ((256, 256), "Q4_0"),
            "attn_k": ((256, 128), "Q4_0"),
            "attn_v": ((256, 128), "Q4_0"),
            "attn_output": ((256, 256), "Q4_0"),
            **mlp,
        },
    ]
    tensors: Sides = {"token_embd.weight": ((256, 300), "Q6_K")}
    tensors |= {f"blk.{i}.{n}.weight": s for i, layer in enumerate(layers) for n, s in layer.items()}
    model = catalog.model(str(write(tmp_path / "lfm2.gguf", "lfm2", said, tensors)))
    assert [g.mixer.kind for g in model.groups if g.mixer] == ["short_conv", "gqa"]
    assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)


def test_parts_of_a_split_file(tmp_path: Path) -> None:
    tensors = llama()
    names = sorted(tensors)
    halves = [{n: tensors[n] for n in names[i::2]} for i in range(2)]
    for i, half in enumerate(halves):
        write(
            tmp_path / f"big-0000{i + 1}-of-00002.gguf",
            "llama",
            LLAMA if i == 0 else {},
            half,
            plain={"split.no": i, "split.count": 2, "split.tensors.count": len(names)},
        )
    for i in (1, 2):
        model = catalog.model(str(tmp_path / f"big-0000{i}-of-00002.gguf"))
        assert weight_bytes(model) == pytest.approx(size(tensors), rel=1e-7)
    write(tmp_path / "mmproj-F16.gguf", "clip", {}, {"v.patch_embd.weight": ((16, 16), "F16")})
    assert weight_bytes(catalog.model(str(tmp_path))) == pytest.approx(size(tensors), rel=1e-7)
    write(tmp_path / "other.gguf", "llama", LLAMA, tensors)
    assert "holds 2 files of models" in refused(tmp_path)
    (tmp_path / "big-00002-of-00002.gguf").rename(tmp_path / "alone.gguf")
    with pytest.raises(BadInput, match="one part of 2"):
        catalog.model(str(tmp_path / "alone.gguf"))
    with pytest.raises(BadInput, match=r"big-00002-of-00002\.gguf does not lie beside it"):
        catalog.model(str(tmp_path / "big-00001-of-00002.gguf"))


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        catalog.model(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


def test_what_is_no_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.gguf")
    (tmp_path / "short.gguf").write_bytes(b"GGUF")
    assert "is no GGUF file" in refused(tmp_path / "short.gguf")
    (tmp_path / "other.gguf").write_bytes(b"PK" * 100)
    assert "no header that can be read" in refused(tmp_path / "other.gguf")
    whole = write(tmp_path / "whole.gguf", "llama", LLAMA, llama()).read_bytes()
    for cut in (30, 200, 1000, len(whole) - 40):
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        assert "is it whole?" in refused(tmp_path / "cut.gguf")
    (tmp_path / "many.gguf").write_bytes(whole[:16] + (2**62).to_bytes(8, "little") + whole[24:])
    assert "no header that can be read" in refused(tmp_path / "many.gguf")
    endless = b"GGUF" + b"".join(
        n.to_bytes(size, "little") for n, size in ((3, 4), (0, 8), (1, 8), (1, 8), (ord("a"), 1), (9, 4), (4, 4), (2**60, 8))
    )
    (tmp_path / "endless.gguf").write_bytes(endless + bytes(8))
    assert "a list does not end" in refused(tmp_path / "endless.gguf")
    encoder = write(tmp_path / "mmproj.gguf", "clip", {}, {"v.patch_embd.weight": ((16, 16), "F16")})
    assert "holds no language model ('clip')" in refused(encoder)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"block_count": 33}, "no tensors for some of its 33 layers"),
        ({"block_count": 0}, "out of range"),
        ({"attention.head_count": 7}, "n_heads = 7 is not a multiple"),
        ({"attention.head_count": 64}, "explain"),
        ({"attention.head_count": [32] * 4}, "no heads"),
        ({"embedding_length": 4095}, "is not the 4096 of its tensors"),
    ],
)
def test_numbers_that_do_not_fit_the_tensors(tmp_path: Path, said: dict[str, Any], says: str) -> None:
    assert says in refused(write(tmp_path / "odd.gguf", "llama", {**LLAMA, **said}, llama()))


def test_tensors_that_no_block_explains(tmp_path: Path) -> None:
    more: Sides = {f"blk.{i}.secret.weight": ((4096, 4096), "F16") for i in range(32)}
    assert "'blk.0.secret.weight', which no known block explains" in refused(write(tmp_path / "odd.gguf", "llama", LLAMA, llama() | more))
    mix: Sides = {f"blk.0.{n}.weight": ((256, 256), "F16") for n in ("time_mix_key", "ffn_up", "ffn_down")}
    said = {"block_count": 1, "embedding_length": 256}
    path = write(tmp_path / "rwkv.gguf", "rwkv7", said, {"token_embd.weight": ((256, 300), "F16")} | mix)
    assert "'time_mix_key'" in refused(path)
