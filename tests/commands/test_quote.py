"""A price list from cost: the rule, its properties, each tier against the searches it rests on, and the command."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rackmath
from rackmath.decisions.modes.menu import menu
from rackmath.decisions.quote.hosts import cheaper, hosts
from rackmath.decisions.quote.lines import KINDS
from rackmath.decisions.quote.price_list import ABOVE, Quote, quote
from rackmath.decisions.quote.rule import listed, price
from rackmath.decisions.quote.terms import SellerTerms
from rackmath.economics.pricelist import ListPrice, PriceList, price_lists
from rackmath.errors import BadInput, Infeasible
from rackmath.faces.cli import run
from rackmath.questions.resolve import question
from rackmath.search.disaggregated import search as pools
from rackmath.search.plan import plan
from rackmath.world import catalog
from rackmath.world.described import described
from rackmath.world.workload import Objectives, Traffic

LLAMA, NODE = "meta-llama/Llama-3.1-70B", "8xh200"
V3, RACK = "deepseek-ai/DeepSeek-V3", "gb200-nvl72"
PACE = Objectives(max_tpot=0.05)


@functools.cache
def asked(**terms: Any) -> Quote:
    q, _ = question(LLAMA, NODE, traffic=Traffic(isl=8192, osl=1024, cached=0.5))
    return quote(q, PACE, SellerTerms(**terms))


@pytest.fixture(scope="module")
def usual() -> Quote:
    return asked(margin=0.4, idle=0.4)


@pytest.fixture(scope="module")
def free() -> Quote:
    """Neither margin nor idle hours."""
    return asked(margin=0.0, idle=0.0, rounded=False)


# --- the rule -------------------------------------------------------------------------------------------------------


def test_at_cost_the_list_is_the_plan(free: Quote) -> None:
    q, _ = question(LLAMA, NODE, traffic=Traffic(isl=8192, osl=1024, cached=0.5))
    best = plan([q], PACE).best
    assert best is not None
    for name, field in KINDS.items():
        line = free.line("standard", name)
        assert line.listed == line.price == line.cost == float(getattr(best.cost, field))


def test_a_price_by_hand(usual: Quote) -> None:
    """$4.54 an hour for each of four devices; prefill's share of a request over its 4,096 fresh tokens."""
    p = usual.standard
    s = p.serving
    assert (p.layout.label(), float(p.machine.price_per_hour)) == ("TP4", 4.54)
    request = 4 * 4.54 / 3600 / float(s.request_rate)
    prefill = 1 - float(s.decode_share) - float(s.cached_share)
    assert usual.line("standard", "input").price == pytest.approx(request * prefill / 4096 * 1e6 / 0.6 / 0.6)
    output = request * float(s.decode_share) / 1024 * 1e6
    assert usual.line("standard", "output").price == pytest.approx(output / 0.36)
    assert usual.line("standard", "output").listed == round(output / 0.36, 1)


@given(margin=st.floats(0, 0.99), idle=st.floats(0, 0.99))
def test_the_standard_traffic_leaves_the_margin(free: Quote, margin: float, idle: float) -> None:
    """An hour is paid, 1 - idle of it earns: revenue less rent, over revenue, is the margin asked."""
    s, traffic = free.standard.serving, free.standard.question.traffic
    prices = {n: price(free.line("standard", n).cost, margin=margin, idle=idle) for n in KINDS}
    half = float(traffic.isl) / 2
    paid = (half * prices["input"] + half * prices["cached read"] + float(traffic.osl) * prices["output"]) / 1e6
    earned = paid * float(s.request_rate) * 3600 * (1 - idle)
    assert 1 - float(free.standard.cost.replica_hour) / earned == pytest.approx(margin, abs=1e-9)


def test_a_quote_says_the_margin_it_leaves(usual: Quote, free: Quote) -> None:
    assert usual.margin(listed=False) == pytest.approx(0.4, abs=1e-12)
    assert free.margin() == pytest.approx(0.0, abs=1e-12)
    lines = {line.name: line.listed for line in usual.of("standard")}
    paid = (4096 * lines["input"] + 4096 * lines["cached read"] + 1024 * lines["output"]) / 1e6
    assert usual.revenue() == pytest.approx(paid)
    assert usual.margin() == pytest.approx(1 - usual.request_cost / paid)
    low, high = usual.margin_span or (math.nan, math.nan)
    assert low < usual.margin() < high


