"""Experts on many devices: where they lie, how far tokens travel, what the exchange costs, two half batches."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import deepseek_v3
from test_properties import EFFICIENCY, ROUNDING, _some_layout, batches, machines, models, precisions

from rackmath.arrays import take
from rackmath.errors import BadInput
from rackmath.kernel.counts import Pass
from rackmath.layout.collectives import links, seconds_per_copy
from rackmath.layout.experts import crossing_factor, crossing_ratio, destinations, exchange, imbalance_of, least_layers, placement
from rackmath.layout.footprint import device_weight_bytes
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.search.grid import layouts
from rackmath.serving.replica import Replica
from rackmath.serving.steady import steady
from rackmath.world import catalog
from rackmath.world.blocks import MixtureOfExperts
from rackmath.world.engine import Engine
from rackmath.world.machine import Machine
from rackmath.world.precision import Precision
from rackmath.world.workload import Traffic

V3 = MixtureOfExperts(d_model=7168, n_experts=256, top_k=8, d_expert=2048, n_shared=1, d_shared=2048, node_limit=4, node_groups=8).block()
FREE = dataclasses.replace(V3, node_limit=math.inf, node_groups=0)
OVERLAP = dataclasses.replace(EFFICIENCY, overlap=1.0)


# --- placement ----------------------------------------------------------------------------------------------------


def test_deepseek_places_2_and_9_routed_experts_on_a_device():
    """open-infra-index day 6: decode EP144 with 2 routed and 1 shared, prefill EP32 with 9 and 1, 32 copies each."""
    decode, prefill = placement(V3, 144), placement(V3, 32, redundant=32)
    assert (decode.per_device, decode.redundant, decode.resident, decode.idle) == (2, 32, 3, 0)
    assert (prefill.per_device, prefill.redundant, prefill.resident) == (9, 32, 10)
    # its paper's decoding unit: 320 devices with one expert each, 64 of them for copies and the shared expert
    paper = placement(V3, 320, shared="placed")
    assert (paper.per_device, paper.resident, paper.redundant + paper.n_shared) == (1, 1, 64)


def test_the_lecture_places_4_on_64_of_72():
    even = placement(V3, 64)
    assert (even.per_device, even.remainder, even.redundant) == (4, 0, 0)
    uneven = placement(V3, 72)
    assert (uneven.remainder, uneven.emptiest, uneven.fullest, uneven.redundant) == (40, 3, 4, 32)
    assert placement(V3, 72, redundant=0).idle == 32


def test_memory_follows_the_copies():
    """A ninth expert in every layer: 58 layers of 44 MB."""
    model, precision = deepseek_v3(), Precision.uniform("fp8")
    layout = Layout(dp=32.0, ep=32.0)
    more = dataclasses.replace(layout, redundant=32.0)
    extra = device_weight_bytes(model, precision, more) - device_weight_bytes(model, precision, layout)
    assert float(extra) == pytest.approx(58 * 3 * 7168 * 2048, rel=1e-9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"devices": 72, "per_device": 3}, "256 experts cannot be placed on 72 devices with 3 each; give 4"),
        ({"devices": 64, "per_device": 4, "redundant": 1}, "257 experts with their copies cannot be placed"),
        ({"devices": 0}, "on 0 devices"),
        ({"devices": 1.5}, "on 1.5 devices"),
        ({"devices": 8, "redundant": -1}, "redundant = -1"),
        ({"devices": 8, "per_device": 0}, "0 experts on a device"),
        ({"devices": 8, "shared": "twice"}, "replicated"),
    ],
)
def test_impossible_placements(given, words):
    with pytest.raises(BadInput, match=words):
        placement(V3, **given)


def test_a_dense_model_has_nothing_to_place():
    with pytest.raises(BadInput, match="no routed experts"):
        placement(dataclasses.replace(V3, n_experts=0), 8)


# --- measured loads -----------------------------------------------------------------------------------------------


def test_even_loads_are_balanced():
    assert imbalance_of([1.0] * 256, 32) == pytest.approx(1)
    assert imbalance_of([[1.0] * 256] * 58, 144, redundant=32) < 2.01


def test_copies_of_hot_experts_lower_the_imbalance():
    rng = np.random.default_rng(7)
    loads = rng.exponential(size=(4, 256)).tolist()
    found = [imbalance_of(loads, 32, redundant=n) for n in (0, 32, 64)]
    assert found[0] > found[1] > found[2] >= 1
    single = [0.0] * 255 + [1.0]
    assert imbalance_of(single, 32) == pytest.approx(32)


@given(st.lists(st.floats(0, 1e3), min_size=8, max_size=8).filter(lambda x: sum(x) > 1e-6), st.sampled_from([2, 4, 8]))
def test_imbalance_lies_between_even_and_all_on_one(loads, devices):
    found = imbalance_of(loads, devices)
    assert 1 <= found <= devices * (1 + 1e-9)
    assert found >= max(loads) / sum(loads) * devices * (1 - 1e-9)


@pytest.mark.parametrize("loads", [[0.0] * 8, [1.0, -1.0], [math.nan, 1.0], [[1.0, 1.0], [0.0, 0.0]]])
def test_bad_loads(loads):
    with pytest.raises(BadInput, match="loads of experts"):
        imbalance_of(loads, 2)


def test_too_many_devices_for_the_loads():
    with pytest.raises(BadInput, match="cannot fill"):
        imbalance_of([1.0, 1.0], 4)


# --- distinct destinations ----------------------------------------------------------------------------------------


def _counted(parts: int, n: int, k: int, limit: int, groups: int) -> float:
    """Mean distinct parts over every choice of `limit` groups and of k experts inside them."""
    size, per_group = n // parts, n // groups
    total = many = 0
    for some in itertools.combinations(range(groups), limit):
        inside = [e for e in range(n) if e // per_group in some]
        for chosen in itertools.combinations(inside, k):
            total += len({e // size for e in chosen})
            many += 1
    return total / many


@pytest.mark.parametrize("parts", [2, 4, 6, 12])
def test_distinct_destinations_by_counting(parts):
    """Exact without a limit and where parts are no larger than groups; never less than the truth."""
    ffn = dataclasses.replace(FREE, n_experts=12, top_k=3)
    assert float(destinations(float(parts), ffn)) == pytest.approx(_counted(parts, 12, 3, 4, 4))
    limited = dataclasses.replace(ffn, node_limit=2, node_groups=4)
    truth = _counted(parts, 12, 3, 2, 4)
    if parts > 4:
        assert float(destinations(float(parts), limited)) == pytest.approx(truth, rel=0.01 if parts == 12 else 0.1)
    else:
        assert float(destinations(float(parts), limited)) >= truth - 1e-9


def test_node_limits_shorten_journeys():
    for parts in (2.0, 8.0, 18.0, 64.0, 144.0):
        assert float(destinations(parts, V3)) <= float(destinations(parts, FREE))
    assert float(destinations(8.0, V3)) == 4
    unknown_groups = dataclasses.replace(V3, node_groups=0)
    assert float(destinations(18.0, unknown_groups)) == 4


# --- ways to exchange ---------------------------------------------------------------------------------------------

NODES = Machine(
    name="nodes",
    accelerator="x",
    n_devices=64,
    domain=8,
    scaleup_bandwidth=400e9,
    scaleout_bandwidth=50e9,
    scaleup_latency=0.0,
    scaleout_latency=0.0,
    peak_bf16=1e15,
    hbm_bandwidth=3e12,
    hbm_capacity=80e9,
)


@pytest.mark.parametrize(("racks", "factor"), [(2, 4), (3, 16 / 3), (4, 6), (8, 7)])
def test_racks_apart_cost_one_minus_one_over_n_times_the_ratio(racks, factor):
    """Two racks whose links differ 8 times: the all-to-all takes 4 times as long, n racks (1 - 1/n) x 8."""
    assert float(crossing_factor(racks, 8)) == pytest.approx(factor)
    big = dataclasses.replace(NODES, domain=100_000)  # large domains: staying on the device itself is negligible
    one = seconds_per_copy("direct", 8.0, 1.0, links(big, 100_000.0, 1.0))[0]
    many = seconds_per_copy("direct", 8.0, float(racks), links(big, 100_000.0 * racks, 1.0))[0]
    assert float(many / one) == pytest.approx(factor, rel=1e-3)


def _moved(machine, layout, *, efficiency=EFFICIENCY, precision=None, ffn=V3, own=88.0):
    precision = precision or Precision.uniform("fp8")
    return exchange(ffn, machine, precision, layout, efficiency, 7168.0, own=own, tokens=own * layout.stage)


def test_hierarchical_crosses_once_per_domain():
    moved = _moved(NODES, Layout(dp=64.0, ep=64.0))
    hier, direct = float(moved.times["hierarchical"]), float(moved.times["direct"])
    assert hier < direct < float(moved.times["scale-out"])
    copies = float(moved.devices) * (1 - 1 / 8)  # direct: all beyond the own domain of 8 cross
    width = 7168 * (1 + 4 / 128 + 2)
    expected = 88 * width * copies / 50e9 / EFFICIENCY.link_share * EFFICIENCY.imbalance
    assert direct == pytest.approx(expected)
    assert float(moved.chosen("cheapest")) == pytest.approx(hier)


def test_inside_a_domain_nothing_crosses():
    rack = dataclasses.replace(NODES, domain=64)
    moved = _moved(rack, Layout(dp=64.0, ep=64.0))
    assert float(moved.out) == 0
    assert float(moved.up) > 0
    assert math.isinf(float(moved.times["scale-out"]))
    assert float(moved.times["direct"]) == pytest.approx(float(moved.times["hierarchical"]))


def test_formats_of_dispatch_and_combine():
    """FP8 experts are sent FP8 with scales and return in 16 bits; both can be stated."""
    fp8, bf16 = Precision.uniform("fp8"), Precision.uniform("bf16")
    layout = Layout(dp=64.0, ep=64.0)
    narrow, wide = _moved(NODES, layout), _moved(NODES, layout, precision=bf16)
    ratio = float(narrow.times["hierarchical"]) / float(wide.times["hierarchical"])
    assert ratio == pytest.approx((1 + 4 / 128 + 2) / 4)
    stated = dataclasses.replace(fp8, dispatch=bf16.combine)
    assert float(_moved(NODES, layout, precision=stated).times["direct"]) == pytest.approx(float(wide.times["direct"]))


def test_imbalance_is_a_factor_of_the_exchange():
    even = dataclasses.replace(EFFICIENCY, imbalance=1.0)
    layout = Layout(dp=64.0, ep=64.0)
    a, b = _moved(NODES, layout), _moved(NODES, layout, efficiency=even)
    latency = 2 * NODES.scaleout_latency
    more = (float(a.times["direct"]) - latency) / (float(b.times["direct"]) - latency)
    assert more == pytest.approx(EFFICIENCY.imbalance)
    assert float(a.out) == float(b.out)  # the bound knows no imbalance


@given(
    st.integers(1, 16).map(lambda n: float(2**n)),
    st.sampled_from([1.0, 8.0, 72.0]),
    st.floats(1e9, 4e12),
    st.floats(1e9, 4e11),
    st.floats(1, 1e4),
)
def test_no_way_to_exchange_beats_its_bound(devices, domain, up, out, own):
    ep = min(devices, 256.0)
    machine = dataclasses.replace(NODES, domain=domain, scaleup_bandwidth=up, scaleout_bandwidth=out)
    layout = Layout(dp=devices, ep=ep)
    moved = _moved(machine, layout, own=own)
    for name, time in moved.times.items():
        assert float(time) >= max(float(moved.up), float(moved.out)) / ROUNDING, name


prefills = st.one_of(st.just(0.0), st.floats(1, 1e5))


@given(models(), machines(), precisions, batches, prefills, st.integers(0, 10_000))
def test_overlap_never_beats_the_bound_and_never_hurts(model, machine, precision, batch, prefill, pick):
    layout = _some_layout(model, machine, pick)
    work = Pass(decode=batch, context=4096.0, prefill=prefill, prompt=max(prefill, 1.0))
    plain = forward(model, machine, precision, layout, work, EFFICIENCY, keep=True)
    split = forward(model, machine, precision, layout, work, OVERLAP, keep=True)
    assert split.bound == plain.bound
    assert split.bound <= split.estimate * ROUNDING
    assert split.estimate <= plain.estimate * ROUNDING
    assert float(split.hidden) <= float(split.hideable) * ROUNDING
    assert all(float(v) >= 0 for v in split.shares.values())
    around = EFFICIENCY.step_overhead + EFFICIENCY.sequence_overhead * batch / float(layout.dp)
    total = sum(float(seconds) for _, seconds in split.terms) + around
    if prefill:  # no graph holds the pass: the host may take longer than all operations
        assert total <= float(split.estimate) * ROUNDING
    else:
        assert total == pytest.approx(float(split.estimate), rel=1e-9)


@given(models(), machines(), precisions, st.lists(batches, min_size=2, max_size=4))
def test_overlap_in_columns_equals_rows(model, machine, precision, tried):
    every = layouts(model, machine, machine.n_devices)
    rows = np.arange(len(tried)) % len(np.asarray(every.tp))
    sizes = np.array(tried)
    whole = forward(model, machine, precision, take(every, rows), Pass(decode=sizes, context=4096.0), OVERLAP)
    for i, batch in enumerate(tried):
        one = forward(model, machine, precision, take(every, int(rows[i])), Pass(decode=batch, context=4096.0), OVERLAP)
        assert float(np.broadcast_to(whole.estimate, sizes.shape)[i]) == pytest.approx(float(one.estimate), rel=1e-9)


def test_only_exchanged_tokens_are_hidden():
    """Where every rank holds every token an all-reduce sums the results, and nothing is hidden."""
    machine, model = catalog.machine("16xh200"), catalog.model("deepseek-ai/DeepSeek-V3")
    work = Pass(decode=512.0, context=4096.0)
    split = forward(model, machine, Precision.uniform("fp8"), Layout(tp=16.0, ep=16.0), work, OVERLAP)
    assert float(split.hideable) == 0
    assert float(split.hidden) == 0


# --- DeepSeek's own deployment ------------------------------------------------------------------------------------


def _production(efficiency):
    machine, model = catalog.machine("144xh800"), catalog.model("deepseek-ai/DeepSeek-V3")
    served = steady(
        Replica(model, machine, Precision.uniform("fp8", kv="bf16"), Layout(dp=144.0, ep=144.0), Engine(memory_share=0.95), efficiency),
        Traffic(isl=4989 - 500, osl=1000, cached=1.0),
        18 * 14_800 / 21,
    )
    assert bool(served.fits)
    return float(served.output_tput) / 18


def test_deepseek_decodes_wide_over_18_nodes():
    """14,800 output tok/s a node (open-infra-index day 6), with dual-batch overlap: within 15 %, nothing fitted."""
    assert _production(OVERLAP) == pytest.approx(14_800, rel=0.15)
    assert _production(EFFICIENCY) < _production(OVERLAP)


def test_wide_layouts_are_listed_on_machines_of_many_domains():
    every = layouts(catalog.model("deepseek-ai/DeepSeek-V3"), catalog.machine("144xh800"), 144)
    rows = set(zip(*(np.asarray(getattr(every, f)).tolist() for f in ("tp", "pp", "dp", "ep")), strict=True))
    assert {(1, 1, 144, 144), (1, 1, 32, 32)} <= rows


# --- boundaries between stages ------------------------------------------------------------------------------------


def test_crossing_ratio_of_the_lecture():
    """LECTURE 14a: 2.0 at k = 8 and links 8 apart, 1.8 at 9, 0.89 at 18 (two layers pass), exactly 1 at k = 4."""
    assert crossing_ratio(8, 8) == 2
    assert crossing_ratio(9, 8) == pytest.approx(1.78, abs=0.005)
    assert crossing_ratio(18, 8) == pytest.approx(0.89, abs=0.005)
    assert crossing_ratio(18, 8, 2) > 1
    assert crossing_ratio(8, 4) == 1
    assert float(least_layers(18, 8)) == 2
    assert float(least_layers(8, 4)) == 1


@given(st.floats(1, 100), st.floats(1, 16), st.sampled_from([0.5, 1.0, 2.0]))
def test_least_layers_are_just_enough(links_apart, experts, width):
    n = float(least_layers(links_apart, experts, dispatch_bytes=width))
    assert crossing_ratio(links_apart, experts, n, dispatch_bytes=width) >= 1 - 1e-6
    if n > 1:
        assert crossing_ratio(links_apart, experts, n - 1, dispatch_bytes=width) < 1
