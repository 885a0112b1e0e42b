"""Descriptions by hand: mistakes named all at once, files found by their names, a page in step with the code."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rackmath.errors import BadInput
from rackmath.world import catalog
from rackmath.world.blocks import FFNS, MIXERS
from rackmath.world.description import build

ROOT = Path(__file__).resolve().parent.parent

MINE: dict[str, Any] = {
    "name": "someone/my-moe",
    "d_model": 4096,
    "vocab": 128256,
    "groups": [
        {"count": 4, "mixer": {"kind": "gqa", "n_heads": 32}, "ffn": {"kind": "mlp", "d_ff": 14336}},
    ],
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
    (models / "good.toml").write_text(
        'name = "good-one"\nd_model = 64\nvocab = 10\n[[groups]]\nmixer = {kind = "gqa", n_heads = 4}\n'
    )
    assert catalog.model("good-one").d_model == 64
    with pytest.raises(BadInput):
        catalog.model("broken")


def test_the_page_lists_every_key() -> None:
    run = [sys.executable, str(ROOT / "tools" / "block_keys.py"), "--check"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for kind, block in {**MIXERS, **FFNS}.items():
        section = page.partition(f" `{kind}`\n")[2].partition("####")[0]
        assert all(f"`{key}`" in section for key in inspect.signature(block).parameters if key != "d_model")
