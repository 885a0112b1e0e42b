"""Memory and context: the lecture's worked numbers (sections 2, 8, 9, 16, 17, 21), properties, and refusals."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import deepseek_v3, llama_70b

import rackmath
from rackmath.economics.cost import billed_devices
from rackmath.errors import BadInput, Infeasible
from rackmath.faces import cli
from rackmath.kernel.counts import (
    Pass,
    attended_entries,
    attended_sum,
    cache_bytes,
    context_of_equal_flops,
    read_bytes,
    stored_entries,
    total_parameters,
)
from rackmath.layout.footprint import footprint
from rackmath.layout.forward import forward
from rackmath.search.balance import balance, balance_context, full_context, limit_time, sequences_held
from rackmath.search.context import TwoPrices, price_step
from rackmath.search.memory import drains
from rackmath.world import catalog, kinds
from rackmath.world.description import build
from rackmath.world.model import Model, Stream
from rackmath.world.precision import Precision

FP8 = Precision.uniform("fp8").with_kv("fp8")
K128 = 131072.0
V3, LLAMA, RACK = "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B", "gb200-nvl72"


def context_answer(model: Any = V3, on: str = RACK, **options: Any) -> TwoPrices:
    found: TwoPrices = rackmath.context(model, on=on, **options).subject
    return found


# --- the lecture's numbers ----------------------------------------------------------------------------------------


def test_sparse_attention_of_deepseek_reads_four_times_less_at_128k() -> None:
    bare = replace(FP8, index=FP8.kv)  # the lecture counts one byte a number, without scales
    dense = float(read_bytes(deepseek_v3(), K128, bare)) / 61
    sparse = kinds.indexed(deepseek_v3())
    chosen = float(read_bytes(sparse, K128, bare)) / 61
    assert dense == pytest.approx(75.5e6, rel=1e-3)
    assert chosen == pytest.approx(18.0e6, rel=3e-3)
    assert dense / chosen == pytest.approx(4.2, rel=2e-3)
    far = 1e10
    asymptote = float(read_bytes(deepseek_v3(), far, bare)) / float(read_bytes(sparse, far, bare))
    assert asymptote == pytest.approx(4.5, rel=1e-3)


def test_the_indexed_kind_of_v3_is_v3_2() -> None:
    published = catalog.model("deepseek-ai/DeepSeek-V3.2")
    made = kinds.indexed(catalog.model(V3))
    for ours, theirs in zip(made.groups, published.groups, strict=True):
        assert ours.mixer is not None
        assert theirs.mixer is not None
        assert ours.mixer.streams[1] == theirs.mixer.streams[1]
        assert (ours.mixer.streams[0].top_k, ours.mixer.streams[0].elements) == (2048, 576)


def test_where_attention_overtakes_the_weights() -> None:
    assert context_of_equal_flops(deepseek_v3()) == pytest.approx(4.4e3, rel=0.03)
    assert context_of_equal_flops(llama_70b()) == pytest.approx(53e3, rel=0.01)


def lecture_model(length: float = 200e3) -> Model:
    """About 100B active parameters in dense layers, and one layer with a cache of 1,667 bytes per token at FP8."""
    description = {
        "name": "lecture",
        "d_model": 16384,
        "vocab": 32000,
        "max_context": 1e7,
        "precision": {"attention": "fp8", "mlp": "fp8", "head": "fp8", "embedding": "fp8", "kv": "fp8"},
        "groups": [
            {"count": 1, "mixer": {"kind": "gqa", "n_heads": 128, "n_kv_heads": 1, "head_dim": 833, "v_head_dim": 834}},
            {"count": 40, "ffn": {"kind": "mlp", "d_ff": 48000}},
        ],
    }
    return build(description)


def test_the_lectures_cache_balances_at_200k() -> None:
    model, machine = lecture_model(), catalog.machine("lecture")
    weights = total_parameters(model)
    assert weights == pytest.approx(100e9, rel=0.03)
    found = balance_context(model, machine, model.precision)
    assert found == pytest.approx(200e3, rel=0.03)
    assert found == pytest.approx(weights / (300 * 1667), rel=0.02)


def test_a_price_step_of_half_covers_to_300k_and_1m_costs_five_times() -> None:
    model = lecture_model()
    star = balance_context(model, catalog.machine("lecture"), model.precision)
    answer = context_answer(model, "lecture", max_context=5 * star, threshold=star)
    step = answer.limit_steps["own"]
    assert step.covers_to == pytest.approx(1.5 * star, rel=2e-3)
    assert step.needed == pytest.approx(5.0, rel=1e-3)


def test_llama_70b_in_a_whole_rack_at_128k() -> None:
    boxes = catalog.override(catalog.machine(RACK), {"hbm_capacity": "186 GB"})  # the figure of the lecture's rack
    held = float(np.asarray(sequences_held(llama_70b(), boxes, Precision(name="bf16"), K128)))
    assert float(cache_bytes(llama_70b(), K128)) == pytest.approx(42.9e9, rel=2e-3)
    assert 290 < held < 320
    users = rackmath.memory(LLAMA, on=RACK, contexts=["131072"]).subject.users
    assert 230 < users.users[0] < users.ideal[0] < 330  # of 184.3 GiB each, as the driver shows
    assert users.users[0] < 2 * balance(llama_70b(), catalog.machine(RACK), Precision(name="bf16"))


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("lecture", 14.4),
        ("rubin", 13.1),
        ("a100", 39),
        ("h100", 24),
        ("h200", 29),
        ("gb200", 23),
        ("gb300", 36),
        ("tpu-v5e", 19.5),
        ("tpu-v5p", 34),
        ("tpu7x", 26),
        ("mi300x", 36),
    ],
)
def test_drain_times_of_device_memory(name: str, milliseconds: float) -> None:
    assert drains(catalog.machine(name))[0].drain * 1e3 == pytest.approx(milliseconds, rel=0.03)


def test_drain_times_of_tiers_do_not_hold_the_lectures_hour_for_disk() -> None:
    found = {d.tier: d.drain for d in drains(catalog.machine("8xh100"))}
    assert 1 <= found["host DRAM (DDR5)"] <= 10
    assert found["NVMe flash (TLC)"] == pytest.approx(4.6 * 60, rel=0.02)
    assert found["NVMe flash (QLC)"] == pytest.approx(2.4 * 3600, rel=0.03)
    assert found["disk (nearline HDD)"] > 20 * 3600


@pytest.mark.parametrize(("model", "on"), [(V3, RACK), (LLAMA, RACK), (LLAMA, "8xh100"), (V3, "8xh200")])
def test_mfu_of_a_full_memory_at_the_balance_point_is_the_weights_share(model: str, on: str) -> None:
    m = rackmath.memory(model, on=on).subject
    assert m.mfu_full == pytest.approx(m.share_once, rel=0.05)
    assert m.compute_at_balance == pytest.approx(m.share_once * m.drain, rel=0.05)
    # at the context where B* sequences fill the memory, a step at peak reads all of it: the drain time, for the
    # bytes that the driver shows in place of those on the box
    q = m.question
    read = m.balance * float(read_bytes(q.model, m.full_context, m.precision)) / q.machine.n_devices
    weights = m.share_once * m.drain
    full = m.drain * float(q.machine.hbm_capacity) / float(q.machine.box)
    assert read / float(q.machine.hbm_bandwidth) + weights == pytest.approx(full, rel=1e-3)


@pytest.mark.parametrize(("model", "on"), [(V3, RACK), (LLAMA, "8xh100")])
def test_landmarks_agree_with_those_of_batch(model: str, on: str) -> None:
    curve = rackmath.batch(model, on=on).subject
    answer = context_answer(model, on)
    assert answer.curves.balance == pytest.approx(curve.balance)
    assert rackmath.memory(model, on=on).subject.balance == pytest.approx(curve.balance)
    assert answer.curves.own.balance_context == pytest.approx(curve.balance_context)


def test_v3_in_fp4_is_far_below_the_drain_time() -> None:
    """Weights are 2.5 % of a rack's HBM and are read in 0.58 ms, where draining takes 23 ms (LECTURE section 9)."""
    m = rackmath.memory(V3, on=RACK, precision="fp4").subject
    assert m.share_once == pytest.approx(0.025, rel=0.05)
    assert m.share_once * m.drain == pytest.approx(0.58e-3, rel=0.05)
    assert m.floor < m.drain / 5


