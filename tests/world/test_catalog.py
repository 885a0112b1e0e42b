"""The catalogue: facts against published figures, every machine and model sound, a user's own files, overrides."""

import contextlib
import csv
import gzip
import io
import json
import math
import os
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackmath import shipped
from rackmath.errors import BadInput
from rackmath.kernel.counts import total_parameters
from rackmath.world import capacity, cards, catalog, shelf
from rackmath.world.machine import Machine
from rackmath.world.precision import Precision, format_named
from rackmath.world.spec import DIMENSIONS

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RACKMATH_DATA") or ROOT.parent / "shared" / "data")
DEVICES = sorted(path.stem for path in (shipped.FACTS / "accelerators").glob("*.toml"))
NAMES = [listing.name for listing in catalog.machines()]


@pytest.fixture(autouse=True)
def no_user_files(tmp_path, monkeypatch):
    """An empty overlay, whatever the person running the tests keeps in theirs."""
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    return tmp_path


# --- worked figures (the lecture's section 6 and 8) ---------------------------------------------------------------

RATIOS = [  # (peak / 2) x bytes per weight / bandwidth
    ("gb200", "fp4", 312),
    ("h100", "fp8", 295),
    ("a100", "bf16", 153),
    ("gb300", "fp4", 469),
    ("h200", "fp8", 206),
    ("mi300x", "fp8", 247),
    ("tpu-v5e", "bf16", 241),
    ("tpu-v5p", "bf16", 166),
    ("tpu-v6e", "bf16", 560),
    ("tpu7x", "fp8", 313),
    ("rubin", "fp4", 398),
    ("rubin-fp4-25pf", "fp4", 284),
    ("rubin-fp4-50pf", "fp4", 568),
    ("lecture", "fp4", 300),
    ("lecture", "fp8", 300),
    ("lecture", "bf16", 300),
]


@pytest.mark.parametrize(("name", "number_format", "ratio"), RATIOS)
def test_ratio(name, number_format, ratio):
    machine = catalog.machine(name)
    peak = machine.peak(number_format)
    assert round(peak / 2 * format_named(number_format).bytes / machine.hbm_bandwidth) == pytest.approx(ratio, abs=1)


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("a100", 39),
        ("h100", 24),
        ("h200", 29),
        ("gb200", 23),
        ("lecture", 14.4),
        ("rubin", 13.1),
        ("tpu-v5e", 19.5),
        ("tpu-v5p", 34),
        ("tpu7x", 26),
        ("mi300x", 36),
    ],
)
def test_drain(name, milliseconds):
    machine = catalog.machine(name)
    assert machine.box / machine.hbm_bandwidth * 1e3 == pytest.approx(milliseconds, abs=0.5)


def test_a_memory_has_two_figures():
    """The box says 288 GB (36 ms to read); the driver shows 276.5 GiB. A memory set by hand has one."""
    one = catalog.machine("gb300")
    assert one.box / one.hbm_bandwidth == pytest.approx(36e-3)
    assert one.hbm_capacity == 276.5 * 2**30
    other = catalog.override(one, {"hbm_capacity": "300 GB"})
    assert (other.box, other.hbm_capacity, other.usable) == (300e9, 300e9, 300e9)


@pytest.mark.parametrize(
    ("name", "mebibytes"),
    [
        ("h100", 79.19 * 1024),
        ("h200", 143_771),
        ("b200", 183_359),
        ("b300", 267.69 * 1024),
        ("gb300", 276.5 * 1024),
        ("mi300x", 191.98 * 1024),
        ("rtx-3090", 23.58 * 1024),
        ("rtx-4090", 23.53 * 1024),
        ("rtx-5090", 32_607),
        ("a100-40gb", 39.39 * 1024),
        ("l4", 22.06 * 1024),
        ("t4", 14.56 * 1024),
        ("dgx-spark", 121.69 * 1024),
        ("v100-16gb", 15.77 * 1024),
        ("M4 16GB", 10_922.67),
        ("M3 Ultra 512GB", 464 * 1024),
    ],
)
def test_capacity_is_what_the_driver_shows(name, mebibytes):
    """Figures of nvidia-smi, PyTorch, ROCm and Metal in public logs, not those on the box."""
    assert catalog.machine(name).hbm_capacity / 2**20 == pytest.approx(mebibytes, rel=1e-3)


