"""Compute split between pre-training, RL and inference; the cheapest architecture of a quality."""

from dataclasses import replace

import numpy as np
import pytest

import rackmath
from rackmath.decisions.allocation.design import floor
from rackmath.decisions.allocation.family import KINDS, Member, counted, shape
from rackmath.decisions.allocation.overtraining import optimal_share, over_training
from rackmath.decisions.allocation.ranges import changed, curve, intervals, ranges, tornado
from rackmath.decisions.allocation.split import (
    MODES,
    Problem,
    allocate,
    balanced_tokens,
    equal,
    exponent,
    optimum,
    power_split,
    same_cost,
    split,
)
from rackmath.errors import BadInput
from rackmath.faces.cli import run
from rackmath.kernel.counts import total_parameters
from rackmath.scaling.laws import beyond, draws, law


def design(model, on, **given):
    """The candidates as the domain's record."""
    return rackmath.design(quality_of=model, on=on, **given).subject


def ask(**given):
    """The split as the domain's record."""
    return rackmath.allocate(**given).subject


def lecture(name="besiroglu", **changes):
    given = {"rate": 50e6, "months": 2.0, "active": 100e9, "efficiency": 1 / 3} | changes
    return Problem(law=law(name), **given)


# --- the lecture's figures ------------------------------------------------------------------------------------------


def test_traffic_and_tokens_of_the_lecture():
    s = equal(lecture())
    assert s.served == pytest.approx(259.2e12)
    assert s.tokens == pytest.approx(1.5 * s.rl_tokens) == pytest.approx(s.served)
    assert s.over_rule == pytest.approx(129.6)
    assert s.pre == pytest.approx(s.rl) == pytest.approx(s.inference)


@pytest.mark.parametrize(("name", "third", "half", "share"), [("besiroglu", 20, 6.7, 0.19), ("hoffmann", 47, 11.4, 0.27)])
def test_over_training_by_share(name, third, half, share):
    beta = law(name).coefficients["beta"]
    assert over_training(1 / 3, beta) == pytest.approx(third, rel=0.015)
    assert over_training(1 / 2, beta) == pytest.approx(half, rel=0.015)
    assert optimal_share(100.0, beta) == pytest.approx(share, abs=0.006)


def test_tokens_that_suit_the_lectures_model():
    assert balanced_tokens(lecture(), 100e9) == pytest.approx(1.8e12, rel=0.02)
    assert balanced_tokens(lecture("hoffmann"), 100e9) / 100e9 == pytest.approx(70, rel=0.01)


def test_the_preset_shows_the_contradiction():
    answer = ask(preset="lecture")
    besiroglu, hoffmann = answer.tensions
    assert [round(t.by_share[1 / 3]) for t in (besiroglu, hoffmann)] == [20, 47]
    assert [round(t.needed[100.0], 2) for t in (besiroglu, hoffmann)] == [0.19, 0.27]
    assert answer.outside
    assert float(answer.splits["equal"].over_rule) == pytest.approx(129.6)


def test_two_hundred_trillion_at_a_third_suit_about_500_billion():
    rate = 200e12 / 2 / (30 * 86400)
    s = equal(lecture(rate=rate, active=None))
    assert s.tokens == pytest.approx(200e12)
    assert 4e11 < s.params < 8e11
    assert s.over_law == pytest.approx(over_training(1 / 3, 0.36585))


# --- the rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["besiroglu", "hoffmann", "sardana", "krajewski-moe"])
@pytest.mark.parametrize("rl_flops", [2.0, 6.0])
def test_the_optimum_meets_its_first_order_condition(name, rl_flops):
    of = lecture(name, rl_flops=rl_flops, shares=(0.5, 0.3, 0.2))
    start = equal(of)
    for found in (optimum(of, start), same_cost(of, start)):
        assert found.over_law**of.terms.beta == pytest.approx(1 / found.share, rel=1e-6)


def test_the_optimum_is_cheapest_of_all_models_of_its_loss():
    of = lecture()
    start = equal(of)
    best = optimum(of, start)
    assert best.loss == pytest.approx(start.loss, rel=1e-12)
    assert best.served == pytest.approx(start.served)
    assert best.rl_tokens == pytest.approx(start.rl_tokens)
    drawn = curve(of, start, points=2000)
    assert best.total <= drawn.total.min() * (1 + 1e-9)
    assert best.total == pytest.approx(drawn.total.min(), rel=1e-4)


def test_same_cost_is_the_best_for_the_money():
    of = lecture()
    start = equal(of)
    best = same_cost(of, start)
    k = (start.rl + start.inference) / start.params
    assert best.total == pytest.approx(start.total, rel=1e-9)
    for size in (0.97, 1.03):
        n = best.params * size
        assert of.terms.loss(n, (start.total / n - k) / 6) > best.loss