# --- the power of a stream ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"power": 0.5},
        {"power": 0.5, "top_k": 40.0},
        {"power": 0.5, "window": 900.0, "stride": 4.0},
        {"power": 0.7, "chunk": 1000.0},
        {"chunk": 1000.0},
        {"chunk": 1000.0, "top_k": 300.0, "stride": 2.0},
        {"top_k": 300.0, "stride": 2.0},
        {},
    ],
)
def test_attended_sum_is_the_integral_of_attended_entries(options: dict[str, float]) -> None:
    stream = Stream(name="kv", elements=1, decode_flops=1, prefill_flops=1, **options)  # type: ignore[arg-type]
    lengths = np.array([0.5, 10.0, 777.0, 5000.0])
    for length, found in zip(lengths, attended_sum(stream, lengths), strict=True):  # type: ignore[arg-type]
        steps = (np.arange(200_000) + 0.5) / 200_000 * length
        integral = float(np.mean(attended_entries(stream, steps))) * length
        assert found == pytest.approx(integral, rel=1e-3)
        assert float(attended_sum(stream, float(length))) == pytest.approx(found)


def test_square_root_reads_two_blocks_and_stores_everything() -> None:
    model = kinds.square_root(llama_70b())
    per_token = 327680
    assert float(read_bytes(model, 65536.0)) == pytest.approx(2 * 256 * per_token)
    assert float(cache_bytes(model, 65536.0)) == pytest.approx(65536 * per_token)