def test_capacity_by_rule_is_within_three_percent_of_the_known():
    """The rules by kind of memory, on the devices whose figure is known; those the rules are not made for aside."""
    other = {"b300", "gb300", "t4", "l4", "l20", "l40", "l40s", "a10", "a40"}  # cells left out; a sixteenth for ECC
    for name in catalog.devices():
        one = catalog.machine(name)
        found, source = capacity.shown(float(one.box), one.memory_type, one.vendor)
        assert source.text
        if one.sources["hbm_capacity"].verified and name not in other:
            assert found == pytest.approx(one.hbm_capacity, rel=0.04), name


def test_rack_totals():
    """Published rack figures: GB200 NVL72 holds 13.4 TB and 720 PF of FP4; Vera Rubin 72 packages are 144 dies."""
    rack = catalog.machine("gb200-nvl72")
    assert rack.n_devices * rack.box == pytest.approx(13.4e12, rel=0.01)
    assert rack.n_devices * rack.peak_fp4 == 720e15
    rubin = catalog.machine("vera-rubin-nvl72")
    assert (rubin.n_devices, rubin.n_devices * rubin.dies, rubin.n_devices * rubin.peak_fp8) == (72, 144, 1260e15)
    assert catalog.machine("Rubin NVL144").name == "vera-rubin-nvl72"
    ultra = catalog.machine("NVL576")
    assert (ultra.n_devices, ultra.n_devices * ultra.dies) == (144, 576)


def test_disputed_values_are_presets():
    assert catalog.machine("gb200-nvl72").scaleout_bandwidth == 50e9
    assert catalog.machine("gb200-nvl72-cx8").scaleout_bandwidth == 100e9
    peaks = {catalog.machine(name).peak_fp4 for name in ("rubin", "rubin-fp4-25pf", "rubin-fp4-50pf")}
    assert peaks == {25e15, 35e15, 50e15}
    assert not catalog.machine("rubin").sources["peak_fp4"].verified


# --- every machine is sound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_machine_is_sound(name):
    machine = catalog.machine(name)
    for field in fields(Machine):
        value = getattr(machine, field.name)
        if isinstance(value, float):
            assert math.isfinite(value), field.name
            assert value >= 0, field.name
    assert machine.peak_bf16 > 0
    assert machine.hbm_capacity > 0
    assert machine.hbm_bandwidth > 0
    assert machine.peak("fp4") >= machine.peak("fp8") >= machine.peak_bf16 * 0.999
    assert machine.n_devices >= 1
    assert machine.domain >= 1
    assert machine.vendor
    assert machine.generation
    assert 2014 <= machine.year <= 2027
    if machine.domain > 1:
        assert machine.scaleup_bandwidth > 0
    assert machine.scaleout_bandwidth > 0
    for field_name in DIMENSIONS:
        if getattr(machine, field_name) and field_name not in ("n_devices", "price_per_hour"):
            source = machine.sources.get(field_name)
            if source is None:  # only what no file states: the plain defaults of the record
                assert getattr(machine, field_name) == next(f.default for f in fields(Machine) if f.name == field_name)
                continue
            assert source.text, field_name
            assert source.date, field_name


@pytest.mark.parametrize("name", NAMES)
def test_price_in_force(name):
    machine = catalog.machine(name)
    if machine.price_kind == "none":
        assert machine.price_per_hour == 0
        assert any("cost is unknown" in note for note in machine.notes)
        return
    assert machine.price_per_hour == getattr(machine.prices, machine.price_kind) > 0
    source = machine.sources[f"prices.{machine.price_kind}"]
    assert source.text
    assert source.date
    order = ["on_demand", "reserved", "owned"]
    better = order[: order.index(machine.price_kind)]
    assert all(getattr(machine.prices, kind) is None for kind in better)


