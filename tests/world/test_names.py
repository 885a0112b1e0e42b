"""Words people type for models, machines and price lists: the right entry, or what is near in meaning."""

from __future__ import annotations

import pytest

import rackmath
from rackmath.economics import pricelist
from rackmath.errors import BadInput
from rackmath.world import catalog, meaning

READ = {
    "llama-70b": "meta-llama/Llama-3.3-70B-Instruct",
    "Llama 70B": "meta-llama/Llama-3.3-70B-Instruct",
    "llama-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "llama-405b": "meta-llama/Meta-Llama-3.1-405B",
    "llama-2-70b": "meta-llama/Llama-2-70b-hf",
    "maverick": "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    "scout": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "r1": "deepseek-ai/DeepSeek-R1",
    "deepseek-v4": "deepseek-ai/DeepSeek-V4-Pro",
    "gpt-oss": "openai/gpt-oss-120b",
    "gpt2": "openai-community/gpt2",
    "mixtral": "mistralai/Mixtral-8x7B-v0.1",
    "kimi-k2": "moonshotai/Kimi-K2-Instruct",
    "qwq": "Qwen/QwQ-32B",
    "phi-4": "microsoft/phi-4",
}
MEANT = [
    ("model", "llama", "meta-llama/Llama-3.3-70B-Instruct"),
    ("model", "llama3", "meta-llama/Llama-3.3-70B-Instruct"),
    ("model", "llama-3.3", "meta-llama/Llama-3.3-70B-Instruct"),
    ("model", "llama2", "meta-llama/Llama-2-7b-hf"),
    ("model", "llama4", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"),
    ("model", "deepseek", "deepseek-ai/DeepSeek-V4-Pro"),
    ("model", "deepsek", "deepseek-ai/DeepSeek-V4-Pro"),
    ("model", "qwen", "Qwen/Qwen3.8-27B"),
    ("model", "qwen3", "Qwen/Qwen3-235B-A22B"),
    ("model", "qwen2.5", "Qwen/Qwen2.5-7B-Instruct"),
    ("model", "qwen3-coder", "Qwen/Qwen3-Coder-480B-A35B-Instruct"),
    ("model", "mistral", "mistralai/Mistral-Large-Instruct-2407"),
    ("model", "gemma", "google/gemma-4-31B-it"),
    ("model", "gemma3", "google/gemma-3-27b-it"),
    ("model", "phi", "microsoft/phi-4"),
    ("model", "kimi", "moonshotai/Kimi-K3"),
    ("model", "glm", "zai-org/GLM-5.3"),
    ("model", "minimax", "MiniMaxAI/MiniMax-M3"),
    ("model", "nemotron", "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"),
    ("machine", "nvidia", "h100"),
    ("machine", "hopper", "h100"),
    ("machine", "blackwell", "b200"),
    ("machine", "nvl72", "gb200-nvl72"),
    ("machine", "amd", "mi300x"),
    ("machine", "tpu", "tpu7x"),
    ("machine", "tpu-v5", "tpu-v5p"),
    ("machine", "gaudi", "gaudi3"),
    ("machine", "rtx", "rtx-5090"),
    ("machine", "mac", "m4-max"),
    ("machine", "macbook pro", "m4-max"),
    ("machine", "inferentia", "inf2"),
    ("machine", "dgx", "dgx-h100"),
    ("price", "llama", "meta-llama/Llama-3.3-70B-Instruct"),
    ("price", "deepseek", "deepseek/deepseek-v4-pro"),
    ("price", "qwen3", "Qwen/Qwen3-235B-A22B"),
    ("price", "gemini", "google/gemini-4-argon"),
    ("price", "gemini-pro", "google/gemini-3.1-pro-preview"),
    ("price", "claude", "anthropic/claude-opus-5-5"),
    ("price", "sonnet", "anthropic/claude-sonnet-5-5"),
    ("price", "chatgpt", "openai/gpt-6.1-sol"),
    ("price", "gpt4", "openai/gpt-4.1"),
    ("price", "grok", "x-ai/grok-4.7"),
    ("price", "kimi", "moonshotai/kimi-k3"),
    ("price", "glm", "zai/GLM-5.3"),
    ("price", "mistral", "mistral/mistral-large-4"),
]
CLOSED = {
    "gpt-4o": "openai/gpt-oss-120b",
    "gpt-5": "openai/gpt-oss-120b",
    "o3": "openai/gpt-oss-120b",
    "claude": "deepseek-ai/DeepSeek-V4-Pro",
    "sonnet-4.5": "deepseek-ai/DeepSeek-V4-Pro",
    "gemini-2.5-pro": "google/gemma-4-31B-it",
    "grok-4": "xai-org/grok-1",
}
LOOK_UP = {"model": catalog.find_model, "machine": catalog.machine, "price": pricelist.price_list}


@pytest.mark.parametrize("word", READ)
def test_a_word_is_read_as_the_newest_and_most_used_that_bears_it(word: str) -> None:
    assert catalog.find_model(word)[0] == READ[word]


def test_the_answer_says_what_a_word_was_read_as() -> None:
    assert "'llama-70b' was read as meta-llama/Llama-3.3-70B-Instruct" in rackmath.forward("llama-70b", on="8xh100").subject.notes


@pytest.mark.parametrize(("kind", "word", "first"), MEANT)
def test_a_word_that_means_several_names_the_likeliest_first(kind: str, word: str, first: str) -> None:
    with pytest.raises(BadInput) as error:
        LOOK_UP[kind](word)
    assert str(error.value).partition("did you mean ")[2].startswith(first)


@pytest.mark.parametrize("word", CLOSED)
def test_a_closed_model_names_open_ones_and_its_price_list(word: str) -> None:
    with pytest.raises(BadInput) as error:
        catalog.model(word)
    said = str(error.value)
    assert said.startswith(f"the config of {word!r} is not public; open models: {CLOSED[word]}")
    pricelist.price_list(said.partition("rackmath infer ")[2].split()[0])


def test_gpt_4o_reads_its_own_price_list() -> None:
    with pytest.raises(BadInput, match="rackmath infer openai/gpt-4o reads"):
        catalog.model("gpt-4o")


@pytest.mark.parametrize(
    ("kind", "word", "first"),
    [
        ("model", "deepseek-ai/DeepSeek-V33", "deepseek-ai/DeepSeek-V3"),
        ("machine", "h1000", "h100"),
        ("model", "gemma-27b", "google/gemma-3-27b-it"),
        ("price", "llama-405b", "meta-llama/Llama-3.3-70B-Instruct"),
    ],
)
def test_a_slip_of_the_pen_is_held_against_the_letters(kind: str, word: str, first: str) -> None:
    with pytest.raises(BadInput) as error:
        LOOK_UP[kind](word)
    assert str(error.value).partition("did you mean ")[2].startswith(first)


def test_every_suggestion_can_be_asked() -> None:
    given = meaning._table()
    for names in given["model"].values():
        assert {catalog.find_model(name)[0] for name in names} == set(names)
    for name in {name for names in given["machine"].values() for name in names}:
        catalog.machine(name)
    sold = {part.lower() for one in pricelist.all_lists() for part in (one.model, one.weights)}
    assert {name.lower() for names in given["price"].values() for name in names} <= sold


CHECKPOINTS = [
    ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct", "nf4_double"),
    ("unsloth/Llama-3.3-70B-Instruct-unsloth-bnb-4bit", "meta-llama/Llama-3.3-70B-Instruct", "nf4_double"),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "meta-llama/Llama-3.1-8B-Instruct", "w4a16"),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8", "meta-llama/Llama-3.1-8B-Instruct", "int8"),
    ("RedHatAI/Qwen3-30B-A3B-NVFP4A16", "Qwen/Qwen3-30B-A3B", "nvfp4_w4a16"),
    ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8", "Qwen/Qwen2.5-72B", "w8a16_g128"),
    ("cyankiwi/Qwen3-30B-A3B-AWQ-4bit", "Qwen/Qwen3-30B-A3B", "w4a16"),
    ("Intel/Qwen3-30B-A3B-Instruct-2507-int4-AutoRound", "Qwen/Qwen3-30B-A3B", "w4a16"),
    ("someone/Llama-3.1-8B-Instruct-4.65bpw-exl2", "meta-llama/Llama-3.1-8B-Instruct", "w4.65a16_c"),
    ("mlx-community/Qwen3-30B-A3B-4bit", "Qwen/Qwen3-30B-A3B", "mlx_4bit"),
    ("Qwen3-30B-A3B-UD-IQ2_M.gguf", "Qwen/Qwen3-30B-A3B", "iq2_m"),
    ("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:IQ4_XS", "meta-llama/Llama-3.1-8B-Instruct", "iq4_xs"),
]


@pytest.mark.parametrize(("spelling", "name", "form"), CHECKPOINTS)
def test_names_of_quantised_checkpoints(spelling: str, name: str, form: str) -> None:
    assert catalog.find_model(spelling) == (name, form)


def test_a_name_that_says_no_bits_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown model"):
        catalog.find_model("turboderp/Llama-3.1-8B-Instruct-exl3")


def test_all_linear_layers_of_a_weight_only_checkpoint() -> None:
    """Qwen3-30B-A3B-GPTQ-Int4 quantises attention too; NVFP4 checkpoints of mixtures leave it."""
    parts = [catalog.model(f"Qwen3-30B-A3B-{kind}").precision for kind in ("GPTQ-Int4", "NVFP4")]
    assert [(p.attention.name, p.experts.name) for p in parts] == [("w4a16", "w4a16"), ("bf16", "nvfp4")]
