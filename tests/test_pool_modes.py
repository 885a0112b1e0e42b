"""One pool or two: costs in one unit, power limits, several machines, notes about the plan that is shown."""

from __future__ import annotations

import json

import pytest

from rackmath.economics.cost import billed_devices
from rackmath.faces import ask_pools
from rackmath.faces.cli import run
from rackmath.search.disaggregated import spent
from rackmath.search.serving_modes import compared

LLAMA = "meta-llama/Llama-3.1-70B"


def test_dollars_are_never_compared_with_hours(capsys):
    """The prefill pool's machine has no price: both modes are compared in device time, on the front as well."""
    answer = ask_pools.plan(LLAMA, "8xh100", prefill_on="8xh20", mode="any")
    one, two = answer.aggregated.best, answer.pools.best
    assert float(two.machines[0].price_per_hour) == 0
    costs = compared(one, two)
    assert not costs.paid
    devices = float(billed_devices(one.serving.gpus, one.machine))
    assert costs.one * 3600 == pytest.approx(devices / float(one.serving.request_rate))
    assert costs.two == pytest.approx(spent(two))
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
