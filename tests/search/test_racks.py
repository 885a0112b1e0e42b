"""The command `racks`: link ratios, what crossing costs, latency against domain size, bad input."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

import rackmath
from rackmath.errors import BadInput
from rackmath.faces.cli import application
from rackmath.search.domains import steps
from rackmath.search.racks import link_ratio
from rackmath.world import catalog
from rackmath.world.precision import Precision

V3 = "deepseek-ai/DeepSeek-V3"


def run(*args):
    return CliRunner().invoke(application(["racks"]), ["racks", *args])


@pytest.fixture(scope="module")
def nodes():
    return rackmath.racks(V3, on="144xh800", batch=12_686, context=4989).subject


@pytest.mark.parametrize(
    ("machine", "ratio"),
    [("h100", 9), ("gb200-nvl72", 18), ("gb200-nvl72-cx8", 9), ("gb300-nvl72", 9), ("vera-rubin-nvl72", 9), ("a100", 12), ("h800", 4)],
)
def test_link_ratios_section_12(machine, ratio):
    assert link_ratio(catalog.machine(machine)).ratio == pytest.approx(ratio)


def test_every_machine_with_both_links_is_listed():
    found = {r["machine"]: r for r in rackmath.links().rows()}
    for one in catalog.machines():
        machine = catalog.machine(one.name)
        assert (one.name in found) == bool(machine.scaleup_bandwidth and machine.scaleout_bandwidth and machine.domain > 1)
    assert found["rubin-ultra-nvl576"]["domain"] == 144
    assert found["rubin-ultra-nvl576"]["packages_times_dies"] == 576


def test_a_domain_of_one_device_has_no_ratio():
    gh200 = catalog.machine("gh200")
    assert gh200.domain == 1
    assert math.isnan(link_ratio(gh200).ratio)
    assert "gh200" not in {r["machine"] for r in rackmath.links().rows()}
    assert rackmath.links(on="gh200").links[0]["ratio"] is None


def test_slots_on_a_device_cost_what_their_copies_cost():
    def asked(**placing):
        return rackmath.racks(V3, on="72xh800", layout="DP72 EP72", batch=4608, max_domain=8, **placing).subject

    even, wide, copies = asked(), asked(experts_per_gpu=6), asked(redundant=6 * 72 - 256)
    assert (wide.placed, wide.resident) == (copies.placed, copies.resident)
    here, same, least = wide.cases[0], copies.cases[0], even.cases[0]
    assert here.layout.redundant == 6 * 72 - 256
    assert (here.memory, here.time.estimate) == (same.memory, same.time.estimate)
    expert = 3 * 7168 * 2048  # one byte each; 58 layers hold 6 instead of 4 on the fullest device
    assert here.memory - least.memory == pytest.approx(58 * 2 * expert, rel=0.01)
    assert float(here.time.estimate) > float(least.time.estimate)


def test_weight_floors_section_15():
    """V3 in FP8: 25 ms on 8 H100, 1.16 ms on a rack of 72 GB200, 21.5x = 9 (domain) x 2.4 (chip)."""
    machines = [catalog.machine(n) for n in ("8xh100", "gb200-nvl72", "rubin-ultra-nvl576")]
    box, rack, kyber = steps(catalog.model(V3), Precision.uniform("fp8"), machines)
    assert box.floor == pytest.approx(25e-3, rel=0.01)
    assert rack.floor == pytest.approx(1.16e-3, rel=0.01)
    assert rack.times == pytest.approx(21.5, abs=0.05)
    assert (rack.by_domain, rack.by_chip) == (9, pytest.approx(2.4, abs=0.02))
    assert kyber.devices == 144
    assert kyber.times == pytest.approx(kyber.by_domain * kyber.by_chip)
    assert (box.fits, rack.fits) == (True, True)  # 671 GB in the 680 GB that the driver shows, without an engine


def test_wide_experts_over_18_nodes_are_feasible_and_priced(nodes):
    here, one, inside = nodes.cases
    assert (here.layout.label(), here.domains, here.fits) == ("TP1 DP144 EP144", 18, True)
    assert (nodes.placed.per_device, nodes.placed.redundant, nodes.placed.resident) == (2, 32, 3)
    assert math.isfinite(here.mtok)
    assert one.domains == 1
    assert nodes.exchange_factor == pytest.approx(here.exchange / one.exchange)
    assert nodes.exchange_factor > 1
    assert here.mtok / one.mtok == pytest.approx(nodes.pass_factor)
    assert here.time.bound <= here.time.estimate
    assert inside.layout.ep == 8
    assert not inside.fits  # the weights do not fit a node of 8
    assert nodes.least_factor == pytest.approx((1 - 1 / 18) * 4)


def test_prefill_on_32_devices_is_priced():
    found = rackmath.racks(V3, on="144xh800", layout="DP32 EP32", phase="prefill", tokens=16384, redundant=32, max_domain=8).subject
    here = found.cases[0]
    assert (here.domains, found.placed.per_device, here.fits) == (4, 9, True)
    assert float(here.moved.domains) <= 4
    assert here.rate / 4 > 32_200  # a node of DeepSeek's prefills that many uncached tokens a second, at its load


def test_in_one_rack_nothing_crosses_and_boxes_of_8_stand_beside():
    found = rackmath.racks(V3, on="gb200-nvl72").subject
    assert found.exchange_factor == found.pass_factor == 1
    here, boxes = found.cases
    assert not here.crosses
    assert boxes.domains == 9
    assert boxes.exchange > 4 * here.exchange


def test_overlap_hides_the_exchange_where_it_pays(nodes):
    split = rackmath.racks(V3, on="144xh800", batch=12_686, context=4989, overlap=True).subject.cases[0]
    plain = nodes.cases[0]
    assert float(split.time.hidden) > 0
    assert split.time.estimate < plain.time.estimate
    assert split.time.bound == plain.time.bound
    assert split.time.bytes > plain.time.bytes  # weights are read twice


def test_floors_fall_with_diminishing_returns(nodes):
    f = nodes.floors
    assert (np.diff(f.weights) < 0).all()
    np.testing.assert_allclose(f.weights * f.devices, f.weights[0])
    assert (f.bound <= f.estimate).all()
    sizes = f.devices.tolist()
    gains = [f.estimate[sizes.index(a)] / f.estimate[sizes.index(2 * a)] for a in (2, 16, 128, 256)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 1.7
    assert gains[-1] < 1.3
    share = (f.network + f.overhead) / f.estimate
    assert share[sizes.index(512)] > share[sizes.index(8)]
    assert not f.fits[sizes.index(8)]


def test_the_smallest_domain_that_reaches_a_target(nodes):
    f = nodes.floors
    row = f.reaching(50.0)
    assert f.fits[row]
    assert 1 / f.estimate[row] >= 50
    assert all(1 / f.estimate[i] < 50 or not f.fits[i] for i in range(row))
    assert f.reaching(1e5) is None


def test_measured_loads_replace_the_default(tmp_path):
    loads = tmp_path / "loads.json"
    loads.write_text(json.dumps([[1.0] * 256, [2.0] * 128 + [1.0] * 128]))
    answer = rackmath.racks(V3, on="8xh200", expert_loads=str(loads), max_domain=8)
    assert answer.subject.question.efficiency.imbalance == pytest.approx(1.0, abs=0.01)
    assert any("measured loads" in note for note in answer.notes)
    hot = [[1000.0] + [1.0] * 255]
    hotter = rackmath.racks(V3, on="8xh200", expert_loads=hot, max_domain=8).subject
    assert hotter.question.efficiency.imbalance > 6
    assert hotter.cases[0].exchange > answer.subject.cases[0].exchange


@pytest.mark.parametrize("scheme", ["direct", "hierarchical", "scale-out", "all-gather"])
def test_a_way_to_exchange_can_be_asked_for(nodes, scheme):
    asked = rackmath.racks(V3, on="144xh800", batch=12_686, context=4989, exchange=scheme, max_domain=8).subject.cases[0]
    assert asked.scheme == scheme
    assert asked.exchange >= nodes.cases[0].exchange
    assert asked.time.estimate >= nodes.cases[0].time.estimate


def test_a_dense_model_has_floors_and_no_placement():
    found = rackmath.racks("meta-llama/Llama-3.1-70B", on="8xh100", max_domain=16).subject
    assert found.placed is None
    assert found.cases[0].moved is None
    assert len(found.floors.devices) == 5


def test_explained_terms_follow():
    across = rackmath.racks(V3, on="144xh800", batch=12_686, context=4989)
    for node in [*across.explain().walk(), *rackmath.links().explain().walk()]:
        assert node.follows(1e-6), node.name


def test_screens_and_data():
    text = run(V3, "--on", "144xh800", "--min-interactivity", "50").output
    for words in ("2 routed + 1 shared on each device", "over 18 domains", "crossing makes the exchange", "21.5x"):
        assert words in text
    record = json.loads(run(V3, "--on", "144xh800", "--json").output)
    assert record["placement"]["per_device"] == 2
    assert record["layouts"][0]["domains"] == 18
    assert record["crossing"]["exchange_factor"] > 1
    rows = list(csv.DictReader(io.StringIO(rackmath.links().to_csv())))
    assert {r["machine"]: r["ratio"] for r in rows}["gb200-nvl72"] == "18"
    assert rackmath.links(on="vera-rubin-nvl72").links[0].ratio == 9
    assert run(V3, "--on", "144xh800", "--explain").exit_code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([V3, "--on", "72xh800", "--experts-per-gpu", "1"], "cannot be placed on 72 devices with 1 each"),
        ([V3, "--on", "8xa100-40gb"], "place them on more devices"),
        ([V3, "--on", "h800"], "is one device"),
        ([V3, "--on", "144xh800", "--layout", "DP100 EP7"], "ep does not divide"),
        ([V3, "--on", "144xh800", "--set", "machine.scaleout_bandwidth=0GB/s"], "not above zero"),
        ([V3, "--on", "8xh200", "--exchange", "scale-out"], "scale-out carries nothing"),
        ([V3, "--on", "8xh200", "--exchange", "hirarchical"], "did you mean hierarchical"),
        ([V3, "--on", "8xh200", "--dispatch", "fp9"], "did you mean fp8"),
        ([V3, "--on", "8xh200", "--phase", "train"], "unknown phase"),
        ([V3, "--on", "8xh200", "--tokens", "4096"], "without --phase prefill"),
        ([V3, "--on", "8xh200", "--phase", "prefill", "--batch", "8"], "--batch plays no part"),
        ([V3, "--on", "8xh200", "--batch", "0"], "batch = 0"),
        ([V3, "--on", "8xh200", "--max-domain", "0"], "max_domain = 0"),
        ([V3, "--on", "8xh200", "--expert-loads", "/nowhere.json"], "one row [n, n, ...] of loads"),
        ([V3, "--on", "8xh200", "--set", "efficiency.overlap=3"], "overlap"),
        (["meta-llama/Llama-3.1-8B", "--on", "8xh100", "--redundant", "2"], "no routed experts"),
        ([V3], "racks needs --on"),
        (["--on", "8xh100"], "rackmath links"),
    ],
)
def test_bad_input_is_one_sentence(args, words):
    from rackmath.faces.cli import run as command

    result = run(*args)
    assert isinstance(result.exception, BadInput)
    assert words in str(result.exception)
    assert command(["racks", *args]) == 2


def test_a_machine_without_a_network_cannot_hold_a_wide_layout():
    import dataclasses

    for field in ("scaleout_bandwidth", "scaleup_bandwidth"):
        machine = dataclasses.replace(catalog.machine("144xh800"), **{field: 0.0})
        with pytest.raises(BadInput, match=f"{field.removesuffix('_bandwidth').replace('scale', 'scale-')} bandwidth of 0"):
            rackmath.racks(V3, on=machine)


@pytest.mark.parametrize(
    ("loads", "words"), [([1.0, 2.0], "has 2 numbers"), (["a"] * 256, "list of numbers"), ({"a": 1}, "list of numbers")]
)
def test_bad_loads(loads, words):
    with pytest.raises(BadInput, match=words):
        rackmath.racks(V3, on="8xh200", expert_loads=loads)
