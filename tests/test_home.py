"""Home machines: files as llama.cpp mixes and loads them, memory as its logs state it, one to a few users."""

from __future__ import annotations

import numpy as np
import pytest

from rackmath.errors import BadInput
from rackmath.kernel.counts import weight_bytes
from rackmath.world import catalog, gguf
from rackmath.world.description import build

LLAMA_70B = {
    "q8_0": 74.98, "q6_k": 57.89, "q5_k_l": 50.60, "q5_k_m": 49.95, "q5_k_s": 48.66, "q4_k_l": 43.30, "q4_k_m": 42.52,
    "q4_k_s": 40.35, "q4_0": 40.12, "iq4_xs": 37.90, "q3_k_xl": 38.06, "q3_k_l": 37.14, "q3_k_m": 34.27,
    "iq3_m": 31.94, "q3_k_s": 30.91,
}  # fmt: skip
"""GB of the files of one public repository (bartowski, Llama-3.1-70B)."""

FILES = [
    *(("meta-llama/Llama-3.3-70B-Instruct", mixture, size) for mixture, size in LLAMA_70B.items()),
    ("meta-llama/Llama-3.1-8B", "q4_k_m", 4.92),
    ("meta-llama/Llama-3.1-8B", "q5_k_m", 5.73),
    ("meta-llama/Llama-3.1-8B", "q6_k", 6.60),
    ("Qwen/Qwen3-8B", "q8_0", 8.71),
    ("Qwen/Qwen3-8B", "q4_k_m", 5.03),
    ("Qwen/Qwen3-30B-A3B", "q4_k_m", 18.556685824),
    ("google/gemma-3-27b-it", "q4_k_m", 16.55),
    ("google/gemma-3-27b-it", "q4_0", 15.6),
    ("openai/gpt-oss-120b", "mxfp4_moe", 59.02 * 2**30 / 1e9),
    ("Qwen/Qwen3.5-9B", "q4_k_m", 5.68),
]


@pytest.mark.parametrize(("name", "mixture", "size"), FILES)
def test_files_are_as_large_as_published(name: str, mixture: str, size: float):
    model = catalog.model(name)
    stored = weight_bytes(model, gguf.in_file(model, mixture)) / 1e9
    assert stored == pytest.approx(size, rel=0.012 if "3.5" in name else 0.003)


def test_a_tied_table_takes_the_type_of_the_head_and_rows_that_hold_no_whole_block_a_wider_one():
    gemma = gguf.in_file(catalog.model("google/gemma-3-27b-it"), "q4_k_m")
    assert gemma.embedding.bytes == gemma.head.bytes == 6.5625 / 8
    oss = gguf.in_file(catalog.model("openai/gpt-oss-120b"), "q4_k_m")  # rows of 2,880 are no multiple of 256
    assert oss.head.bytes == 8.5 / 8
    assert oss.norm.bytes == oss.router.bytes == 4


def test_every_mixture_reads_every_model_and_wider_ones_are_larger():
    for name in (
        "deepseek-ai/DeepSeek-V3",
        "mistralai/Mixtral-8x7B-v0.1",
        "Qwen/Qwen3.5-9B",
        "meta-llama/Llama-3.1-8B",
    ):
        model = catalog.model(name)
        sizes = [weight_bytes(model, gguf.in_file(model, m)) for m in
                 ("iq1_s", "iq2_m", "q2_k", "iq3_m", "q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0")]  # fmt: skip
        assert np.all(np.diff(sizes) > 0)
        every = [weight_bytes(model, gguf.in_file(model, m)) for m in gguf.GGUF["files"]]
        assert 0 < min(every) < max(every) < weight_bytes(model, catalog.model(name).precision) * 1.1


def test_a_file_is_named_by_model_or_by_precision():
    named = catalog.model("unsloth/Qwen3-30B-A3B-UD-Q4_K_XL")
    assert named.name == "Qwen/Qwen3-30B-A3B"
    assert named.precision == gguf.in_file(catalog.model("Qwen/Qwen3-30B-A3B"), "q4_k_m")
    with pytest.raises(BadInput, match="q4_k_m"):
        build({**catalog.model("Qwen/Qwen3-8B").description, "precision": {"file": "q4_k_n"}})
