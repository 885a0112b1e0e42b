"""Speculative decoding: published expectations, limits, memory, and a bound that counts every draft as kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_properties import machines, models

import rackmath
from rackmath.arrays import take
from rackmath.errors import BadInput
from rackmath.faces.cli import run
from rackmath.kernel.counts import Pass, layer_parameters
from rackmath.kernel.efficiency import default_efficiency
from rackmath.layout.footprint import device_weight_bytes
from rackmath.layout.forward import forward
from rackmath.layout.parallelism import Layout
from rackmath.search.speculation import speculation_curve
from rackmath.serving import speculative as sp
from rackmath.serving.disaggregated import decode_replica
from rackmath.serving.replica import Replica
from rackmath.serving.steady import at_concurrency, steady
from rackmath.world import catalog
from rackmath.world.engine import TYPICAL
from rackmath.world.workload import Traffic

EFFICIENCY = default_efficiency()
V3 = catalog.model("deepseek-ai/DeepSeek-V3")
H200 = catalog.machine("8xh200")
LLAMA = catalog.model("meta-llama/Llama-3.1-8B")


# --- tokens per pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acceptance", "depth", "published"), [(0.6, 2, 1.96), (0.7, 3, 2.53), (0.8, 2, 2.44), (0.8, 5, 3.69), (0.9, 2, 2.71), (0.9, 10, 6.86)]
)
def test_expected_tokens_are_those_of_leviathan_et_al(acceptance: float, depth: float, published: float) -> None:
    """Table 1 of arXiv 2211.17192: the improvement in speed where drafts are free."""
    assert float(sp.tokens_per_pass(acceptance, depth)) == pytest.approx(published, abs=0.006)


def test_expected_tokens_agree_with_drawn_chains() -> None:
    rng = np.random.default_rng(7)
    for acceptance, depth in ((0.5, 4), (0.85, 7)):
        kept = rng.random((200_000, depth)) < acceptance
        drawn = 1 + np.cumprod(kept, axis=1).sum(axis=1)
        assert float(sp.tokens_per_pass(acceptance, depth)) == pytest.approx(drawn.mean(), rel=0.005)


def test_expected_tokens_in_the_limits() -> None:
    found = sp.tokens_per_pass(np.array([0.0, 1.0, 1 - 1e-13, 0.5]), np.array([5.0, 5.0, 5.0, 0.0]))
    assert np.allclose(found, [1.0, 6.0, 6.0, 1.0])


# --- what drafting costs ------------------------------------------------------------------------------------------


def test_the_own_layers_of_deepseek_v3_are_those_published() -> None:
    """The model card counts 14B with the shared embedding and head, 0.93B each; 12B are left."""
    spec = sp.own_layers(V3, V3.precision, depth=1, acceptance=0.85)
    assert spec.held is not None
    layers = sum(layer_parameters(spec.held.groups).values())
    assert layers == pytest.approx(14e9 - 2 * 129280 * 7168, rel=0.06)
    whole = float(device_weight_bytes(spec.held, V3.precision, Layout()))
    assert whole == pytest.approx(layers, rel=0.02)  # a byte each; embedding and head are the model's own


def test_own_layers_cost_a_small_share_of_a_step_and_free_drafts_cost_nothing() -> None:
    layout, work = Layout(tp=8.0, ep=8.0), Pass(decode=32.0, context=4096.0, width=2.0)
    mtp = sp.own_layers(V3, V3.precision, depth=1, acceptance=0.85)
    drafts = sp.drafting(mtp, H200, layout, work, EFFICIENCY)
    assert drafts is not None
    plain = forward(V3, H200, V3.precision, layout, work, EFFICIENCY)
    assert 1 / 61 / 2 < float(drafts.estimate / plain.estimate) < 2.5 / 61  # one layer of 61, and the output head
    assert sp.drafting(sp.ngrams(depth=3, acceptance=0.5), H200, layout, work, EFFICIENCY) is None


def test_each_further_draft_of_a_model_costs_one_more_pass() -> None:
    small = catalog.model("meta-llama/Llama-3.2-1B")
    work = Pass(decode=8.0, context=1024.0)
    times = [
        sp.drafting(sp.other_model(small, small.precision, depth=k, acceptance=0.7), H200, Layout(tp=8.0), work, EFFICIENCY)
        for k in (1.0, 2.0, 5.0)
    ]
    one, two, five = (float(t.estimate) for t in times if t is not None)
    assert two == pytest.approx(2 * one)
    assert five == pytest.approx(5 * one)


def test_a_draft_model_lies_on_as_many_ranks_as_divide_its_heads() -> None:
    small = catalog.model("Qwen/Qwen2.5-0.5B")  # 14 heads, and a width that 7 does not divide
    spec = sp.other_model(small, small.precision, depth=1.0, acceptance=0.7)
    assert float(sp.draft_layout(spec, Layout(tp=8.0)).tp) == 2
    assert sp.draft_layout(spec, Layout(tp=np.array([1.0, 4.0, 7.0]))).tp.tolist() == [1, 2, 1]  # type: ignore[union-attr]


# --- the transform ------------------------------------------------------------------------------------------------


def test_speed_up_of_deepseek_v3_at_the_published_acceptance() -> None:
    """The report (arXiv 2412.19437, section 5.4.3) gives 85 to 90 % acceptance and 1.8 times the tokens per second;
    its batch and layout are not stated."""
    plain = Replica(V3, H200, V3.precision, Layout(tp=8.0, ep=8.0), TYPICAL, EFFICIENCY)
    traffic = Traffic(isl=4096, osl=1024)
    batches = np.array([8.0, 32.0, 64.0, 128.0, 256.0])
    for acceptance in (0.85, 0.9):
        spec = sp.own_layers(V3, V3.precision, depth=1.0, acceptance=acceptance)
        drafting = replace(plain, speculation=spec)
        gain = decode_replica(plain, traffic, batches).tpot / decode_replica(drafting, traffic, batches).tpot
        assert np.all(gain < 1 + acceptance)
        assert np.max(gain) == pytest.approx(1.8, rel=0.12)  # ours is 1.6 to 1.7: drafts pay for launches


def test_steady_state_at_a_concurrency_closes_with_speculation() -> None:
    spec = sp.own_layers(V3, V3.precision, depth=2.0, acceptance=0.7)
    replica = Replica(V3, H200, V3.precision, Layout(tp=8.0, ep=8.0), TYPICAL, EFFICIENCY)
    traffic = Traffic(isl=2048, osl=512)
    found = at_concurrency(replace(replica, speculation=spec), traffic, 32.0)
    assert float(found.concurrency) == pytest.approx(32, rel=0.01)
    plain = at_concurrency(replica, traffic, 32.0)
    assert float(found.tpot) < float(plain.tpot)
    assert float(found.output_tput) > float(plain.output_tput)


def test_drafts_that_are_never_kept_only_cost() -> None:
    replica = Replica(LLAMA, H200, LLAMA.precision, Layout(), TYPICAL, EFFICIENCY)
    traffic, useless = Traffic(isl=1024, osl=512, closed=True), sp.ngrams(depth=3.0, acceptance=0.0)
    for batch in (1.0, 64.0):
        plain = steady(replica, traffic, batch)
        lost = steady(replace(replica, speculation=useless), traffic, batch)
        assert float(lost.tpot) >= float(plain.tpot)


def test_depth_zero_is_plain_decoding() -> None:
    replica = Replica(V3, H200, V3.precision, Layout(tp=8.0, ep=8.0), TYPICAL, EFFICIENCY)
    traffic = Traffic(isl=2048, osl=512)
    none = steady(replace(replica, speculation=sp.ngrams(depth=0.0, acceptance=0.7)), traffic, 32.0)
    plain = steady(replica, traffic, 32.0)
    assert float(none.tpot) == pytest.approx(float(plain.tpot), rel=1e-12)
    assert float(none.tpot_bound) == pytest.approx(float(plain.tpot_bound), rel=1e-12)


@given(models(), machines(), st.data())
def test_speculation_is_never_faster_than_its_bound_and_a_scalar_is_a_row(model, machine, data) -> None:
    depth, acceptance = data.draw(st.floats(1, 8)), data.draw(st.floats(0, 1))
    batch = np.array([1.0, 7.0, data.draw(st.floats(1, 3000))])
    layout = Layout(tp=data.draw(st.sampled_from([1.0, 2.0])), dp=data.draw(st.sampled_from([1.0, 4.0])))
    kind = data.draw(st.sampled_from(["own", "other", "ngram"]))
    if kind == "own":
        with_layer = replace(model, draft=(replace(model.groups[-1], count=1.0),))
        spec = sp.own_layers(with_layer, model.precision, depth=depth, acceptance=acceptance)
    elif kind == "other":
        small = replace(LLAMA, groups=tuple(replace(g, count=2.0) for g in LLAMA.groups))
        spec = sp.other_model(small, LLAMA.precision, depth=depth, acceptance=acceptance)
    else:
        spec = sp.ngrams(depth=depth, acceptance=acceptance)
    replica = Replica(model, machine, model.precision, layout, TYPICAL, EFFICIENCY, spec)
    traffic = Traffic(isl=1500.0, osl=300.0, closed=True)
    columns = steady(replica, traffic, batch)
    assert np.all(np.asarray(columns.tpot_bound) <= np.asarray(columns.tpot) * (1 + 1e-9))
    assert np.all(np.asarray(columns.request_rate) <= np.asarray(columns.request_rate_bound) * (1 + 1e-9))
    one = steady(replica, traffic, float(batch[2]))
    row = take(columns, 2)
    for name in ("tpot", "ttft", "tpot_bound", "memory", "request_rate"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(row, name)), rel=1e-9)
    pool = decode_replica(replica, traffic, batch)
    assert np.all(np.asarray(pool.tpot_bound) <= np.asarray(pool.tpot) * (1 + 1e-9))


# --- where it pays ------------------------------------------------------------------------------------------------


def curve_of(name: str, on: str, layout: str, **options):
    return rackmath.speculate(name, on=on, layout=layout, **options).subject


def test_a_dense_model_gains_alone_and_loses_once_it_computes() -> None:
    """With the cache out of the way a pass of many sequences costs in proportion to its tokens."""
    q = curve_of("meta-llama/Llama-3.1-8B", "8xh100", "TP1", draft="ngram").question
    q = replace(q, efficiency=replace(q.efficiency, sequence_overhead=0.0))  # answers cost the same with drafts
    spec = sp.ngrams(depth=3.0, acceptance=0.7)
    c = speculation_curve(q, Layout(), LLAMA.precision, spec, 16.0, (16.0,), largest=65536.0)
    assert c.speedup[0] == pytest.approx(float(spec.kept), rel=0.05)
    assert c.speedup[-1] == pytest.approx(float(spec.kept) / 4, rel=0.15)
    (edge,) = c.break_even
    # the break-even batch has about R x 2 tokens / (kept x width) of work: hundreds, not thousands, on an H100
    assert 50 < edge.batch < 1000
    ((start, end),) = c.pays
    assert start == 1
    assert end == pytest.approx(edge.batch, rel=0.05)


def test_longer_contexts_let_larger_batches_pay() -> None:
    """Reading the cache is shared by all tokens of a sequence's pass; the break-even batch grows with context."""
    c = curve_of("meta-llama/Llama-3.1-70B", "8xh100", "TP8", draft="ngram", contexts="128,512,2048,8192")
    edges = [b.batch for b in c.break_even]
    assert edges == sorted(edges)
    assert edges[0] < edges[-1]


