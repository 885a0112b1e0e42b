"""Scaling laws: published figures, properties, refusals, and fits of runs whose law is known."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rackmath
from rackmath.errors import BadInput, Infeasible
from rackmath.faces import notebook
from rackmath.faces.cli import run
from rackmath.scaling.fit import NAMES, LawRuns, fit
from rackmath.scaling.forms import fading
from rackmath.scaling.laws import as_printed, drawn, draws, law, laws
from rackmath.scaling.points import (
    at,
    balanced,
    cheapest,
    cutoff,
    effective_params,
    elasticities,
    floor,
    implied_inference,
    lifetime,
    loss,
    of_budget,
    optimum,
    params_for,
    routed_total,
    tokens_for,
)
from rackmath.scaling.runs import read

ROUTERS = ("clark-s-base", "clark-rl-r", "clark-hash")
WITH_SPLIT = [name for name, one in laws().items() if one.family.split is not None and one.active is not None]
WITH_LOSS = [name for name, one in laws().items() if one.family.loss is not None and one.family.uses_tokens]


def ask(names=(), **given):
    """What the laws answer, as the domain's record."""
    return rackmath.law(names, **given).subject


# --- published figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ratios"), [("hoffmann", (34, 59, 85)), ("besiroglu", (21.6, 18.4, 16.5))])
def test_optimal_tokens_per_parameter(name, ratios):
    for flops, ratio in zip((1e21, 5.76e23, 3.8e25), ratios, strict=True):
        assert float(optimum(name, flops).tokens_per_param) == pytest.approx(ratio, rel=0.005)


@pytest.mark.parametrize(
    ("flops", "params", "tokens"),
    [(1.21e20, 1e9, 20.2e9), (1.23e22, 10e9, 205.1e9), (5.76e23, 67e9, 1.5e12), (3.85e24, 175e9, 3.7e12), (1.27e26, 1e12, 21.2e12)],
)
def test_the_refit_agrees_with_approach_1_and_approach_3_does_not(flops, params, tokens):
    """Hoffmann et al., Table 3. The refit meets every row within 16 %; approach 3 is up to 2.1x away."""
    best = optimum("besiroglu", flops)
    assert float(best.params) == pytest.approx(params, rel=0.16)
    assert float(best.tokens) == pytest.approx(tokens, rel=0.16)
    if flops > 1e23:
        assert float(optimum("hoffmann", flops).params) < 0.65 * params


def test_exponents():
    assert float(law("besiroglu").exponent) == pytest.approx(0.513, abs=5e-4)
    assert float(law("hoffmann").exponent) == pytest.approx(0.4565, abs=2e-4)
    assert float(as_printed(law("hoffmann")).exponent) == pytest.approx(0.452, abs=5e-4)
    assert float(law("besiroglu-outliers").exponent) == pytest.approx(0.565, abs=1e-3)
    assert [float(law(name).exponent) for name in ("sardana-100", "sardana-250", "sardana-500", "sardana")] == (
        pytest.approx([0.62, 0.55, 0.55, 0.57], abs=5e-3)
    )


def test_two_digit_exponents_move_the_data_term_by_13_percent():
    exact, rounded = (c.coefficients for c in (law("hoffmann"), as_printed(law("hoffmann"))))
    terms = [c["B"] / 1e11 ** c["beta"] for c in (rounded, exact)]
    assert terms[0] / terms[1] == pytest.approx(1.13, abs=0.01)


def test_chinchilla_lies_where_its_paper_says():
    """70B on 1.4T: the paper's own parametric loss is 1.937."""
    printed = as_printed(law("hoffmann"))
    assert float(loss(printed, 70e9, 1.4e12)) == pytest.approx(1.937, abs=2e-3)


def test_clark_effective_parameters():
    assert float(effective_params("clark-s-base", 5e6, 128)) == pytest.approx(52e6, rel=0.015)
    ratios = [float(effective_params(name, 370e6, 64)) / 370e6 for name in ROUTERS]
    assert ratios == pytest.approx([3.67, 3.20, 2.66], abs=6e-3)
    printed = [float(effective_params(as_printed(law(name)), 370e6, 64)) / 370e6 for name in ROUTERS]
    assert printed == pytest.approx([3.70, 2.70, 3.02], abs=6e-3)
    assert float(effective_params("clark-s-base", 100e9, 64)) / 100e9 == pytest.approx(1.46, abs=0.02)
    assert float(effective_params("clark-rl-r", 100e9, 64)) < 100e9


