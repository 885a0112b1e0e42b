"""Two models by hand, so that the tests of the kernel do not depend on any reader of configs."""

from rackmath.world.description import build
from rackmath.world.model import Model

_MLA = {
    "kind": "mla",
    "n_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
_V3_MOE = {"kind": "moe", "n_experts": 256, "top_k": 8, "d_expert": 2048, "n_shared": 1, "d_shared": 2048}


def deepseek_v3(precision: str = "fp8") -> Model:
    return build(
        {
            "name": "DeepSeek-V3",
            "d_model": 7168,
            "vocab": 129280,
            "precision": dict.fromkeys(("attention", "mlp", "experts", "shared_experts"), precision),
            "groups": [{"count": 3, "mixer": _MLA, "ffn": {"kind": "mlp", "d_ff": 18432}}, {"count": 58, "mixer": _MLA, "ffn": _V3_MOE}],
        }
    )


def llama_70b() -> Model:
    return build(
        {
            "name": "Llama-3.1-70B",
            "d_model": 8192,
            "vocab": 128256,
            "groups": [{"count": 80, "mixer": {"kind": "gqa", "n_heads": 64, "n_kv_heads": 8}, "ffn": {"kind": "mlp", "d_ff": 28672}}],
        }
    )
