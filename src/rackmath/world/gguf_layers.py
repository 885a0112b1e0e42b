"""Blocks of a layer from the tensors a .gguf file has for it, under llama.cpp's names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from .gguf_header import Tensor
from .huggingface.config import MOST_LAYERS, Config
from .precision import GGUF

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What a file says of its layers, under the keys of its architecture."""

    said: Mapping[str, Any]
    arch: str
    name: str

    def _config(self) -> Config:
        return Config(self.said, self.name)

    def count(self, key: str, *, default: Any = None, least: int = 1) -> int:
        """A whole number that is one for all layers."""
        keys = f"{self.arch}.{key}"
        if default is None:
            return self._config().count(keys, least=least)
        return self._config().count(keys, default=default, least=least)

    def of_layer(self, key: str, i: int, default: int = 0) -> int:
        """A whole number of one layer: the file lists one for each, or says one for all."""
        full = f"{self.arch}.{key}"
        value = self.said.get(full)
        if isinstance(value, list):
            found = self._config().counts(full) or []
            return found[i] if i < len(found) else default
        return self._config().count(full, default=default, least=0)

    @property
    def d_model(self) -> int:
        return self.count("embedding_length")

    def window(self, i: int) -> dict[str, int]:
        """The window or chunk of a layer, where it has one."""
        width = self.count("attention.sliding_window", default=0, least=0)
        chunk = GGUF["chunks"].get(self.arch, 0)
        if not width and not chunk:
            return {}
        said = self.said.get(f"{self.arch}.attention.sliding_window_pattern")
        if isinstance(said, list) and said and all(isinstance(one, bool | int) for one in said):
            windowed = bool(said[i % len(said)])
        else:
            every = said if isinstance(said, int) and 0 <= said <= MOST_LAYERS else GGUF["windows"].get(self.arch, 1)
            windowed = every == 0 or i % every < every - 1
        return ({"chunk": chunk} if chunk else {"window": width}) if windowed else {}


def _side(tensors: Tensors, name: str, which: int) -> int:
    """One side of a tensor: 0 what goes in, 1 what comes out; 0 where the layer has no such tensor."""
    found = tensors.get(f"{name}.weight")
    return found.shape[which] if found is not None and len(found.shape) > which else 0


def mixer_of(facts: LayerFacts, i: int, tensors: Tensors) -> dict[str, Any] | None:
    """How a layer mixes tokens; None where nothing in it does."""
    if "attn_kv_a_mqa.weight" in tensors:
        return _latent(facts, i, tensors)
    if "shortconv.conv.weight" in tensors:
        return {"kind": "short_conv", "conv_kernel": _side(tensors, "shortconv.conv", 0)}
    if "ssm_in.weight" in tensors or "ssm_out.weight" in tensors:
        if "attn_q.weight" in tensors:
            raise _unknown(facts, "attention beside a state-space model in one layer")
        return _recurrent(facts, tensors)
    if "attn_q.weight" in tensors or ("attn_qkv.weight" in tensors and "attn_output.weight" in tensors):
        return _grouped(facts, i, tensors)
    strange = sorted({n.split(".")[0] for n in tensors if n.startswith(("attn_", "time_mix", "shortconv", "ssm_"))})
    matrices = [name for name in strange if "norm" not in name]
    if matrices:
        raise _unknown(facts, f"tensors named {matrices[0]!r:.40}")
    return None


def _unknown(facts: LayerFacts, what: str) -> BadInput:
    return BadInput(
        f"{facts.name}: the architecture {facts.arch!r:.40} has {what}, which is not read from a file yet; give its "
        "config.json, or describe it by hand (see docs/concepts/models.md)"
    )