def test_clark_cutoffs_ask_for_the_consistent_c():
    """The paper prints 937B, 85B and 83B; its rounded c would give 32B and 215B for the last two."""
    assert [float(cutoff(name)) / 1e9 for name in ROUTERS] == pytest.approx([937, 85, 83], rel=0.012)
    assert [float(cutoff(as_printed(law(n)))) / 1e9 for n in ROUTERS[1:]] == pytest.approx([32, 215], rel=0.02)


def test_clark_dense_loss_is_in_base_ten():
    assert float(at("clark-s-base", 1e9).loss) == pytest.approx(2.28, abs=0.006)
    assert float(at("clark-s-base", 1e9).loss) == pytest.approx((3.568e13 / 1e9) ** 0.078, abs=0.02)
    assert all(float(effective_params(name, 4e8, 1)) == pytest.approx(4e8) for name in ROUTERS)


def test_64_experts_make_22_times_the_parameters():
    """The MLP is 8 of 12 d_model^2 of a layer, and every second layer has experts."""
    assert float(routed_total(370e6, 64)) / 370e6 == pytest.approx(22)
    assert float(routed_total(1.3e9, 512)) == pytest.approx(223e9, rel=0.01)
    assert float(routed_total(1.0, 64, every=1)) == pytest.approx(43)


def test_effective_parameters_have_the_same_loss_dense():
    for name in ROUTERS:
        dense = effective_params(name, 370e6, 64)
        assert float(at(name, dense).loss) == pytest.approx(float(at(name, 370e6, experts=64).loss), rel=1e-12)


def test_llama_3():
    assert float(optimum("llama-3", 1e21).tokens) == pytest.approx(0.299 * 1e21**0.537)
    found = optimum("llama-3", 3.8e25)
    assert float(found.tokens) == pytest.approx(16.55e12, rel=0.02)
    assert float(found.params) == pytest.approx(402e9, rel=0.05)


def test_deepseek():
    """M* = 0.1715 C^0.5243 is FLOPs per token; what the law calls N is M / 6."""
    found = optimum("deepseek-llm", 1e20)
    assert float(found.params) * 6 == pytest.approx(0.1715 * 1e20**0.5243, rel=1e-3)


def test_kaplan():
    """Its equation 1.5 at the ends: data alone as D grows scarce, parameters alone as D has no end."""
    assert float(loss("kaplan", 1e9, 1e30)) == pytest.approx((6.4e13 / 1e9) ** 0.076, rel=1e-6)
    assert float(loss("kaplan", 1e30, 1e9)) == pytest.approx((1.8e13 / 1e9) ** 0.103, rel=1e-6)


def test_muennighoff_repeats():
    """N_opt / D is 0.051; four passes cost little, and sixteen and more are worth ever less."""
    assert 1 / float(optimum("muennighoff", 1e21).tokens_per_param) == pytest.approx(0.051, abs=5e-4)
    worth = [float(fading(1.0, passes, 15.387756)) for passes in (4, 16, 1000)]
    assert worth[0] == pytest.approx(3.73, abs=0.01)  # 93 % of four times the data
    assert worth[1] / 16 == pytest.approx(0.66, abs=0.01)
    assert worth[2] == pytest.approx(1 + 15.387756)
    fresh, repeated = (float(loss("muennighoff", 2e9, 40e9, unique=u)) for u in (40e9, 10e9))
    assert fresh == pytest.approx(float(loss("muennighoff", 2e9, 40e9)), rel=2e-3)
    assert 0 < repeated / fresh - 1 < 0.012


def test_muennighoff_optimum_repeats_sooner_than_it_grows():
    """With scarce data the budget goes to passes more than to parameters, since R_D is larger than R_N."""
    free, scarce = optimum("muennighoff", 3e21), optimum("muennighoff", 3e21, unique=5e9)
    assert float(scarce.tokens_per_param) > float(free.tokens_per_param)
    n = np.geomspace(float(scarce.params) / 3, float(scarce.params) * 3, 201)
    around = of_budget("muennighoff", 3e21, params=n, unique=5e9).loss
    assert float(scarce.loss) <= around.min() + 1e-9
    assert 80 < int(np.argmin(around)) < 120


