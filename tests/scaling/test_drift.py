"""Intervals beyond the runs behind a law: continuous at the edge, wider the farther, and why so far."""

from __future__ import annotations

import json
import math
from itertools import permutations

import numpy as np
import pytest

import rackmath
from rackmath.faces.cli import run
from rackmath.scaling import drift
from rackmath.scaling.laws import draws, law, laws
from rackmath.scaling.points import at, effective_params, optimum

DENSE = ("besiroglu", "hoffmann", "llama-3", "deepseek-llm", "muennighoff", "sardana", "krajewski-dense")
"""Laws of dense models on one pass of text, one for each laboratory's runs or fit."""


def width(names, key="loss", **given) -> float:
    low, high = rackmath.law(names, **given).subject.rows[0].spans[key]
    return math.log(high / low)


def wide(name, params, tokens, n=4000):
    point = at(name, params, tokens)
    return drift.wider(law(name), drift.edge(law(name), point.params, point.tokens, point.flops), n)


# --- the rule -------------------------------------------------------------------------------------------------------


def test_within_its_runs_a_law_keeps_its_own_interval():
    one = law("besiroglu")
    many = drift.wider(one, drift.edge(one, 1e9, 20e9), 500)
    assert all(np.array_equal(many.coefficients[k], v) for k, v in draws(one, 500).coefficients.items())
    assert drift.wider(law("hoffmann"), drift.edge(law("hoffmann"), 1e9, 20e9)) is None


@pytest.mark.parametrize("name", ["besiroglu", "hoffmann", "sardana", "krajewski-dense", "krajewski-moe"])
def test_loss_and_slope_are_continuous_at_the_edge(name):
    """Each draw bends at the edge of the box: there it has the loss and the slope of the law."""
    one = law(name)
    n = one.box["params"][1]
    d = one.box["tokens"][1] if "tokens" in one.box else one.box["tokens_per_param"][1] * n
    own = draws(one, 300) if one.sample is not None else one
    bent = drift.wider(one, drift.Edge(params=n, tokens=d, out=("params", "tokens")), 300)
    for params, tokens in ((n, d), (n * 1.0001, d), (n, d * 1.0001)):
        mine, theirs = (at(of, params, tokens).loss for of in (bent, own))
        assert np.allclose(mine, theirs, rtol=1e-8)
    assert np.std(at(bent, 100 * n, 100 * d).loss) > np.std(at(own, 100 * n, 100 * d).loss) + 1e-3


@pytest.mark.parametrize("name", sorted(set(laws()) - {"abnar", "tian"}))
def test_intervals_grow_with_the_distance_from_the_runs(name):
    one = law(name)
    key = "params" if "params" in one.box else "flops"
    far = [one.box[key][1] * times for times in (1.0001, 10, 100, 1000)]
    if one.form == "routed":
        found = [rackmath.law([name], params=x, experts=64).subject.rows[0].worth.span for x in far]
        widths = [math.log(high / low) for low, high in found]
    elif key == "flops":
        widths = [width([name], "tokens", flops=x) for x in far]
    else:
        widths = [width([name], params=x, tokens=max(x * 20, 0.1 * x)) for x in far]
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 * widths[1] > 0


def test_below_the_runs_it_widens_too():
    assert width(["besiroglu"], params="1M", tokens="20M") > width(["besiroglu"], params="100M", tokens="2B")


def test_the_leverage_of_experts_widens_with_compute():
    spans = [rackmath.law(["tian"], params=n, tokens=20 * n, experts=32).subject.rows[0].worth.span for n in (1e9, 1e10, 1e11, 1e12)]
    assert spans[0] is None  # 1.2e20 FLOPs: within its runs
    widths = [math.log(high / low) for low, high in spans[1:]]
    assert widths == sorted(widths)


# --- why so far -----------------------------------------------------------------------------------------------------


def test_the_drift_is_the_spread_between_laboratories():
    """A law's exponents drift by as much as those of two laboratories differ: 0.051 in a of N* ~ C^a."""
    a = np.array([0.5 if name == "muennighoff" else float(law(name).exponent) for name in DENSE])  # alpha = beta
    apart = math.sqrt(2) * a.std(ddof=0)
    middle = a.mean()
    assert math.sqrt(2) * drift.DRIFT * middle * (1 - middle) == pytest.approx(apart, rel=0.1)
    assert a.std() == pytest.approx(0.036, abs=0.001)


