"""Price modes: the identity, the lecture's worked pair, feasibility, idle hours, and the menu; both commands."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rackmath
from rackmath.decisions.modes.cadence import Train
from rackmath.decisions.modes.menu import menu, normal_plan
from rackmath.decisions.modes.offers import batch_offer, fit_fast_mode
from rackmath.economics.pricelist import margin
from rackmath.errors import BadInput, Infeasible
from rackmath.faces.cli import run
from rackmath.questions.resolve import question
from rackmath.search.choice import evaluate_plan
from rackmath.search.curve import batch_curve
from rackmath.search.preferred import Policy, preferred_layout
from rackmath.search.unbatched import unbatched
from rackmath.world.workload import Traffic

LLAMA = ("meta-llama/Llama-3.1-70B", "8xh200")


def test_the_published_pair() -> None:
    """LECTURE section 4: 6x at 2.5x means 15 times the batch; memory-bound x = 1.8; compute-bound 2.5 B* and B*/6."""
    fit = fit_fast_mode(6, 2.5, input_price_ratio=6)
    assert fit.feasible
    assert fit.batch_ratio == pytest.approx(15)
    m, c = fit.memory_bound, fit.compute_bound
    assert m.cache_over_weights == pytest.approx(1.8)
    assert m.cache_share == pytest.approx(0.643, abs=1e-3)
    assert m.floors == m.largest_speed == pytest.approx(2.8)
    assert m.slow_saving == pytest.approx(0.357, abs=1e-3)
    assert c.normal_batch == c.largest_speed == pytest.approx(2.5)
    assert c.fast_batch == pytest.approx(1 / 6)
    assert c.slow_saving == 0
    assert fit.uniform_batch_ratio == pytest.approx(2.5)


@given(
    x=st.floats(0.01, 50), shrink=st.floats(1.01, 1e4), chips=st.sampled_from([1.0, 2.0, 4.0]), per_pass=st.sampled_from([1.0, 1.8, 3.0])
)
def test_a_memory_bound_machine_is_read_back(x: float, shrink: float, chips: float, per_pass: float) -> None:
    """Build both modes from t = weights + cache, read the ratios backwards, get x back."""
    slow, fast = 1 + x, (1 + x / shrink) / chips
    speed = per_pass * slow / fast
    price = chips * (fast / (1 / shrink) / per_pass) / slow
    if price < 1 or speed < 1:
        return
    fit = fit_fast_mode(price, speed, chips=chips, per_pass=per_pass)
    assert fit.batch_ratio == pytest.approx(shrink, rel=1e-6)
    assert fit.memory_bound.cache_over_weights == pytest.approx(x, rel=1e-3)
    assert fit.memory_bound.largest_speed == pytest.approx(chips * per_pass * (1 + x), rel=1e-3)
    assert speed <= fit.memory_bound.largest_speed * (1 + 1e-6)


def test_infeasible_and_impossible_pairs() -> None:
    same_price = fit_fast_mode(1, 2)  # twice as fast at the same price: every byte would have to be cache
    assert not same_price.memory_bound.feasible
    assert same_price.compute_bound.feasible  # from 2 B* down to B* costs nothing
    assert fit_fast_mode(1, 1).feasible
    # with speculation the fast pass counts every token it computes: half a B* of sequences, four tokens each
    assert not fit_fast_mode(2, 3, per_pass=1.5, width=8).compute_bound.feasible
    for bad in ((0.5, 2.0), (0.5, 0.5), (2.0, 0.5), (math.nan, 2.0), (-1.0, 2.0), (math.inf, 2.0), (6.0, 0.0)):
        with pytest.raises(BadInput):
            fit_fast_mode(*bad)
    with pytest.raises(BadInput, match="2 for this one"):
        fit_fast_mode(0.5, 0.5)
    with pytest.raises(BadInput, match="cannot come from"):
        fit_fast_mode(6, 2.5, per_pass=3, width=2)


@given(idle=st.floats(0, 0.99), filled=st.floats(0, 1), discount=st.floats(0, 1))
def test_batch_prices_pay_the_rental(idle: float, filled: float, discount: float) -> None:
    """Whatever the discount, interactive and batch tokens together cover the hour; filled hours give idle back."""
    offer = batch_offer(2.0, idle, filled=filled)
    interactive = offer.interactive_at(discount)
    paid = (1 - idle) * interactive + filled * idle * (1 - discount) * interactive
    assert paid == pytest.approx(2.0)
    assert offer.together <= offer.alone * (1 + 1e-12)
    assert batch_offer(2.0, idle).even_discount == pytest.approx(idle, abs=1e-12)
    assert offer.interactive_at(0.0) == pytest.approx(offer.together)
    assert offer.interactive_at(1.0) == pytest.approx(offer.alone)


def test_shares_are_checked() -> None:
    for idle, filled in ((1.0, 1.0), (-0.1, 1.0), (math.nan, 1.0), (0.5, 1.5), (0.5, -1.0)):
        with pytest.raises(BadInput):
            batch_offer(1.0, idle, filled=filled)
    assert margin(1.0, 2.0) == -1.0


def test_the_identity_holds_in_the_model() -> None:
    """Two batches on one replica: price ratio of a request = batch ratio / speed ratio, whatever the step time is."""
    q, _ = question(*LLAMA, traffic=Traffic(isl=8192, osl=1024))
    normal = normal_plan(q, 20.0)
    fast = evaluate_plan(q, normal.layout, normal.precision, normal.batch / 6)
    price = float(fast.cost.request) / float(normal.cost.request)
    speed = float(fast.serving.interactivity) / float(normal.serving.interactivity)
    assert price * speed == pytest.approx(6)
    assert fit_fast_mode(price, speed).batch_ratio == pytest.approx(6)


def test_the_menu() -> None:
    q, _ = question(*LLAMA, traffic=Traffic(isl=8192, osl=1024))
    normal = normal_plan(q, 20.0)
    m = menu(normal, per_pass=1.8, width=2.0)
    assert m.speed >= 20
    assert [o.gpus / normal.layout.gpus for o in m.series] == [1, 1, 2, 2, 4, 4]
    for o in (m.same, *m.series):  # fronts: faster is dearer
        assert np.all(np.diff(o.interactivity) > 0)
        assert np.all(np.diff(o.output_mtok) > 0)
    plain, spec = m.series[0], m.series[1]
    assert m.multiple(m.same, 1.0) == pytest.approx(1, rel=1e-6)
    # batch alone is one way among those of as many devices (on a grid of batches: 5 %)
    for k in (1.0, 1.5, 2.0, 3.0):
        assert (m.multiple(plain, k) or math.inf) <= (m.multiple(m.same, k) or math.inf) * 1.05
    # a memory-bound pass of two tokens takes hardly longer than one: speculation is near 1.8 times as fast
    assert 1.5 < spec.fastest / plain.fastest < 1.8 + 1e-9
    assert m.series[2].fastest > 1.3 * plain.fastest  # twice the devices read the weights in half the time
    assert m.multiple(plain, 1000.0) is None
    # no batch that fits saves more than one without end
    assert m.saving(m.same) <= 1 - m.slow_limit_mtok / m.output_mtok + 1e-9


def test_no_plan_is_infeasible() -> None:
    q, _ = question(*LLAMA, traffic=Traffic(isl=8192, osl=1024))
    with pytest.raises(Infeasible, match="tok/s/user"):
        normal_plan(q, 1e6)


@pytest.mark.parametrize(("model", "sparse"), [("deepseek-ai/DeepSeek-V3", True), ("meta-llama/Llama-3.1-70B", False)])
def test_the_penalty_of_not_batching(model: str, sparse: bool) -> None:
    """LECTURE section 3: B* = R s if all experts are read, R for dense and mixture alike if only those touched."""
    q, _ = question(model, "gb200-nvl72", traffic=Traffic(isl=1, osl=1), precision="fp8")
    curve = batch_curve(q, preferred_layout(q, q.precisions[0], 1.0, Policy()), q.precisions[0], 1.0)
    short = unbatched(q, q.precisions[0], 1.0)
    # B* counts embedding and head in the total, this the head among the FLOPs: 1.5 % each way of a 70B
    assert short.all_read == pytest.approx(curve.balance, rel=0.06)
    assert short.touched == pytest.approx(curve.r, rel=0.06)
    assert (short.all_read > 10 * short.touched) == sparse
    long = unbatched(q, q.precisions[0], 100_000.0)
    assert 1 < long.touched < short.touched
    assert 1 < long.all_read < short.all_read


# --- the commands -------------------------------------------------------------------------------------------------


def test_backwards_needs_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["modes", "--price-ratio", "6", "--speed-ratio", "2.5", "--input-price-ratio", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["backwards"]["batch_ratio"] == pytest.approx(15)
    assert found["backwards"]["memory_bound"]["largest_speed"] == pytest.approx(2.8)
    assert found["backwards"]["input"]["explained_by_batch"] == 1
    assert found["normal"] is None


def test_modes_with_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["modes", *LLAMA[:1], "--on", LLAMA[1], "--price-ratio", "6", "--speed-ratio", "2.5", "--list-output", "25"]
    assert run([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    normal = found["normal"]
    assert normal["output_gross_margin"] == pytest.approx(1 - normal["output_mtok"] / 25)
    assert found["batch_api"]["even_discount"] == pytest.approx(0.4)
    own = found["backwards"]["own"]["batch alone, TP4"]
    assert own["surcharge"] * own["price_ratio"] == pytest.approx(6)
    assert run([*args, "--csv"]) == 0
    assert capsys.readouterr().out.startswith("kind,gpus,tokens_per_pass")
    assert run(args) == 0
    screen = capsys.readouterr().out
    assert "Implied gross margin" in screen
    assert "nan" not in screen


def test_cadence_of_the_lecture(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cadence", "--step", "20ms", "--seats", "2000", "--osl", "500", "--occupancy", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["now"]["first_token_mean"] == pytest.approx(0.030)
    assert found["worst_while_seats_are_free"] == pytest.approx(0.040)
    assert found["now"]["output_mtok"] is None


def cadence(**given: Any) -> Train:
    """The train of a replica of Llama 3.1 70B."""
    found: Train = rackmath.cadence(LLAMA[0], on=LLAMA[1], **given).subject.train
    return found


def test_cadence_costs_more_with_seats_empty() -> None:
    half = cadence(occupancy=0.5)
    most = cadence(occupancy=0.9)
    assert half.now.occupancy == pytest.approx(0.5, rel=1e-3)
    assert half.mtok(half.now) > most.mtok(most.now) > most.full_mtok
    fixed = cadence(occupancy=0.5, step="20ms")  # a constant step: the cost is 1 / occupancy
    assert fixed.mtok(fixed.now) == pytest.approx(2 * fixed.full_mtok, rel=1e-3)


def test_cadence_beyond_its_seats(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cadence", *LLAMA[:1], "--on", LLAMA[1], "--rate", "40"]) == 1
    said = capsys.readouterr().err
    found = re.search(r"queue grows without end.* (\d+) replicas would carry it", said)
    assert found
    assert cadence(rate=40 / int(found.group(1))).now.stable


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["cadence", "--step", "20ms"], "give both --step"),
        (["cadence", "--step", "20ms", "--seats", "9", "--occupancy", "1.2"], "at most 1"),
        (["cadence", "--step", "20ms", "--seats", "9", "--occupancy", "nan"], "occupancy"),
        (["cadence", "--step", "20ms", "--seats", "9", "--occupancy", "-0.1"], "above 0"),
        (["cadence", "--step", "20ms", "--seats", "9", "--rate", "1", "--occupancy", "0.5"], "one of them"),
        (["cadence", "--step", "20ms", "--seats", "2.5"], "whole number"),
        (["cadence", "--step", "20ms", "--seats", "9", "--osl-cv", "9"], "osl_cv"),
        (["cadence", *LLAMA[:1]], "a model and a machine"),
        (["cadence", *LLAMA[:1], "--on", LLAMA[1], "--isl", "200000"], "made for"),
        (["cadence", *LLAMA[:1], "--on", LLAMA[1], "--seats", "9000"], "that fit"),
        (["modes"], "nothing was asked"),
        (["modes", "--price-ratio", "6"], "belong together"),
        (["modes", "--price-ratio", "0.5", "--speed-ratio", "2.5"], "faster .* and cheaper"),
        (["modes", "--price-ratio", "6", "--speed-ratio", "0.5"], "below 1"),
        (["modes", "--price-ratio", "6", "--speed-ratio", "2.5", "--input-price-ratio", "0.5"], "below 1"),
        (["modes", "--price-ratio", "nan", "--speed-ratio", "2.5"], "price_ratio"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--idle", "1"], "idle share"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--tokens-per-pass", "0.5"], "tokens_per_pass"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--tokens-per-pass", "3", "--draft-tokens", "1"], "cannot come"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--isl", "200000"], "made for"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--batch", "8", "--normal-speed", "20"], "one of them"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--list-output", "0"], "above 0"),
        (["modes", *LLAMA[:1], "--on", LLAMA[1], "--layout", "TP8"], "without --batch"),
    ],
)
def test_bad_input_is_one_sentence(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_terms_follow() -> None:
    """Every rule in the trees gives the value it stands at."""
    for answer in (
        rackmath.modes(LLAMA[0], on=LLAMA[1], price_ratio=6, speed_ratio=2.5, input_price_ratio=6),
        rackmath.modes(price_ratio=1, speed_ratio=2),
        rackmath.cadence(LLAMA[0], on=LLAMA[1], occupancy=0.9),
        rackmath.cadence(step="20ms", seats=64, osl=100),
    ):
        assert [node.name for node in answer.explain().walk() if not node.follows()] == []
