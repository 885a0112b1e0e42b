"""Descriptions by hand: mistakes named all at once, files found by their names, a page in step with the code."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rackmath
from rackmath.errors import BadInput
from rackmath.world import catalog
from rackmath.world.blocks import FFNS, MIXERS
from rackmath.world.description import build
from rackmath.world.huggingface import read_model

ROOT = Path(__file__).resolve().parents[2]

MINE: dict[str, Any] = {
    "name": "someone/my-moe",
    "d_model": 4096,
    "vocab": 128256,
    "groups": [{"count": 4, "mixer": {"kind": "gqa", "n_heads": 32}, "ffn": {"kind": "mlp", "d_ff": 14336}}],
}


@pytest.mark.parametrize(("part", "kind"), [("mixer", k) for k in MIXERS] + [("ffn", k) for k in FFNS])
def test_all_missing_keys_are_named_at_once(part: str, kind: str) -> None:
    keys = inspect.signature((MIXERS if part == "mixer" else FFNS)[kind]).parameters
    needed = [k for k, p in keys.items() if p.default is inspect.Parameter.empty and k != "d_model"]
    given = {**MINE, "groups": [{"count": 1, part: {"kind": kind}}]}
    if not needed:
        assert build(given).n_layers == 1
        return
    with pytest.raises(BadInput) as caught:
        build(given)
    assert all(repr(key) in str(caught.value) for key in needed)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_a_file_is_found_by_both_its_names(models: Path) -> None:
    (models / "draft-3.json").write_text(json.dumps(MINE))
    assert catalog.model("someone/my-moe") == catalog.model("draft-3")
    assert catalog.model("my-moe").n_layers == 4
    listed = [one.name for one in catalog.models()]
    assert listed.count("someone/my-moe") == 1
    assert "draft-3" not in listed


def test_an_edited_packaged_model_says_that_it_stands_in(models: Path) -> None:
    given = dict(catalog.model("deepseek-ai/DeepSeek-V3").description)
    assert not [n for n in catalog.model("deepseek-ai/DeepSeek-V3").notes if "takes the place" in n]
    (models / "mine.json").write_text(json.dumps(given | {"vocab": 1000}))
    found = catalog.model("deepseek-ai/DeepSeek-V3")
    assert found.vocab == 1000
    assert [n for n in found.notes if "takes the place of the packaged" in n]


def test_a_broken_file_does_not_hide_the_others(models: Path) -> None:
    (models / "broken.json").write_text("{")
    (models / "good.toml").write_text('name = "good-one"\nd_model = 64\nvocab = 10\n[[groups]]\nmixer = {kind = "gqa", n_heads = 4}\n')
    assert catalog.model("good-one").d_model == 64
    with pytest.raises(BadInput):
        catalog.model("broken")


def test_the_page_lists_every_key() -> None:
    run = [sys.executable, str(ROOT / "tools" / "block_keys.py"), "--check"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "concepts" / "models.md").read_text(encoding="utf-8")
    for kind, block in {**MIXERS, **FFNS}.items():
        section = page.partition(f" `{kind}`\n")[2].partition("####")[0]
        assert all(f"`{key}`" in section for key in inspect.signature(block).parameters if key != "d_model")


# --- number formats a config leaves unsaid --------------------------------------------------------------------------

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 1000,
}
FP8 = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}


def test_a_name_that_promises_a_format_the_config_does_not_state_is_noted() -> None:
    def said(name: str, **more: Any) -> list[str]:
        return [n for n in read_model({**LLAMA, **more}, name=name).notes if "the name says" in n]

    assert said("someone/Llama-NVFP4")[0].startswith("the name says NVFP4")
    assert said("llama-fp8-dynamic")
    assert not said("someone/Llama")
    assert not said("fp8-company/Llama")
    assert not said("someone/Llama-FP8", **FP8)


def test_an_unknown_type_of_weights_is_refused() -> None:
    assert read_model({**LLAMA, "torch_dtype": "bfloat16"}).precision.mlp.name == "bf16"
    assert read_model({**LLAMA, "dtype": "torch.float8_e4m3fn"}).precision.mlp.name == "fp8"
    for bad in ("float7", 16, ["bfloat16"]):
        with pytest.raises(BadInput, match="torch_dtype"):
            read_model({**LLAMA, "torch_dtype": bad})
    assert read_model({**LLAMA, **FP8, "torch_dtype": "float7"}).precision.mlp.name == "fp8_block"


def test_products_a_machine_lacks_are_noted() -> None:
    def notes(on: str, precision: str) -> list[str]:
        said = rackmath.forward("meta-llama/Llama-3.1-8B", on=on, precision=precision).subject.notes
        return [n for n in said if "16-bit products" in n]

    assert notes("8xh100", "nvfp4")[0].startswith("nvfp4 weights run as 16-bit products on 8xh100")
    assert not notes("8xb200", "nvfp4")
    assert not notes("8xh100", "fp8")
    assert notes("8xa100", "fp8")
    assert not notes("8xh100", "w4a16")