def test_growth_beyond_the_edge_holds_other_laboratories_in_9_of_10():
    """From the edge of its runs to 1e26 FLOPs: a law's interval of N* grown, beside the growth under the others."""
    held = []
    for mine, other in permutations(DENSE, 2):
        start, end = 1e22, 1e26
        near = optimum(mine, start)
        edge = drift.Edge(params=float(near.params), tokens=float(near.tokens), flops=start, out=("params", "tokens", "flops"))
        bent = drift.wider(law(mine), edge, 2000)
        grown = optimum(bent, end).params / optimum(bent, start).params
        low, high = np.quantile(grown, [0.05, 0.95])
        held.append(low < float(optimum(other, end).params / optimum(other, start).params) < high)
    assert 0.85 <= np.mean(held) <= 0.97


def test_frontier_models_lie_within():
    """Llama 3's own optimum of 3.8e25 FLOPs, 402 B parameters, lies in the interval of a law of runs up to 1e22."""
    answer = rackmath.law(["besiroglu"], flops="3.8e25").subject
    low, high = answer.rows[0].spans["params"]
    assert low < 402e9 < high
    own = np.quantile(optimum(draws(law("besiroglu")), 3.8e25).params, [0.05, 0.95])
    assert low < own[0] < own[1] < high


# --- what experts are worth -----------------------------------------------------------------------------------------


def test_tian_says_what_the_paper_prints():
    """Over 7x at 1e22 FLOPs, 3.1 % active and granularity 12; the best granularity near 12; 1 for a dense model."""
    n = 1e22 / 6e12

    def gain(experts: float, granularity: float) -> float:
        return float(effective_params("tian", n, experts, 1e12, granularity)) / n

    assert 7.0 < gain(1 / 0.031, 12) < 7.5
    fine = np.arange(2.0, 17.0)
    assert fine[np.argmax([gain(1 / 0.031, g) for g in fine])] in (11, 12)
    assert gain(1, 1) == pytest.approx(1, abs=0.01)


def test_tian_beyond_its_runs():
    """0.85B active of 17.5B met 6.1B dense on 1T tokens; DeepSeek-V3 is about Llama-3.1-405B."""
    assert float(effective_params("tian", 0.85e9, 1 / 0.034, 1e12, 12)) == pytest.approx(6.1e9, rel=0.1)
    low, high = rackmath.law(["tian"], params="37B", tokens="14.8T", experts=257 / 9).subject.rows[0].worth.span
    assert low < 405e9 < high


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "law besiroglu --flops 3.8e25",
        "law hoffmann --params 70B --tokens 1.4T",
        "law --params 405B --tokens 15.6T",
        "law clark-s-base --params 125B --experts 32",
        "law abnar --params 1B --tokens 20B --sparsity 98%",
        "allocate --traffic 50M/s --active 100B",
        "allocate --flops 5e26",
    ],
)
def test_beyond_the_runs_an_answer_warns_and_says_its_box(words, capsys):
    assert run(words.split()) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Extrapolated:" in out
    assert "fitted on" in out or "beyond their runs" in out
    assert run([*words.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.get("extrapolated") or any(row["outside"] for row in found["answers"])


def test_intervals_of_a_split_are_wider_than_the_coefficients_alone():
    from dataclasses import replace

    from rackmath.decisions.allocation.ranges import intervals, quantiles, ranges
    from rackmath.decisions.allocation.split import Problem, split

    of = Problem(law=law("besiroglu"), rate=50e6, active=100e9)
    low, high = intervals(of, "optimum", ranges(of))["tokens_per_param"]
    own = quantiles(split(replace(of, law=draws(of.law, 2000)), "optimum").tokens_per_param)
    assert low < own[0] < own[1] < high


def test_a_dense_model_is_cheapest_only_by_clarks_law():
    """What Clark's law, of 130 B tokens for every size, says of experts at this size nobody builds by."""
    asked = {"traffic": "50M/s", "caches": "mla", "experts": "1,32"}
    d = rackmath.design(quality_of="meta-llama/Meta-Llama-3.1-405B", on="gb200-nvl72", **asked).subject
    assert d.best.member.expansion == 32
    assert d.shares[d.best.kind] > 0.9
    assert d.worths["tian"] > 8 > 2.5 > d.worths["clark-s-base"]
    dense = d.best_of(routed=False)
    assert dense.total > 3 * d.best.total
    assert d.best.active < 37e9  # DeepSeek-V3, of about this quality at 14.8T tokens, has 37 B


def test_the_models_named_beside_it_are_routed_so():
    from rackmath.world import catalog

    for name, used, experts in (
        ("deepseek-ai/DeepSeek-V3", 8, 256),
        ("moonshotai/Kimi-K2-Instruct", 8, 384),
        ("Qwen/Qwen3-235B-A22B", 8, 128),
        ("openai/gpt-oss-120b", 4, 128),
    ):
        ffn = next(g.ffn for g in catalog.model(name).groups if g.ffn and g.ffn.n_experts)
        assert (ffn.top_k, ffn.n_experts) == (used, experts)
