"""A price list read one equation at a time: the lecture's worked numbers, intervals, conflicts, and the command."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rackmath
from rackmath.claims.ledger import claim_numbered
from rackmath.claims.verdicts import evaluate
from rackmath.decisions.backwards.from_context import cache_over_compute, consistent_splits, solve_kv_bytes, weights_share
from rackmath.decisions.backwards.from_offers import fast_fit, prefill_cost
from rackmath.decisions.backwards.reading import Assumption, derive, fixed
from rackmath.decisions.backwards.reading import complement as one_less
from rackmath.decisions.backwards.readings import Readings, readings
from rackmath.decisions.modes.offers import fit_fast_mode
from rackmath.economics.caching import affine_premium, hbm_rent, implied_bytes
from rackmath.economics.pricelist import ListPrice, PriceList, all_lists, price_list
from rackmath.errors import BadInput
from rackmath.faces.cli import run
from rackmath.kernel.counts import active_parameters, attention_flops, kv_bytes_per_token
from rackmath.kernel.roofline import balance_batch, ratio
from rackmath.world import catalog
from rackmath.world.machine import Machine

OPUS, MARCH = "anthropic/claude-opus-4-6", "2026-03-01"
GEMINI, GPT = "google/gemini-3.1-pro-preview", "openai/gpt-5.4"

LECTURE = Machine(
    name="lecture",
    accelerator="lecture",
    peak_fp4=10e15,
    peak_fp8=5e15,
    peak_bf16=2.5e15,
    hbm_capacity=192e9,
    hbm_bandwidth=8e12,
    price_per_hour=2.0,
)


@pytest.fixture(scope="module")
def opus() -> Readings:
    """With the step at 200K that ended two weeks later, writes for two lifetimes, and the fast mode."""
    return readings(price_list(OPUS, on=MARCH))


def a_list(*, model: str = "maker/m", window: float | None = None, **standard: float) -> PriceList:
    """A list of one standard entry."""
    entry = ListPrice(model=model, **({"input_mtok": 2.0, "output_mtok": 10.0} | standard))  # type: ignore[arg-type]
    return PriceList(model=model, day=MARCH, entries=(entry,), context_window=window)


def with_long(prices: PriceList, at: float, input_mtok: float, output_mtok: float) -> PriceList:
    long = ListPrice(model=prices.model, input_mtok=input_mtok, output_mtok=output_mtok, above_input_tokens=at)
    return replace(prices, entries=(*prices.entries, long))


# --- the lecture's worked numbers ---------------------------------------------------------------------------------


def test_cache_bytes_of_the_step_section_17a() -> None:
    assert solve_kv_bytes(100e9, 200e3, 300.0) == pytest.approx(1667, abs=1)
    assert solve_kv_bytes(100e9, 200e3, 625.0) == 800
    h100 = readings(price_list(GEMINI), active=(100e9,) * 3, machine=catalog.machine("h100")).present["kv_bf16"]
    assert h100.value == pytest.approx(3.4e3, rel=0.01)
    assert h100.low == h100.high == h100.value  # everything in it was given


def test_the_spread_of_the_lecture_section_18_and_21(opus: Readings) -> None:
    """0.8 kB from the step with FP4 rates, 390 kB from the write premiums as rent of 192 GB at $2 an hour."""
    for found in (opus, readings(opus.prices, active=(100e9,) * 3, machine=LECTURE)):
        assert found.spread is not None
        assert (found.spread.smallest.key, found.spread.largest.key) == ("kv_fp4", "kv_cache")
        assert found.spread.smallest.value == pytest.approx(800)
        assert found.spread.largest.value == pytest.approx(390e3, rel=0.01)
        assert found.spread.factor == pytest.approx(491, abs=1)
        assert not found.spread.common
    assert opus.present["kv_cache"].value / opus.present["kv_board"].value == pytest.approx(236, abs=1)


def test_decode_and_memory_from_output_over_input_section_17b(opus: Readings) -> None:
    r = opus.present
    assert r["mfu_ratio"].value == pytest.approx(1 / 5)
    assert r["weights_ratio"].value == pytest.approx(0.20)
    assert r["crossover"].value == pytest.approx(5)
    splits = {s.batch_over_balance: s for s in opus.splits}
    assert splits[1.0].cache_share == pytest.approx(0.80)
    assert splits[0.2].weights_share == pytest.approx(1)  # B = B*/5: weights alone


def test_fast_mode_section_4(opus: Readings) -> None:
    r = opus.present
    assert r["batch_ratio"].value == pytest.approx(15)
    assert r["batch_ratio"].low == pytest.approx(2.5)  # the whole factor on input is a surcharge
    assert 1 / r["weights_fast"].value - 1 == pytest.approx(1.8)
    assert r["fastest"].value == pytest.approx(2.8)


def test_margins_section_17c() -> None:
    b200 = replace(catalog.machine("b200"), price_per_hour=2.0)
    found = readings(price_list(OPUS), active=(100e9,) * 3, machine=b200, mfu=0.4).present
    assert found["cost_input"].value == pytest.approx(0.06, abs=0.003)
    assert found["cost_output"].value == pytest.approx(0.31, abs=0.005)
    assert 30 <= price_list(GEMINI).standard.input_mtok / found["cost_input"].value <= 80
    assert 30 <= price_list(OPUS).standard.input_mtok / found["cost_input"].value <= 82
    assert found["margin_input"].value == pytest.approx(1 - found["cost_input"].value / 5)
    assert found["margin_output"].value == pytest.approx(found["margin_input"].value)


def test_lifetimes_by_the_drain_rule_section_18(opus: Readings) -> None:
    """Five minutes and an hour are two kinds of flash, not flash and disk."""
    assert opus.present["tier_300s"].says == "TLC flash"
    assert opus.present["tier_3600s"].says == "QLC flash"
    disk = next(t for t in opus.tiers if t.label == "disk")
    assert disk.drain > 20 * 3600
    assert disk.lifetimes == ()


def test_the_step_pays_for_half_as_much_context_again(opus: Readings) -> None:
    assert opus.present["covers"].value == 300_000
    assert cache_over_compute(1e6, 200e3) == 5


def test_the_ledger_uses_the_same_functions() -> None:
    finding = evaluate(claim_numbered("23"))
    assert finding.outcome.parts[0].value == solve_kv_bytes(100e9, 200e3, 300.0)
    cost = next(p.value for p in evaluate(claim_numbered("24")).outcome.parts)
    x = {i.name: i.value for i in evaluate(claim_numbered("24")).inputs}
    assert cost == prefill_cost(x["active"], x["peak"], x["price_per_hour"], x["mfu"])


# --- the equations ------------------------------------------------------------------------------------------------


@given(
    active=st.floats(1e9, 1e12),
    total=st.floats(1, 40),
    context=st.floats(1e3, 1e7),
    peak=st.floats(1e14, 1e17),
    size=st.sampled_from([0.5, 1.0, 2.0]),
    bandwidth=st.floats(1e12, 1e14),
    over=st.floats(1.01, 100),
    attention=st.floats(0, 1e8),
)
def test_the_solved_cache_balances(
    active: float, total: float, context: float, peak: float, size: float, bandwidth: float, over: float, attention: float
) -> None:
    """Put the bytes back into the roofline of section 1: weights and cache take as long to read as to multiply."""
    q = solve_kv_bytes(active, context, float(ratio(peak, 1.0, bandwidth)), batch_over_balance=over, attention_flops=attention)
    batch = over * float(balance_batch(ratio(peak, size, bandwidth), total * active, active))
    memory = (size * total * active + batch * context * q) / bandwidth
    compute = batch * (2 * active + attention * context) / peak
    assert memory == pytest.approx(compute, rel=1e-9)


@given(price_ratio=st.floats(1.0, 50), over=st.floats(0.1, 10))
def test_shares_of_memory_give_the_ratio_back(price_ratio: float, over: float) -> None:
    """Memory full of weights f and cache: its time over that of computing is the price ratio."""
    for split in consistent_splits(price_ratio, (over,)):
        assert 0 < split.weights_share <= 1
        memory, compute = 1.0, split.batch_over_balance * split.weights_share
        assert memory / compute == pytest.approx(price_ratio)
    assert weights_share(price_ratio, over) * over == pytest.approx(1 / price_ratio)


terms = st.tuples(st.floats(1e-3, 1e3), st.floats(1, 10), st.floats(1, 10), st.floats(0, 1))


@given(over=st.lists(terms, min_size=1, max_size=3), under=st.lists(terms, max_size=3), complement=st.booleans())
def test_an_interval_holds_whatever_its_terms_allow(
    over: list[tuple[float, float, float, float]], under: list[tuple[float, float, float, float]], complement: bool
) -> None:
    def term(t: tuple[float, float, float, float]) -> Assumption:
        return Assumption(name="t", value=t[0], low=t[0] / t[1], high=t[0] * t[2])

    def inside(t: tuple[float, float, float, float]) -> float:
        return (t[0] / t[1]) ** (1 - t[3]) * (t[0] * t[2]) ** t[3]

    found = derive("k", "n", "u", "", [term(t) for t in over], [term(t) for t in under])
    found = one_less(found) if complement else found
    quotient = math.prod(inside(t) for t in over) / math.prod(inside(t) for t in under)
    value = 1 - quotient if complement else quotient
    slack = 1e-9 * max(1.0, abs(value))
    assert found.low - slack <= value <= found.high + slack
    assert found.low <= found.value <= found.high


def test_terms_agree_with_the_functions_that_own_the_formulas(opus: Readings) -> None:
    """The readings spell their terms out; the values are those of the library's own functions."""
    s = opus.setting
    rate = affine_premium(opus.prices.standard.premiums).rate_mtok
    assert opus.present["hold_rate"].value == pytest.approx(rate)
    assert opus.present["kv_cache"].value == pytest.approx(float(implied_bytes(rate, hbm_rent(s.machine))))
    assert opus.tiers[0].bytes_per_token == pytest.approx(opus.present["kv_cache"].value)
    cost = prefill_cost(s.active.value, float(s.machine.peak("fp8")), 2.0, s.mfu.value)
    assert opus.present["cost_input"].value == pytest.approx(cost)
    fit = fast_fit(s)
    assert fit is not None
    assert opus.present["batch_ratio"].value == pytest.approx(fit.batch_ratio)
    per_byte = float(ratio(s.machine.peak("fp8"), 1.0, s.machine.hbm_bandwidth))
    assert opus.present["kv_fp8"].value == pytest.approx(float(solve_kv_bytes(100e9, 200e3, per_byte)))
    weights = solve_kv_bytes(100e9, 200e3, per_byte, batch_over_balance=2.5)
    assert opus.present["kv_weights"].value == pytest.approx(float(weights))
    attention = solve_kv_bytes(100e9, 200e3, per_byte, attention_flops=2.6e6)
    assert opus.present["kv_attention"].value == pytest.approx(float(attention))