def test_exponents():
    """min of A x^-p + B x^q has A / B = q / p: equal only for equal exponents."""
    p, q, a, b = 0.5, 2.0, 3.0, 7.0
    x = np.geomspace(0.01, 100, 200_001)
    i = np.argmin(a * x**-p + b * x**q)
    assert a * x[i] ** -p / (b * x[i] ** q) == pytest.approx(q / p, rel=1e-3)
    assert power_split(p, q) == pytest.approx(0.8)
    of = lecture()
    start = equal(of)
    slope = 1 / (start.over_law**-of.terms.beta) - 1
    assert exponent(of, start).share == pytest.approx(power_split(slope, 1.0))


def test_rules_agree_where_size_is_free():
    found = allocate(Problem(law=law("besiroglu"), flops=5e26))
    for mode in MODES:
        assert found[mode].params == pytest.approx(found["equal"].params, rel=1e-6)
        assert found[mode].share == pytest.approx(1 / 3)


def test_no_exponent_below_the_laws_own_optimum():
    of = Problem(law=law("besiroglu"), flops=1e24, active=1e12)
    assert np.isnan(split(of, "exponent").total)
    assert np.isfinite(split(of, "optimum").total)


def test_budget_with_traffic_fixes_the_size():
    s = equal(lecture(active=None, flops=5e26))
    assert s.total == pytest.approx(5e26)
    assert s.served == pytest.approx(259.2e12)
    paid = equal(lecture(active=None, dollars=1e9, per_hour=2.0, peak=1e15, mfu=0.4))
    assert paid.dollars == pytest.approx(1e9)


def test_shipping_and_cheap_tokens_count_for_less():
    plain = equal(lecture())
    assert equal(lecture(ship=0.5)).tokens == pytest.approx(plain.tokens / 2)
    mixed = lecture(input_share=0.8, cached_share=0.5, input_weight=0.2, cached_weight=0.02)
    assert mixed.weight == pytest.approx(0.2 + 0.8 * 0.11)
    assert equal(mixed).served == pytest.approx(plain.served)
    assert equal(mixed).tokens == pytest.approx(plain.tokens * mixed.weight)


@pytest.mark.parametrize("mode", MODES)
def test_columns_and_numbers_agree(mode):
    many = draws(law("besiroglu"), 5)
    together = split(Problem(law=many, rate=50e6, active=100e9), mode)
    for i in range(5):
        coefficients = {k: float(v[i]) for k, v in many.coefficients.items()}
        one = split(Problem(law=replace(many, coefficients=coefficients), rate=50e6, active=100e9), mode)
        assert np.broadcast_to(together.tokens, 5)[i] == pytest.approx(float(one.tokens), rel=1e-9)


# --- how sure -------------------------------------------------------------------------------------------------------


def test_ten_thousand_draws_hold_the_answer():
    of = lecture(per_hour=2.0)
    spans = intervals(of, "optimum", ranges(of), n=10_000)
    best = split(of, "optimum")
    for key in ("params", "tokens", "tokens_per_param", "share", "dollars"):
        low, high = spans[key]
        assert low < getattr(best, key) < high
    assert spans["served"] == (pytest.approx(best.served),) * 2  # traffic is given, not drawn


def test_coefficients_alone_move_the_optimal_ratio_several_fold():
    of = Problem(law=law("besiroglu"), flops=5e26)
    low, high = intervals(of, "optimum", {}, n=4000)["tokens_per_param"]
    assert high / low > 3


def test_a_range_given_is_drawn():
    of = lecture()
    ends = ranges(of, {"rate": (10e6, 250e6)})
    low, high = intervals(of, "equal", ends, chosen=("rate",))["served"]
    assert (low, high) == (pytest.approx(51.84e12, rel=0.05), pytest.approx(1.296e15, rel=0.05))
    with pytest.raises(BadInput, match="does not hold its value"):
        ranges(of, {"rate": (1e6, 2e6)})
    with pytest.raises(BadInput, match="plays no part"):
        ranges(of, {"dollars": (1e6, 2e6)})


