"""Prices read backwards: the closed form, the likelihood, conditioning, calibration, the blind test, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import plan
from scipy.stats import multivariate_normal

import rackmath
from rackmath.decisions.backwards import beliefs as beliefs_of
from rackmath.decisions.backwards.beliefs import Draws, believing, draw
from rackmath.decisions.backwards.inverse import UNKNOWNS, infer
from rackmath.decisions.backwards.likelihood import (
    LEVELS,
    Margins,
    Observation,
    Residuals,
    listed,
    log_likelihood,
    margins,
    observations,
    provider_costs,
    residuals,
)
from rackmath.decisions.backwards.provider import Supply, costs, decode, longer
from rackmath.decisions.backwards.supply import supply
from rackmath.economics.pricelist import ListPrice, PriceList, price_list
from rackmath.errors import BadInput
from rackmath.evidence import blind
from rackmath.evidence.open_models import OTHER_MACHINES, open_lists, truth
from rackmath.faces.cli import run
from rackmath.kernel.counts import active_parameters, attention_flops, cache_bytes, read_bytes, total_parameters
from rackmath.world import catalog

SEEN = tuple(Observation(name=k, value=1.0, unit="$/M", says=k) for k in ("input", "cache_read", "output"))
ONE = Supply(
    active=37e9,
    total=671e9,
    weight_bytes=1.0,
    kv_bytes=35e3,
    read_share=1.0,
    attention_flops=1e7,
    decode_attention=3.4,
    peak=2e15,
    hbm_bandwidth=4.8e12,
    hbm_capacity=141e9,
    price_per_hour=2.0,
    mfu=0.35,
    mbu=0.6,
    overhead=8e-3,
    context=8192.0,
    cached=0.5,
    speed=30.0,
    spread=2.0,
    per_pass=1.0,
    hold_rate=1e-16,
    reuse=3.0,
    idle=0.4,
)


def a_list(**prices: float) -> PriceList:
    short = {"input_mtok": 0.27, "output_mtok": 1.1} | prices
    return PriceList(model="a/b", day="2026-11-01", entries=(ListPrice(model="a/b", **short),))  # type: ignore[arg-type]


# --- the closed form ------------------------------------------------------------------------------------------------


@given(st.floats(1.05, 20), st.floats(0.0, 0.8))
def test_costs_follow_the_bill(times: float, idle: float) -> None:
    """Rental is in proportion, idle hours are paid, bigger models and faster users cost more."""
    base = costs(replace(ONE, idle=0.0))
    assert costs(replace(ONE, idle=idle)).input_mtok == pytest.approx(base.input_mtok / (1 - idle))
    assert costs(replace(ONE, idle=0.0, price_per_hour=2.0 * times)).output_mtok == pytest.approx(base.output_mtok * times)
    assert costs(replace(ONE, idle=0.0, active=37e9 * min(times, 15))).input_mtok > base.input_mtok
    assert decode(replace(ONE, speed=30.0 / times)).output_mtok <= decode(ONE).output_mtok * (1 + 1e-9)
    assert decode(longer(ONE, 8192.0 * times)).output_mtok >= decode(ONE).output_mtok * (1 - 1e-9)


def test_the_batch_gives_the_speed_and_fits() -> None:
    found = decode(ONE)
    assert found.speed == pytest.approx(30.0, rel=0.02)  # experts not all touched leave a little to spare
    assert 671e9 + found.batch * 35e3 * 8192 < found.devices * 141e9
    unreachable = decode(replace(ONE, speed=1e6))
    assert unreachable.speed < 1e3  # no batch is faster than reading the weights


@pytest.mark.parametrize(
    ("model", "machine", "precision"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "8xh100", "fp8"),
        ("meta-llama/Llama-3.3-70B-Instruct", "8xh200", "fp8"),
        ("Qwen/Qwen3-30B-A3B", "8xh200", "fp8"),
        ("Qwen/Qwen3-235B-A22B", "8xb200", "fp8"),
        ("deepseek-ai/DeepSeek-V3", "gb200-nvl72", "fp8"),
    ],
)
def test_the_closed_form_is_near_the_planner(model: str, machine: str, precision: str) -> None:
    """With the middles of the beliefs, costs are within a factor of 2.2 of the cheapest calibrated plan."""
    best = plan(model, machine, isl=8192, osl=1024, min_interactivity=20, precision=precision).best
    assert best is not None
    m, q = catalog.model(model), best.machine
    of = beliefs_of.beliefs()
    middle = {k: float(of.quantity(k).outer(np.float64(of.quantity(k).middle))) for k in ("mfu", "mbu", "overhead")}  # type: ignore[arg-type]
    active, total = active_parameters(m)["with one"], total_parameters(m)
    kept = float(cache_bytes(m, 8704.0, best.precision)) / 8704
    fewest = decode(replace(ONE, active=active, total=total, hbm_capacity=float(q.hbm_capacity), spread=1.0)).devices
    one = replace(
        ONE,
        active=active,
        total=max(total, active),
        kv_bytes=kept,
        peak=float(q.peak("fp8")),
        idle=0.0,
        cached=0.0,
        read_share=float(read_bytes(m, 8704.0, best.precision)) / 8704 / kept,
        context=8704.0,
        speed=20.0,
        attention_flops=float(attention_flops(m, 8704.0)) / 8704,
        decode_attention=1.0,
        mfu=middle["mfu"],
        mbu=middle["mbu"],
        overhead=middle["overhead"] * sum(g.count for g in m.groups),
        hbm_bandwidth=float(q.hbm_bandwidth),
        hbm_capacity=float(q.hbm_capacity),
        price_per_hour=float(q.price_per_hour),
        spread=max(float(best.layout.gpus) / float(fewest), 1.0),
    )
    found = costs(one)
    assert 1 / 2.2 < found.input_mtok / float(best.cost.input_mtok) < 2.2
    assert 1 / 2.2 < found.output_mtok / float(best.cost.output_mtok) < 2.2


def test_a_row_of_a_column_is_the_scalar() -> None:
    some = supply(draw(64, np.random.default_rng(3)))
    every = costs(some)
    row = {k: float(np.broadcast_to(getattr(some, k), 64)[5]) for k in Supply.__dataclass_fields__}
    one = costs(Supply(**row))
    assert float(one.output_mtok) == pytest.approx(float(np.asarray(every.output_mtok)[5]), rel=1e-12)
    assert float(one.input_mtok) == pytest.approx(float(np.asarray(every.input_mtok)[5]), rel=1e-12)


# --- beliefs and what is known --------------------------------------------------------------------------------------


def test_beliefs_hold_nine_of_ten() -> None:
    d = draw(200_000, np.random.default_rng(0))
    for name in ("active_params", "mfu", "idle", "context"):
        q = d.beliefs.quantity(name)
        assert float(np.mean((d[name] > q.low) & (d[name] < q.high))) == pytest.approx(0.9, abs=0.005)
    assert (d["total_params"] >= d["active_params"]).all()


def weighted(d: Draws, name: str) -> tuple[float, float]:
    """Mean and deviation of a logarithm under the draws' weights."""
    w = np.exp(d.log_weight - d.log_weight.max())
    logs = np.log(d[name])
    mean = float(np.average(logs, weights=w))
    return mean, float(np.sqrt(np.average((logs - mean) ** 2, weights=w)))


