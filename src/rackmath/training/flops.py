"""FLOPs of training, and the ways published figures count them.

Model FLOPs are what one token's forward and backward pass must multiply: 2 FLOPs for each weight it meets and 4
backward (6 N), and attention over the tokens before it. Hardware FLOPs also count what is computed twice because it
was not kept. Sources differ in both, and in whether attention counts the masked half: `ACCOUNTING` names each way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..arrays import Number
from ..errors import unknown
from ..kernel.counts import attended_sum, weight_flops
from ..world.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """How a source counts: `recompute` includes the second forward pass; `causal` leaves masked scores out.

    `head`: the vocabulary's product is counted; `attention`: scores are counted at all.
    """

    recompute: bool = False
    causal: bool = False
    head: bool = True
    attention: bool = True
    note: str = ""


ACCOUNTING: Mapping[str, Accounting] = {
    "narayanan": Accounting(
        recompute=True, note="hardware FLOPs, 96 B s l h^2 (1 + s/6h + V/16lh): Narayanan et al. 2021, MT-NLG, BloombergGPT, BLOOM"
    ),
    "korthikanti": Accounting(note="model FLOPs with full attention, 72 B s l h^2 (1 + s/6h + V/12lh)"),
    "megatron": Accounting(causal=True, note="model FLOPs with causal attention: Megatron-Core of 2025 and later"),
    "palm": Accounting(note="6 N + 12 l h q t for each token, attention in full"),
    "palm without attention": Accounting(attention=False, note="6 N for each token"),
    "llm-foundry": Accounting(note="6 N + attention in full"),
    "maxtext": Accounting(note="attention in full: MaxText before 2025-07-27"),
    "maxtext causal": Accounting(causal=True, note="attention halved: MaxText since 2025-07-27"),
}
"""Ways of counting, by the source that made them known."""


def accounting(name: str) -> Accounting:
    """A way of counting by name.

    >>> accounting("narayanan").recompute, accounting("megatron").causal
    (True, True)
    """
    if name not in ACCOUNTING:
        raise unknown("way of counting FLOPs", name, ACCOUNTING)
    return ACCOUNTING[name]


def forward_flops(model: Model, seq: Number, *, causal: bool) -> tuple[Number, Number]:
    """FLOPs of one token's forward pass: of its weights, head included, and of attention (the mean over a sequence).

    >>> from rackmath.world import catalog
    >>> weights, attention = forward_flops(catalog.model("llama-3.1-8b"), 8192.0, causal=True)
    >>> round(weights / 1e9, 2), round(float(attention) / 1e9, 2)
    (15.01, 2.15)
    """
    attention: Number = 0.0
    for group in model.groups:
        if group.mixer:
            for stream in group.mixer.streams:
                pairs = attended_sum(stream, seq) / seq if causal else seq
                attention = attention + group.count * stream.prefill_flops * pairs
    return weight_flops(model), attention


def train_flops(model: Model, seq: Number, how: Accounting, *, selective: bool = False) -> Number:
    """FLOPs a source counts for one trained token; `selective`: only attention is computed twice.

    GPT-3 175B at 2,048 tokens by Narayanan's formula, recomputation included: 96 s l h^2 (1 + s/6h + V/16lh) / s

    >>> from rackmath.world.description import build
    >>> gpt = build({"name": "gpt-3", "d_model": 12288, "vocab": 51200, "groups": [{"count": 96,
    ...     "mixer": {"kind": "gqa", "n_heads": 96}, "ffn": {"kind": "mlp", "d_ff": 49152, "gated": False}}]})
    >>> s, l, h, v = 2048, 96, 12288, 51200
    >>> formula = 96 * l * h * h * (1 + s / (6 * h) + v / (16 * l * h))
    >>> round(float(train_flops(gpt, 2048.0, accounting("narayanan"))) / formula, 6)
    1.0
    >>> round(float(train_flops(gpt, 2048.0, accounting("korthikanti"))) * 1.5e6 * 2e5 / 1e23, 2)   # 300B tokens
    3.23
    """
    weights, attention = forward_flops(model, seq, causal=how.causal)
    head = 2.0 * (model.head_parameters or model.vocab * model.d_model)
    if not how.attention:
        attention = 0.0 * attention
    total = 3 * (weights + attention) - (0.0 if how.head else 3 * head)
    if how.recompute:
        # as the authors of the selective kind print it, 72 B s l h^2 (1 + s/3h + V/12lh): all of attention twice
        total = total + (3 * attention if selective else weights - head + attention)
    return total


def utilisation(flops_per_token: Number, tokens_per_second: Number, devices: Number, peak: Number) -> Number:
    """MFU or HFU: counted FLOPs per second over the peak of all devices.

    PaLM 540B, 238,300 tokens/s on 6,144 chips of 275 TFLOP/s, 6 N alone:

    >>> round(utilisation(6 * 540.35e9, 238300, 6144, 275e12), 3)
    0.457
    """
    return flops_per_token * tokens_per_second / (devices * peak)