def test_vendors_and_tiers():
    vendors = {catalog.machine(name).vendor for name in DEVICES}
    assert vendors >= {"NVIDIA", "AMD", "Google", "AWS", "Intel", "Groq", "Cerebras", "Apple"}
    tiers = {tier.name.split(" (")[0]: tier for tier in catalog.machine("8xh100").tiers}
    assert list(tiers) == ["host DRAM", "NVMe flash", "disk", "network store"] or len(tiers) >= 4
    speeds = [tier.bandwidth for tier in catalog.machine("8xh100").tiers if "network" not in tier.name]
    assert speeds == sorted(speeds, reverse=True)
    for tier in catalog.machine("8xh100").tiers:
        assert tier.source is not None
        assert tier.source.date
        assert tier.price_per_byte_month > 0
    dram = tiers["host DRAM"]
    assert 1 < dram.capacity / dram.bandwidth < 10  # the lecture's drain of DDR: seconds
    assert 60 < 3.84e12 / 14e9 < 400  # and of flash: minutes


def test_owned_price_is_capital_over_life_plus_power():
    machine = catalog.machine("gaudi3")
    hours = 4 * 8766
    assert machine.prices.owned == pytest.approx(15625 / hours + 0.9 * 1.8 * 0.18)


# --- counts and domains -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "devices", "domain"),
    [
        ("h100", "h100", 1, 8),
        ("8xh100", "8xh100", 8, 8),
        ("16xh100", "16xh100", 16, 8),
        ("h100x8", "8xh100", 8, 8),
        ("8 x H100 SXM", "8xh100", 8, 8),
        ("2x8xH100-SXM-80GB", "16xh100", 16, 8),
        ("4xgb200", "4xgb200", 4, 72),
        ("gb200-nvl36", "36xgb200", 36, 72),
        ("2xgb200-nvl72", "2xgb200-nvl72", 144, 72),
        ("8xmi300x", "8xmi300x", 8, 8),
        ("mi300xx8", "8xmi300x", 8, 8),
        ("8xb300", "8xb300", 8, 8),
        ("gaudi3x8", "8xgaudi3", 8, 8),
        ("tpu-v5e-8", "8xtpu-v5e", 8, 256),
        ("v5p-128", "64xtpu-v5p", 64, 8960),  # named by cores, two per chip
        ("v5p-4x4x4", "64xtpu-v5p", 64, 8960),
        ("TPUv4-8", "4xtpu-v4", 4, 4096),
        ("v6e-8", "8xtpu-v6e", 8, 256),
        ("tpu7x-64", "64xtpu7x", 64, 9216),
        ("trn2-16", "trn2.48xlarge", 16, 16),
        ("trn2-64", "trn2-ultraserver", 64, 64),
        ("rtx4090", "rtx-4090", 1, 8),
        ("RTX 4090 x2", "2xrtx-4090", 2, 8),
        ("3090 24GB * 6", "6xrtx-3090", 6, 8),
        ("p5.48xlarge", "dgx-h100", 8, 8),
        ("2xEPYC 9654", "2xepyc-9654", 2, 2),
        ("Apple M3 Ultra", "m3-ultra", 1, 1),
    ],
)
def test_counts(text, name, devices, domain):
    machine = catalog.machine(text)
    assert (machine.name, machine.n_devices, machine.domain) == (name, devices, domain)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("h10", "did you mean"),
        ("", "is not the name"),
        ("0xh100", "give from 1"),
        ("9999999xh100", "give from 1"),
        ("H100 40GB", "has 80 GB"),
        ("gpu", "unknown machine"),
        ("v5p-7", "unknown machine"),
        ("x" * 500, "is not the name"),
        ("../../etc/passwd", "unknown machine"),
    ],
)
def test_machine_errors(text, says):
    with pytest.raises(BadInput, match=says):
        catalog.machine(text)