def test_krajewski_experts_beat_dense_at_the_same_active_parameters():
    """N counts 64 experts: 129M to 3.7B are 3M to 86M active ones."""
    one = law("krajewski-moe")
    assert one.active == pytest.approx(12 / 516)
    routed = [float(loss(one, 43 * 50e6, 50e9, granularity=g)) for g in (1, 4, 16)]
    assert routed == sorted(routed, reverse=True)
    assert routed[-1] < float(loss("krajewski-dense", 50e6, 50e9)) - 0.3
    point = optimum(one, 1e19, granularity=8)
    assert float(point.flops) == pytest.approx(1e19)
    assert float(6 * point.params / 43 * point.tokens) == pytest.approx(1e19)


def test_abnar_sparsity_helps_at_fixed_total_only_up_to_a_point():
    """At the same total parameters fewer active ones lose; the sizes of its runs are not known: always marked."""
    found = loss("abnar", 1e9, 20e9, sparsity=np.array([0.0, 0.5, 0.9]))
    assert np.all(np.diff(found) > 0)
    far = at("abnar", 1e9, 20e9, sparsity=0.98)
    assert far.outside == ("the sizes of its runs are not known", "sparsity 0.980, fitted on 0 to 0.950")


# --- serving counts too ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ratios"), [("besiroglu", (12.7, 4.4, 1.1)), ("hoffmann", (5.8, 1.2, -0.7))])
def test_what_llama_3_implies_about_serving_changes_sign_with_the_fit(name, ratios):
    found = [float(implied_inference(name, n, d)) for n, d in ((8e9, 15e12), (70e9, 15e12), (405e9, 15.6e12))]
    assert found == pytest.approx(ratios, abs=0.06)


SARDANA = replace(law("hoffmann"), coefficients={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283})
"""The coefficients Sardana et al. take for Chinchilla (recalled; they reproduce the figures below)."""


def test_sardana_13b():
    """A model of 13B's quality that serves 2T tokens: train 7B instead and save 1.7e22 FLOPs, 17 %."""
    plain_ = balanced(SARDANA, params=13e9)
    best = lifetime(SARDANA, plain_.loss, 2e12)
    before, after = (float(p.flops + 2 * p.params * 2e12) for p in (plain_, best))
    assert float(best.params) == pytest.approx(7e9, rel=0.02)
    assert before - after == pytest.approx(1.7e22, rel=0.02)
    assert 1 - after / before == pytest.approx(0.17, abs=0.005)


def test_sardana_30b():
    """30B quality, 1.5B requests: 16B on 3.35T tokens, 17 % cheaper.

    The paper prices a token generated far above one trained on (1 % against 50 % of peak). Which price it took is not
    known here: one number, tokens served in units of training cost, is set by the 16B and must then give the others.
    """
    plain_ = balanced(SARDANA, params=30e9)
    served = np.linspace(1e12, 10e12, 400)
    best = lifetime(SARDANA, plain_.loss, served)
    i = int(np.argmin(np.abs(best.params - 16e9)))
    assert float(best.tokens[i]) == pytest.approx(3.35e12, rel=0.03)
    assert served[i] / 1.5e9 == pytest.approx(285 * 13, rel=0.05)  # 70 + 215 tokens a request, 13x as dear
    cost = [float(p) * (6 * float(d) + 2 * served[i]) for p, d in ((plain_.params, plain_.tokens), (best.params[i], best.tokens[i]))]
    assert 1 - cost[1] / cost[0] == pytest.approx(0.17, abs=0.02)


@pytest.mark.parametrize("served", [0.0, 1e12, 50e12])
@pytest.mark.parametrize("name", ["besiroglu", "hoffmann", "sardana", "krajewski-dense"])
def test_least_lifetime_cost(name, served):
    """The first-order condition holds, and no neighbour on the same loss is cheaper."""
    target = float(cheapest(name, float(floor(name)) + 0.35).loss)
    best = lifetime(name, target, served)
    of_params, of_tokens = elasticities(name, best.params, best.tokens)
    assert float(of_params / of_tokens) == pytest.approx(1 + served / (3 * float(best.tokens)), rel=1e-6)
    assert float(best.loss) == pytest.approx(target, rel=1e-9)
    cost = float(6 * best.params * best.tokens + 2 * best.params * served)
    for step in (0.97, 1.03):
        other = tokens_for(name, target, best.params * step)
        assert float(6 * other.params * other.tokens + 2 * other.params * served) > cost