def _grouped(facts: LayerFacts, i: int, tensors: Tensors) -> dict[str, Any]:
    heads = facts.of_layer("attention.head_count", i)
    kv = facts.of_layer("attention.head_count_kv", i, heads)
    swa = "_swa" if facts.window(i) and facts.said.get(f"{facts.arch}.attention.key_length_swa") else ""
    if heads < 1 or kv < 1:
        raise BadInput(f"{facts.name}: layer {i} has attention and no heads; is the file whole?")
    fused, wide = _side(tensors, "attn_qkv", 1), _side(tensors, "attn_q", 1)
    d_k = facts.count(f"attention.key_length{swa}", default=facts.d_model // heads)
    d_v = facts.count(f"attention.value_length{swa}", default=d_k)
    if not fused and _side(tensors, "attn_k", 1):
        d_k = _side(tensors, "attn_k", 1) // kv
    if _side(tensors, "attn_output", 0):
        d_v = _side(tensors, "attn_output", 0) // heads
    found: dict[str, Any] = {"kind": "gqa", "n_heads": heads, "n_kv_heads": kv, "head_dim": d_k, **facts.window(i)}
    if d_v != d_k:
        found["v_head_dim"] = d_v
    if not fused:
        gate = _side(tensors, "attn_gate", 1)
        if wide == 2 * heads * d_k or gate == heads * d_k:
            found["output_gate"] = True
        elif gate == heads:
            found["head_gate"] = True
        if "attn_k.weight" not in tensors:
            found["shares_cache"] = True
        elif "attn_v.weight" not in tensors:
            found["v_is_k"] = True
    shared = facts.count("attention.shared_kv_layers", default=0, least=0)
    if shared and i >= facts.count("block_count") - shared:
        found["shares_cache"] = True
    return found


def _latent(facts: LayerFacts, i: int, tensors: Tensors) -> dict[str, Any]:
    rotary = facts.count("rope.dimension_count")
    key = facts.count("attention.key_length_mla", default=facts.count("attention.key_length", default=192))
    value = facts.count("attention.value_length_mla", default=facts.count("attention.value_length", default=128))
    found: dict[str, Any] = {
        "kind": "mla",
        "n_heads": facts.of_layer("attention.head_count", i),
        "kv_lora_rank": facts.count("attention.kv_lora_rank"),
        "qk_nope_head_dim": key - rotary,
        "qk_rope_head_dim": rotary,
        "v_head_dim": value,
    }
    if "attn_q_a.weight" in tensors:
        found["q_lora_rank"] = _side(tensors, "attn_q_a", 1)
    if "indexer.proj.weight" in tensors:
        found["index_n_heads"] = facts.count("attention.indexer.head_count")
        found["index_head_dim"] = facts.count("attention.indexer.key_length")
        found["top_k"] = facts.count("attention.indexer.top_k")
    return found


def _recurrent(facts: LayerFacts, tensors: Tensors) -> dict[str, Any]:
    """State-space layers: the delta rule where there are gates for it, Mamba-1 where the step is projected."""
    inner, state = facts.count("ssm.inner_size"), facts.count("ssm.state_size")
    kernel, rank = facts.count("ssm.conv_kernel", default=4), facts.count("ssm.time_step_rank")
    if "ssm_x.weight" in tensors:
        norms = "ssm_dt_norm.weight" in tensors
        return {
            "kind": "mamba1",
            "d_inner": inner,
            "d_state": state,
            "dt_rank": rank,
            "conv_kernel": kernel,
            "inner_norms": norms,
            "conv_bias": "ssm_conv1d.bias" in tensors,
        }
    groups = facts.count("ssm.group_count", default=1)
    if inner % rank:
        raise BadInput(f"{facts.name}: ssm.time_step_rank = {rank} does not divide ssm.inner_size = {inner}")
    if "ssm_ba.weight" in tensors or "ssm_beta.weight" in tensors:
        return {"kind": "gated_delta", "n_k_heads": groups, "n_v_heads": rank, "d_k": state, "d_v": inner // rank, "conv_kernel": kernel}
    return {
        "kind": "mamba2",
        "n_heads": rank,
        "head_dim": inner // rank,
        "d_state": state,
        "n_groups": groups,
        "conv_kernel": kernel,
        "conv_bias": "ssm_conv1d.bias" in tensors,
    }


def ffn_of(facts: LayerFacts, i: int, tensors: Tensors) -> dict[str, Any] | None:
    """The feed-forward part of a layer; None where it has none."""
    down, experts = tensors.get("ffn_down.weight"), tensors.get("ffn_down_exps.weight")
    dense = down.shape[0] if down is not None else 0
    if experts is None:
        if not dense:
            return None
        found: dict[str, Any] = {"kind": "mlp", "d_ff": dense, "gated": _gated(tensors, "", dense)}
        if "inp_gate.weight" in tensors:
            found |= {"d_side": _side(tensors, "inp_gate", 1)}
        return found
    if len(experts.shape) != 3:
        raise BadInput(f"{facts.name}: the experts of layer {i} are not one tensor of three sides; is the file whole?")
    width = experts.shape[0]
    found = {
        "kind": "moe",
        "n_experts": experts.shape[2],
        "top_k": facts.of_layer("expert_used_count", i, 1) or 1,
        "d_expert": width,
        "gated": _gated(tensors, "_exps", width),
    }
    shared = _side(tensors, "ffn_down_shexp", 0)
    if shared:
        count = facts.count("expert_shared_count", default=1, least=0) or 1
        found |= {"n_shared": count, "d_shared": shared, "shared_gate": "ffn_gate_inp_shexp.weight" in tensors}
    if dense:
        found["d_dense"] = dense
    if "ffn_latent_down.weight" in tensors:
        found["d_latent"] = _side(tensors, "ffn_latent_down", 1)
    several = facts.count("expert_group_count", default=0, least=0)
    used = facts.count("expert_group_used_count", default=0, least=0)
    if several > 1 and 0 < used < several:
        found |= {"node_groups": several, "node_limit": used}
    return found


def _gated(tensors: Tensors, tail: str, width: int) -> bool:
    """Whether a feed-forward part has a gate: a matrix of its own, or one twice as wide for both."""
    both = (f"ffn_gate{tail}.weight", f"ffn_gate_up{tail}.weight")
    return any(name in tensors for name in both) or math.isclose(_side(tensors, f"ffn_up{tail}", 1), 2 * width)