def test_the_tornado_moves_one_input_at_a_time():
    of = lecture()
    found = tornado(of, "equal", "tokens_per_param", ranges(of), [law("hoffmann")])
    sizes = [s.size for s in found]
    assert sizes == sorted(sizes, reverse=True)
    traffic = next(s for s in found if s.name == "rate")
    assert (traffic.low, traffic.high) == (pytest.approx(1296), pytest.approx(5184))
    assert {"rate", "months", "active", "share"} <= {s.name for s in found}
    by_law = next(s for s in tornado(of, "optimum", "tokens_per_param", ranges(of), [law("hoffmann")]) if s.name == "the law")
    assert by_law.labels == ("besiroglu", "hoffmann")
    assert changed(of, {"share": 0.5}).shares == pytest.approx((0.5, 0.25, 0.25))


# --- on a machine, and the family -----------------------------------------------------------------------------------


def test_rates_of_a_machine_are_its_own():
    answer = ask(traffic="5M/s", active="8B", on="2048xh100")
    p, r = answer.problem, answer.rates
    assert p.flop_price * 6 * r.params * r.run.job.tokens == pytest.approx(r.run.dollars)
    served = 2 / p.efficiency * r.params * p.flop_price * 1e6
    assert served == pytest.approx(float(r.plan.cost.output_mtok))
    assert 0 < p.mfu < 1


@pytest.mark.parametrize("kv", KINDS)
@pytest.mark.parametrize("expansion", [1, 8, 32])
@pytest.mark.parametrize("active", [8e9, 100e9, 405e9])
def test_members_have_the_parameters_asked_for(active, expansion, kv):
    made = Member(active=active, expansion=expansion, kv=kv).model
    assert counted(made) == pytest.approx(active, rel=0.04)
    assert (total_parameters(made) > 2 * active) == (expansion > 1)


def test_shapes_follow_llama():
    assert shape(405e9) == (pytest.approx(126, abs=4), 16384)
    assert shape(8e9) == (pytest.approx(32, abs=4), 4096)


def test_the_cheapest_architecture():
    answer = design("meta-llama/Meta-Llama-3.1-70B", "gb200-nvl72", traffic="5M/s", months=12, caches="gqa", experts="1")
    d = answer
    totals = [c.total for c in d.candidates]
    assert totals == sorted(totals)
    for c in d.candidates:
        t = d.need.law.coefficients
        loss = t["E"] + t["A"] / c.effective ** t["alpha"] + t["B"] / c.tokens ** t["beta"]
        assert loss == pytest.approx(d.loss, rel=1e-9)
        assert c.total > floor(d.need, c.active, c.tokens)
    assert d.reference.tokens == 15e12
    assert d.weak
    busier = design("meta-llama/Meta-Llama-3.1-70B", "gb200-nvl72", traffic="500M/s", months=12, caches="gqa", experts="1")
    assert busier.best.active < d.best.active
    assert busier.best.tokens > d.best.tokens


def test_members_beyond_the_runs_of_the_laws_are_answered_with_an_interval():
    asked = {"traffic": "1M/s", "tokens": "40B", "isl": 512, "osl": 128, "caches": "gqa", "experts": "1,8"}
    d = design("gpt2-xl", "8xh100", **asked)
    assert any(beyond(d.need.law, {"params": c.effective, "tokens": c.tokens}) for c in d.candidates)
    assert {c.member.expansion for c in d.candidates} == {1, 8}
    assert sum(d.shares.values()) == pytest.approx(1)
    for c, (low, high) in zip(d.candidates, d.ends, strict=True):
        assert low < c.total < high


def test_small_dollars_are_not_millionths(capsys):
    words = "--quality-of gpt2-xl --tokens 40B --isl 512 --osl 128 --traffic 1M/s --on 8xh100 --experts 1 --caches gqa"
    assert run(["design", *words.split()]) == 0
    assert "$0.0" not in capsys.readouterr().out.partition("The best of each kind")[0]
    assert run(["allocate", "--flops", "1e20"]) == 0
    out = capsys.readouterr().out
    assert "$207" in out
    assert "$0.0" not in out


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        ("llama-3-405", {}, "did you mean"),
        ("llama-3-405b", {"law": "krajewski-moe"}, "no dense model"),
        ("llama-3-405b", {"routed": "besiroglu"}, "knows no experts"),
        ("llama-3-405b", {"on": "a10"}, "has no price"),
        ("llama-3-405b", {"tokens": "15"}, "out of range"),
        ("gpt2", {}, "shorten isl or osl"),
    ],
)
def test_bad_designs_are_one_sentence(model, given, words):
    with pytest.raises(BadInput) as error:
        design(model, **({"on": "gb200-nvl72", "traffic": "50M/s"} | given))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