@given(cost=st.floats(1e-6, 1e3), low=st.floats(0, 0.98), more=st.floats(1e-3, 0.01), other=st.floats(0, 0.98))
def test_prices_rise_with_margin_and_idle(cost: float, low: float, more: float, other: float) -> None:
    assert price(cost, margin=low, idle=other) < price(cost, margin=low + more, idle=other)
    assert price(cost, margin=other, idle=low) < price(cost, margin=other, idle=low + more)
    assert listed(price(cost, margin=low)) <= listed(price(cost, margin=low + more))


def test_every_line_rises(free: Quote, usual: Quote) -> None:
    """Batch work alone gains nothing from idle hours that it fills; half filled it pays for some of them."""
    idle = asked(margin=0.0, idle=0.4, filled=0.5, rounded=False)
    for one in free.lines:
        here, there = idle.line(one.tier, one.name), usual.line(one.tier, one.name)
        assert one.price < here.price < there.price / (1 - 0.4) * (1 + 1e-12)
        assert one.cost == here.cost == there.cost
    batch = usual.line("batch", "output")
    assert batch.price == pytest.approx(batch.cost / 0.6)
    assert idle.line("batch", "output").price == pytest.approx(batch.cost / (1 - 0.4 + 0.5 * 0.4))


def test_columns_are_rows() -> None:
    costs, margins = np.array([0.0123, 0.4, 7.77, 120.0]), np.array([0.0, 0.3, 0.6, 0.9])
    column = price(costs, margin=margins, idle=0.4)
    rows = [price(float(c), margin=float(m), idle=0.4) for c, m in zip(costs, margins, strict=True)]
    assert np.asarray(column).tolist() == rows
    assert np.asarray(listed(column)).tolist() == [float(listed(r)) for r in rows]


@given(asked=st.floats(1e-7, 1e6))
def test_lists_round_to_two_digits(asked: float) -> None:
    found = float(listed(asked))
    unit = 10.0 ** (math.floor(math.log10(asked)) - 1)
    assert float(f"{found:.2g}") == found
    assert abs(found - asked) <= unit / 2 * (1 + 1e-9)


# --- floors, intervals, moves ---------------------------------------------------------------------------------------


def test_floors_and_intervals(usual: Quote) -> None:
    for line in usual.lines:
        assert line.low is not None
        assert line.high is not None
        assert 0 < line.floor <= line.low <= line.cost <= line.high, line.name
    floors = {line.name: line.floor for line in usual.of("standard")}
    whole = (4096 * floors["input"] + 4096 * floors["cached read"] + 1024 * floors["output"]) / 1e6
    p = usual.standard
    s = p.serving
    at_bound = float(p.cost.replica_hour) / 3600 / float(s.request_rate_bound)
    assert whole == pytest.approx(at_bound)


def test_what_moves_a_price(usual: Quote) -> None:
    p = usual.standard
    for tier in usual.tiers:
        for line in usual.of(tier.name):
            if line.name.startswith("cache write"):
                continue
            moves = dict(line.moves)
            assert moves["machine hours 10 % cheaper"] == pytest.approx(-0.1, abs=1e-9 if tier.pools is None else 0.01)
            if tier.pools is None or line.name != "output":  # a decode pool has hardly any FLOPs to do
                assert moves["10 % more FLOP/s"] < 0
    output, read = (dict(usual.line("standard", n).moves) for n in ("output", "cached read"))
    q = replace(p.question, traffic=replace(p.question.traffic, cached=0.8))
    again = plan([q], PACE).best
    assert again is not None
    change = float(again.cost.output_mtok) / float(p.cost.output_mtok) - 1
    assert output["80% of the input cached, not 50%"] == pytest.approx(change)
    assert output["10 tok/s/user, not 20"] < 0
    assert output["10 % more HBM bandwidth"] < read["10 % more HBM bandwidth"]


# --- the tiers ------------------------------------------------------------------------------------------------------


def test_a_write_pays_for_its_place_in_memory() -> None:
    """A hit that may not wait: 327,680 bytes a token of Llama-3.1-70B, one copy under TP4, at the rent of HBM."""
    now = asked(idle=0.0, rounded=False, max_fetch=0.0)
    p = now.standard
    for name, seconds in (("5 min", 300), ("1 h", 3600)):
        rent = 327_680 / (143_771 * 2**20) * 4.54 / 3600 * seconds * 1e6
        line = now.line("standard", f"cache write, {name}")
        assert line.cost - float(p.cost.input_mtok) == pytest.approx(rent, rel=1e-9)
    assert {h.place.label for h in now.holdings} == {"HBM"}