@pytest.mark.parametrize("name", ["besiroglu", "kaplan", "krajewski-moe"])
def test_elasticities_are_slopes(name):
    n, d, h = 5e8, 20e9, 1e-5
    slopes = [
        -math.log(float(loss(name, n * (1 + h), d)) / float(loss(name, n * (1 - h), d))) / (2 * h),
        -math.log(float(loss(name, n, d * (1 + h))) / float(loss(name, n, d * (1 - h)))) / (2 * h),
    ]
    assert [float(e) for e in elasticities(name, n, d)] == pytest.approx(slopes, rel=1e-6)


# --- properties -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_LOSS)
def test_loss_falls_with_parameters_and_tokens(name):
    grid = np.geomspace(1e7, 1e13, 40)
    assert np.all(np.diff(loss(name, grid, 1e11)) < 0)
    assert np.all(np.diff(loss(name, 1e9, grid)) < 0)


@pytest.mark.parametrize("name", WITH_SPLIT)
def test_the_optimum_spends_the_budget_and_is_least(name):
    best = optimum(name, 1e21)
    assert float(best.flops) == pytest.approx(1e21)
    if law(name).family.loss is not None:
        for step in (0.9, 1.1):
            assert float(of_budget(name, 1e21, params=best.params * step).loss) > float(best.loss)


@pytest.mark.parametrize("name", WITH_LOSS)
def test_inversions_return(name):
    target = float(loss(name, 3e9, 60e9))
    assert float(tokens_for(name, target, 3e9).tokens) == pytest.approx(60e9, rel=1e-6)
    assert float(params_for(name, target, 60e9).params) == pytest.approx(3e9, rel=1e-6)
    if name in WITH_SPLIT:
        best = optimum(name, 1e21)
        assert float(cheapest(name, best.loss).flops) == pytest.approx(1e21, rel=1e-6)
        assert float(balanced(name, params=best.params).flops) == pytest.approx(1e21, rel=1e-6)
        assert float(balanced(name, tokens=best.tokens).flops) == pytest.approx(1e21, rel=1e-6)


def test_inversions_return_with_repeated_data():
    target = float(loss("muennighoff", 3e9, 60e9, unique=10e9))
    assert float(tokens_for("muennighoff", target, 3e9, unique=10e9).tokens) == pytest.approx(60e9, rel=1e-6)
    assert float(params_for("muennighoff", target, 60e9, unique=10e9).params) == pytest.approx(3e9, rel=1e-6)


@pytest.mark.parametrize("name", WITH_LOSS)
def test_a_column_is_its_rows(name):
    n, d = np.array([2e8, 1e9, 7e9]), np.array([2e10, 9e9, 4e11])
    column = at(name, n, d)
    back = tokens_for(name, column.loss, n)
    for i in range(3):
        alone = at(name, n[i], d[i])
        assert float(column.loss[i]) == pytest.approx(float(alone.loss), rel=1e-14)
        assert bool(np.broadcast_to(column.within, 3)[i]) == bool(alone.within)
        assert float(back.tokens[i]) == pytest.approx(float(tokens_for(name, alone.loss, n[i]).tokens), rel=1e-12)
    if name in WITH_SPLIT:
        flops = np.array([1e20, 1e22])
        many = optimum(name, flops)
        assert [float(v) for v in many.params] == pytest.approx([float(optimum(name, c).params) for c in flops], rel=1e-12)


def test_what_nothing_reaches_is_nan_in_a_column():
    found = tokens_for("besiroglu", np.array([2.5, 1.5]), 1e9)
    assert np.isfinite(found.tokens[0])
    assert np.isnan(found.tokens[1])


