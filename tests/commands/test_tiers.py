"""KV tiers: published figures, closed forms, properties, both outcomes of every verdict, and bad input."""

import csv
import json
import math
import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rackmath
from rackmath.answers import charts
from rackmath.answers.parts import Answer
from rackmath.economics import caching, pricelist
from rackmath.economics.caching import LECTURE_HBM, Option
from rackmath.errors import BadInput
from rackmath.faces import cli, notebook
from rackmath.kernel.counts import cache_bytes
from rackmath.layout.parallelism import Layout
from rackmath.serving import kvtiers
from rackmath.world import catalog
from rackmath.world.machine import Tier

MODEL, MACHINE = "meta-llama/Llama-3.1-70B", "8xh100"
DATA = Path(os.environ.get("RACKMATH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def asked(model, machine, **given) -> Answer:
    return rackmath.tiers(model, on=machine, **given)


def tiers(model, machine, **given):
    """The prefix behind an answer."""
    return asked(model, machine, **given).subject


@pytest.fixture(scope="module")
def whole() -> Answer:
    return asked(MODEL, MACHINE, context=32768)


@pytest.fixture(scope="module")
def answer(whole):
    return whole.subject


# --- figures of LECTURE section 18 ---------------------------------------------------------------------------------


def test_price_inversion_of_the_lecture():
    premiums = pricelist.list_price("anthropic/claude-opus-4-6").premiums
    assert premiums == {300.0: 1.25, 3600.0: 5.0}
    line = caching.affine_premium(premiums)
    assert line.fixed_mtok == pytest.approx(0.91, abs=0.005)
    assert line.rate_mtok == pytest.approx(0.00114, abs=5e-6)
    implied = caching.implied_bytes(line.rate_mtok, caching.hbm_rent(LECTURE_HBM))
    assert implied == pytest.approx(390e3, rel=0.01)
    assert implied / (100e9 / (300 * 200e3)) == pytest.approx(236, rel=0.005)


def test_an_hour_of_hbm_at_the_lectures_bytes_per_token():
    q = 100e9 / (300 * 200e3)
    assert q == pytest.approx(1667, abs=1)
    million = kvtiers.PrefixCache(tokens=1e6, bytes=q * 1e6, hbm_bytes=q * 1e6)
    assert caching.in_hbm(million, LECTURE_HBM).cost(3600.0, 5.0) == pytest.approx(0.017, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "seconds"), [("3.84 TB", 276), ("7.68 TB", 1080), ("30.72 TB", 4380), ("61.44 TB", 8640), ("24 TB", 84240)]
)
def test_drain_times_of_common_drives(name, seconds):
    drive = next(d for d in kvtiers.DRIVES if f"{name}" in d.name.split(", ")[1])
    assert kvtiers.drain(drive) == pytest.approx(seconds, rel=0.02)


def test_prefill_at_forty_percent_mfu_is_six_cents():
    assert float(caching.prefill_by_flops(100e9, 4.5e15, 2.0)) / 0.4 == pytest.approx(0.06, abs=0.003)


def test_drain_verdicts_of_a_machine_hold_and_fail(whole):
    found = {r["label"]: r for r in whole.record["tiers"]}
    assert found["DDR5"]["agrees"] is True
    assert found["HBM"]["agrees"] is True
    assert found["disk"]["agrees"] is False
    assert found["disk"]["drain_seconds"] > 20 * 3600
    assert found["network"]["agrees"] is None


def test_a_disk_fast_enough_makes_the_lecture_right():
    found = asked(MODEL, MACHINE, sets={"tier.disk.bandwidth": "8GB/s"})
    disk = next(r for r in found.record["tiers"] if r["label"] == "disk")
    assert disk["agrees"] is True


# --- costs ---------------------------------------------------------------------------------------------------------


def test_a_fetch_costs_the_tier_one_drain_time_of_holding(answer):
    entry, machine = answer.entry, answer.machine
    dram = machine.tiers[0]
    option = caching.in_tier(entry, dram, machine)
    second = machine.price_per_hour / 3600
    by_hand = entry.bytes / dram.bandwidth * (dram.price_per_byte_month * dram.capacity) / caching.MONTH
    landing = entry.hbm_bytes / machine.hbm_bandwidth * second
    waiting = entry.hbm_bytes / machine.hbm_capacity * second * (1e-6 + entry.bytes / dram.bandwidth / 8)
    assert option.fetch == pytest.approx(by_hand + landing + waiting)
    assert option.rate * kvtiers.drain(dram) == pytest.approx(by_hand)
    assert option.fetch_idle < caching.in_tier(entry, dram, machine, gpus=8.0).fetch_idle


def test_hbm_fetches_for_nothing_and_recomputing_holds_for_nothing(answer):
    hbm = answer.options[1]
    assert (hbm.fetch, hbm.write) == (0.0, 0.0)
    assert hbm.rate * 3600 == pytest.approx(float(answer.entry.hbm_bytes) / answer.machine.hbm_capacity * answer.machine.price_per_hour)
    assert (answer.again.rate, answer.again.write) == (0.0, 0.0)
    assert answer.again.fetch == pytest.approx(32768 * float(answer.plan.cost.input_mtok) / 1e6)


def test_prefill_costs_more_than_its_flops_alone(whole):
    found = whole.record["prefill"]
    assert 1 < found["ratio"] < 10


def test_a_latent_cache_is_copied_in_hbm_but_not_behind_it():
    model = catalog.model("deepseek-ai/DeepSeek-V3")
    held = kvtiers.entry(model, model.precision, Layout(tp=8.0), 1000.0)
    assert held.bytes == cache_bytes(model, 1000.0, model.precision)
    assert held.hbm_bytes == pytest.approx(8 * held.bytes)


line_of_cost = st.builds(
    Option, name=st.just("o"), label=st.just("o"), write=st.floats(0, 10), rate=st.floats(0, 10), fetch=st.floats(0, 10)
)


@given(a=line_of_cost, b=line_of_cost, reuse=st.floats(0.01, 1e3))
def test_costs_are_equal_at_the_break_even(a, b, reuse):
    dear, cheap = (a, b) if a.rate >= b.rate else (b, a)
    at = float(caching.break_even(dear, cheap, reuse))
    if 0 < at < 1e6:
        assert dear.cost(at, reuse) == pytest.approx(cheap.cost(at, reuse), rel=1e-6, abs=1e-9)
        assert dear.cost(at / 2, reuse) <= cheap.cost(at / 2, reuse) * (1 + 1e-9) + 1e-9
        assert dear.cost(at * 2, reuse) >= cheap.cost(at * 2, reuse) * (1 - 1e-9) - 1e-9
    elif at == 0:
        assert dear.cost(1.0, reuse) >= cheap.cost(1.0, reuse) - 1e-9


@given(options=st.lists(line_of_cost, min_size=1, max_size=6), reuse=st.floats(0.1, 100), hold=st.floats(0, 1e4))
def test_stretches_are_the_cheapest_everywhere(options, reuse, hold):
    found = caching.stretches(options, reuse)
    assert found[0].start == 0
    assert math.isinf(found[-1].end)
    assert all(a.end == b.start for a, b in pairwise(found))
    here = next(s for s in found if s.start <= hold <= s.end)
    least = min(o.cost(hold, reuse) for o in options)
    assert here.option.cost(hold, reuse) == pytest.approx(least, rel=1e-6, abs=1e-6)


def test_scalar_calls_equal_rows_of_columns(answer):
    hold, reuse = np.geomspace(1, 1e6, 1000), np.geomspace(0.1, 100, 7)
    best = caching.cheapest(answer.options, hold[None, :], reuse[:, None])
    assert best.shape == (7, 1000)
    for row, column in ((0, 0), (3, 500), (6, 999)):
        assert best[row, column] == int(caching.cheapest(answer.options, hold[column], reuse[row]))
    pair = answer.options[1], answer.options[2]
    assert caching.break_even(*pair, reuse)[4] == pytest.approx(float(caching.break_even(*pair, reuse[4])))


def test_more_hits_make_faster_tiers_pay_for_longer(answer):
    for dear, cheap in ((1, 2), (2, 3), (1, 0)):
        once, often = (float(caching.break_even(answer.options[dear], answer.options[cheap], n)) for n in (1.0, 10.0))
        assert often > once > 0


# --- prices --------------------------------------------------------------------------------------------------------


def test_prices_that_cover_leave_neither_profit_nor_loss(answer):
    option, tokens, life, reuse = answer.options[3], 32768.0, 3600.0, 7.0
    c = caching.cover(option, tokens, life, float(answer.plan.cost.input_mtok))
    earned = (c.write_mtok + reuse * c.hit_mtok) * tokens / 1e6
    assert earned == pytest.approx(float(answer.again.fetch) + float(option.cost(life, reuse)))
    assert c.renewing_hit_mtok > c.hit_mtok


def test_a_cache_is_worth_nothing_at_the_least_hit_share(answer):
    for option in answer.options[1:]:
        least = float(caching.least_hit_share(option, answer.again, 300.0))
        assert float(caching.worth(option, answer.again, 32768.0, 300.0, least)) == pytest.approx(0, abs=1e-9)
        assert caching.worth(option, answer.again, 32768.0, 300.0, min(1.0, least + 0.1)) > 0 or least > 0.9


def test_thinking_costs_a_second_prefill_of_the_answer():
    none = caching.thinking(0.0, 1000.0, 100.0, 1.0, 10.0)
    assert (none.again, none.found, none.visible_output_mtok) == (0.0, 1.0, 10.0)
    half = caching.thinking(0.5, 1000.0, 100.0, 1.0, 10.0)
    assert half.visible_output_mtok == pytest.approx(10 / 0.5 + 1)
    assert half.found == pytest.approx(1000 / 1050)


def test_margin_covers_both_signs():
    assert pricelist.margin(5.0, 0.25) == pytest.approx(0.95)
    assert pricelist.margin(1.0, 2.0) == pytest.approx(-1.0)


def test_list_prices_by_length_mode_and_day():
    price = pricelist.list_price
    assert price("google/gemini-3.1-pro-preview", input_tokens=200_001).output_mtok == 18.0
    assert price("google/gemini-3.1-pro-preview", input_tokens=200e3).output_mtok == 12.0  # "prompts <= 200k tokens"
    assert price("gpt-5.4", input_tokens=272_001).input_mtok == 2 * price("gpt-5.4").input_mtok
    fast = price("claude-opus-4-6", mode="fast")
    assert fast.output_mtok / price("claude-opus-4-6").output_mtok == 6
    assert fast.input_mtok / price("claude-opus-4-6").input_mtok == 6
    assert fast.speed == 2.5
    assert all(p.source and p.read and p.since for p in pricelist.list_prices())
    with pytest.raises(BadInput, match="did you mean"):
        price("anthropic/claude-opus-4-9")
    with pytest.raises(BadInput, match="unknown mode"):
        price("gpt-5.4", mode="fast")
    with pytest.raises(BadInput, match="no standard price"):
        price("gpt-5.4", on="2020-01-01")
    with pytest.raises(BadInput, match="not a day"):
        price("gpt-5.4", on="yesterday")


def test_list_prices_agree_with_the_package_they_come_from():
    path = DATA / "prices" / "api_prices_tidy.csv"
    if not path.is_file():
        pytest.skip("the public data folder is not beside the checkout (set RACKMATH_DATA)")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    checked = 0
    for ours in pricelist.list_prices():
        provider, _, model = ours.model.partition("/")
        theirs = [r for r in rows if (r["provider"], r["model"]) == (provider, model)]
        theirs = [r for r in theirs if float(r["threshold_input_tokens"]) == ours.above_input_tokens]
        if ours.mode == "standard":
            wanted = (ours.input_mtok, ours.cache_read_mtok, ours.output_mtok)
            found = [tuple(float(r[k]) for k in ("input_mtok", "cache_read_mtok", "output_mtok")) for r in theirs]
            assert wanted in found, ours
            checked += 1
    assert checked >= 6


# --- faces ---------------------------------------------------------------------------------------------------------


def test_every_formula_of_the_tree_follows(whole):
    nodes = list(whole.explain().walk())
    assert len(nodes) > 60
    assert [n.name for n in nodes if not n.follows()] == []


def test_the_screen_fits_a_hundred_columns_and_says_what_does_not_hold(whole):
    text = notebook.text(whole, 100)
    assert max(len(row.rstrip()) for row in text.splitlines()) <= 100
    assert re.search(r"disk +1 h +29.8 h +does not hold: 29.8x as long", text)
    assert "held in memory only" in text
    assert "…" not in text


def test_a_screen_makes_no_notes_for_a_mouse_and_a_picture_does(whole, monkeypatch):
    made, note = [], charts._exact
    monkeypatch.setattr(charts, "_exact", lambda value, axis: made.append(value) or note(value, axis))
    notebook.text(whole, 100)
    assert len(made) <= 8  # the marks of the description
    assert whole.charts[1]["datasets"]["points"][0]["y text"].startswith("$")
    assert len(made) > 1000


def test_json_is_strict_and_consistent(whole, answer):
    record = json.loads(whole.to_json(), parse_constant=lambda c: pytest.fail(c))
    last = [s for s in record["cheapest"] if s["reuse"] == 1][-1]
    assert (last["label"], last["end"]) == ("recompute", None)
    premium = next(r for r in record["listed"]["prices"] if r["name"] == "write premium, 5 min")
    assert premium["gross_margin"] == pytest.approx(1 - premium["cost_mtok"] / 1.25)
    assert np.array(record["map"]["cheapest"]).shape == (len(record["map"]["reuse"]), len(record["map"]["hold"]))
    even = [r for r in record["break_even"] if (r["dear"], r["cheap"], r["reuse"]) == ("HBM", "recompute", 1)]
    hbm, again = answer.options[1], answer.again
    assert even[0]["seconds"] == pytest.approx(float(again.fetch / hbm.rate))


def test_a_waiting_limit_and_a_choice_of_tiers_leave_others_out():
    found = tiers(MODEL, MACHINE, max_wait="50ms")
    assert [o.label for o in found.options] == ["recompute", "HBM", "DDR5"]
    assert any("left out, slower than 50.0 ms" in n for n in found.notes)
    assert [o.label for o in tiers(MODEL, MACHINE, tier=["disk"]).options] == ["recompute", "HBM", "disk"]


def test_a_tier_without_a_price_is_timed_but_not_compared():
    found = tiers(MODEL, MACHINE, sets={"tier.disk.usd_per_gb_month": "none"})
    assert "disk" not in [o.label for o in found.options]
    assert "disk (nearline HDD)" in [t.name for t in found.tiers]
    assert sum("disk (nearline HDD) has no known price" in n for n in found.notes) == 1
    machine = catalog.machine(MACHINE)
    bare = replace(machine, tiers=(*machine.tiers, Tier(name="tape", capacity=1e15, bandwidth=4e8)))
    with pytest.raises(BadInput, match=r"tape of 8xh100 has no known price; give one with --set"):
        tiers(MODEL, bare, tier=["tape"])


def test_a_machine_without_a_price_shows_times_only():
    machine = replace(catalog.machine(MACHINE), price_per_hour=0.0)
    found = asked(MODEL, machine)
    assert found.subject.options == ()
    record = found.record
    assert record["listed"] is None
    assert record["prefill"]["input_mtok"] is None
    assert all(r["hold_mtok_hour"] is None and r["drain_seconds"] > 0 for r in record["tiers"])
    with pytest.raises(BadInput, match="no known price"):
        tiers(MODEL, machine, tier=["hbm"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--hold", "nan"], "hold = 'nan' is not "),
        (["--hold", "0s"], "hold = 0s is out of range"),
        (["--hold", "20000d"], "hold = 20000d is out of range"),
        (["--hold", "1s,2s,3s,4s,5s,6s"], "has 6 values"),
        (["--reuse", "-1"], "reuse = -1 is out of range"),
        (["--reuse", "0"], "reuse = 0 is out of range"),
        (["--context", "1M"], "are more than the 131,072"),
        (["--context", "0"], "context = 0 is out of range"),
        (["--hit-share", "1.2"], "hit_share = 1.2 is out of range"),
        (["--thinking-share", "1"], "thinking_share = 1 is out of range"),
        (["--max-wait", "-1s"], "max_wait = -1s is out of range"),
        (["--tier", "floppy"], "unknown tier of 8xh100 'floppy'"),
        (["--tier", "flash"], "is not unique"),
        (["--tier", "disk", "--set", "tier.disk.usd_per_gb_month=none"], "has no known price"),
        (["--set", "tier.disk.colour=1"], "unknown value of a tier 'colour'"),
        (["--set", "tier.disk.bandwidth=-1GB/s"], "is out of range"),
        (["--against", "nobody"], "unknown list price 'nobody'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(words, says, capsys):
    assert cli.run(["tiers", MODEL, "--on", MACHINE, *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_a_model_that_does_not_fit_exits_1(capsys):
    assert cli.run(["tiers", MODEL, "--on", "h100"]) == 1
    assert "does not fit" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["svg", "png", "html", "csv", "json"])
def test_files(tmp_path, suffix):
    target = tmp_path / f"tiers.{suffix}"
    assert cli.run(["tiers", MODEL, "--on", MACHINE, "-o", str(target)]) == 0
    assert target.stat().st_size > 500
    if suffix == "svg":
        assert "TLC flash" in target.read_text(encoding="utf-8")