def test_a_write_takes_the_cheapest_place_that_is_quick_enough(usual: Quote) -> None:
    """From the tiers' own prices: bytes x price per byte and month x time, and the bytes moved in and out."""
    p = usual.standard
    tokens = 4096
    size = 327_680 * tokens
    for held in usual.holdings:
        assert held.tokens == tokens
        assert held.reuse == pytest.approx(1.0)
        assert held.limit == float(p.serving.ttft)
        assert float(held.place.seconds) <= held.limit
        costs = {}
        for tier in p.machine.tiers:
            if tier.price_per_byte_month is None or tier.name.startswith("network"):
                continue
            seconds = tier.latency + size / (4 * tier.bandwidth)
            rate = size * tier.price_per_byte_month / (730 * 3600)
            moved = 2 * rate * tier.capacity / tier.bandwidth
            hbm = 2 * size / float(p.machine.hbm_bandwidth) + size / float(p.machine.hbm_capacity) * seconds
            if seconds <= held.limit:
                costs[tier.name] = rate * held.lifetime + moved + hbm * 4.54 / 3600
        best = min(costs, key=lambda name: costs[name])
        assert held.place.name == best
        assert held.premium_mtok == pytest.approx(costs[best] / tokens * 1e6, rel=1e-9)


def test_hits_expected_follow_the_cached_share(usual: Quote) -> None:
    """At 80 % each fresh token is found again four times; each hit adds one fetch, the first adds the write too."""
    q = usual.standard.question
    four = quote(replace(q, traffic=replace(q.traffic, cached=0.8)), PACE, SellerTerms())
    assert [h.reuse for h in four.holdings] == pytest.approx([4.0, 4.0])
    none, one, two = (asked(reuse=n).holdings[0].premium_mtok for n in (0.0, 1.0, 2.0))
    assert one == usual.holdings[0].premium_mtok
    assert two - one == pytest.approx(one - none)
    assert none > 0


def test_long_prompts(usual: Quote) -> None:
    """The long tier is the cheaper of one pool and two, at the same pace and half a minute to the first token."""
    p, tier = usual.standard, usual.tier("long")
    assert tier.served is not None
    assert tier.isl == 128_000
    question = replace(p.question, traffic=replace(p.question.traffic, isl=128_000.0))
    pace = replace(PACE, max_ttft=30.0)
    one, two = plan([question], pace).best, pools((question, question), pace).best
    costs = [float(q.cost.request) for q in (one, two) if q is not None]
    assert float(tier.served.cost.request) == pytest.approx(min(costs))
    assert float(tier.served.serving.ttft) <= 30
    assert usual.growth[0] == 1
    # planned at the crossing itself, the cost is half as much again as standard prices charge at cost
    at = replace(p.question, traffic=Traffic(isl=usual.crossing, osl=1024, cached=0.5))
    there = min(float(q.cost.request) for q in (plan([at], pace).best, pools((at, at), pace).best) if q is not None)
    c, half = p.cost, usual.crossing / 2
    charged = (half * float(c.input_mtok) + half * float(c.cache_read_mtok) + 1024 * float(c.output_mtok)) / 1e6
    assert there / charged == pytest.approx(1.5, rel=0.1)
    assert asked(step=0.2).crossing < usual.crossing
    assert usual.threshold in ABOVE
    assert usual.threshold >= usual.crossing
    below = ABOVE[ABOVE.index(usual.threshold) - 1] if usual.threshold > ABOVE[0] else 0.0
    assert below < usual.crossing
    assert usual.margin_at_threshold <= 0.1 + 1e-9  # type: ignore[operator]  # 1 - 1.5 x 0.6 at the crossing


def test_the_threshold_is_chosen_or_none() -> None:
    chosen = asked(long_above=100e3)
    assert chosen.threshold == 100e3
    assert chosen.of("long")
    none = asked(step=50.0)  # the price hardly changes: no second one
    assert none.of("long") == ()
    assert math.isnan(none.threshold)
    assert "one price will do" in none.tier("long").why


