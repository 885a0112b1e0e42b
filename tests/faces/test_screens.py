"""What a screen shows at the width it has, and what a comparison of machines must say about prices."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rackmath.faces import cli

V3, RACK = "deepseek-ai/DeepSeek-V3", "gb200-nvl72"
LLAMA, NODE = "meta-llama/Llama-3.1-8B", "8xh100"

CARD = """
name = "a card"
peak_bf16 = "1000 TFLOP/s"
hbm_capacity = "80 GB"
hbm_bandwidth = "4 TB/s"
domain = 8
scaleup_bandwidth = "450 GB/s"
power = "700 W"
[price.{kind}]
value = "$1.5/h"
"""


class Shell:
    """Commands in this process; `out` of the last one. A catalogue of the user's own lies in `home`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, home: Path) -> None:
        self.capsys, self.patch, self.home = capsys, patch, home

    def __call__(self, *args: str, width: int = 100, code: int = 0) -> str:
        self.patch.setenv("COLUMNS", str(width))
        self.capsys.readouterr()
        done = cli.run(list(args))
        told = self.capsys.readouterr()
        assert done == code, told.err
        return told.out if code < 2 else told.err

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self(*args, "--json", code=code))

    def card(self, name: str, kind: str) -> str:
        folder = self.home / "machines"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(CARD.format(kind=kind))
        return name


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RACKMATH_HOME", str(tmp_path))
    return Shell(capsys, monkeypatch, tmp_path)


# --- several machines -----------------------------------------------------------------------------------------------


def test_prices_of_different_kinds_are_told_apart(shell: Shell) -> None:
    shell.card("rented", "on_demand")
    shell.card("bought", "owned")
    screen = shell("plan", LLAMA, "--on", "rented,bought")
    assert re.search(r"\$1\.50 +on-demand", screen)
    found = shell.json("plan", LLAMA, "--on", "rented,bought")
    kinds = {r["machine"]: (r["price_per_gpu_hour"], r["price_kind"]) for r in found["machines"]}
    assert kinds["rented"] == (1.5, "on_demand")
    assert kinds["bought"] == (1.5, "owned")
    assert any("prices of different kinds" in n for n in found["notes"])
    same = shell.json("plan", LLAMA, "--on", f"{NODE},8xh200")
    assert {r["price_kind"] for r in same["machines"]} == {"on_demand"}
    assert not any("prices of different kinds" in n for n in same["notes"])
    shell.card("kept", "reserved")
    loud = shell("plan", LLAMA, "--on", "rented,kept", width=200)
    assert re.search(r"prices of different kinds are compared: .*rented on-demand.*; --price \w+ compares one", loud)
    assert re.search(r"\$1\.50 +reserved", loud)


def test_a_kind_of_price_one_machine_lacks_does_not_end_the_comparison(shell: Shell) -> None:
    shell.card("rented", "on_demand")
    shell.card("kept", "reserved")
    found = shell.json("plan", LLAMA, "--on", "rented,kept", "--price", "reserved")
    rows = {r["machine"]: r for r in found["machines"]}
    assert rows["rented"]["price_per_gpu_hour"] is None
    assert rows["rented"]["blended_mtok"] is None
    assert found["best"]["machine"] == "kept"
    assert any(n.startswith("rented has no reserved price") for n in found["notes"])
    assert "no reserved price" in shell("plan", LLAMA, "--on", "rented", "--price", "reserved", code=2)
    assert "no spot price" in shell("plan", LLAMA, "--on", "rented,kept", "--price", "spot", code=2)
    assert "unknown price" in shell("plan", LLAMA, "--on", "rented,kept", "--price", "rserved", code=2)


def test_every_reason_names_its_machine(shell: Shell) -> None:
    found = shell.json("plan", LLAMA, "--on", f"{NODE},8xh200,t4", "--max-tpot", "10us", code=1)
    names = [reason.partition(": ")[0] for reason in found["reasons"]]
    assert set(names) == {NODE, "8xh200", "t4"}


def test_fleets_are_compared_by_what_they_cost(shell: Shell) -> None:
    args = ("plan", LLAMA, "--on", f"{NODE},8xh200", "--rate", "30/s")
    found = shell.json(*args)
    rows = found["machines"]
    assert [r["fleet_month_dollars"] for r in rows] == sorted(r["fleet_month_dollars"] for r in rows)
    best = next(r for r in rows if r["machine"] == found["best"]["machine"])
    assert best["fleet_month_dollars"] == found["fleet"]["month_dollars"]
    assert best["fleet_gpus"] == found["fleet"]["billed"]
    assert best["fleet_power"] == found["fleet"]["power"]
    screen = shell(*args, width=80)
    assert f"${found['fleet']['month_dollars']:,.0f}" in screen
    assert "$/month" in screen