@settings(max_examples=150)
@given(st.text(max_size=40))
def test_any_text_is_a_machine_or_one_sentence(text):
    for ask in (catalog.machine, catalog.find_model):
        with contextlib.suppress(BadInput):  # anything else would be a bug
            assert ask(text)


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "total"),
    [  # published parameter counts, exact
        ("meta-llama/Llama-2-7b-hf", 6738415616),
        ("meta-llama/Llama-2-13b-hf", 13015864320),
        ("meta-llama/Llama-2-70b-hf", 68976648192),
        ("meta-llama/Meta-Llama-3-8B", 8030261248),
        ("meta-llama/Meta-Llama-3-70B", 70553706496),
        ("meta-llama/Meta-Llama-3.1-405B", 405853388800),
        ("EleutherAI/pythia-70m", 70426624),
        ("EleutherAI/pythia-160m", 162322944),
        ("EleutherAI/pythia-410m", 405334016),
        ("EleutherAI/pythia-1b", 1011781632),
        ("EleutherAI/pythia-1.4b", 1414647808),
        ("EleutherAI/pythia-2.8b", 2775208960),
        ("allenai/OLMo-2-1124-7B", 7298617344),
        ("allenai/OLMo-2-1124-13B", 13716198400),
        ("HuggingFaceTB/SmolLM3-3B", 3075098624),
        ("EleutherAI/gpt-j-6b", 6050882784),
        ("bigscience/bloom", 176247271424),
        ("tiiuae/falcon-180B", 179522565120),
        ("tiiuae/falcon-7b", 7217189760),
        ("mosaicml/mpt-7b", 6658859008),
        ("google/gemma-2-2b", 2614341888),
        ("microsoft/phi-2", 2779683840),
        ("mistralai/Mistral-7B-v0.1", 7241732096),
        ("Qwen/Qwen2.5-7B", 7615616512),
    ],
)
def test_published_parameters(name, total):
    assert total_parameters(catalog.model(name)) == total


@pytest.mark.parametrize("name", [listing.name for listing in catalog.models()])
def test_model_is_sound(name):
    model = catalog.model(name)
    assert model.name == name
    assert math.isfinite(total_parameters(model))
    assert model.source
    assert any(year in model.source for year in ("2025", "2026"))


@pytest.mark.parametrize(
    ("text", "name", "expert_or_mlp"),
    [
        ("dsr1", "deepseek-ai/DeepSeek-R1", "fp8_block"),
        ("nvidia/DeepSeek-R1-0528-FP4-V2", "deepseek-ai/DeepSeek-R1", "nvfp4"),
        ("amd/DeepSeek-R1-0528-MXFP4-Preview", "deepseek-ai/DeepSeek-R1", "mxfp4"),
        ("/mnt/models/gpt-oss-120b", "openai/gpt-oss-120b", "mxfp4"),
        ("GPT-J 6B", "EleutherAI/gpt-j-6b", "bf16"),
        ("llama2-70b-99.9", "meta-llama/Llama-2-70b-hf", "bf16"),
        ("LLaMA 7B", "meta-llama/LLaMA-7B", "bf16"),
        ("Falcon 180B", "tiiuae/falcon-180B", "bf16"),
        ("MiniMax-M2.5", "MiniMaxAI/MiniMax-M2.5", "fp8_block"),
        ("Kimi-K2.5", "moonshotai/Kimi-K2.5", "w4a16_g32"),
        ("GLM-5", "zai-org/GLM-5", "bf16"),
        ("Qwen3.5-397B", "Qwen/Qwen3.5-397B-A17B", "bf16"),
        ("Qwen3.5-397B-A17B-NVFP4", "nvidia/Qwen3.5-397B-A17B-NVFP4", "nvfp4"),
    ],
)
def test_model_spellings(text, name, expert_or_mlp):
    model = catalog.model(text)
    assert catalog.find_model(text)[0] == model.name == name
    routed = any(g.ffn is not None and g.ffn.n_experts for g in model.groups)
    assert (model.precision.experts if routed else model.precision.mlp).name == expert_or_mlp


