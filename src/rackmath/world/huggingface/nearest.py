"""The known family nearest to a config that none reads, and what in the config it does not know."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .formulas import keys
from .table import RESERVED, blocks, packaged, spellings

_NO_SIZES = re.compile(
    r"^(_|transformers_version|architectures|model_type|d?type|torch_dtype|id2label|label2id|problem_type|output_|return_"
    r"|chunk_size_feed|is_encoder|is_decoder|add_cross|use_cache|initializer|init_|.*dropout|.*_pdrop|.*_eps|eps|rope|rotary"
    r"|partial_rotary|.*_coef|.*_loss|attn_impl|attention_bias|pruned|finetuning|task|tokenizer|tie_|.*_token_id|.*_token_index"
    r"|.*activation|hidden_act|pretraining_tp|scoring_func|.*_scaling|.*_scale|.*softcap.*|.*factor|norm_topk|auto_map"
    r"|quantization|compression|max_position|layer_types|mlp_layer_types|sliding_window|name|.*_multiplier|pad|bos|eos|num_key_value_heads$"
    r"|head_dim$|mlp_bias|qk_head_dim|layerdrop|label_smoothing|use_qk_norm|vocab_size_per|number_of_conv_states)"
)
"""Keys that say nothing about sizes, or that every family has."""

MOST_NAMED = 3


def nearest(config: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """The row whose keys are most like a config's, and the keys it does not read; None for a config without sizes.

    >>> nearest({"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 2,
    ...          "vocab_size": 1000, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    ...          "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
    ...          "v_head_dim": 16, "memory_slots": 4})
    ('mistral4', ['memory_slots'])
    """
    given = {key for key, value in config.items() if value is not None and not _NO_SIZES.match(key)}
    given = {key for key in given if not isinstance(config[key], str | dict | float)}
    if len(given) < MOST_NAMED:
        return None
    usual = {other: key for key, others in spellings().items() for other in others}
    named = {usual.get(key, key) for key in given}

    def likeness(reads: frozenset[str]) -> tuple[int, float]:
        """Keys it reads of the config's; of those that read as many, the one that wants fewest besides."""
        return len(named & reads), 1 / len(named | reads)

    row, reads = max(_read_by().items(), key=lambda item: likeness(item[1]))
    return row, sorted(key for key in given if usual.get(key, key) not in reads)


@functools.cache
def _read_by() -> Mapping[str, frozenset[str]]:
    """The keys that every packaged row reads."""
    table = packaged()
    found = {}
    for name in table.texts:
        row = table.row(name) if name not in RESERVED else {}
        if "attention" in row or "mixers" in row:
            found[name] = frozenset({"hidden_size", "num_hidden_layers", "vocab_size", *_keys(row)})
    return found


def _keys(row: Mapping[str, Any]) -> Iterator[str]:
    sections = [(row.get("attention"), "gqa"), (row.get("experts"), "moe")]
    sections += [(section, "gqa") for section in row.get("mixers", {}).values()]
    if "experts" not in row or "mlp" in row or "routed" in row:
        sections.append((row.get("mlp", {}), "mlp"))
    for section, usual in sections:
        if section is not None:
            merged = {**blocks().get(section.get("block", usual), {}), **section}
            for key, value in merged.items():
                if key != "block":
                    yield from _formula_keys(value)
    for key in ("layers", "norms", "norm_extra", "embedding", "routed", "draft", "order"):
        yield from _formula_keys(row.get(key))


def _formula_keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _formula_keys(one)
    elif isinstance(value, str):
        try:
            yield from keys(value)
        except SyntaxError:  # letters of projections, not a formula
            return