# --- draws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["besiroglu", "besiroglu-outliers"])
def test_draws_have_the_published_spread(name):
    """Bootstrap fits made here against the standard errors and 95 % ends that were published."""
    sample, one = law(name).sample, law(name)
    for key in NAMES:
        assert sample[key].std() == pytest.approx(one.errors[key], rel=0.12)
    for key, (low, high) in one.intervals.items():
        ends = np.quantile(sample[key], [0.025, 0.975])
        assert ends == pytest.approx([low, high], rel=0.1)
    a = sample["beta"] / (sample["alpha"] + sample["beta"])
    if name == "besiroglu":
        assert a.std() == pytest.approx(0.019, abs=0.0015)  # published as 0.020 and as 0.018
        assert np.corrcoef(np.log(sample["B"]), sample["beta"])[0, 1] > 0.999
        assert np.corrcoef(np.log(sample["A"]), sample["alpha"])[0, 1] > 0.999


@pytest.mark.parametrize("name", drawn())
def test_the_point_lies_within_its_interval(name):
    many = draws(law(name))
    for flops in (1e20, 1e22):
        for key in ("params", "tokens_per_param", "loss"):
            low, high = np.quantile(getattr(optimum(many, flops), key), [0.05, 0.95])
            assert low < float(getattr(optimum(name, flops), key)) < high


def test_epochs_interval_at_frontier_compute():
    """Besiroglu et al.: 4 to 40 tokens per parameter, 80 % interval, from 1e26 FLOPs on."""
    low, high = np.quantile(optimum(draws(law("besiroglu")), 1e28).tokens_per_param, [0.1, 0.9])
    assert 4 < low < 7
    assert 30 < high < 42


def test_draws_keep_the_correlation():
    """Independent errors of A and alpha would spread the loss within the box a hundredfold."""
    many = draws(law("besiroglu"), 500, seed=3)
    apart = replace(many, coefficients={k: np.roll(v, 31 * i) for i, (k, v) in enumerate(many.coefficients.items())})
    together, loose = (np.std(loss(one, 1e9, 2e10)) for one in (many, apart))
    assert loose > 50 * together