@pytest.mark.parametrize(
    ("known", "value", "unknown"),
    [
        ("total_params", 300e9, "active_params"),
        ("kv_bytes", 60e3, "layers"),
        ("kv_bytes", 60e3, "total_params"),
        ("layers", 80.0, "total_params"),
    ],
)
def test_knowing_is_what_throwing_draws_away_would_give(known: str, value: float, unknown: str) -> None:
    """Conditioning by weights agrees with keeping only draws near the known value."""
    direct = weighted(draw(150_000, np.random.default_rng(1), {known: value}), unknown)
    every = draw(1_500_000, np.random.default_rng(2))
    near = np.abs(np.log(every[known] / value)) < 0.03
    assert near.sum() > 5000
    kept = np.log(every[unknown][near])
    assert direct[0] == pytest.approx(kept.mean(), abs=0.05)
    assert direct[1] == pytest.approx(kept.std(), rel=0.05)


def test_a_known_kind_of_attention_says_what_kind_of_model_it_is() -> None:
    d = draw(100_000, np.random.default_rng(1), {"attention": "compressed"})
    w = np.exp(d.log_weight)
    share = float(np.average(d["kind"] == d.beliefs.kinds("kind").index("moe"), weights=w))
    odds = {k: d.beliefs.choices[f"attention.{k}"].odds["compressed"] for k in ("dense", "moe")}
    before = d.beliefs.choices["kind"].odds
    assert share == pytest.approx(odds["moe"] * before["moe"] / sum(odds[k] * before[k] for k in odds), abs=0.01)