def test_the_ranges_are_those_of_the_catalogue() -> None:
    """LECTURE section 6: from an A100 in BF16 to a Rubin of 50 PF and a TPU v6e, and not much wider."""
    chips = [
        ("a100", "bf16", 2.0),
        ("h100", "fp8", 1.0),
        ("h200", "fp8", 1.0),
        ("gb200", "fp4", 0.5),
        ("gb300", "fp4", 0.5),
        ("tpu7x", "fp8", 1.0),
        ("tpu-v6e", "bf16", 2.0),
        ("tpu-v5p", "bf16", 2.0),
        ("mi300x", "fp8", 1.0),
        ("rubin", "fp4", 0.5),
        ("rubin-fp4-50pf", "fp4", 0.5),
    ]
    rates = [float(ratio(m.peak(f), w, m.hbm_bandwidth)) for n, f, w in chips for m in [catalog.machine(n)]]
    board = readings(price_list(GEMINI)).present["kv_board"].assumptions[1]
    assert board.low <= min(rates) < 1.1 * board.low
    assert board.high >= max(rates) > 0.95 * board.high
    llama, v3 = (catalog.model(n) for n in ("meta-llama/Llama-3.1-70B", "deepseek-ai/DeepSeek-V3"))
    assert float(attention_flops(llama, 1e5)) / 1e5 == pytest.approx(2.6e6, rel=0.02)
    assert float(attention_flops(v3, 1e5)) / 1e5 == pytest.approx(17e6, rel=0.01)


