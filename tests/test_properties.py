"""Properties that must hold for any model on any machine: random ones are tried."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackmath.arrays import take
from rackmath.economics.cost import cost
from rackmath.kernel.counts import Pass, attended_entries, attended_sum, parameters, stored_entries
from rackmath.kernel.efficiency import calibrated, default_efficiency
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout, illegal, stage_share
from rackmath.search.grid import layouts
from rackmath.serving.replica import Replica
from rackmath.serving.steady import at_concurrency, steady
from rackmath.world.description import build
from rackmath.world.engine import TYPICAL, Engine
from rackmath.world.machine import Machine
from rackmath.world.model import Model, Stream
from rackmath.world.precision import Precision
from rackmath.world.workload import Traffic

EFFICIENCY = default_efficiency()
ROUNDING = 1 + 1e-9


@st.composite
def models(draw: st.DrawFn) -> Model:
    head_dim = draw(st.sampled_from([64, 128]))
    kv = draw(st.sampled_from([1, 2, 4, 8]))
    heads = kv * draw(st.sampled_from([1, 2, 8]))
    d_model = draw(st.sampled_from([512, 2048, 7168]))
    gqa = {"kind": "gqa", "n_heads": heads, "n_kv_heads": kv, "head_dim": head_dim}
    mixers = [
        gqa,
        {**gqa, "window": draw(st.sampled_from([128, 4096]))},
        {**gqa, "chunk": 8192},
        {
            "kind": "mla",
            "n_heads": 16,
            "q_lora_rank": 512,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "v_head_dim": 64,
        },
        {
            "kind": "mla",
            "n_heads": 16,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "v_head_dim": 64,
            "top_k": 512,
            "index_n_heads": 8,
            "index_head_dim": 64,
        },
    ]
    n_experts = draw(st.sampled_from([8, 64, 256]))
    ffns = [
        {"kind": "mlp", "d_ff": 4 * d_model},
        {"kind": "moe", "n_experts": n_experts, "top_k": draw(st.integers(1, 8)), "d_expert": 1024, "n_shared": 1, "d_shared": 1024},
    ]
    groups = [
        {"count": draw(st.integers(1, 60)), "mixer": draw(st.sampled_from(mixers)), "ffn": draw(st.sampled_from(ffns))}
        for _ in range(draw(st.integers(1, 2)))
    ]
    return build({"name": "random", "d_model": d_model, "vocab": 32000, "groups": groups})


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    bf16 = draw(st.floats(5e12, 5e15))
    domain = draw(st.sampled_from([1, 2, 8, 72]))
    return Machine(
        name="random",
        accelerator="random",
        n_devices=float(domain * draw(st.sampled_from([1, 2]))),
        domain=float(domain),
        peak_bf16=bf16,
        peak_fp8=draw(st.sampled_from([0.0, 2.0])) * bf16,
        hbm_capacity=draw(st.floats(16e9, 500e9)),
        hbm_bandwidth=draw(st.floats(1e11, 4e13)),
        scaleup_bandwidth=draw(st.floats(1e10, 4e12)),
        scaleout_bandwidth=draw(st.floats(1e9, 4e11)),
        scaleup_latency=draw(st.floats(0, 1e-5)),
        scaleout_latency=draw(st.floats(0, 1e-4)),
        power=draw(st.floats(0, 2000)),
        price_per_hour=draw(st.floats(0.1, 20)),
    )


traffics = st.builds(
    Traffic, isl=st.floats(1, 2e5), osl=st.floats(1, 2e4), cached=st.sampled_from([0.0, 0.5, 1.0]), utilisation=st.floats(0.05, 1)
)
precisions = st.sampled_from([Precision.uniform("bf16"), Precision.uniform("fp8", kv="fp8"), Precision.uniform("nvfp4")])
batches = st.integers(1, 20_000).map(float)


def _some_layout(model: Model, machine: Machine, pick: int) -> Layout:
    every = layouts(model, machine, machine.n_devices)
    return take(every, pick % len(np.asarray(every.tp)))


def _numbers(record: object) -> dict[str, float]:
    found = {}  # type: ignore[var-annotated]
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= {f"{field.name}.{k}": v for k, v in _numbers(value).items()}
        elif isinstance(value, int | float | np.generic | np.ndarray) and np.ndim(value) == 0:
            found[field.name] = float(value)
    return found


@given(models(), machines(), precisions, traffics, batches, st.integers(0, 10_000))
def test_estimates_are_finite_and_never_beat_the_bound(model, machine, precision, traffic, batch, pick):
    layout = _some_layout(model, machine, pick)
    s = steady(Replica(model, machine, precision, layout, TYPICAL, EFFICIENCY), traffic, batch)
    c = cost(s, machine, traffic)
    for name, value in (_numbers(s) | _numbers(c)).items():
        assert math.isfinite(value), f"{name} = {value}"
        assert value >= 0, f"{name} = {value}"
    assert s.tpot_bound <= s.tpot * ROUNDING
    assert s.ttft_bound <= s.ttft * ROUNDING
    assert s.request_rate_bound >= s.request_rate / ROUNDING
    assert c.bound_share <= ROUNDING


@given(models(), machines(), precisions, batches, st.floats(0, 2e5), st.floats(0, 1e5), st.integers(0, 10_000))
def test_a_pass_lies_between_bound_and_sums(model, machine, precision, batch, context, prefill, pick):
    layout = _some_layout(model, machine, pick)
    work = Pass(decode=batch, context=context, prefill=prefill, prompt=max(prefill, 1.0))
    t = forward(model, machine, precision, layout, work, EFFICIENCY)
    assert t.bound <= t.per_operation * ROUNDING
    assert t.per_operation <= t.plain_sum * ROUNDING
    assert t.bound <= t.estimate * ROUNDING
    assert sum(t.shares.values()) == pytest.approx(float(t.estimate))


@given(
    models(),
    machines(),
    precisions,
    traffics,
    batches,
    st.integers(0, 10_000),
    st.sampled_from(["hbm_bandwidth", "scaleup_bandwidth", "scaleout_bandwidth", "peak_bf16", "peak_fp8"]),
)
def test_more_of_anything_never_slows_a_pass(model, machine, precision, traffic, batch, pick, what):
    layout = _some_layout(model, machine, pick)
    better = dataclasses.replace(machine, **{what: getattr(machine, what) * 1.7})
    work = Pass(decode=batch, context=traffic.isl, prefill=512.0, prompt=traffic.isl)
    slow = forward(model, machine, precision, layout, work, EFFICIENCY)
    fast = forward(model, better, precision, layout, work, EFFICIENCY)
    assert fast.estimate <= slow.estimate * ROUNDING
    assert fast.bound <= slow.bound * ROUNDING


BETTER = st.sampled_from(["hbm_bandwidth", "peaks", "scaleup_bandwidth", "scaleout_bandwidth", "scaleup_latency", "scaleout_latency"])
FACTORS = st.floats(1.05, 3)


def _better(machine: Machine, what: str, factor: float) -> Machine:
    """The machine with one of its numbers better by a factor: a latency lower, everything else higher."""
    if what == "peaks":
        changed = {name: getattr(machine, name) * factor for name in ("peak_bf16", "peak_fp8", "peak_fp4", "peak_int8")}
    else:
        changed = {what: getattr(machine, what) * (1 / factor if what.endswith("latency") else factor)}
    return dataclasses.replace(machine, **changed)


@given(models(), machines(), precisions, traffics, batches, st.integers(0, 10_000), BETTER, FACTORS)
def test_at_a_fixed_batch_only_the_wait_for_a_step_can_grow(m, machine, precision, traffic, batch, pick, what, factor):
    """Rates, steps, line and own chunks never worsen; the wait for a step by at most half of what a chunk adds."""
    layout = _some_layout(m, machine, pick)
    a, b = (
        steady(Replica(m, on, precision, layout, TYPICAL, EFFICIENCY), traffic, batch) for on in (machine, _better(machine, what, factor))
    )
    for name in ("tpot", "service", "wait", "wait_median", "tpot_bound", "ttft_bound"):
        assert getattr(b, name) <= getattr(a, name) * ROUNDING, name
    assert b.request_rate >= a.request_rate / ROUNDING
    uneven = stage_share(m, layout) * layout.pp
    allowed = np.maximum(b.mixed_pass.estimate - a.decode.estimate, 0.0) * uneven / 2
    assert b.to_next <= (a.to_next + allowed) * ROUNDING
    assert b.ttft <= (a.ttft + allowed) * ROUNDING


@settings(max_examples=25)
@given(models(), machines(), precisions, st.floats(1, 4000), st.floats(2, 2000), st.floats(1, 500), BETTER, FACTORS)
def test_at_a_fixed_rate_no_token_comes_later(m, machine, precision, isl, osl, batch, what, factor):
    """The same requests per second on a better machine: fewer sequences at once, and no first token later."""
    traffic, layout = Traffic(isl=isl, osl=osl), Layout()
    a = steady(Replica(m, machine, precision, layout, TYPICAL, EFFICIENCY), traffic, batch)
    on, low, high = _better(machine, what, factor), 1e-9, batch
    for _ in range(45):
        middle = math.sqrt(low * high)
        rate = steady(Replica(m, on, precision, layout, TYPICAL, EFFICIENCY), traffic, middle, bounds=False).request_rate
        low, high = (middle, high) if rate < a.request_rate else (low, middle)
    b = steady(Replica(m, on, precision, layout, TYPICAL, EFFICIENCY), traffic, high)
    assert b.request_rate == pytest.approx(a.request_rate, rel=1e-6)
    for name in ("tpot", "ttft"):
        assert getattr(b, name) <= getattr(a, name) * (1 + 1e-6), name


@given(models(), machines(), precisions, traffics, st.lists(batches, min_size=1, max_size=5))
def test_a_scalar_call_equals_its_row_of_the_column_call(model, machine, precision, traffic, tried):
    every = layouts(model, machine, machine.n_devices)
    rows = np.arange(len(tried)) % len(np.asarray(every.tp))
    columns = steady(Replica(model, machine, precision, take(every, rows), TYPICAL, EFFICIENCY), traffic, np.array(tried, dtype=float))
    priced = cost(columns, machine, traffic)
    for i, batch in enumerate(tried):
        one = steady(Replica(model, machine, precision, take(every, int(rows[i])), TYPICAL, EFFICIENCY), traffic, batch)
        for whole, single in ((columns, one), (priced, cost(one, machine, traffic))):
            for name, value in _numbers(single).items():
                column = whole
                for part in name.split("."):
                    column = getattr(column, part)
                expected = column[i] if np.ndim(column) else column
                assert value == pytest.approx(float(expected), rel=1e-9), name


@given(models(), machines(), precisions, st.integers(0, 10_000))
def test_passes_that_only_decode_or_only_prefill_may_stand_in_one_column(model, machine, precision, pick):
    layout = _some_layout(model, machine, pick)
    decode, prefill = np.array([64.0, 64.0, 0.0]), np.array([0.0, 512.0, 512.0])
    both = forward(
        model, machine, precision, layout, Pass(decode=decode, context=1000.0, prefill=prefill, prompt=700.0), calibrated("hopper")
    )
    for i in range(3):
        work = Pass(decode=float(decode[i]), context=1000.0, prefill=float(prefill[i]), prompt=700.0)
        one = forward(model, machine, precision, layout, work, calibrated("hopper"))
        assert float(one.estimate) == pytest.approx(float(both.estimate[i]), rel=1e-9)
        assert float(one.bound) == pytest.approx(float(both.bound[i]), rel=1e-9)
        assert one.estimate >= one.bound


@given(models(), machines(), precisions, traffics, batches, st.integers(0, 10_000))
def test_the_three_charges_sum_to_the_whole(model, machine, precision, traffic, batch, pick):
    layout = _some_layout(model, machine, pick)
    s = steady(Replica(model, machine, precision, layout, TYPICAL, EFFICIENCY), traffic, batch)
    c = cost(s, machine, traffic)
    fresh = max(traffic.isl * (1 - traffic.cached), 1.0)
    charged = (c.input_mtok * fresh + c.cache_read_mtok * traffic.isl * traffic.cached + c.output_mtok * traffic.osl) / 1e6
    assert charged == pytest.approx(float(c.request), rel=1e-6)


@given(models(), machines(), precisions, st.integers(1, 4000), st.integers(0, 10_000))
def test_iteration_on_concurrency_closes(model, machine, precision, concurrency, pick):
    layout = _some_layout(model, machine, pick)
    traffic = Traffic(isl=1000, osl=500)
    s = at_concurrency(
        Replica(model, machine, precision, layout, Engine(memory_share=0.95), EFFICIENCY), traffic, float(concurrency), rounds=60
    )
    if s.keeps_pace:
        assert float(s.concurrency) == pytest.approx(concurrency, rel=0.02)


@given(models(), machines())
def test_enumerated_layouts_are_legal_and_within_the_machine(model, machine):
    every = layouts(model, machine, machine.n_devices)
    assert not any(bad.any() for bad in illegal(model, every).values())
    assert (np.asarray(every.gpus) <= machine.n_devices).all()
    assert (np.asarray(every.tp) * np.asarray(every.dp) == np.asarray(every.moe_tp) * np.asarray(every.ep)).all()


@given(
    st.builds(
        Stream,
        name=st.just("s"),
        elements=st.just(1.0),
        decode_flops=st.just(1.0),
        prefill_flops=st.just(1.0),
        stride=st.sampled_from([1.0, 4.0, 128.0]),
        window=st.sampled_from([math.inf, 128.0, 4096.0]),
        top_k=st.sampled_from([math.inf, 64.0, 2048.0]),
    ),
    st.floats(1, 1e6),
)
def test_attended_sum_is_the_integral_of_attended_entries(stream, context):
    at = np.linspace(0, context, 20_001)
    middle = (at[1:] + at[:-1]) / 2
    numeric = float(np.sum(attended_entries(stream, middle)) * (at[1] - at[0]))
    assert float(attended_sum(stream, context)) == pytest.approx(numeric, rel=1e-3, abs=1e-6)
    assert float(attended_entries(stream, context)) <= float(stored_entries(stream, context)) + 1e-9


@given(models(), precisions, st.sampled_from([1.0, 2.0, 4.0]))
def test_a_cut_model_keeps_all_its_weights(model, precision, tp):
    """Over all ranks of a layout that copies nothing, bytes sum to at least the whole model's."""
    from rackmath.kernel.counts import weight_bytes
    from rackmath.layout.footprint import device_weight_bytes

    layout = Layout(tp=tp)
    held = float(device_weight_bytes(model, precision, layout)) * tp
    assert held >= weight_bytes(model, precision) * (1 - 1e-9)
    if tp == 1:
        assert held == pytest.approx(weight_bytes(model, precision), rel=1e-6)


def test_parameters_are_counted_once():
    model = build(
        {
            "name": "m",
            "d_model": 8,
            "vocab": 10,
            "tied_embeddings": True,
            "groups": [{"count": 2, "mixer": {"kind": "gqa", "n_heads": 2}, "ffn": {"kind": "mlp", "d_ff": 16}}],
        }
    )
    counted = parameters(model)
    assert counted["embedding"] == 80
    assert counted["head"] == 0
    assert counted["attention"] == 2 * 4 * 64
    assert counted["mlp"] == 2 * 3 * 8 * 16
    assert counted["norm"] == 2 * 16 + 8