# --- the likelihood -------------------------------------------------------------------------------------------------


def test_markups_are_integrated_out_exactly() -> None:
    """The closed form is the multivariate normal with a common part."""
    m = Margins(
        level=0.7,
        spread=0.5,
        bias={"input": 0.1, "cache_read": -0.2, "output": 0.3},
        noise={"input": 0.3, "cache_read": 0.6, "output": 0.4, "speed": 0.2},
    )
    names = ("input", "cache_read", "output", "speed")
    logs = np.random.default_rng(0).normal(0.5, 1, (4, 50))
    found = log_likelihood(Residuals(names=names, logs=logs, costs=costs(ONE)), m)
    mean = np.array([m.level + m.bias[k] for k in names[:3]] + [0.0])
    cov = np.diag([m.noise[k] ** 2 for k in names])
    cov[:3, :3] += m.spread**2
    exact = multivariate_normal(mean, cov).logpdf(logs.T) + 2 * np.log(2 * np.pi)
    assert found == pytest.approx(exact)


def test_one_observation_can_be_left_out() -> None:
    m = margins("host")
    d = draw(500, np.random.default_rng(0))
    every = residuals(observations(a_list(cache_read_mtok=0.07)), d, m)
    fewer = residuals(observations(a_list()), d, m)
    assert log_likelihood(every, m, without="cache_read") == pytest.approx(log_likelihood(fewer, m))


def test_prices_that_say_nothing_give_no_bits() -> None:
    deaf = replace(margins(), spread=80.0, noise=dict.fromkeys((*LEVELS, "batch"), 60.0))
    found = infer(observations(a_list()), markups=deaf, draws=100_000)
    for name, p in found.unknowns.items():
        if not name.startswith("margin"):
            assert p.bits < 0.01, name
            assert p.low == pytest.approx(p.prior[0], rel=0.05)
    assert found.effective > 90_000


def test_dearer_tokens_mean_a_bigger_model() -> None:
    middles = [
        infer(observations(a_list(input_mtok=0.1 * k, output_mtok=0.4 * k)), draws=100_000)["active_params"].median for k in (1, 4, 16)
    ]
    assert middles == sorted(middles)
    assert middles[2] > 2 * middles[0]


def test_what_is_known_is_kept_and_sharpens_the_rest() -> None:
    free = infer(observations(a_list()), draws=200_000)
    sure = infer(observations(a_list()), known={"active_params": 37e9, "hardware": "h800", "idle": 0.3}, draws=200_000)
    assert sure["active_params"].low == sure["active_params"].high == 37e9
    assert sure["active_params"].known
    assert sure.odds["hardware"].posterior["h800"] == pytest.approx(1)
    width = [(1 - f["margin"].low) / (1 - f["margin"].high) for f in (sure, free)]  # of cost over price
    assert width[0] < width[1]


# --- calibration ----------------------------------------------------------------------------------------------------