def test_a_batch_says_what_the_weights_leave() -> None:
    prices = price_list(GEMINI)
    found = readings(prices, machine=LECTURE, batch=312.5 * (671 / 37) * 4).present["kv_weights"]
    assert found.value == pytest.approx(0.75 * solve_kv_bytes(100e9, 200e3, 312.5))
    few = readings(prices, machine=LECTURE, batch=1000)
    assert "kv_weights" not in few.present
    assert "weights alone" in next(r for r in few.absent if r.key == "kv_weights").absent


def test_an_open_model_is_counted() -> None:
    model = catalog.model("deepseek-ai/DeepSeek-V3")
    prices = with_long(a_list(), 128e3, 4.0, 20.0)
    found = readings(prices, known=model)
    assert found.setting.active.value == active_parameters(model)["with one"]
    assert not found.setting.active.ranges
    own = found.present["kv_architecture"]
    assert own.value == pytest.approx(kv_bytes_per_token(model), rel=0.01)
    step = next(c for c in found.conflicts if c.key == "kv_board_kv_architecture")
    assert step.factor == pytest.approx(own.value / found.present["kv_board"].value)


# --- conflicts ----------------------------------------------------------------------------------------------------


def test_the_lecture_contradicts_itself_on_this_list(opus: Readings) -> None:
    found = {c.key: c for c in opus.conflicts}
    assert set(found) == {"step_ratio", "kv_board_kv_cache", "drain_medium", "fast_ratio", "steps", "price_cost", "covers_window"}
    assert found["step_ratio"].factor == pytest.approx(5)
    assert found["kv_board_kv_cache"].factor == pytest.approx(236, abs=1)
    assert found["fast_ratio"].factor == pytest.approx((1 / 2.8) / 0.2)
    assert {key for key, c in found.items() if c.overlap} == {"fast_ratio"}
    assert [c.overlap for c in opus.conflicts] == sorted(c.overlap for c in opus.conflicts)
    assert "memory only" in found["drain_medium"].why