def test_a_version_nobody_described_is_unknown():
    for text in ("DeepSeek-V9", "DeepSeek-V3.7", "Qwen9-32B", "Llama-5-8B", "GPT 12345B", "kimi"):
        with pytest.raises(BadInput, match="unknown model"):
            catalog.model(text)


def test_format_in_the_name_is_said():
    notes = catalog.model("nvidia/Llama-3.1-8B-Instruct-FP8").notes
    assert any("read from the model's name" in note for note in notes)
    assert not any("read from" in note for note in catalog.model("deepseek-ai/DeepSeek-R1-FP8").notes)


def test_models_from_files(tmp_path):
    config = {
        "model_type": "llama",
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "vocab_size": 1000,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert catalog.model(tmp_path / "config.json").n_layers == 2
    assert catalog.model(str(tmp_path)).n_layers == 2
    own = tmp_path / "mine.toml"
    own.write_text(
        'name = "mine"\nd_model = 256\nvocab = 1000\n[[groups]]\ncount = 3\n'
        'mixer = { kind = "gqa", n_heads = 4 }\nffn = { kind = "mlp", d_ff = 512 }\n'
    )
    assert catalog.model(own).n_layers == 3
    with pytest.raises(BadInput, match="there is no file"):
        catalog.model(tmp_path / "absent.json")
    own.write_text("name = ")
    with pytest.raises(BadInput, match="not valid TOML"):
        catalog.model(own)


# --- a user's own files -------------------------------------------------------------------------------------------

CHIP = """
name = "My chip"
aliases = ["chip of mine"]
peak_bf16 = "1 PFLOP/s"
hbm_capacity = "100 GB"
hbm_bandwidth = "4 TB/s"
domain = 4
scaleup = "pcie"
scaleup_bandwidth = "63 GB/s"
source = { text = "spec sheet", date = "2026-11" }
[price]
on_demand = { value = "$1.5/h", text = "my bill", date = "2026-11" }
"""


@pytest.fixture
def chips(no_user_files):
    folder = no_user_files / "machines"
    folder.mkdir()
    (folder / "mychip.toml").write_text(CHIP)
    return folder


def test_user_machine(chips):
    machine = catalog.machine("4 x chip of mine")
    assert (machine.name, machine.n_devices, machine.price_per_hour) == ("4xmychip", 4, 1.5)
    assert machine.scaleup_latency == pytest.approx(5e-6)
    assert "mychip" in [listing.name for listing in catalog.machines()]


def test_user_machine_derived_from_another(chips):
    (chips / "my-h100.toml").write_text(
        'base = "h100"\nn_devices = 8\nset = { power = "500 W" }\n[price]\non_demand = { value = "$1.1/h" }\n'
    )
    machine = catalog.machine("my-h100")
    assert (machine.n_devices, machine.power, machine.price_per_hour) == (8, 500, 1.1)
    assert machine.hbm_bandwidth == catalog.machine("h100").hbm_bandwidth
    (chips / "h100.toml").write_text(CHIP)  # a user's file of the same name wins
    assert catalog.machine("8xh100").hbm_bandwidth == 4e12


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hbm_bandwidth", "hbm_bandwith", "did you mean hbm_bandwidth"),
        ("domain = 4", 'domain = 4\nyear = "x"', "year = 'x'"),
        ("4 TB/s", "4 TB", "is in bytes, but bytes/s is needed"),
        ('"1 PFLOP/s"', "true", "peak_bf16 = True"),
        ('["chip of mine"]', "3", "aliases = 3"),
        ('"pcie"', '"ether"', "unknown fabric"),
        ('hbm_capacity = "100 GB"\n', "", "has no hbm_capacity"),
        ("$1.5/h", "1.5 GB", r"\$/h is needed"),
        ('value = "$1.5/h", ', "", "neither a value nor a capital cost"),
        ("100 GB", "-100 GB", "not above zero"),
        ("100 GB", "nan GB", "not a number"),
        ("domain = 4", "domain = 2.5", "not a whole number"),
        ("domain = 4", "domain =", "not valid TOML"),
    ],
)
def test_user_machine_mistakes(chips, old, new, says):
    (chips / "mychip.toml").write_text(CHIP.replace(old, new, 1))
    with pytest.raises(BadInput, match=says):
        catalog.machine("mychip")