def test_the_long_tier_of_a_rack_is_no_single_sequence() -> None:
    """DeepSeek-V3 on a rack, 128,000 tokens: one pool decodes 1 sequence on a device, two pools 13: $3.7, not $18."""
    q, _ = question(V3, RACK, traffic=Traffic(isl=8192, osl=1024, cached=0.5))
    found = quote(q, PACE, SellerTerms(margin=0.4))
    tier = found.tier("long")
    assert tier.pools is not None
    assert float(tier.pools.serving.decode.batch) > 500
    assert found.line("long", "output").cost < 5
    assert found.line("long", "output").price < 20
    assert found.threshold == 32_000


def test_plan_with_a_sellers_traffic_gives_the_standard_costs() -> None:
    """The words on the screen: the standard lines at margin 0 are what plan says of the same traffic."""
    from plans import plan as ask_plan

    mine = asked(margin=0.0, rounded=False)
    same = ask_plan(LLAMA, NODE, cached="50%", min_interactivity=20, utilisation="60%").best.cost
    for name, field in (("input", "input_mtok"), ("cached read", "cache_read_mtok"), ("output", "output_mtok")):
        assert mine.line("standard", name).price == pytest.approx(float(getattr(same, field)), rel=1e-6)


def test_no_longer_prompts() -> None:
    q, _ = question(LLAMA, NODE, traffic=Traffic(isl=130_000, osl=1024, cached=0.5))
    found = quote(q, Objectives(), SellerTerms())
    assert found.of("long") == ()
    assert math.isnan(found.threshold)
    assert "128,000" in found.tier("long").why


def test_the_fast_tier_beats_the_menu() -> None:
    """The menu takes the cheapest output on as many devices; the plan takes the cheapest request of any of them."""
    q, _ = question(LLAMA, NODE, traffic=Traffic(isl=8192, osl=1024))
    found = quote(q, PACE, SellerTerms(fast=2.0))
    p, fast = found.standard, found.tier("fast").plan
    assert fast is not None
    speed = 2 * float(p.serving.interactivity)
    assert float(fast.serving.interactivity) >= speed
    for offers in menu(p, chips=(1, 2)).series:
        row = offers.at(speed)
        if row is not None:
            request = (8192 * offers.input_mtok[row] + 1024 * offers.output_mtok[row]) / 1e6
            assert float(fast.cost.request) <= request * (1 + 5e-3)
    assert found.line("fast", "output").price > found.line("standard", "output").price


def test_batch_runs_on_the_same_replica(usual: Quote) -> None:
    slow, p = usual.tier("batch").plan, usual.standard
    assert slow is not None
    assert slow.layout == p.layout
    assert slow.batch >= p.batch
    assert slow.serving.fits
    assert usual.line("batch", "output").cost <= usual.line("standard", "output").cost
    assert 0 < usual.offer.floor < usual.line("batch", "output").cost


# --- public lists ---------------------------------------------------------------------------------------------------


def test_hosts_beside_a_quote() -> None:
    """Two entries of one host: the one for short prompts counts. Without a price for hits, input is paid for them."""
    mine = asked(margin=0.4)
    short = ListPrice(model="a/m", input_mtok=1.0, output_mtok=4.0)
    long = ListPrice(model="a/m", input_mtok=2.0, output_mtok=9.0, above_input_tokens=128e3)
    other = ListPrice(model="b/m", input_mtok=10.0, output_mtok=20.0, cache_read_mtok=1.0)
    lists = [PriceList(model="b/m", day="2026-11-25", entries=(other,)), PriceList(model="a/m", day="2026-11-25", entries=(short, long))]
    found = hosts(mine, lists)
    assert [h.provider for h in found] == ["a", "b"]
    assert found[0].request == pytest.approx((8192 * 1.0 + 1024 * 4.0) / 1e6)
    assert found[1].request == pytest.approx((4096 * 10.0 + 4096 * 1.0 + 1024 * 20.0) / 1e6)
    cost = float(mine.standard.cost.request) / 0.6
    low, high = mine.request_span or (0.0, 0.0)
    for h in found:
        assert h.margin == pytest.approx(1 - cost / h.request)
        assert (h.low, h.high) == (pytest.approx(1 - high / h.request), pytest.approx(1 - low / h.request))
    assert cheaper(mine, found) == 0
    assert cheaper(asked(margin=0.9), found) == 1  # $0.035 a request lies between $0.0123 and $0.0655