# --- kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [kinds.dense, kinds.windowed, kinds.square_root, kinds.indexed])
@pytest.mark.parametrize("name", [V3, LLAMA, "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct", "deepseek-ai/DeepSeek-V3.2"])
def test_kinds_keep_weights_layers_and_recurrent_state(make: Any, name: str) -> None:
    model = catalog.model(name)
    made = make(model)
    assert total_parameters(made) == pytest.approx(total_parameters(model))
    assert made.n_layers == model.n_layers
    assert float(cache_bytes(made, 0.0)) == pytest.approx(float(cache_bytes(model, 0.0)))


def test_windows_dealt_over_gemmas_layers_are_gemmas_own() -> None:
    gemma = catalog.model("google/gemma-3-27b-it")
    made = kinds.windowed(kinds.dense(gemma), window=1024, local=5)
    lengths = np.geomspace(100, 131072, 40)
    assert np.allclose(read_bytes(made, lengths), read_bytes(gemma, lengths))
    assert np.allclose(cache_bytes(made, lengths), cache_bytes(gemma, lengths))


def test_sparse_reads_do_not_shrink_storage() -> None:
    answer = context_answer(kinds=["sqrt", "top-k", "window"])
    own, sqrt, top_k, window = (
        answer.curves.curves[0],
        *(next(k for k in answer.curves.curves if k.kind == name) for name in ("sqrt", "top-k", "window")),
    )
    assert np.allclose(sqrt.stored, own.stored)
    assert np.all(top_k.stored > own.stored)
    assert top_k.read[-1] < 0.3 * own.read[-1]
    assert np.all(sqrt.capacity == own.capacity)
    assert np.all(top_k.capacity <= own.capacity)
    assert np.all(window.stored <= own.stored * (1 + 1e-12))
    assert window.capacity[-1] > 3 * own.capacity[-1]


@pytest.mark.parametrize("kind", [kinds.dense, kinds.indexed])
def test_stored_covers_what_is_read(kind: Any) -> None:
    for group in kind(deepseek_v3()).groups:
        for stream in group.mixer.streams:
            lengths = np.geomspace(1, 1e6, 50)
            assert np.all(attended_entries(stream, lengths) <= stored_entries(stream, lengths))


# --- curves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"max_tpot": "30ms"}, {"batch": 256}])
@pytest.mark.parametrize(("model", "on"), [(V3, RACK), (LLAMA, "8xh100")])
def test_curves_keep_bound_estimate_and_limit_in_order(model: str, on: str, options: dict[str, Any]) -> None:
    answer = context_answer(model, on, **options)
    for one in answer.curves.curves:
        runs = np.isfinite(one.tpot)
        assert runs.any()
        assert np.all(one.tpot[runs] >= one.tpot_bound[runs])
        assert np.all(one.bound_cost_mtok[runs] >= one.limit_mtok[runs] * (1 - 1e-9))
        assert np.all(one.batch[runs] <= one.capacity[runs])
        assert np.all(one.batch[runs] >= 1)
        if "max_tpot" in options:
            assert np.all(one.tpot[runs] <= 0.03 * (1 + 1e-9))
        if "batch" in options:
            assert np.all(one.batch[runs] <= 256)


def test_rows_of_a_curve_are_single_passes_and_the_batch_is_the_largest() -> None:
    answer = context_answer(LLAMA, "8xh100", max_tpot="30ms")
    c, q = answer.curves, answer.curves.question
    own = c.own
    for i in (0, 300, 600, 900):
        length = float(c.context[i])

        def step(batch: float, length: float = length) -> float:
            work = Pass(decode=batch / float(c.layout.pp), context=length)
            return float(forward(q.model, q.machine, c.precision, c.layout, work, q.efficiency).estimate)

        assert step(float(own.batch[i])) == pytest.approx(float(own.tpot[i]))
        room = footprint(q.model, q.machine, c.precision, c.layout, q.engine, length)
        more = float(own.batch[i]) + 1
        assert more > float(np.asarray(room.batch_max)) or step(more) > 0.03
        dollars = float(billed_devices(c.layout.gpus, q.machine)) * float(q.machine.price_per_hour) / 3600 * 1e6
        assert own.cost_mtok[i] == pytest.approx(dollars * own.tpot[i] / own.batch[i])