def test_prices_made_by_the_model_are_read_back_with_nominal_coverage() -> None:
    """Simulation-based calibration: ranks of the truth among the posterior are uniform, intervals hold 9 of 10."""
    m, rng, runs = margins("host"), np.random.default_rng(11), 70
    world = draw(runs, rng)
    made = listed(world, SEEN, m, rng)
    batch = np.asarray(provider_costs(supply(world), m).decoding.batch)
    names = ("active_params", "total_params", "kv_bytes", "layers", "price_per_hour", "context", "idle", "batch")
    ranks: dict[str, list[float]] = {k: [] for k in names}
    held: dict[str, int] = dict.fromkeys(names, 0)
    for i in range(runs):
        seen = [replace(o, value=float(v)) for o, v in zip(SEEN, made[:, i], strict=True)]
        found = infer(seen, markups=m, draws=32_768, seed=i + 1, least=8)
        for k in names:
            value = float(batch[i] if k == "batch" else world[k][i])
            p = found[k]
            ranks[k].append(float(np.interp(value, p.edges, np.concatenate([[0], np.cumsum(p.after)]))))
            held[k] += p.low <= value <= p.high
    for k in names:
        assert 0.79 <= held[k] / runs <= 0.98, k  # 0.9 within three deviations
        counts = np.histogram(ranks[k], bins=6, range=(0, 1))[0]
        chi2 = float(np.sum((counts - runs / 6) ** 2) / (runs / 6))
        assert chi2 < 20.5, (k, counts)  # 5 degrees of freedom, 0.1 %


# --- the blind test -------------------------------------------------------------------------------------------------


def test_the_blind_test_is_large_and_its_halves_are_apart() -> None:
    lists = open_lists()
    assert len([one for one in lists if one.half == "reported"]) >= 30
    assert len({one.truth.name for one in lists if one.half == "reported"}) >= 12
    both = [{one.truth.architecture for one in lists if one.half == h} for h in ("chosen", "reported")]
    assert not both[0] & both[1]
    assert not {one.prices.provider for one in lists} & set(OTHER_MACHINES)


def test_the_recorded_blind_test_is_of_these_lists_and_of_these_truths() -> None:
    found = blind.recorded()
    now = {one.prices.model: one for one in open_lists()}
    assert len(found.lists) + 4 >= len(now)
    for one in found.lists:
        assert now[one.name].half == one.half
        for name, r in one.readings.items():
            assert r.truth == pytest.approx(getattr(truth(one.weights), name), rel=1e-3)
            assert r.low <= r.median <= r.high


def test_recorded_readings_are_what_reading_gives() -> None:
    recorded = {one.name: one for one in blind.recorded().lists}
    one = next(x for x in open_lists() if x.half == "reported" and x.prices.model in recorded)
    again = infer(blind.seen(one), markups=margins("host"), draws=blind.DRAWS)
    r = recorded[one.prices.model].readings["active_params"]
    assert again["active_params"].median == pytest.approx(r.median, rel=1e-3)
    assert again["active_params"].low == pytest.approx(r.low, rel=1e-3)


def test_coverage_counts_each_model_once() -> None:
    """Two models, one sold by three hosts of which one interval holds, the other by one that does not: 1/6."""

    def one(name: str, weights: str, high: float) -> blind.BlindList:
        r = blind.BlindReading(low=1.0, median=1.5, high=high, truth=3.0, sharpness=0.5, bits=0.1)
        return blind.BlindList(
            name=name,
            weights=weights,
            half="reported",
            input_mtok=1,
            output_mtok=2,
            margin=(0, 0, 0),
            readings=dict.fromkeys(blind.JUDGED, r),
        )

    found = blind.judged([one("a/x", "x", 4), one("b/x", "x", 2), one("c/x", "x", 2), one("a/y", "y", 2)])
    assert found.verdict("kv_bytes", "reported").coverage == pytest.approx((1 / 3 + 0) / 2)


# --- faces ----------------------------------------------------------------------------------------------------------


def test_every_kind_of_observation_is_read() -> None:
    prices = replace(price_list("claude-opus-4-6", on="2026-03-01"), output_speed=55.0, ttft=1.2)
    names = {o.name for o in observations(prices)}
    assert names >= {"input", "cache_read", "write_5m", "write_1h", "output", "long_input", "long_output", "fast", "speed", "ttft"}
    found = infer(observations(prices), draws=400_000)
    assert {w.observation.name for w in found.weights} == names
    assert found["speed"].low > 30  # the measured speed is believed
    assert set(found.unknowns) == set(UNKNOWNS)


def test_an_answer_has_its_faces(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["infer", "novita/deepseek/deepseek_v3", "--draws", "100k"]) == 0
    screen = capsys.readouterr().out
    assert "gross margin on output" in screen
    assert "36.6 B" in screen  # the truth, beside
    assert run(["infer", "novita/deepseek/deepseek_v3", "--draws", "100k", "--json"]) == 0
    assert '"effective_draws"' in capsys.readouterr().out


