"""Quantisation sections in files of their own beside config.json, as some tools write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import Config

BESIDE = ("hf_quant_config", "quantize_config", "quant_config", "quantization_config", "quant_model_description")
"""Names of such files: ModelOpt; AutoGPTQ; AutoAWQ and SqueezeLLM; AutoRound and ExLlamaV3; ModelSlim (Ascend)."""


def section_of(name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The quantisation section in the file of this name; the tool is named where the file takes it as known.

    >>> section_of("quant_config", {"w_bit": 4, "q_group_size": 128, "zero_point": True})["quant_method"]
    'awq'
    >>> section_of("quant_model_description", {"model.layers.0.mlp.up_proj.weight": "W8A8"})["quantized_layers"]
    {'model.layers.0.mlp.up_proj': {'quant_algo': 'W8A8'}}
    """
    inner = Config(content, name).section("quantization")
    found = dict(inner.raw if inner else content)
    if name == "quant_model_description":
        return {
            "quantized_layers": {
                key.removesuffix(".weight"): {"quant_algo": value}
                for key, value in content.items()
                if key.endswith(".weight") and isinstance(value, str)
            }
        }
    if name == "quantize_config" and not found.get("quant_method"):
        found["quant_method"] = "gptq"
    return found if found.get("quant_method") or inner else {**found, **named(found)}


def named(section: Mapping[str, Any]) -> dict[str, str]:
    """The tool of a section that does not name one, by the keys only that tool writes."""
    if section.get("load_in_4bit") or section.get("load_in_8bit"):
        return {"quant_method": "bitsandbytes"}
    if "w_bit" in section or "q_group_size" in section:
        return {"quant_method": "awq"}
    if "wbits" in section:
        return {"quant_method": "squeezellm"}
    if "desc_act" in section or "damp_percent" in section:
        return {"quant_method": "gptq"}
    if "bits" in section and ("group_size" in section or "mode" in section):
        return {"quant_method": "mlx"}
    return {}