def test_the_packaged_lists(capsys: pytest.CaptureFixture[str]) -> None:
    found = strict(capsys, V3, "--on", RACK, "--margin", "40%", "--compare")
    assert len(found["hosts"]) == len(price_lists(V3)) > 3
    requests = [h["request"] for h in found["hosts"]]
    assert requests == sorted(requests)
    assert found["hosts_cheaper"] == sum(r < found["request"]["paid"] for r in requests)
    for h in found["hosts"]:
        assert h["gross_margin"] == pytest.approx(1 - found["request"]["cost"] / h["request"])
        assert h["gross_margin_low"] < h["gross_margin"] < h["gross_margin_high"]


def test_a_model_nobody_lists() -> None:
    mine = {**described(catalog.model("meta-llama/Llama-3.1-8B")), "name": "mine/of-my-own"}
    found = rackmath.quote(mine, on="h100", compare=True)
    assert found.hosts == []
    assert found.hosts_cheaper == 0
    assert any("no public list" in note for note in found.notes)


# --- the command ----------------------------------------------------------------------------------------------------


def strict(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    capsys.readouterr()
    assert run(["quote", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    found = strict(capsys, LLAMA, "--on", NODE, "--margin", "40%")
    assert [(r["tier"], r["name"]) for r in found["lines"]] == [
        ("standard", "input"),
        ("standard", "cached read"),
        ("standard", "cache write, 5 min"),
        ("standard", "cache write, 1 h"),
        ("standard", "output"),
        *[(tier, name) for tier in ("long", "fast", "batch") for name in ("input", "cached read", "output")],
    ]
    assert found["request"]["gross_margin_before_rounding"] == pytest.approx(0.4)
    for r in found["lines"]:
        assert r["listed_mtok"] == pytest.approx(float(f"{r['price_mtok']:.2g}"), rel=1e-9)
        assert r["rests_on"]
    exact = strict(capsys, LLAMA, "--on", NODE, "--margin", "40%", "--exact")
    assert all(r["listed_mtok"] == r["price_mtok"] for r in exact["lines"])
    assert run(["quote", LLAMA, "--on", NODE, "--csv", "--compare"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {r["seller"] for r in rows} > {"quote", "novita"}


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["quote", LLAMA, "--on", NODE, "--compare", "--fast", "90", "--max-ttft", "2s"]) == 0
    text = capsys.readouterr().out
    assert "nan" not in text
    assert "No fast tier" in text
    assert "out of reach" in text
    for words in ("cache write, 1 h", "above ", "this quote", "in idle hours", "Sensitivity of the standard prices", "floor"):
        assert words in text, words
    assert max(map(len, text.splitlines())) <= width


def test_without_cached_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quote", LLAMA, "--on", NODE, "--cached", "0"]) == 0
    text = capsys.readouterr().out
    assert "cache write" not in text
    assert "no prices for cached tokens" in text


def test_terms_follow() -> None:
    """Every rule in the tree gives the value it stands at, and the prices are those of the list."""
    plain = rackmath.quote(LLAMA, on=NODE, margin="40%", filled=0.5)
    for answer in (plain, rackmath.quote(LLAMA, on=NODE, cached=0, fast=50, rounded=False)):
        nodes = list(answer.explain().walk())
        assert [n.name for n in nodes if not n.follows()] == []
        assert [n.value for n in nodes if n.name == "price"] == [line.price for line in answer.subject.lines]
        assert [n.value for n in nodes if n.name == "on the list"] == [line.listed for line in answer.subject.lines]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_picture(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    path = tmp_path / f"list.{ending}"
    assert run(["quote", LLAMA, "--on", NODE, "--margin", "40%", "-o", str(path)]) == 0
    assert path.stat().st_size > 5000
    if ending == "svg":
        assert "batch: output" in path.read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([LLAMA, "--on", NODE, "--margin", "1"], "margin = 1 is out of range"),
        ([LLAMA, "--on", NODE, "--margin", "-10%"], "margin"),
        ([LLAMA, "--on", NODE, "--margin", "nan"], "margin"),
        ([LLAMA, "--on", NODE, "--idle", "100%"], "idle = 100% is out of range; .* to below 1"),
        ([LLAMA, "--on", NODE, "--idle", "-0.1"], "idle"),
        ([LLAMA, "--on", NODE, "--filled", "1.5"], "filled"),
        ([LLAMA, "--on", NODE, "--fast", "1"], "above 1"),
        ([LLAMA, "--on", NODE, "--fast", "inf"], "fast"),
        ([LLAMA, "--on", NODE, "--long-step", "0"], "long_step"),
        ([LLAMA, "--on", NODE, "--long-isl", "1M"], "shorten long_isl or osl, give --extrapolate"),
        ([LLAMA, "--on", NODE, "--long-isl", "4k"], "not longer"),
        ([LLAMA, "--on", NODE, "--long-above", "4k"], "is not between"),
        ([LLAMA, "--on", NODE, "--long-above", "200k"], "is not between"),
        ([LLAMA, "--on", NODE, "--long-above", "nan"], "long_above"),
        ([LLAMA, "--on", NODE, "--isl", "1M"], "made for"),
        ([LLAMA, "--on", NODE, "--osl", "1"], "osl"),
        ([LLAMA, "--on", NODE, "--cached", "100%"], "no fresh input"),
        ([LLAMA, "--on", NODE, "--reuse", "-1"], "reuse"),
        ([LLAMA, "--on", NODE, "--max-fetch", "-1s"], "max_fetch"),
        ([LLAMA, "--on", NODE, "--electricity", "-1"], "electricity = -1 is out of range"),
        ([LLAMA, "--on", NODE, "--electricity", "1e300"], "is out of range"),
        ([LLAMA, "--on", NODE, "--electricity", "$0.1/kWh"], "write it like '.0.1'"),
        ([LLAMA, "--on", NODE, "--reuse", "1e300"], "is out of range"),
        ([LLAMA, "--on", NODE, "--idle", "0", "--filled", "50%"], "--filled plays no part with --idle 0"),
        ([LLAMA, "--on", "8xh20"], "no known price"),
        ([LLAMA, "--on", "8xh2000"], "unknown"),
    ],
)
def test_bad_input_is_one_sentence(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quote", *args]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_what_cannot_be_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quote", V3, "--on", "8xh100"]) == 1
    assert "does not fit" in capsys.readouterr().err
    assert run(["quote", LLAMA, "--on", NODE, "--min-interactivity", "1000"]) == 1
    assert "out of reach" in capsys.readouterr().err


def test_the_sensitivity_holds_the_changes_of_the_list(usual: Quote) -> None:
    """Half the idle hours: 0.6 of the hours pay before, 0.8 after, so every price falls by a quarter."""
    rows = rackmath.quote(LLAMA, on=NODE, margin="40%").sensitivity
    assert rows[-1]["change"] == "20% of paid hours idle, not 40%"
    assert [rows[-1][line.name] for line in usual.of("standard")] == pytest.approx([-0.25] * 5)
    for row in rows[:-1]:
        for line in usual.of("standard"):
            assert row[line.name] == pytest.approx(dict(line.moves).get(row["change"], 0.0))
    assert rackmath.quote(LLAMA, on=NODE, idle=0).sensitivity[-1]["change"] != rows[-1]["change"]


def test_the_picture_marks_every_price_and_host() -> None:
    """Rows of the list in order; bars are the intervals of the costs; hosts stand on standard rows alone."""
    answer = rackmath.quote(V3, on=RACK, margin="40%", compare=True)
    bars, dots = (layer["data"]["values"] for layer in answer.charts[0]["layer"])
    found = answer.record
    assert [(b["low"], b["high"]) for b in bars] == [(r["cost_low_mtok"], r["cost_high_mtok"]) for r in found["lines"]]
    for kind, key in (("price", "listed_mtok"), ("cost", "cost_mtok"), ("floor", "floor_mtok")):
        assert [d["value"] for d in dots if d["kind"] == kind] == [r[key] for r in found["lines"]]
    asked = [d for d in dots if d["kind"] == "host"]
    assert {d["name"] for d in asked} == {"input", "cached read", "output"}
    assert sorted(d["value"] for d in asked if d["name"] == "output") == sorted(h["output_mtok"] for h in found["hosts"])
    assert {d["who"] for d in asked} == {h["provider"] for h in found["hosts"]}


def test_terms_are_checked_without_words() -> None:
    for bad in ({"margin": math.nan}, {"idle": 1.0}, {"fast": math.inf}, {"step": math.nan}, {"reuse": math.inf}):
        with pytest.raises(BadInput):
            SellerTerms(**bad)  # type: ignore[arg-type]
    q, _ = question(V3, "8xh100", traffic=Traffic(isl=8192, osl=1024, cached=0.5))
    with pytest.raises(Infeasible):
        quote(q, PACE, SellerTerms())
