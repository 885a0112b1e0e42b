"""Families as rows: the packaged table, rows of a user's own, and what is said of a family that nobody knows."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hfdata import RECORDED

import rackmath
from rackmath import shipped
from rackmath.errors import BadInput
from rackmath.faces.cli import run
from rackmath.kernel.counts import active_parameters, cache_bytes, layer_parameters, parameters, total_parameters, weight_flops
from rackmath.world.huggingface import describe, families, read_model
from rackmath.world.huggingface.config import Config
from rackmath.world.huggingface.formulas import Facts
from rackmath.world.huggingface.rows import check_row, read_rows, using
from rackmath.world.huggingface.table import RESERVED, packaged

TEXT = (shipped.FACTS / "families.toml").read_text(encoding="utf-8")
PARSED = tomllib.loads(TEXT)
ROWS = sorted(set(PARSED) - set(RESERVED))

MINE: dict[str, Any] = {
    "model_type": "mine",
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_is_cut_as_it_is_parsed() -> None:
    table = packaged()
    assert set(table.texts) == set(PARSED)
    for name in PARSED:
        assert table.own(name) == PARSED[name]
    assert table.named == {name: row for row in ROWS for name in PARSED[row]["names"]}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_holds_what_a_row_may(row: str) -> None:
    check_row(row, PARSED[row], PARSED)
    assert PARSED[row]["about"]


def test_no_two_rows_claim_a_name() -> None:
    names = [name for row in ROWS for name in PARSED[row]["names"]]
    assert len(names) == len(set(names))
    assert len(families()) > 350


# --- a user's own row ----------------------------------------------------------------------------------------------


def test_a_row_of_my_own_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, '[mine]\nnames = ["mine"]\nlike = "llama"\nattention = { qk_norm = "head" }\n')
    with pytest.raises(BadInput, match="no reader for the family mine"):
        read_model(MINE, "m")
    with using(path):
        mine = parameters(read_model(MINE, "m"))
    llama = parameters(read_model({**MINE, "model_type": "llama"}, "m"))
    assert mine["attention"] == llama["attention"] + 4 * 2 * 16
    assert mine["mlp"] == llama["mlp"]
    with pytest.raises(BadInput, match="no reader"):
        read_model(MINE, "m")  # the rows were in force inside only


def test_a_row_of_my_own_goes_before_a_packaged_one(tmp_path: Path) -> None:
    path = written(tmp_path, '[x]\nnames = ["llama"]\nlike = "llama"\nmlp = { gated = false }\n')
    usual = total_parameters(read_model({**MINE, "model_type": "llama"}, "m"))
    with using(path):
        assert total_parameters(read_model({**MINE, "model_type": "llama"}, "m")) == usual - 4 * 64 * 128


def test_keys_of_my_own_spelling(tmp_path: Path) -> None:
    row = """
    [mine]
    names = ["mine"]
    keys = { hidden_size = "width", intermediate_size = ["wide", "inner.width"] }
    order = { sliding_attention = "i % 2" }
    attention = { bias = { qk = true, o = "out_bias" } }
    mixers.sliding_attention = { window = "reach" }
    """
    raw = {**MINE, "width": 96, "inner": {"width": 200}, "reach": 32, "out_bias": True}
    with using(written(tmp_path, row)):
        found = describe(raw, name="m")
    assert found["d_model"] == 96
    assert [g["ffn"]["d_ff"] for g in found["groups"]] == [200, 200]
    assert [g["mixer"].get("window") for g in found["groups"]] == [None, 32]
    assert found["groups"][0]["mixer"]["extra_parameters"] == 96 + 2 * 24 + 96


def test_commands_take_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, '[mine]\nnames = ["mine"]\nlike = "llama"\n')
    config = tmp_path / "config.json"
    config.write_text(json.dumps(MINE))
    answer = rackmath.forward(str(config), on="h100", batch=1, context=100, family=str(path))
    assert answer.question["family"] == str(path)
    assert run(["models", str(config), "--family", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["family"] == "mine"
    assert run(["plan", str(config), "--on", "h100"]) == 2
    assert "no reader for the family mine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds 0 rows"),
        ("x = 1", "is not a family"),
        ("[blocks]\nx = 1", "is not a family"),
        ("[m]\nlike = 'llama'", "has no names"),
        ("[m]\nnames = 'm'", "is not a list of texts"),
        ("[m]\nnames = ['m']\nlike = 'lama'", "did you mean llama"),
        ("[m]\nnames = ['m']\nlike = 3", "unknown family"),
        ("[a]\nnames = ['a']\nlike = 'b'\n[b]\nnames = ['b']\nlike = 'a'", "is like itself"),
        ("[m]\nnames = ['m']\natention = {}", "did you mean attention"),
        ("[m]\nnames = ['m']\nattention = 3", "is not a table of keys"),
        ("[m]\nnames = ['m']\nattention = { n_head = 'x' }", "did you mean n_heads"),
        ("[m]\nnames = ['m']\nattention = { block = 'gqua' }", "did you mean gqa"),
        ("[m]\nnames = ['m']\nattention = { bias = 'xyz' }", "is not letters of qkvo"),
        ("[m]\nnames = ['m']\nattention = { qk_norm = 'layer' }", "is not head or full"),
        ("[m]\nnames = ['m']\nattention = { n_heads = [1] }", "is not a key, a number or a formula of keys"),
        ("[m]\nnames = ['m']\nnorms = '2 ** 9'", "it knows"),
        ("[m]\nnames = ['m']\nnorms = '__import__(\"os\")'", "it knows split"),
        ("[m]\nnames = ['m']\nnorms = 'a.b().c'", "cannot hold"),
        ("[m]\nnames = ['m']\nnorms = '[x for x in y]'", "cannot hold"),
        ("[m]\nnames = ['m']\nnorms = '1 +'", "is not one"),
        ("[m]\nnames = ['m']\nnorms = '" + "(" * 200 + "'", "is not one"),
        ("[m]\nnames = ['m']\nnorms = '" + "1+" * 200 + "1'", "more than 300 letters"),
        ("[m]\nnames = ['m']\nnorms = nan", "norms = nan is not a key"),
        ("[m]\nnames = ['m']\norder = []", "order is empty"),
        ("[m]\nnames = ['m']\nstack = { full_attention = 'x' }", "is not a list of texts"),
        ("[m]\nnames = ['m']\nalone = 1", "is not true or false"),
        ("[m\n", "is not valid TOML"),
    ],
)
def test_a_bad_row_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match="m") as caught:
        read_rows(written(tmp_path, text))
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("row", "changes", "says"),
    [
        ("attention = { head_dim = 'size' }", {}, "n_heads = 4 does not divide|lacks 'size'|size"),
        ("attention = { more = 'size * 2' }", {}, "the config lacks 'size'"),
        ("attention = { more = 'hidden_size / size' }", {"size": 0}, "divides by 0"),
        ("attention = { more = 'size * size' }", {"size": 1e17}, "is out of range"),
        ("attention = { more = 'size * 2' }", {"size": "x"}, "is not a number"),
        ("attention = { more = 'listed * 1000' }", {"listed": [1]}, "is not a number"),
        ("attention = { more = 'listed[i]' }", {"listed": [1, 2]}, "has no entry 2"),
        ("routed = 'i in size'\nexperts = {}", {"size": 3}, "is not a list"),
        ("norms = '0 - 1'", {}, "is out of range"),
        ("layers = 'size'", {"size": 10**9}, "num_hidden_layers"),
    ],
)
def test_a_row_and_a_config_that_do_not_fit(tmp_path: Path, row: str, changes: dict[str, Any], says: str) -> None:
    path = written(
        tmp_path, f"[m]\nnames = ['mine']\nattention = {{}}\n{row}" if "attention" not in row else f"[m]\nnames = ['mine']\n{row}"
    )
    with using(path), pytest.raises(BadInput, match=says) as caught:
        read_model({**MINE, **changes}, "m")
    assert "\n" not in str(caught.value)


# --- formulas ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("a", 6),
        ("7", 7),
        ("a + 2 * b", 10),
        ("a // 4", 1),
        ("a / 4", 1.5),
        ("a % 4", 2),
        ("-a", -6),
        ("absent or a", 6),
        ("zero or a", 6),
        ("a and b", 2),
        ("not absent", True),
        ("a if zero else b", 2),
        ("a == 6", True),
        ("a != 6", False),
        ("a >= 6", True),
        ("word == 'mqa'", True),
        ("absent == none", True),
        ("i in listed", False),
        ("1 in listed", True),
        ("i not in absent", True),
        ("listed[i]", 5),
        ("b[i]", 2),
        ("part.inner", 9),
        ("part.absent", None),
        ("up(a, 4)", 8),
        ("ceil(a / 4)", 2),
        ("max(a, b, n)", 12),
        ("split(a, b)", 3),
        ("true", True),
    ],
)
def test_what_formulas_come_to(formula: str, value: Any) -> None:
    raw = {"a": 6, "b": 2, "zero": 0, "word": "mqa", "listed": [1, 3, 5], "part": {"inner": 9}}
    assert Facts(Config(raw, "c"), i=2, n=12).value(formula) == value


# --- what nobody knows ---------------------------------------------------------------------------------------------


def test_a_refusal_names_the_nearest_family_and_what_differs() -> None:
    raw = {**RECORDED["defaults"]["qwen3_moe"]["config"], "model_type": "nova", "architectures": ["NovaForCausalLM"]}
    with pytest.raises(BadInput, match=r"family NovaForCausalLM / nova; .*like = 'qwen3_moe'.*--family"):
        describe(raw, name="n")
    with pytest.raises(BadInput, match="nearest known is qwen3_moe, which has no memory_slots; "):
        describe({**raw, "memory_slots": 4}, name="n")


def test_experts_that_compute_nothing_hold_no_weights() -> None:
    # LongCat Flash: 560 billion parameters, 27 billion active on average (arXiv 2509.01322)
    model = read_model(RECORDED["defaults"]["longcat_flash"]["config"], "longcat")
    assert total_parameters(model) == pytest.approx(560e9, rel=0.003)
    experts = next(g.ffn for g in model.groups if g.ffn and g.ffn.n_experts)
    assert (experts.n_experts, experts.top_k) == (512, 8.0)


def test_layers_that_share_weights_store_them_once_and_run_each_time() -> None:
    # Zamba2-2.7B: nine layers share one block of attention and MLP (arXiv 2411.15242)
    model = read_model(RECORDED["defaults"]["zamba2"]["config"], "zamba2")
    shared = next(g for g in model.groups if g.mixer and g.mixer.kind == "gqa")
    assert (shared.count, shared.uses, shared.stored) == (9, 9, 1)
    apart = replace(model, groups=tuple(replace(g, uses=1.0) for g in model.groups))
    assert weight_flops(apart) == weight_flops(model)
    assert cache_bytes(apart, 1000.0) == cache_bytes(model, 1000.0)
    one = sum(layer_parameters([replace(shared, count=1.0, uses=1.0)]).values())
    assert total_parameters(apart) == total_parameters(model) + 8 * one


def test_a_published_size() -> None:
    # DBRX: 132 billion parameters (databricks/dbrx-base)
    model = read_model(RECORDED["defaults"]["dbrx"]["config"], "dbrx")
    assert total_parameters(model) == pytest.approx(132e9, rel=0.005)


def test_the_head_is_tied_where_the_outer_config_says_so() -> None:
    text = {**MINE, "model_type": "llama", "tie_word_embeddings": True}
    outer = {"model_type": "llava", "text_config": text, "vision_config": {}}
    assert read_model(outer, "m").head_parameters == 0
    assert read_model({**outer, "tie_word_embeddings": False}, "m").head_parameters == 64000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("qwen2_5_vl", "the vision encoder is not costed; image tokens count as input"),
        ("qwen2_5_omni_thinker", "the vision encoder and audio encoder are not costed; image and audio tokens"),
        ("granite_speech", "the speech encoder is not costed; audio tokens count as input"),
        ("fuyu", "what stands beside the text model is not costed"),
    ],
)
def test_what_stands_beside_a_text_model_is_named(name: str, says: str) -> None:
    notes = read_model(RECORDED["defaults"][name]["config"], name).notes
    assert any(says in note for note in notes)


PUBLISHED: list[tuple[dict[str, Any], float, float]] = [
    # LFM2-1.2B: 1.17 billion (its card)
    (
        {
            "model_type": "lfm2",
            "block_ff_dim": 12288,
            "block_auto_adjust_ff_dim": True,
            "block_multiple_of": 256,
            "conv_L_cache": 3,
            "hidden_size": 2048,
            "full_attn_idxs": [2, 5, 8, 10, 12, 14],
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 65536,
        },
        1.17,
        1.17,
    ),
    # Granite 4.0 H Small: 32 billion, 9 active (its card)
    (
        {
            "model_type": "granitemoehybrid",
            "hidden_size": 4096,
            "intermediate_size": 768,
            "num_local_experts": 72,
            "shared_intermediate_size": 1536,
            "num_experts_per_tok": 10,
            "num_hidden_layers": 40,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 100352,
            "tie_word_embeddings": True,
            "mamba_n_heads": 128,
            "mamba_d_head": 64,
            "mamba_d_state": 128,
            "mamba_expand": 2,
            "layer_types": (["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4,
        },
        32.2,
        8.8,
    ),
    # MPT-7B: 6.65 billion (its card: 6.7)
    ({"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4, "vocab_size": 50432}, 6.65, 6.65),
    # StarCoder: 15.5 billion (arXiv 2305.06161)
    (
        {
            "model_type": "gpt_bigcode",
            "n_embd": 6144,
            "n_head": 48,
            "n_layer": 40,
            "n_inner": 24576,
            "n_positions": 8192,
            "vocab_size": 49152,
        },
        15.5,
        15.5,
    ),
    # Falcon Mamba 7B: 7.27 billion (arXiv 2410.05355)
    (
        {
            "model_type": "falcon_mamba",
            "hidden_size": 4096,
            "intermediate_size": 8192,
            "num_hidden_layers": 64,
            "state_size": 16,
            "time_step_rank": 256,
            "vocab_size": 65024,
            "tie_word_embeddings": False,
        },
        7.27,
        7.0,
    ),
    # Bamba-9B: 9.78 billion (its card)
    (
        {
            "model_type": "bamba",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "attn_layer_indices": [9, 18, 27],
            "mamba_n_heads": 128,
            "mamba_d_head": "auto",
            "mamba_d_state": 128,
            "mamba_expand": 2,
        },
        9.78,
        9.25,
    ),
    # RecurrentGemma 2B: 2.68 billion (arXiv 2404.07839)
    (
        {
            "model_type": "recurrent_gemma",
            "hidden_size": 2560,
            "intermediate_size": 15360,
            "num_hidden_layers": 26,
            "num_attention_heads": 10,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "lru_width": 2560,
            "vocab_size": 256000,
            "attention_window_size": 2048,
            "_block_types": ["recurrent", "recurrent", "attention"],
        },
        2.68,
        2.68,
    ),
]


@pytest.mark.parametrize(("config", "whole", "active"), PUBLISHED, ids=[c["model_type"] for c, _, _ in PUBLISHED])
def test_published_configs_have_the_size_their_makers_state(config: dict[str, Any], whole: float, active: float) -> None:
    model = read_model(config, "published")
    assert total_parameters(model) / 1e9 == pytest.approx(whole, rel=0.005)
    assert active_parameters(model)["with one"] / 1e9 == pytest.approx(active, rel=0.01)