def test_draws_are_seeded_and_refused_where_unknown():
    one, two, other = (draws(law("besiroglu"), 50, seed=s).coefficients["B"] for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert draws(law("besiroglu"), 3000).coefficients["B"].shape == (3000,)
    with pytest.raises(BadInput, match="besiroglu"):
        draws(law("hoffmann"))


# --- fits -----------------------------------------------------------------------------------------------------------

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def synthetic(seed, sizes=6, noise=0.004):
    """Runs of a known law over a grid of sizes and tokens per parameter, with noise in the loss."""
    rng = np.random.default_rng(seed)
    n = np.repeat(np.geomspace(5e7, 1.6e10, sizes), sizes)
    d = n * np.tile(np.geomspace(4, 200, sizes), sizes)
    exact = TRUTH["E"] + TRUTH["A"] / n ** TRUTH["alpha"] + TRUTH["B"] / d ** TRUTH["beta"]
    return LawRuns(params=n, tokens=d, loss=exact * np.exp(noise * rng.standard_normal(n.size)))


def test_a_fit_without_noise_finds_the_law():
    found = fit(synthetic(0, noise=0.0), resamples=0).law.coefficients
    assert {k: float(v) for k, v in found.items()} == pytest.approx(TRUTH, rel=2e-3)


def test_intervals_cover_what_they_say():
    """Of 16 data sets, intervals of 90 % miss a coefficient or the optimum in 1.6 on average, in 6 hardly ever."""
    known = replace(law("besiroglu"), coefficients=TRUTH)
    ratio = float(optimum(known, 1e22).tokens_per_param)
    misses = dict.fromkeys((*NAMES, "optimum"), 0)
    for seed in range(16):
        made = fit(synthetic(seed), resamples=40, seed=seed)
        for key in NAMES:
            low, high = made.interval(key)
            misses[key] += not low <= TRUTH[key] <= high
        low, high = np.quantile(optimum(draws(made.law, 40), 1e22).tokens_per_param, [0.05, 0.95])
        misses["optimum"] += not low <= ratio <= high
    assert max(misses.values()) <= 5
    assert 1 <= sum(misses.values()) <= 22  # 9.6 expected


def test_a_fit_forgives_outliers():
    """The Huber loss follows the many, not the few: one run at twice its loss moves beta by little."""
    runs = synthetic(1)
    spoilt = runs.loss.copy()
    spoilt[7] *= 2
    one, two = (float(fit(r, resamples=0).law.coefficients["beta"]) for r in (runs, replace(runs, loss=spoilt)))
    assert two == pytest.approx(one, abs=0.03)


def write(path, rows, header="N,D,loss"):
    path.write_text("\n".join([header, *(",".join(str(v) for v in row) for row in rows)]) + "\n")
    return path


def rows_of(runs):
    return list(zip(runs.params, runs.tokens, runs.loss, strict=True))


def test_a_file_of_runs(tmp_path):
    runs = synthetic(2)
    made = ask(fit=str(write(tmp_path / "ours.csv", rows_of(runs))), flops="1e21", resamples=20)
    assert [row.law.name for row in made.rows] == ["ours"]
    low, high = made.rows[0].spans["tokens_per_param"]
    assert low < float(made.rows[0].point.tokens_per_param) < high
    by_flops = [(f"{n / 1e9}B", 6 * n * d, v) for n, d, v in rows_of(runs)]
    read_back = read(write(tmp_path / "flops.csv", by_flops, "Model Size,Training FLOP,Loss"))
    assert read_back.tokens == pytest.approx(runs.tokens)
    beside = ask(["besiroglu"], fit=str(tmp_path / "ours.csv"), flops="1e21", resamples=20)
    assert [row.law.name for row in beside.rows] == ["ours", "besiroglu"]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([(1e9, 2e10, 2.5)] * 12, "N,tokns,loss", "did you mean tokns"),
        ([(1e9, 2e10, 2.5)] * 12, "N,D", "no column for loss"),
        ([(1e9, 2e10, 2.5, 3)] * 12, "N,params,D,loss", "several columns for params"),
        ([(1e9, 2e10, "nan")] * 12, "N,D,loss", "loss in line 2.*not finite"),
        ([(1e9, 2e10, -2.5)] * 12, "N,D,loss", "not above 0"),
        ([(1e9, 2e10, "")] * 12, "N,D,loss", "loss in line 2 is empty"),
        ([(1e9, 2e10, "low")] * 12, "N,D,loss", "not a number"),
        ([(1e9, 2e10, 2.5)], "N,D,loss", "1 run is too few"),
        ([(1e9, 2e10, 2.5)], "N;D;loss", "separate columns with commas"),
        ([], "", "the file is empty"),
        ([(1e9, 2e10, 2.5)] * 3, "N,D,loss", "3 runs are too few"),
        ([(1e9, 2e10, 2.5)] * 12, "N,D,loss", "less than threefold"),
        ([(2e10, 1e9, 2.5)] * 12, "N,D,loss", "swapped"),
        ([(1.3, 26, 2.5)] * 12, "N,D,loss", "write 1.3B"),
        ([(1e9, 2e10, 25.0)] * 12, "N,D,loss", "log of a perplexity"),
        ([], "N,D,loss", "no runs below its header"),
    ],
)
def test_bad_files(tmp_path, rows, header, words):
    with pytest.raises(BadInput, match=words):
        fit(read(write(tmp_path / "runs.csv", rows, header)), resamples=0)


SPREAD = [(n, d) for n in (1e8, 1e9, 1e10, 1e11) for d in (1e9, 1e10, 1e11, 1e12)]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(n, d, 2.5) for n, d in SPREAD], "losses range from 2.5 to 2.5"),
        ([(n, d, 2 + 0.1 * math.log10(n) - 0.05 * math.log10(d)) for n, d in SPREAD], "does not fall with parameters"),
        ([(n, 20 * n, 1.8 + 480 / n**0.35) for n in np.geomspace(1e8, 1e11, 12)], "grow together"),
    ],
)
def test_runs_that_tell_nothing(runs, words):
    with pytest.raises(BadInput, match=words):
        fit(LawRuns(**dict(zip(("params", "tokens", "loss"), np.array(runs).T, strict=True))), resamples=20)


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match="cannot read"):
        read(tmp_path / "none.csv")


# --- refusals -------------------------------------------------------------------------------------------------------