def test_hosts_with_other_machines_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for name, told in (("groq/openai/gpt-oss-120b", True), ("novita/deepseek/deepseek_v3", False)):
        assert run(["infer", name, "--draws", "100k"]) == 0
        assert ("on-chip memory" in capsys.readouterr().out) is told


def test_the_same_seed_gives_the_same_answer() -> None:
    given = {"input_price": "0.27", "output_price": "1.1", "unit": "1M", "draws": "100k"}
    one, two, three = (rackmath.infer(**given, seed=s).unknowns.active_params.posterior.p50 for s in (1, 1, 2))
    assert one == two != three


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--know", "active_params=700e9", "--know", "total_params=37e9"], "contradict each other"),
        (["--know", "active_parms=3"], "did you mean active_params?"),
        (["--know", "hardware=h1000"], "did you mean h100"),
        (["--know", "active_params=nan"], "not finite"),
        (["--know", "active_params=-3"], "give a number of 1 or more"),
        (["--know", "price_per_hour=-3"], "give a number above 0"),
        (["--know", "idle=1.5"], "give a share above 0 and below 1"),
        (["--know", "cached=0"], "give a share above 0 and below 1"),
        (["--know", "margin=-5000%"], "give a share above -10 and below 1"),
        (["--know", "context=0.1"], "give a number of 1 or more"),
        (["--know", "active_params=1e300"], "is out of range"),
        (["--know", "mfu=1e-300"], "is out of range"),
        (["--know", "kind=dense", "--know", "sparsity=10"], "kind dense and 10 times"),
        (["--know", "kind=moe", "--know", "active_params=1e10", "--know", "total_params=1e10"], "kind moe and 1 times"),
        (["--know", "speed=30", "--speed", "55"], "both as known and as measured"),
        (["--know", "sparsity=0.5"], "give total over active"),
        (["--know", "total_params=100e9", "--know", "active_params=10e9", "--know", "sparsity=3"], "leave one out"),
        (["--know", "layers"], "is not KEY=VALUE"),
        (["--know", "active_params=3e9", "--prior", "active_params=1e9..2e9"], "both as known and as a prior"),
        (["--know", "active_params=1e5"], "hardly go together"),
        (["--prior", "active_params=5..3"], "give low < high"),
        (["--prior", "active_params=1e9..1e300"], "is out of range"),
        (["--prior", "per_pass=0.1..0.2"], "from 1 and below"),
        (["--prior", "active_params=..1e9"], "is not a range"),
        (["--prior", "active_params=5"], "is not a range"),
        (["--prior", "nothing=1..2"], "unknown prior"),
        (["--draws", "5"], "out of range"),
        (["--draws", "1e300"], "is out of range"),
        (["--unit", "1M"], "the unit 1M is of single prices"),
        (["--speed", "0"], "a number above 0"),
        (["--ttft", "inf"], "not finite"),
        (["--seller", "shop"], "unknown seller"),
        (["--input-price", "3"], "give one of them"),
    ],
)
def test_bad_words_get_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    draws = [] if "--draws" in words else ["--draws", "100k"]
    assert run(["infer", "anthropic/claude-opus-4-6", *draws, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ([], "no price list was given", 2),
        (["claude-opus-46"], "did you mean", 2),
        (["--input-price", "0.003", "--output-price", "0.015"], 'unit = "1M" or unit = "1K"', 2),
        (["--input-price", "0", "--output-price", "5"], "above 0", 2),
        (["--input-price", "-1", "--output-price", "5"], "above 0", 2),
        (["--input-price", "1", "--output-price", "500"], "times", 2),
        (["--input-price", "1", "--output-price", "2", "--cached-price", "3"], "is above input_mtok", 2),
        (["--input-price", "600", "--output-price", "900", "--draws", "100k", "--seller", "host"], "beyond anything the prior holds", 1),
        (["--input-price", "3"], "give both --input-price and --output-price", 2),
        (["--input-price", "3 EUR", "--output-price", "15"], "write it like '$3'", 2),
        (["--input-price", "3", "--output-price", "15", "--on-date", "2026-03-01"], "have no day", 2),
        (["deepseek-ai/DeepSeek-R1"], "price lists; name one of them: aws/deepseek.r1-v1:0, deepinfra/", 2),
        (["anthropic"], "rackmath prices --provider anthropic lists what it sells", 2),
        (["--blind", "--know", "idle=0.3"], "leave the rest out", 2),
        (["--blind", "--seller", "host"], "leave the rest out", 2),
        (["--blind", "--seed", "3"], "leave the rest out", 2),
    ],
)
def test_bad_prices_get_one_sentence(words: list[str], said: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["infer", *words]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_units_are_as_said() -> None:
    per_thousand = rackmath.infer(input_price="0.005", output_price="0.025", unit="1K", draws="10k").subject.prices.standard
    assert (per_thousand.input_mtok, per_thousand.output_mtok) == pytest.approx((5.0, 25.0))


def test_beliefs_are_checked() -> None:
    with pytest.raises(BadInput, match="below 1"):
        believing({"idle": (0.2, 1.5)})
    assert believing({"active_params": (1e9, 2e9)}).quantity("active_params").high == 2e9


# --- who sells ------------------------------------------------------------------------------------------------------


def test_who_sells_informs_beliefs_about_hardware():
    """Google says that Gemini runs on its TPUs: a prior of 95 %, not of 5 %; the reading without it stands beside."""
    answer = rackmath.infer("google/gemini-3.1-pro-preview", draws="100k").subject
    odds = answer.inference.odds["hardware"]
    assert sum(p for k, p in odds.prior.items() if k.startswith("tpu")) == pytest.approx(0.95, abs=0.01)
    assert sum(p for k, p in odds.posterior.items() if k.startswith("tpu")) > 0.9
    assert answer.sold.firm == "stated"
    without = answer.without.odds["hardware"].posterior
    assert sum(p for k, p in without.items() if k.startswith("tpu")) < 0.1
    plain = rackmath.infer("google/gemini-3.1-pro-preview", draws="100k", anonymous=True).subject
    assert plain.sold is plain.without is None
    assert plain.inference.odds["hardware"].posterior == pytest.approx(without, abs=0.1)
    known = rackmath.infer("google/gemini-3.1-pro-preview", draws="100k", know={"hardware": "tpu-v6e"}).subject
    assert known.sold is None


def test_what_is_said_of_sellers_is_dated_sourced_and_marked_how_firm():
    from rackmath.decisions.backwards.beliefs import beliefs
    from rackmath.decisions.backwards.sellers import informed, seller, sellers
    from rackmath.world import catalog

    for one in sellers().values():
        assert one.firm in ("stated", "reported", "supposed")
        assert one.says
        assert one.source
        assert one.date
        assert all(catalog.machine(name) for name in (*one.absent, *one.hardware))
        odds = informed(one, beliefs()).choices["hardware"].odds
        assert sum(odds.values()) == pytest.approx(1)
        assert tuple(odds) == beliefs().kinds("hardware")
    assert informed(seller("deepseek/deepseek-chat"), beliefs()).choices["hardware"].odds["h800"] > 0.999
    assert seller("google/some-open-model", own=False) is None  # what it hosts for others need not run on TPUs
    assert seller("novita/deepseek-v3") is None
    assert seller("groq/llama", own=False).chip


def test_the_blind_test_knows_no_sellers(monkeypatch):
    """Its beliefs were committed before the reported half was read: what is known of sellers plays no part in it."""
    import inspect

    from calibration import margins
    from rackmath.evidence import blind, open_models

    for module in (blind, margins, open_models):
        assert "sellers" not in inspect.getsource(module)


def test_the_screen_says_who_sells(capsys):
    from rackmath.faces.cli import run

    assert run(["infer", "google/gemini-3.1-pro-preview", "--draws", "100k"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("Who sells stated", "Google's TPUs", "Without it (--anonymous): hardware", "effective sample size"):
        assert words in out
    assert run(["infer", "google/gemini-3.1-pro-preview", "--draws", "100k", "--anonymous"]) == 0
    assert "Who sells" not in capsys.readouterr().out
    assert run(["infer", "--blind", "--anonymous"]) == 2