def consistent(model: str = "maker/m") -> tuple[PriceList, Machine]:
    """A list priced at cost: balance at 100K, output at input's price, 3.33 kB a token held at HBM's rent."""
    cost = prefill_cost(100e9, 5e15, 2.0, 0.4)
    q = float(solve_kv_bytes(100e9, 100e3, 300.0))
    rent = q * float(hbm_rent(LECTURE)) * 1e6
    short, long = cost + 0.01 + rent * 300, cost + 0.01 + rent * 3600
    prices = a_list(model=model, window=150e3, input_mtok=cost, output_mtok=cost, cache_write_5m_mtok=short, cache_write_1h_mtok=long)
    return with_long(prices, 100e3, 1.5 * cost, 1.5 * cost), LECTURE


def test_a_consistent_list_has_no_conflicts() -> None:
    prices, machine = consistent()
    found = readings(prices, active=(100e9,) * 3, machine=machine)
    assert found.conflicts == ()
    assert found.present["kv_cache"].value == pytest.approx(found.present["kv_board"].value)
    assert found.present["margin_input"].value == pytest.approx(0, abs=1e-9)


def changed(prices: PriceList, **values: float) -> PriceList:
    return replace(prices, entries=(replace(prices.entries[0], **values), *prices.entries[1:]))  # type: ignore[arg-type]