def test_experts_touched_by_wider_passes_cost_small_batches() -> None:
    """Alone, 4 tokens read up to 4 times the experts of one, so a mixture gains less than a dense model; at batches
    that touch all experts anyway it gains as much again."""
    moe = curve_of("deepseek-ai/DeepSeek-V3", "8xh200", "TP8 EP8", draft="ngram")
    assert moe.speedup[0] < float(moe.speculation.kept) * 0.9
    dip, after = moe.speedup[moe.batch <= 16].min(), moe.speedup[(moe.batch > 50) & (moe.batch < 400)].max()
    assert dip < moe.speedup[0]
    assert dip < after


def test_the_best_depth_beats_every_other_and_falls_with_batch() -> None:
    c = curve_of("meta-llama/Llama-3.1-8B", "8xh100", "TP1", draft="ngram", context="1k")
    assert np.all(c.best_speedup >= c.speedup - 1e-12)
    assert np.all(c.best_speedup >= 1)
    assert c.best_depth[0] > c.best_depth[-1]


def test_at_the_same_pace_cost_falls_by_more_than_at_the_same_batch() -> None:
    c = curve_of("meta-llama/Llama-3.1-70B", "8xh100", "TP8", draft="meta-llama/Llama-3.2-1B")
    known = np.isfinite(c.same_pace) & (c.speedup > 1.05)
    assert known.any()
    assert np.all(c.same_pace[known] < 1 / c.speedup[known])


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_answers_in_strict_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["speculate", "deepseek-ai/DeepSeek-V3", "--on", "8xh200", "--depth", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["draft"]["tokens_per_pass"] == pytest.approx(1.7)
    assert found["curve"][0]["tpot_bound"] < found["curve"][0]["tpot"]
    assert all(one["speedup"] * one["cost_ratio"] == pytest.approx(1) for one in found["curve"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draft", "mtp"], "multi-token-prediction"),
        (["--draft", "ngram", "--depth", "0"], "depth"),
        (["--draft", "ngram", "--depth", "1.5"], "depth"),
        (["--draft", "ngram", "--acceptance", "1.2"], "acceptance"),
        (["--draft", "no-such-model"], "unknown model"),
        (["--draft", "ngram", "--context", "10M"], "more than"),
        (["--draft", "ngram", "--layout", "TP3"], "cannot run"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["speculate", "meta-llama/Llama-3.1-8B", "--on", "8xh100", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_chain_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(BadInput, match="depth"):
        sp.checked(65, 0.5)
    with pytest.raises(BadInput, match="acceptance"):
        sp.checked(3, -0.1)
    with pytest.raises(BadInput, match="no multi-token-prediction"):
        sp.own_layers(LLAMA, LLAMA.precision, depth=1, acceptance=0.5)