def test_user_model(no_user_files):
    folder = no_user_files / "models"
    folder.mkdir()
    (folder / "mine.toml").write_text('name = "mine"\nd_model = 256\nvocab = 1000\n[[groups]]\nmixer = { kind = "gqa", n_heads = 4 }\n')
    assert catalog.model("mine").d_model == 256
    assert "mine" in [listing.name for listing in catalog.models()]


# --- overrides ----------------------------------------------------------------------------------------------------


def test_override_machine():
    machine = catalog.override(catalog.machine("8xh100"), {"hbm_bandwidth": "8TB/s", "price_kind": "reserved"})
    assert (machine.hbm_bandwidth, machine.price_per_hour, machine.price_kind) == (8e12, 2.35, "reserved")
    assert "hbm_bandwidth set to 8.00 TB/s (was 3.35 TB/s)" in machine.notes
    assert machine.sources["hbm_bandwidth"].text == "set by the user"
    gaudi = catalog.priced(catalog.machine("gaudi3"), "owned")
    assert not any("no on-demand price" in note for note in gaudi.notes)
    bought = catalog.override(catalog.machine("rubin"), {"price_per_hour": "$6/h"})
    assert (bought.price_per_hour, bought.price_kind) == (6, "given")
    assert not any("unknown" in note and "price_per_hour" not in note for note in bought.notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hbm_bandwidth": "8 TB"}, "is in bytes"),
        ({"hbm_bandwidth": "8"}, "has no unit"),
        ({"hbm_bandwith": "8TB/s"}, "did you mean hbm_bandwidth"),
        ({"hbm_bandwidth": "-8TB/s"}, "not above zero"),
        ({"hbm_bandwidth": "0 B/s"}, "not above zero"),
        ({"hbm_bandwidth": math.nan}, "not finite"),
        ({"hbm_bandwidth": math.inf}, "not finite"),
        ({"price_per_hour": "-1"}, "not a price"),
        ({"price_kind": "spot"}, "has no spot price"),
        ({"price_kind": "gift"}, "unknown kind of price"),
        ({"domain": "2.5"}, "not a whole number"),
    ],
)
def test_override_refusals(change, says):
    with pytest.raises(BadInput, match=says):
        catalog.override(catalog.machine("8xh100"), change)


def test_override_model():
    base = catalog.model("deepseek-ai/DeepSeek-V3")
    fewer = catalog.override(base, {"top_k": 4})
    assert fewer.groups[1].ffn is not None
    assert fewer.groups[1].ffn.top_k == 4
    assert any("top_k set to 4" in note for note in fewer.notes)
    assert base.groups[1].ffn is not None
    assert base.groups[1].ffn.top_k == 8
    cache = catalog.override(base, {"precision.kv": "fp8"})
    assert cache.precision.kv.name == "fp8"
    for change, says in (({"topk": 4}, "did you mean top_k"), ({"vocab": -1}, "out of range"), ({"top_k": 999}, "above")):
        with pytest.raises(BadInput, match=says):
            catalog.override(base, change)


# --- speed and honesty of the files -------------------------------------------------------------------------------


def test_one_machine_does_not_load_the_others():
    shelf.parsed.cache_clear()
    shelf.rows.cache_clear()
    catalog.machine("8xh100")
    assert shelf.parsed.cache_info().currsize == 1
    catalog.machine("8 x H200 SXM")  # for a spelling all aliases are looked at, no other machine is read
    assert shelf.parsed.cache_info().currsize == 2