def test_every_law_says_where_it_comes_from():
    for one in laws().values():
        assert one.source
        assert one.date
        assert one.box
        assert one.standing in ("cross-checked", "checked numerically", "quoted second hand")
        assert all(low < high for low, high in one.box.values())
    assert {n for n, one in laws().items() if one.standing != "quoted second hand"} == {
        "besiroglu",
        "besiroglu-outliers",
        "hoffmann",
        "tian",
        *ROUTERS,
    }


def test_outside_the_box():
    point = at("besiroglu", 70e9, 1e11)
    assert not point.within
    assert point.outside == ("parameters 70.0 B, fitted on 57.3 M to 16.2 B",)
    assert at("besiroglu", 7e9, 1e11).outside == ()
    column = at("besiroglu", np.array([7e9, 70e9]), 1e11)
    assert column.within.tolist() == [True, False]
    assert "tokens per parameter" in at("sardana-100", 1e9, 500e9).outside[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optimum("kaplan", 1e21), "until the loss stops falling"),
        (lambda: optimum("clark-hash", 1e21), "130B tokens"),
        (lambda: at("clark-hash", 1e9, 1e11), "130B tokens"),
        (lambda: optimum("abnar", 1e21), "not parameters"),
        (lambda: loss("llama-3", 1e9, 1e11), "not a loss"),
        (lambda: cheapest("deepseek-llm", 2.0), "not a loss"),
        (lambda: loss("besiroglu", 1e9), "needs tokens"),
        (lambda: loss("besiroglu", math.nan, 1e10), "not a number above 0"),
        (lambda: loss("besiroglu", -1e9, 1e10), "not a number above 0"),
        (lambda: loss("besiroglu", 1e9, np.array([1e10, 0.0])), "not a number above 0"),
        (lambda: optimum("besiroglu", math.inf), "not a number above 0"),
        (lambda: loss("besiroglu", 1e9, 1e10, experts=4), "knows no experts"),
        (lambda: loss("abnar", 1e9, 1e10, sparsity=1.0), "below 1"),
        (lambda: at("clark-hash", 1e9, experts=0.5), "1 or more"),
        (lambda: effective_params("besiroglu", 1e9, 4), "clark-s-base"),
        (lambda: law("hofmann"), "did you mean hoffmann"),
        (lambda: as_printed(law("kaplan")), "printed otherwise"),
        (lambda: lifetime("muennighoff", 2.5, 1e12), "not a sum of a term"),
    ],
)
def test_what_laws_refuse(call, words):
    with pytest.raises(BadInput, match=words):
        call()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"params": "70B", "tokens": "1.4"}, "few beside"),
        ({"params": "1.4T", "tokens": "70B"}, "swapped"),
        ({"params": "70", "tokens": "1.4T"}, "write 70B"),
        ({"params": "700T", "tokens": "1400T"}, "more than any run has"),
        ({"flops": "5.76"}, "5.76e23"),
        ({"flops": "1e300"}, "is out of range"),
        ({"names": ["besiroglu"], "params": "1e-300"}, "is out of range"),
        ({"names": ["besiroglu"], "tokens": "14"}, "write 1.4T"),
        ({"names": ["muennighoff"], "params": "1B", "tokens": "10B", "unique": "1e-300"}, "is out of range"),
        ({"names": ["clark-hash"], "params": "1B", "experts": "1e300"}, "is out of range"),
        ({"loss": "35"}, "perplexity"),
        ({"loss": "nan"}, "not finite"),
        ({"params": "-1B", "tokens": "20B"}, "above 0"),
        ({"params": "1B", "tokens": "20B", "flops": "1e20"}, "together are no question"),
        ({"loss": "2", "flops": "1e21"}, "together are no question"),
        ({"experts": "64"}, "give parameters too"),
        ({"params": "1B", "tokens": "20GB"}, "is in bytes"),
        ({"names": ["tian"], "params": "1B", "experts": "32"}, "needs tokens"),
        ({"names": ["clark-hash"], "params": "1B", "tokens": "1T", "experts": "32"}, "130B tokens"),
        ({"names": ["besirolgu"], "flops": "1e21"}, "did you mean besiroglu"),
        ({"names": ["besiroglu"], "params": "1B", "experts": "4"}, "clark-s-base"),
    ],
)
def test_bad_questions(given, words):
    with pytest.raises(BadInput, match=words):
        ask(**given)