def test_a_curve_has_a_thousand_points() -> None:
    assert len(context_answer(max_tpot="40ms").curves.context) >= 1000


def test_full_context_and_limit_time_at_their_crossings() -> None:
    machine, model = catalog.machine(RACK), llama_70b()
    batch = balance(model, machine, model.precision)
    length = full_context(model, machine, model.precision, batch)
    assert float(np.asarray(sequences_held(model, machine, model.precision, length))) == pytest.approx(batch)
    star = balance_context(model, machine, model.precision)
    below, at, double = (float(limit_time(model, machine, model.precision, x)) for x in (star / 2, star, 2 * star))
    assert below == pytest.approx(at, rel=1e-6)
    assert double == pytest.approx(2 * at, rel=1e-6)


@pytest.mark.parametrize("layout", ["TP8", "TP4 PP2", "TP2 PP4"])
def test_the_capacity_of_a_batch_curve_fits_the_memory(layout: str) -> None:
    curve = rackmath.batch(LLAMA, on="8xh100", context=8192, layout=layout).subject
    q = curve.question
    room = footprint(q.model, q.machine, curve.precision, curve.layout, q.engine, 8192.0)
    assert room.used(curve.capacity, curve.layout) <= room.capacity
    assert room.used(curve.capacity + 1, curve.layout) > float(np.asarray(room.capacity)) * 0.99


# --- the price step -----------------------------------------------------------------------------------------------


def test_price_step_on_curves_that_are_known() -> None:
    x = np.geomspace(1e3, 1e6, 1000)
    flat = price_step(x, np.ones_like(x), 2e5, 0.5)
    assert (flat.needed, flat.covers_to) == (1.0, math.inf)
    linear = price_step(x, x, 1e5, 1.0)
    assert linear.covers_to == pytest.approx(2e5, rel=1e-3)
    assert linear.needed == pytest.approx(10, rel=1e-3)
    none = price_step(x, x, 1e5, 0.0)
    assert none.covers_to == pytest.approx(1e5, rel=2e-2)
    lost = price_step(x, np.where(x < 3e5, x, np.nan), 1e5, 0.5)
    assert lost.end < 3e5


def test_margins_stand_beside_a_listed_price() -> None:
    answer = rackmath.context(V3, on=RACK, list_price="$1.10", step="50%")
    rows = answer.rows()
    i = int(np.argmin(np.abs(answer.subject.curves.context - 8192)))
    own = rows[i]
    assert own["kind"] == "own"
    assert own["margin"] == pytest.approx(1 - own["output_mtok"] / 1.10)
    last = [r for r in rows if r["kind"] == "own"][-1]
    assert last["margin"] == pytest.approx(1 - last["output_mtok"] / 1.65)


# --- users --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "on"), [(V3, RACK), (LLAMA, "8xh100"), ("google/gemma-3-27b-it", "8xh200")])
def test_longer_contexts_displace_users_who_then_pay_more(model: str, on: str) -> None:
    m = rackmath.memory(model, on=on).subject
    u = m.users
    assert np.all(np.diff(u.users) < 0)
    assert np.all(np.diff(u.user_hour) > 0)
    assert np.all(u.users <= u.ideal)
    assert np.all((u.fill > 0) & (u.fill < 1))
    paid = float(billed_devices(m.layout.gpus, m.question.machine))
    total = m.replicas * paid * float(m.question.machine.price_per_hour)
    assert np.allclose(u.user_hour * u.users, total)
    assert float(u.displaced[list(u.context).index(m.reference)]) == 1.0
    assert np.all(u.step >= u.bound)


# --- faces --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    return [
        rackmath.context(V3, on=RACK, list_price=2),
        rackmath.context("Qwen/Qwen3-Next-80B-A3B-Instruct", on="8xh200", max_tpot="20ms"),
        rackmath.memory(LLAMA, on=RACK),
        rackmath.memory(V3, on="8xh200"),
        rackmath.drains(),
        rackmath.drains(on="8xh100"),
    ]