def test_unverified_values_say_so():
    """A text that says a value was recalled, assumed or derived may not call it verified."""
    files = {name: tomllib.loads((shipped.FACTS / "accelerators" / f"{name}.toml").read_text()) for name in DEVICES}
    for name, given_file in (files | {key: cards.described(key) for key in cards.known()}).items():
        tables = [given_file["source"], *given_file.get("sources", {}).values(), *given_file.get("price", {}).values()]
        for source in tables:
            assert source["date"], name
            if any(word in source["text"] for word in ("recalled", "assumed", "a guess", "order of magnitude")):
                partly = "the rest recalled" in source["text"] or "peak recalled" in source["text"]
                assert source.get("verified", True) is False or partly, (name, source)


def test_uniform_formats_named_in_spellings_exist():
    for number_format in ("nvfp4", "mxfp4", "q4_0", "q4_k_m", "q8_0", "w4a16", "w4a8", "int8", "fp8_block", "mxfp8"):
        assert Precision.uniform(number_format).mlp.name == number_format


def test_import_tool_is_in_step_with_its_facts():
    """Every hand-written fact reached the packaged catalogue."""
    facts = tomllib.loads((ROOT / "tools" / "known_models.toml").read_text(encoding="utf-8"))
    packaged = {listing.name for listing in catalog.models()}
    assert {entry["name"] for entry in facts["model"]} <= packaged
    assert {entry["name"] for entry in facts["same"]} <= packaged
    assert {new for new in facts["rename"].values() if new} <= packaged


# --- the raw tables, which are not part of the project ------------------------------------------------------------

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the measured data in {DATA} (set RACKMATH_DATA)")

MACHINE_COLUMNS = {
    "hardware/accelerators.csv": ["name"],
    "ops/aiconfigurator_gemm.csv.gz": ["system", "device"],
    "ops/aiconfigurator_comm_allreduce_nccl.csv.gz": ["system", "device"],
    "ops/aiconfigurator_comm_moe_alltoall.csv.gz": ["system", "device"],
    "ops/vidur_compute_profile.csv.gz": ["gpu"],
    "ops/vidur_network_profile.csv.gz": ["cluster"],
    "prices/gpu_hourly_tco_semianalysis.csv": ["hardware"],
    "serving/inferencex_fixed_seq.csv": ["hardware", "hardware_raw"],
    "serving/inferencex_silicon_sample_aic.csv": ["system"],
    "serving/llamacpp_batch1_gpus_apple.csv": ["gpu"],
    "serving/llmservingsim_vllm_runs.csv": ["device"],
    "serving/mlperf_inference_llm.csv": ["accelerator_model_name"],
    "serving/published_headline_figures.csv": ["hardware"],
    "serving/trtllm_perf_overview_v1.0_v1.2.csv": ["gpu"],
    "serving/trtllm_static_batch_v0.5-v0.9.csv": ["gpu"],
    "training/reported_runs.csv": ["gpu"],
}
MODEL_COLUMNS = {
    "hf_configs/index.csv": ["name"],
    "hf_configs/arch_facts_kvcalc.csv": ["name"],
    "hf_configs/arch_facts_litgpt.csv": ["name"],
    "hf_configs/arch_facts_recalled_UNVERIFIED.csv": ["name"],
    "ops/aiconfigurator_linear_attn_sparse.csv.gz": ["model", "model_name"],
    "ops/aiconfigurator_mla.csv.gz": ["model"],
    "ops/vidur_compute_profile.csv.gz": ["profiled_model"],
    "serving/inferencex_fixed_seq.csv": ["model", "model_prefix"],
    "serving/inferencex_silicon_sample_aic.csv": ["model_path"],
    "serving/llamacpp_batch1_gpus_apple.csv": ["model"],
    "serving/llmservingsim_vllm_runs.csv": ["model"],
    "serving/mlperf_inference_llm.csv": ["benchmark"],
    "serving/published_headline_figures.csv": ["model"],
    "serving/trtllm_perf_overview_v1.0_v1.2.csv": ["model"],
    "serving/trtllm_static_batch_v0.5-v0.9.csv": ["model"],
    "training/reported_runs.csv": ["model"],
}
NOT_A_MACHINE = {
    "N/A",
    "[MAXSUN] MS-Intel Arc Pro B60 Dual 48G Turbo",  # two devices on one card
}
NOT_DESCRIBED = {
    "MAMBA2_GENERIC_1K",
    "MAMBA2_GENERIC_4K",  # shapes of a kernel sweep
    "T5-11B",
    "Meena 2.6B",
    "GShard-600B (MoE)",
    "Switch 1500B (MoE)",  # encoder-decoders
    "GPT3-5B",
    "GPT3-20B",
    "Nemotron-8B",
    "Nemotron-22B",  # shapes stand in the rows of the runs alone
    "llama3_1-405b_pruned",
    "whisper",  # another shape than the model's own; an encoder-decoder of speech
    "GPT 2B (smallest)",
    "GPT 462B (largest, 6144 GPUs)",  # layers and widths were not given
}