def test_each_conflict_comes_with_its_cause() -> None:
    prices, machine = consistent()
    base, long = prices.entries

    def keys(other: PriceList) -> list[str]:
        return [c.key for c in readings(other, active=(100e9,) * 3, machine=machine).conflicts]

    wide = replace(prices, entries=(base, replace(long, output_mtok=4 * base.output_mtok, input_mtok=base.input_mtok)))
    assert keys(changed(wide, output_mtok=2 * base.output_mtok)) == ["step_ratio"]
    assert keys(replace(prices, context_window=300e3)) == ["covers_window"]
    assert keys(replace(prices, entries=(base, replace(long, input_mtok=2 * base.input_mtok)))) == ["steps"]
    short, hour = base.cache_write_5m_mtok or 0.0, base.cache_write_1h_mtok or 0.0
    assert keys(changed(prices, cache_write_1h_mtok=10 * hour)) == ["kv_board_kv_cache"]
    double = 2 * base.input_mtok
    dear = changed(
        prices, input_mtok=double, output_mtok=double, cache_write_5m_mtok=short + double / 2, cache_write_1h_mtok=hour + double / 2
    )
    dear = replace(dear, entries=(dear.entries[0], replace(long, input_mtok=1.5 * double, output_mtok=1.5 * double)))
    assert keys(dear) == ["price_cost"]
    same = consistent("anthropic/m")[0]  # the provider documents that its cache stays in memory
    with_flash = replace(machine, tiers=catalog.machine("gb200").tiers)
    assert [c.key for c in readings(same, active=(100e9,) * 3, machine=with_flash).conflicts] == ["drain_medium"]


def test_a_fast_mode_that_agrees_with_output_over_input() -> None:
    """Weights' share 1/2.8 both ways: 2.8 times as dear out as in, and x = 1.8 in the fast mode."""
    prices = a_list(input_mtok=1.0, output_mtok=2.8)
    fast = ListPrice(model="maker/m", input_mtok=1.0, output_mtok=2.8 * 6, mode="fast", speed=2.5)
    found = readings(replace(prices, entries=(*prices.entries, fast)))
    assert found.present["weights_fast"].value == pytest.approx(found.present["weights_ratio"].value)
    assert "fast_ratio" not in {c.key for c in found.conflicts}
    dearer = readings(
        replace(
            changed(prices, output_mtok=10.0),
            entries=(ListPrice(model="maker/m", input_mtok=1.0, output_mtok=10.0), replace(fast, output_mtok=60.0)),
        )
    )
    assert "fast_ratio" in {c.key for c in dearer.conflicts}


@given(ratio_out=st.floats(1.3, 30), at=st.floats(1e4, 1e6))
def test_any_price_ratio_contradicts_a_crossover(ratio_out: float, at: float) -> None:
    prices = with_long(a_list(input_mtok=1.0, output_mtok=ratio_out), at, 1.5, 1.5 * ratio_out)
    found = {c.key: c for c in readings(prices).conflicts}["step_ratio"]
    assert found.factor == pytest.approx(ratio_out)
    assert found.overlap == (ratio_out <= 2)  # an output markup of half input's would make up for it


# --- what a list lacks, and bad input -----------------------------------------------------------------------------