def test_every_face_of_every_answer(answers: list[Any]) -> None:
    from io import StringIO

    from rackmath.faces import show, terminal

    for answer in answers:
        json.loads(answer.to_json())
        assert answer.rows()
        assert all(spec["description"] for spec in answer.charts)
        assert answer.charts
        assert not [n.name for n in answer.explain().walk() if not n.follows()]
        for width in (80, 100):
            screen = show.console(StringIO(), width=width)
            terminal.screen(screen, answer)
            text = screen.file.getvalue()  # type: ignore[attr-defined]
            assert not re.search(r"\bnan\b", text)
            assert max(len(line) for line in text.splitlines()) <= width


def test_drain_list_names_every_machine_with_a_source() -> None:
    rows = rackmath.drains().rows()
    assert {r["machine"] for r in rows} == {one.name for one in catalog.machines()}
    assert all(r["drain"] == pytest.approx(r["capacity"] / r["bandwidth"]) for r in rows)
    assert all(r["source"] for r in rows)


def test_without_a_price_costs_are_unknown_and_ratios_stay() -> None:
    machine = replace(catalog.machine("8xh100"), price_per_hour=0.0)
    record = rackmath.context(LLAMA, on=machine, list_price=3).record
    columns = record["kinds"][0]["columns"]
    assert set(columns["output_mtok"]) == {None}
    assert "margin" not in columns
    assert record["kinds"][0]["price_step"]["needed"] > 1
    memory = rackmath.memory(LLAMA, on=machine).record
    assert {r["user_hour"] for r in memory["users"]} == {None}


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["context", LLAMA, "--on", RACK, "--max-context", "1M"], "--extrapolate"),
        (["memory", LLAMA, "--on", RACK, "--context", "1M"], "--extrapolate"),
        (["memory", LLAMA, "--on", RACK, "--contexts", "8k,200k"], "--extrapolate"),
        (["memory", LLAMA, "--on", RACK, "--contexts", "0"], "out of range"),
        (["memory", LLAMA, "--on", RACK, "--contexts", "8k,nan"], "contexts"),
        (["memory", LLAMA, "--on", RACK, "--context", "-5"], "out of range"),
        (["memory", LLAMA], "memory needs --on"),
        (["memory", "--on", RACK], "rackmath drains"),
        (["drains", "--on", "h10000x"], "unknown machine"),
        (["context", LLAMA, "--on", RACK, "--kinds", "sqroot"], "did you mean sqrt"),
        (["context", LLAMA, "--on", RACK, "--window", "0"], "window"),
        (["context", LLAMA, "--on", RACK, "--local", "-1"], "local"),
        (["context", LLAMA, "--on", RACK, "--top-k", "nan"], "top_k"),
        (["context", LLAMA, "--on", RACK, "--threshold", "200k"], "threshold"),
        (["context", LLAMA, "--on", RACK, "--step", "-10%"], "step"),
        (["context", LLAMA, "--on", RACK, "--list-price", "0"], "list_price"),
        (["context", LLAMA, "--on", RACK, "--batch", "0"], "batch"),
        (["context", LLAMA, "--on", RACK, "--max-tpot", "0"], "max_tpot"),
        (["context", LLAMA, "--on", RACK, "--layout", "TP7"], "TP7"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_what_does_not_fit_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["memory", V3, "--on", "8xh100"]) == 1
    assert cli.run(["context", V3, "--on", "8xh100"]) == 1
    assert cli.run(["context", LLAMA, "--on", "8xh100", "--max-tpot", "1ms"]) == 1
    assert "slower pace" in capsys.readouterr().err
    with pytest.raises(Infeasible):
        context_answer(V3, "8xh100")


def test_extrapolating_says_so() -> None:
    answer = rackmath.context(V3, on=RACK, max_context="1M", extrapolate=True)
    assert answer.context[-1] == 1e6
    assert answer.threshold == 200e3
    assert any("arithmetic only" in note for note in answer.notes)


def test_a_model_without_attention_has_no_other_kind() -> None:
    recurrent = build({"name": "m", "d_model": 1024, "vocab": 1000, "groups": [{"count": 4, "ffn": {"kind": "mlp", "d_ff": 4096}}]})
    with pytest.raises(BadInput, match="no attention cache"):
        kinds.square_root(recurrent)


def test_files_of_every_kind(tmp_path: Path) -> None:
    for name in ("c.json", "c.csv", "c.txt", "c.svg"):
        assert cli.run(["context", LLAMA, "--on", "8xh100", "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 500
    assert cli.run(["explain", "memory", LLAMA, "--on", "8xh100", "-o", str(tmp_path / "m.txt")]) == 0
    assert cli.run(["drains", "-o", str(tmp_path / "d.svg")]) == 0