def distinct(columns: dict[str, list[str]]) -> set[str]:
    found = set()
    for name, wanted in columns.items():
        raw = (DATA / name).read_bytes()
        text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8")
        for row in csv.DictReader(io.StringIO(text)):
            found |= {row[column] for column in wanted}
    return found - {""}


@needs_data
def test_every_machine_in_the_data_resolves():
    named = distinct(MACHINE_COLUMNS) - NOT_A_MACHINE
    assert len(named) > 100
    unknown = [name for name in sorted(named) if not resolves(catalog.machine, name)]
    assert unknown == []


@needs_data
def test_every_model_in_the_data_resolves():
    named = distinct(MODEL_COLUMNS) - NOT_DESCRIBED
    assert len(named) > 300
    unknown = [name for name in sorted(named) if not resolves(catalog.model, name)]
    assert unknown == []


def resolves(ask, name: str) -> bool:
    try:
        ask(name)
    except BadInput:
        return False
    return True


@needs_data
def test_facts_are_those_of_the_table():
    """All 52 rows of accelerators.csv, value by value; a blank cell and the values listed below are not compared."""
    ours = {
        "bf16_dense_tflops": ("peak_bf16", 1e12),
        "fp8_dense_tflops": ("peak_fp8", 1e12),
        "fp4_dense_tflops": ("peak_fp4", 1e12),
        "int8_dense_tops": ("peak_int8", 1e12),
        "mem_GB": ("hbm_nominal", 1e9),
        "mem_bw_GBps": ("hbm_bandwidth", 1e9),
        "scaleup_domain": ("domain", 1),
        "scaleup_uni_GBps": ("scaleup_bandwidth", 1e9),
        "scaleout_GBps": ("scaleout_bandwidth", 1e9),
        "tdp_W": ("power", 1),
    }
    pcie = {"L4", "L40S", "RTX PRO 6000 Blackwell Server", "RTX 3090", "RTX 4090", "RTX 5090", "Arc Pro B60"}
    with (DATA / "hardware" / "accelerators.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 52
    for row in rows:
        machine = catalog.machine(row["name"])
        for column, (field, scale) in ours.items():
            if not row[column] or (row["name"] in pcie and field in ("domain", "scaleup_bandwidth")):
                continue  # without a direct link the table says 1; here the domain is the host, over PCIe
            if field == "hbm_nominal" and "288GB" in machine.accelerator and row["name"][:4] in ("B300", "GB30"):
                field, scale = "hbm_capacity", 2**30  # the table gives what the driver shows, in GiB
            assert getattr(machine, field) == pytest.approx(float(row[column]) * scale, rel=6e-3 if scale == 2**30 else 2e-3), (
                row["name"],
                field,
            )
        assert machine.year == int(row["year"]), row["name"]


def test_documented_table_is_in_step():
    run = [sys.executable, str(ROOT / "tools" / "machine_table.py"), "--check"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_data
def test_descriptions_are_those_of_the_configs():
    """The packaged lines are what the reader makes of the raw files today; run tools/import_models.py if not."""
    run = [sys.executable, str(ROOT / "tools" / "import_models.py"), "--check", str(DATA / "hf_configs")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