# --- widths ---------------------------------------------------------------------------------------------------------

SCREENS = [
    ("plan", V3, "--on", RACK, "--min-interactivity", "20", "--precision", "any", "--kv", "any"),
    ("plan", V3, "--on", f"{RACK},8xh200,8xmi300x", "--min-interactivity", "20", "--rate", "30/s"),
    ("forward", V3, "--on", RACK),
    ("batch", V3, "--on", RACK),
    ("memory", V3, "--on", RACK),
    ("tiers", V3, "--on", RACK),
    ("lecture",),
    ("models", V3),
    ("machines", RACK),
]


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("args", SCREENS, ids=" ".join)
def test_no_number_is_cut_and_no_line_ends_in_spaces(shell: Shell, args: tuple[str, ...], width: int) -> None:
    out = shell(*args, width=width)
    cut = [line for line in out.splitlines() if "…" in line]
    assert not cut
    assert not [line for line in out.splitlines() if line != line.rstrip()]
    assert max(len(line) for line in out.splitlines()) <= width


def test_forward_keeps_what_binds_at_80_columns(shell: Shell) -> None:
    wide, narrow = (shell("forward", V3, "--on", RACK, width=w) for w in (110, 80))

    def rows(screen: str) -> list[list[str]]:
        table = screen.partition("\nOperations")[2].partition("\nMemory")[0]
        return [line.split()[-3:] for line in table.splitlines() if line.endswith(("memory", "overhead", "network"))]

    assert rows(wide) == rows(narrow) != []


# --- listings as tables ---------------------------------------------------------------------------------------------


def test_listings_have_columns(shell: Shell) -> None:
    models = {r["name"]: r for r in csv.DictReader(io.StringIO(shell("models", "--csv")))}
    assert len(models) > 200
    v3, llama = models[V3], models["meta-llama/Llama-3.1-70B-Instruct"]
    assert (v3["layers"], v3["d_model"], v3["kv_bytes_per_token_bf16"]) == ("61", "7168", "70272")
    assert float(v3["total_parameters"]) == 671_026_404_352
    assert 36e9 < float(v3["active_parameters"]) < 38e9
    assert llama["kv_bytes_per_token_bf16"] == "327680"
    assert float(llama["weight_bytes"]) == 2 * float(llama["total_parameters"])
    assert not [name for name, row in models.items() if not row["source"] or not float(row["total_parameters"]) > 0]
    machines = {r["name"]: r for r in csv.DictReader(io.StringIO(shell("machines", "--csv")))}
    rack = machines[RACK]
    assert (rack["devices"], rack["domain"], rack["hbm_bandwidth"]) == ("72", "72", "8000000000000")
    assert rack["price_kind"] in ("on_demand", "reserved", "owned")
    assert float(rack["price_per_hour"]) > 0
    assert machines["h100"]["peak_fp4"] == ""


# --- sentences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said", "unsaid"),
    [
        (("forward", V3, "--on", RACK, "--context", "1M"), "shorten context,", "isl"),
        (("forward", V3, "--on", RACK, "--context", "1", "--prefill", "1M"), "shorten prefill,", "isl"),
        (("batch", V3, "--on", RACK, "--context", "1M"), "shorten context,", "isl"),
        (("plan", V3, "--on", RACK, "--isl", "1M"), "shorten isl or osl,", "context,"),
        (("plan", LLAMA, "--on", "h100", "--gpus", "2"), "h100 has 1 device:", "1 devices"),
        (("plan", LLAMA, "--on", NODE, "--set", "engine.chunk_tokens=0"), "give a number from 1 to", ";;"),
        (("plan", LLAMA, "--on", NODE, "--set", "machine.overhead_power=0.5"), "below 1", ";;"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_names_what_was_given(shell: Shell, args: tuple[str, ...], said: str, unsaid: str) -> None:
    text = shell(*args, code=2)
    assert said in text
    assert unsaid not in text


def test_one_device_is_not_devices(shell: Shell) -> None:
    text = " ".join(shell("plan", V3, "--on", "h100", code=1).split())
    assert "the device holds 85.0 GB" in text
    assert "1 devices" not in text