# --- bad input and faces --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"budget": "100MUSD", "flops": "5e26"}, "give one of --budget and --flops"),
        ({"budget": "100MUSD", "flops": "5e26", "traffic": "50M/s"}, "give one of"),
        ({"budget": "100MUSD", "traffic": "50M/s", "active": "8B"}, "leave one of them out"),
        ({}, "nothing says how much"),
        ({"flops": "nan"}, "not finite"),
        ({"flops": -1}, "above 0"),
        ({"flops": "1e300"}, "is out of range"),
        ({"traffic": "1e-300/s"}, "out of range"),
        ({"budget": "100MUSD", "on": "a10"}, "has no price"),
        ({"traffic": "1M/s", "on": "a10"}, "has no price"),
        ({"preset": "lecture", "budget": "1MUSD"}, "the preset lecture gives traffic"),
        ({"flops": "1e25", "ranges": {"efficiency": "0.5..0.2"}}, "lower number first"),
        ({"flops": "1e25", "ranges": {"efficiency": "0..0.5"}}, "ends above 0"),
        ({"traffic": "50M/s", "ranges": {"traffic": "1M/s..2M/s"}}, "of traffic does not hold"),
        ({"flops": "1e25", "ranges": {"rates": "1..2"}}, "traffic, months"),
        ({"flops": "5e26", "months": 2}, "--months plays no part without --traffic"),
        ({"traffic": "50M/s", "active": "100T"}, "write 100B"),
        ({"traffic": "50M/s", "active": "100"}, "write 100B"),
        ({"traffic": "50T/s"}, "out of range"),
        ({"traffic": "50M/y"}, "tokens over a time"),
        ({"budget": "5 GB"}, "in bytes"),
        ({"budget": "0.01USD"}, "give at least"),
        ({"flops": "1e20", "active": "100B"}, "give at least"),
        ({"flops": "5e26", "law": "clark-hash"}, "cannot split compute"),
        ({"flops": "5e26", "law": "bezirog"}, "did you mean besiroglu"),
        ({"flops": "5e26", "mode": "optimal"}, "did you mean optimum"),
        ({"flops": "5e26", "efficiency": "0"}, "out of range"),
        ({"flops": "5e26", "ship": 2}, "out of range"),
        ({"flops": "5e26", "shares": "50/50"}, "not three"),
        ({"flops": "5e26", "preset": "lectur"}, "did you mean lecture"),
        ({"flops": "5e26", "on": "8xh100", "mfu": 0.5}, "leave it out"),
        ({"preset": "lecture", "on": "8xh100", "input_weight": 0.1}, "leave it out"),
        ({"flops": "5e26", "ranges": {"mfu": "0.5"}}, "two ends"),
    ],
)
def test_bad_input_is_one_sentence(given, words):
    with pytest.raises(BadInput) as error:
        ask(**given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_smallest_budget_named_is_enough():
    with pytest.raises(BadInput) as error:
        ask(flops="1e17", active="1B")
    least = float(str(error.value).rsplit(" ", 1)[1])
    assert ask(flops=least * 1.01, active="1B").splits


def test_within_the_box_nothing_is_marked():
    answer = ask(flops="3e21", active="5B")
    assert not answer.outside


def test_commands(capsys, tmp_path):
    assert run(["allocate", "--flops", "5e26"]) == 0
    assert "Extrapolated" in capsys.readouterr().out
    assert run(["allocate", "--preset", "lecture", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("equal,100000000000,")
    assert run(["allocate", "--preset", "lecture", "-o", str(tmp_path / "a.html")]) == 0
    assert "Tokens per parameter" in (tmp_path / "a.html").read_text()
    assert run(["allocate", "--preset", "lecture"]) == 0
    shown = capsys.readouterr().out
    for words in ("Extrapolated", "130x", "20.1x", "47.3x", "19%", "27%"):
        assert words in shown
    assert run(["design", "--quality-of", "Qwen/Qwen3-32B", "--traffic", "1M/s", "--on", "8xh100"]) == 2
    assert "--tokens" in capsys.readouterr().err


@pytest.mark.parametrize("mode", MODES)
def test_explained_terms_follow(mode):
    tree = rackmath.allocate(preset="lecture", mode=mode).explain()
    assert all(node.follows() for node in tree.walk())


def test_the_tornado_is_drawn_around_the_answer():
    answer = rackmath.allocate(preset="lecture")
    block = next(b for b in answer.blocks if type(b).__name__ == "Ranges")
    assert block.at == pytest.approx(answer.modes["optimum"]["tokens_per_param"])
    assert [r.high / r.low for r in block.rows] == sorted((r.high / r.low for r in block.rows), reverse=True)
    assert all(r.low <= block.at * (1 + 1e-9) and r.high >= block.at * (1 - 1e-9) for r in block.rows)
    assert len(answer.tornado) == len(block.rows)
