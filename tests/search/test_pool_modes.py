"""One pool or two: costs in one unit, power limits, several machines, notes about the plan that is shown."""

from __future__ import annotations

import json

import pytest
from plans import plan

from rackmath.economics.cost import billed_devices
from rackmath.economics.fleet import FleetNeed
from rackmath.faces.cli import run
from rackmath.search.choice import plan_cost
from rackmath.search.disaggregated import pools_cost
from rackmath.search.either import fleets_of
from rackmath.search.serving_modes import compared
from rackmath.views import pools

LLAMA = "meta-llama/Llama-3.1-70B"


def test_dollars_are_never_compared_with_hours(capsys):
    """The prefill pool's machine has no price: both modes are compared in device time, on the front as well."""
    answer = plan(LLAMA, "8xh100", prefill_on="8xh20", mode="any")
    one, two = answer.aggregated.best, answer.pools.best
    assert float(two.machines[0].price_per_hour) == 0
    costs = compared(one, two)
    assert not costs.paid
    devices = float(billed_devices(one.serving.gpus, one.machine))
    assert costs.one * 3600 == pytest.approx(devices / float(one.serving.request_rate))
    assert costs.two == pytest.approx(pools_cost(two))
    assert answer.winner == ("disaggregated" if costs.two < costs.one * 0.995 else "aggregated")
    assert "device time is compared, as 8xh20 has no price" in answer.why
    assert {p.priced for p in answer.points} == {True, False}
    for p in answer.front:
        assert not any(o.interactivity > p.interactivity and o.hours_mtok < p.hours_mtok for o in answer.points)
    for p in answer.points:
        if p.mode == "aggregated":
            assert p.hours_mtok == pytest.approx(p.blended_mtok / float(one.machine.price_per_hour))
        else:
            assert p.hours_mtok == pytest.approx(p.blended_mtok)
    assert run(["plan", LLAMA, "--on", "8xh100", "--prefill-on", "8xh20", "--mode", "any", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["front"]
    assert all((r["blended_mtok"] is None) == (r["mode"] == "disaggregated") for r in rows)


FLEET = {"max_tpot": "30ms", "max_ttft": "2s", "rate": "30/s"}


def _power(fleets):
    return sum(float(f.power) for f in fleets)


def test_over_the_power_limit_one_pool_is_left(capsys):
    """A limit between what one pool draws and what two draw leaves one pool, and says what two would draw."""
    options = FLEET | {"isl": 500, "osl": 2000, "spare": 2, "mode": "any"}  # two spare replicas in each pool
    free = plan(LLAMA, "8xh200", **options)
    need = FleetNeed(rate=30.0, spare=2)
    one, two = float(free.aggregated.fleet.power), min(_power(fleets_of(p, need)) for p in free.pools.ranked)
    assert one < two
    answer = plan(LLAMA, "8xh200", power_limit=two - 1, **options)
    assert answer.winner == "aggregated"
    assert answer.pools.best is None
    assert "two pools cannot meet the limits: two pools of" in answer.why
    tight = ["plan", LLAMA, "--on", "8xh200", "--max-tpot", "30ms", "--rate", "30/s", "--power-limit", "5kW"]
    for mode, said in (("disaggregated", ["two pools of"]), ("any", ["two pools of", "draw at least"])):
        assert run([*tight, "--mode", mode, "--json"]) == 1
        reasons = json.loads(capsys.readouterr().out)["reasons"]
        assert len(reasons) == len(said)
        for words in said:
            assert any(words in r and "the limit is 5.00 kW" in r and " draw " in r for r in reasons)


def test_pairs_over_the_power_limit_are_skipped():
    free = plan(LLAMA, "8xh200", mode="disaggregated", **FLEET)
    drawn = {p.label(): _power(fleets_of(p, FleetNeed(rate=30.0, spare=1))) for p in free.pools.ranked}
    limit = min(drawn.values())
    answer = plan(LLAMA, "8xh200", mode="disaggregated", power_limit=limit, **FLEET)
    assert drawn[answer.best.label()] == pytest.approx(limit)
    assert _power(answer.fleets) <= limit * (1 + 1e-12)


@pytest.mark.parametrize("rate", [None, "30/s"])
def test_narrower_formats_are_compared_with_the_plan_shown(rate):
    """Two pools win: what FP8 in one pool would save is told against them, or not at all."""
    limits = {"max_tpot": "30ms", "max_ttft": "2s", "rate": rate}
    answer = plan(LLAMA, "8xh200", mode="any", **limits)
    assert answer.winner == "disaggregated"
    other, one = answer.aggregated.narrower, answer.aggregated.best
    shown = compared(other, answer.pools.best, answer.fleets)
    saved = 1 - plan_cost(other) / shown.two
    told = [n for n in answer.notes if "--precision any" in n]
    assert [f"{saved:.0%} less" in n for n in told] == ([True] if saved >= 0.03 else [])
    against_one = 1 - plan_cost(other) / plan_cost(one)
    assert against_one > saved + 0.05
    alone = plan(LLAMA, "8xh200", **limits)
    assert any(f"{against_one:.0%} less" in n for n in alone.notes)


@pytest.mark.parametrize("mode", ["any", "disaggregated"])
def test_machines_are_compared_over_both_modes(mode, capsys):
    names = ["8xh200", "8xh100", "h100"]
    words = ["plan", LLAMA, "--machines", ",".join(names), "--mode", mode, "--max-tpot", "30ms", "--max-ttft", "2s"]
    assert run([*words, "--json"]) == 0
    rows = {r["machine"]: r for r in json.loads(capsys.readouterr().out)["machines"]}
    assert set(rows) == set(names)
    for name in names[:2]:
        alone = plan(LLAMA, name, mode=mode, max_tpot="30ms", max_ttft="2s")
        assert rows[name]["mode"] == alone.winner
        assert rows[name]["blended_mtok"] == pytest.approx(float(alone.best.cost.blended_mtok))
        assert rows[name]["reason"] is None
    assert rows["h100"]["layout"] is None
    assert "holds the model" in rows["h100"]["reason"]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "the cheapest plan on each" in said
    assert "no plan" in said


def test_a_machine_without_that_kind_of_price_is_compared_last():
    answer = plan(LLAMA, ["8xh200", "8xh20"], mode="any", max_tpot="60ms", price="reserved")
    assert answer.best is not None
    assert [r["machine"] for r in pools.machines(answer)] == ["8xh200", "8xh20"]
    assert any("8xh20 has no reserved price" in n for n in answer.notes)