def test_a_reading_says_why_it_is_absent() -> None:
    found = readings(a_list())
    why = {r.key: r.absent for r in found.absent}
    assert "one price for every context length" in why["kv_step"]
    assert "two lifetimes" in why["kv_cache"]
    assert "no mode with a stated speed" in why["batch_ratio"]
    assert all(math.isnan(r.value) for r in found.absent)
    assert found.spread is None
    assert readings(a_list(), context=200e3).present["kv_board"].value == pytest.approx(1667, abs=1)
    cheap = readings(a_list(input_mtok=2.0, output_mtok=1.0))
    assert "output costs less" in next(r.absent for r in cheap.absent if r.key == "mfu_ratio")
    assert cheap.splits == ()
    falling = readings(a_list(cache_write_5m_mtok=4.0, cache_write_1h_mtok=3.0))
    assert "costs no more" in next(r.absent for r in falling.absent if r.key == "kv_cache")
    unpriced = readings(price_list(OPUS), machine=replace(LECTURE, price_per_hour=0.0))
    assert "no known price" in next(r.absent for r in unpriced.absent if r.key == "cost_input")


def test_nothing_to_read_is_an_error() -> None:
    with pytest.raises(BadInput, match="nothing can be read"):
        readings(a_list(input_mtok=0.0, output_mtok=0.0))
    with pytest.raises(BadInput, match="no standard price"):
        readings(replace(a_list(), entries=()))


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_numbers_are_refused(value: float) -> None:
    prices = a_list()
    for bad in ({"active": (value,) * 3}, {"context": value}, {"mfu": value}, {"batch": value}):
        with pytest.raises(BadInput):
            readings(prices, **bad)
    with pytest.raises(BadInput):
        fixed("x", value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([GPT, "--active", "nan"], "not finite"),
        ([GPT, "--active", "0"], "from 1 to 1e15"),
        ([GPT, "--active", "1e-9"], "from 1 to 1e15"),
        ([GPT, "--context", "1e-9"], "from 1 to 1e9"),
        ([GPT, "--batch", "0.5"], "from 1 to 1e9"),
        ([GPT, "--context", "2e9"], "from 1 to 1e9"),
        ([GPT, "--batch", "2e9"], "from 1 to 1e9"),
        ([GPT, "--mfu", "1e-9"], "from 1e-06 to 1"),
        ([GPT, "--active", "300B,100B,50B"], "not in order"),
        ([GPT, "--active", "1B,2B"], "one like 100B"),
        ([GPT, "--on", "hh100"], "did you mean h100"),
        ([GPT, "--mfu", "2"], "from 1e-06 to 1"),
        ([GPT, "--set", "machine.price_per_hour=$2/h"], "--on"),
        ([GPT, "--on", "gb200", "--set", "engine.chunk_tokens=4"], "value of the machine"),
        ([GPT, "--on-date", "2020-01-01"], "2020-01-01"),
        (["openai/gpt-5.x"], "did you mean openai/gpt-5"),
        (["nowhere.toml"], "nowhere.toml"),
        (["nowhere.toml", "--on-date", MARCH], "one day"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["readings", *words]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert told.out == ""


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("words", [[OPUS, "--on-date", MARCH], [GEMINI, "--on", "tpu7x"], [GPT, "--active", "200B"]])
def test_the_screen(words: list[str], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["readings", *words]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= width
    for said in ("KV bytes per token", "●", "○", "Conflicts", "✗", "What is assumed", "not overlap"):
        assert said in out
    assert "nan" not in out
    assert ("Not read" in out) == (words[0] != OPUS)


def test_json_and_csv_agree(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["readings", OPUS, "--on-date", MARCH]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run([*words, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [r["key"] for r in rows] == [r["key"] for r in found["readings"]]
    kv = next(r for r in found["readings"] if r["key"] == "kv_board")
    assert kv["value"] == pytest.approx(1666.67, rel=1e-4)
    assert [a["name"] for a in kv["assumes"]] == ["active parameters", "multiplies per byte"]
    assert all(a["why"] for a in kv["assumes"])
    assert found["spread"]["factor"] == pytest.approx(491, abs=1)
    assert {c["key"] for c in found["conflicts"]} >= {"step_ratio", "price_cost"}


def test_a_list_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'model = "me/mine"\ninput_mtok = 2\noutput_mtok = 12\n[[long]]\nabove_input_tokens = 200000\ninput_mtok = 4\noutput_mtok = 18\n'
    )
    assert run(["readings", str(file), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    public = readings(price_list(GEMINI)).present
    values = {r["key"]: r["value"] for r in own["readings"]}
    for key in ("kv_board", "kv_fp4", "mfu_ratio", "weights_ratio", "covers"):
        assert values[key] == pytest.approx(public[key].value), key


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_picture(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    file = tmp_path / f"readings.{ending}"
    assert run(["readings", OPUS, "--on-date", MARCH, "-o", str(file)]) == 0
    drawn = file.read_bytes()
    assert drawn[:4] == (b"\x89PNG" if ending == "png" else b"<svg")


def test_nothing_to_draw_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["readings", "deepseek/deepseek-v4-flash", "-o", str(tmp_path / "x.svg")]) == 2
    assert "nothing to draw" in capsys.readouterr().err


def test_every_public_list_can_be_read() -> None:
    """Whatever a list holds: readings lie in their intervals, and every term follows from those below it."""
    lists = [*all_lists()[::6], price_list(OPUS, on=MARCH), price_list(GEMINI), price_list(GPT)]
    for prices in lists:
        answer = rackmath.readings(prices)
        for one in answer.subject.present.values():
            assert one.low <= one.value <= one.high, (prices.model, one.key)
        tree = answer.explain()
        assert [n.name for n in tree.walk() if not n.follows()] == [], prices.model
        bare = [n.name for n in tree.walk() if not n.children and n.unit in ("$", "$/h", "FLOP/s") and not n.source]
        assert set(bare) <= {"holding, $/M tokens/s"}, prices.model
        for c in answer.subject.conflicts:
            assert c.factor >= 1
            assert c.overlap == (c.first.low <= c.second.high and c.second.low <= c.first.high)


def test_fits_agree_with_the_modes_command(opus: Readings) -> None:
    fit = fit_fast_mode(6, 2.5, input_price_ratio=6)
    assert opus.present["weights_fast"].value == pytest.approx(1 - fit.memory_bound.cache_share)
    assert opus.present["fastest"].value == pytest.approx(fit.memory_bound.largest_speed)


# --- prices in place of a list --------------------------------------------------------------------------------------


def test_single_prices_read_as_a_list_of_them(tmp_path):
    """The options of `infer`, same names and rules."""
    named = rackmath.readings("anthropic/claude-opus-4-6").subject
    own = rackmath.readings(input_price="5", output_price="25", cached_price="0.5", write_5m_price="6.25", write_1h_price="10").subject
    for name in ("hit_over_recompute", "output_balance", "mfu_ratio"):
        if name in named.present:
            assert own.present[name].value == pytest.approx(named.present[name].value)
    assert own.present.keys() <= named.present.keys()
    assert own.present


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--input-price 2 --output-price 12 --cached-price 0.2 --write-5m-price 2.5 --write-1h-price 4", 0, ""),
        ("--input-price 0.000002 --output-price 0.000012 --unit token", 0, ""),
        ("--input-price 2", 2, "give both --input-price and --output-price"),
        ("", 2, "give --input-price and --output-price"),
        ("anthropic/claude-opus-4-6 --input-price 2 --output-price 12", 2, "give one of them"),
        ("anthropic/claude-opus-4-6 --unit 1K", 2, "leave it out"),
        ("--input-price 2 --output-price 12 --on-date 2026-03-01", 2, "have no day"),
        ("--input-price nan --output-price 12", 2, ""),
        ("--input-price -2 --output-price 12", 2, ""),
    ],
)
def test_price_options_as_infer_has_them(words, code, said, capsys):
    from rackmath.faces.cli import run

    for command in ("readings", "infer"):
        more = ["--draws", "20k"] if command == "infer" else []
        assert run([command, *words.split(), *more]) == code, command
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