def test_a_loss_that_nothing_reaches():
    with pytest.raises(Infeasible, match=r"approaches 2\.17394"):
        ask(["besiroglu"], params="1B", loss="2")
    with pytest.raises(Infeasible, match=r"approaches 1\.81686"):
        ask(["besiroglu"], loss="1.8")


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 0, ""),
        ("besiroglu --flops 1e21", 0, ""),
        ("besiroglu --flops 5.76e23", 0, ""),
        ("besiroglu --flops 5.76e23 --extrapolate", 0, ""),
        ("besiroglu --params 1B --loss 2", 1, "give a higher loss or more params"),
        ("nolaw", 2, "rackmath law lists all"),
        ("muennighoff --unique 1000 --params 1B --tokens 10B", 0, ""),
        ("besiroglu --resamples 1.5", 2, "plays no part without --fit"),
    ],
)
def test_exit_codes(words, code, said, capsys):
    assert run(["law", *words.split()]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == (1 if said else 0)


QUESTIONS = [
    {},
    {"names": ["besiroglu"]},
    {"names": ["clark-hash"]},
    {"names": ["besiroglu", "hoffmann"], "flops": "1e21"},
    {"flops": "1e21"},
    {"flops": "5.76e23"},
    {"params": "1B", "tokens": "20B"},
    {"params": "1B", "flops": "1.2e20"},
    {"tokens": "20B", "flops": "1.2e20", "names": ["besiroglu"]},
    {"params": "1B"},
    {"tokens": "20B"},
    {"loss": "2.3"},
    {"loss": "2.3", "params": "4B"},
    {"loss": "2.3", "tokens": "100B"},
    {"loss": "2.3", "experts": "8"},
    {"params": "370M", "experts": "64"},
    {"names": ["muennighoff"], "params": "1B", "tokens": "40B", "unique": "10B"},
    {"names": ["krajewski-moe"], "flops": "1e19", "granularity": "8"},
    {"names": ["abnar"], "params": "1B", "tokens": "20B", "sparsity": "90%"},
    {"names": ["kaplan"], "params": "1B", "tokens": "20B"},
    {"names": ["hoffmann"], "flops": "1e21", "printed": True},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
@pytest.mark.parametrize("width", [80, 120])
def test_faces(question, width):
    """Every face of every kind of question; terms follow from their parts, and no line is too long."""
    answer = rackmath.law(**question)
    text = notebook.text(answer, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "nan" not in text
    json.loads(answer.to_json())
    table = list(csv.DictReader(io.StringIO(answer.to_csv())))
    assert table
    assert table[0]["law"]
    if answer.terms is not None:
        assert all(node.follows() for node in answer.explain().walk())
    for chart in answer.charts:
        assert chart["datasets"]["points"]


def test_an_option_of_former_versions_says_that_it_does_nothing():
    answer = rackmath.law("besiroglu", flops="5.76e23", extrapolate=True)
    assert answer.notes[0].startswith("--extrapolate does nothing now")


def test_laws_without_a_question_draw():
    assert "tokens per parameter" in rackmath.law().charts[0]["description"]
    assert "experts" in rackmath.law("clark-s-base").charts[0]["description"]


def test_a_comparison_marks_what_is_beyond():
    answer = ask(flops="5.76e23")
    assert all(row.point.outside for row in answer.rows)
    assert {one.law.name for one in answer.silent} == {"kaplan", "abnar", "tian", *ROUTERS}
    near = ask(flops="1e21")
    assert len(near.rows) == len(answer.rows)
    assert {row.law.name for row in near.rows if not row.point.outside} >= {"besiroglu", "hoffmann", "llama-3"}
    assert {one.why for one in near.silent} == {"form"}


def test_the_answer_of_the_lecture():
    answer = ask(params="370e6", experts="64")
    assert [round(row.worth.effective / 370e6, 2) for row in answer.rows] == [3.67, 3.20, 2.66]
    assert all(row.worth.total / 370e6 == pytest.approx(22) for row in answer.rows)


def test_the_page_of_laws_is_current():
    import sys

    tools = Path(__file__).resolve().parents[2] / "tools"
    sys.path.insert(0, str(tools))
    try:
        import law_table
    finally:
        sys.path.remove(str(tools))
    assert law_table.table() in law_table.DOCS.read_text(encoding="utf-8")
