"""The dollars of requests by every rule of a list, and the volume from which machines of one's own cost less."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rackmath
from rackmath.economics.bill import bill, usage
from rackmath.economics.breakeven import MONTH, break_even, month
from rackmath.economics.fleet import FleetNeed, fleet
from rackmath.economics.listprice import ListPrice, PriceList
from rackmath.economics.pricelist import price_list
from rackmath.errors import Infeasible
from rackmath.faces import cli
from rackmath.world import catalog
from rackmath.world.machine import Machine
from rackmath.world.workload import Traffic

OPUS, GEMINI = "claude-opus-4-6", "gemini-3.1-pro-preview"
REQUEST = {"input": 60_000, "cached": 48_000, "written": 8_000, "output": 900}


def dollars(name: str | None = None, **given: object) -> float:
    return float(rackmath.bill(name, **given).dollars)


# --- one request ----------------------------------------------------------------------------------------------------


def test_a_request_that_somebody_was_billed_for(capsys: pytest.CaptureFixture[str]) -> None:
    """27,147 tokens in, 27,146 of them cached, 351 out at $1.40 / $0.26 / $4.40 per million: $0.00860376."""
    prices = {"input_price": 1.40, "cached_price": 0.26, "output_price": 4.40}
    answer = rackmath.bill(input=27147, cached=27146, output=351, **prices)
    assert answer.dollars == pytest.approx(0.00860376, abs=1e-12)
    assert [row["tokens"] for row in answer.parts] == [1, 27146, 351]
    line = ["bill", "--input-price", "1.40", "--cached-price", "0.26", "--output-price", "4.40"]
    assert cli.run([*line, "--input", "27147", "--cached", "27146", "--output", "351"]) == 0
    assert "$0.00860376" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({}, 4_000 * 5 + 48_000 * 0.5 + 8_000 * 6.25 + 900 * 25),
        ({"ttl": "1h"}, 4_000 * 5 + 48_000 * 0.5 + 8_000 * 10 + 900 * 25),
        ({"ttl": "20min"}, 4_000 * 5 + 48_000 * 0.5 + 8_000 * 10 + 900 * 25),
        ({"mode": "batch"}, 4_000 * 2.5 + 48_000 * 0.25 + 8_000 * 3.125 + 900 * 12.5),
        ({"mode": "fast"}, 60_000 * 30 + 900 * 150),  # no cache price of the fast mode is known
    ],
)
def test_modes_and_cache_minutes(given: dict[str, str], right: float) -> None:
    assert dollars(OPUS, **REQUEST, **given) == pytest.approx(right / 1e6)


@pytest.mark.parametrize(
    ("name", "input", "price", "day"),
    [
        (GEMINI, 200_000, 2.0, None),
        (GEMINI, 200_001, 4.0, None),
        ("openai/gpt-5.4", 272_000, 2.5, None),
        ("openai/gpt-5.4", 272_001, 5.0, None),
        (OPUS, 250_000, 5.0, None),
        (OPUS, 250_000, 10.0, "2026-03-01"),
        (OPUS, 200_000, 5.0, "2026-03-01"),
    ],
)
def test_the_length_of_the_whole_input_chooses_the_price_of_all_of_it(name: str, input: int, price: float, day: str | None) -> None:
    """Lists say "up to 200k" and "above": the length itself is still short."""
    answer = rackmath.bill(name, input=input, on_date=day)
    assert answer.dollars == pytest.approx(input * price / 1e6)
    cached = rackmath.bill(name, input=input, cached=input - 1, output=10, on_date=day)
    assert cached.parts[0]["above_input_tokens"] == answer.parts[0]["above_input_tokens"]


def test_storage_by_the_hour() -> None:
    """Gemini 3.1 Pro: $4.50 per million tokens and hour, in every mode that names no other price."""
    plain = dollars(GEMINI, input=100_000, written=80_000, output=100)
    assert plain == pytest.approx((100_000 * 2 + 100 * 12) / 1e6)  # what is written costs plain input
    answer = rackmath.bill(GEMINI, input=100_000, written=80_000, output=100, stored="2h")
    assert answer.dollars == pytest.approx(plain + 80_000 * 2 * 4.5 / 1e6)
    batch = rackmath.bill(GEMINI, input=100_000, written=80_000, output=100, stored="2h", mode="batch")
    assert [row["dollars"] for row in batch.parts if row["part"] == "cache storage"] == pytest.approx([0.72])
    none = rackmath.bill(OPUS, **REQUEST, stored="2h")
    assert none.dollars == pytest.approx(0.1165)
    assert any("no price of storage" in note for note in none.notes)


def test_a_list_of_ones_own_with_every_rule(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "model = 'acme/large'\ninput_mtok = 2\ncache_read_mtok = 0.2\ncache_write_5m_mtok = 2.5\n"
        "cache_storage_mtok_hour = 1\noutput_mtok = 10\n"
        "[[long]]\nabove_input_tokens = 100000\ninput_mtok = 4\noutput_mtok = 15\n"
        "[[mode]]\nname = 'batch'\ninput_mtok = 1\noutput_mtok = 5\n"
    )
    assert dollars(str(path), input=1e6, cached=0, output=0) == pytest.approx(4)
    assert dollars(str(path), input=1e5, written=1e5, stored="30min") == pytest.approx(0.25 + 0.05)
    assert dollars(str(path), input=1e5, written=1e5, stored="30min", mode="batch") == pytest.approx(0.1 + 0.05)
    hour = rackmath.bill(str(path), input=1e5, written=1e5, ttl="1h")
    assert hour.dollars == pytest.approx(0.25)
    assert any("one price of a cache write" in note for note in hour.notes)


def test_every_mode_stands_beside() -> None:
    answer = rackmath.bill(OPUS, **REQUEST)
    modes = {row["mode"]: row for row in answer.modes}
    assert set(modes) == {"standard", "batch", "fast"}
    assert modes["batch"]["over_standard"] == pytest.approx(0.5)
    assert modes["fast"]["instead"] is True
    long = {row["mode"]: row["long"] for row in rackmath.bill(GEMINI, input=250_000).modes}
    assert long["flex"] is False  # its list has no price above 200,000 tokens
    assert long["batch"] is True


# --- a file of requests ---------------------------------------------------------------------------------------------

ROWS = [
    {"input": 60_000, "cached": 48_000, "written": 8_000, "output": 900},
    {"input": 1_000, "cached": 0, "written": 0, "output": 50},
    {"input": 250_000, "cached": 200_000, "written": 0, "output": 2_000},
]


def _csv(path: Path, rows: list[dict[str, object]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(k for row in rows for k in row)))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def _jsonl(path: Path, rows: list[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_is_the_sum_of_its_requests(tmp_path: Path) -> None:
    each = [dollars(GEMINI, **row) for row in ROWS]
    for path in (_csv(tmp_path / "r.csv", ROWS), _jsonl(tmp_path / "r.jsonl", ROWS)):  # type: ignore[arg-type]
        answer = rackmath.bill(GEMINI, requests=path)
        assert answer.dollars == pytest.approx(sum(each))
        assert answer.dollars_per_request == pytest.approx(sum(each) / 3)
        assert answer.tokens.input == 311_000
        assert {row["above_input_tokens"] for row in answer.parts} == {0, 200_000}
    (tmp_path / "r.json").write_text(json.dumps(ROWS))
    assert dollars(GEMINI, requests=str(tmp_path / "r.json")) == pytest.approx(sum(each))


def test_requests_have_modes_and_minutes_of_their_own(tmp_path: Path) -> None:
    rows = [{**REQUEST, "mode": "batch", "ttl": ""}, {**REQUEST, "mode": "", "ttl": "1h"}, REQUEST]
    answer = rackmath.bill(OPUS, requests=_csv(tmp_path / "r.csv", rows))  # type: ignore[arg-type]
    assert answer.dollars == pytest.approx(0.05825 + 0.1465 + 0.1165)
    assert "modes" not in answer.record


def test_usage_objects_as_apis_report_them(tmp_path: Path) -> None:
    """OpenAI's prompt counts cached tokens, Anthropic's input does not."""
    chat = {
        "usage": {
            "prompt_tokens": 60_000,
            "completion_tokens": 900,
            "total_tokens": 60_900,
            "prompt_tokens_details": {"cached_tokens": 48_000},
        }
    }
    responses = {"usage": {"input_tokens": 60_000, "output_tokens": 900, "input_tokens_details": {"cached_tokens": 48_000}}}
    messages = {
        "usage": {"input_tokens": 12_000, "cache_read_input_tokens": 48_000, "cache_creation_input_tokens": 0, "output_tokens": 900}
    }
    right = dollars(OPUS, input=60_000, cached=48_000, output=900)
    for one in (chat, responses, messages):
        assert dollars(OPUS, requests=_jsonl(tmp_path / "u.jsonl", [one])) == pytest.approx(right)
    flat = [messages["usage"] | {"id": "x1"}]
    answer = rackmath.bill(OPUS, requests=_csv(tmp_path / "u.csv", flat))  # type: ignore[arg-type]
    assert answer.dollars == pytest.approx(right)
    assert any("not read: id" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "input,output\n", "holds no request"),
        ("r.csv", "", "holds no request"),
        ("r.csv", "input,cachd,output\n1,2,3\n", "did you mean cached"),
        ("r.csv", "input,input\n1,2\n", "twice"),
        ("r.csv", "input,output\n1,2,3\n", "more cells"),
        ("r.csv", "input,output\n1e400,2\n", "request 1"),
        ("r.csv", "input,output\nnan,2\n", "request 1"),
        ("r.csv", "input,output\n5,2\n-1,2\n", "request 2: input = -1"),
        ("r.csv", "input,cached,output\n5,9,2\n", "more than the 5"),
        ("r.csv", "a,b\n1,2\n", "neither input nor output"),
        ("r.csv", "input,output,mode\n1,2,fats\n", "fats"),
        ("r.csv", "input,output,ttl\n1,2,3 parsecs\n", "ttl"),
        ("r.csv", "input,written,output,ttl\n1,1,2,9h\n", "longer than any list"),
        ("r.jsonl", "{\n", "line 1"),
        ("r.jsonl", "[1]\n", "no object"),
        ("r.jsonl", '{"usage": 3}\n', "no object"),
        ("r.jsonl", '{"input": true, "output": 1}\n', "input = True"),
        ("r.jsonl", '{"input": {"a": 1}}\n', "request 1"),
        ("r.json", '{"input": 1}', "is no list"),
        ("r.txt", "input\n1\n", "ends in"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    assert cli.run(["bill", OPUS, "--requests", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert len(error) < 400


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([OPUS], "no request was given"),
        (["--input", "5"], "no price list was given"),
        (["claude-opus-9", "--input", "5"], "claude-opus-9"),
        ([OPUS, "--input", "-1"], "out of range"),
        ([OPUS, "--input", "nan"], "input"),
        ([OPUS, "--input", "5", "--cached", "4", "--written", "3"], "more than the 5"),
        ([OPUS, "--input", "5", "--mode", "flex"], "flex"),
        ([OPUS, "--input", "5", "--ttl", "2h"], "out of range"),
        ([OPUS, "--input", "5", "--requests", "r.csv"], "both"),
        ([OPUS, "--requests", "/nowhere.csv"], "no file"),
        ([OPUS, "--requests", "/dev/null"], "ends in"),
        ([OPUS, "--input", "5", "--on", "8xh200"], "--against"),
        ([OPUS, "--input", "5", "--against", "Qwen/Qwen3-8B"], "without --on"),
        ([OPUS, "--input", "5", "--output", "5", "--on", "h10", "--against", "Qwen/Qwen3-8B"], "did you mean"),
        ([OPUS, "--input", "5", "--on", "h100", "--against", "Qwen/Qwen3-8B"], "output token"),
    ],
)
def test_bad_questions_are_refused(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bill", *line]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


# --- arithmetic -----------------------------------------------------------------------------------------------------

TWO = PriceList(
    model="a/b",
    day="2026-11-25",
    entries=(
        ListPrice(model="a/b", input_mtok=2, output_mtok=9, cache_read_mtok=0.2, cache_write_5m_mtok=2.5, cache_write_1h_mtok=4),
        ListPrice(
            model="a/b",
            input_mtok=4,
            output_mtok=15,
            cache_read_mtok=0.4,
            cache_write_5m_mtok=5,
            cache_write_1h_mtok=8,
            above_input_tokens=1000,
        ),
        ListPrice(model="a/b", input_mtok=1, output_mtok=5, mode="batch"),
    ),
)
COUNTS = st.integers(0, 3000)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_columns_are_their_rows_and_parts_their_sum(rows: list[tuple[int, int, int, int, bool, bool]]) -> None:
    data = [(f + c + w, c, w, o, "batch" if b else "standard", 3600.0 if h else 300.0) for f, c, w, o, b, h in rows]
    inputs, cached, written, output, modes, lives = (list(x) for x in zip(*data, strict=True))
    whole = bill(TWO, usage(inputs, cached, written, output, mode=modes, lifetime=lives))
    each = [bill(TWO, usage([i], c, w, o, mode=m, lifetime=t)).dollars for i, c, w, o, m, t in data]
    assert whole.each == pytest.approx(each)
    assert whole.dollars == pytest.approx(math.fsum(each))
    assert sum(c.tokens for c in whole.charges) == sum(inputs) + sum(output)
    for (i, c, w, o, m, t), found in zip(data, each, strict=True):
        e = TWO.at(i, m)
        read, five, hour = (e.input_mtok if p is None else p for p in (e.cache_read_mtok, e.cache_write_5m_mtok, e.cache_write_1h_mtok))
        by_hand = (i - c - w) * e.input_mtok + c * read + w * (hour if t > 300 else five) + o * e.output_mtok
        assert found == pytest.approx(by_hand / 1e6)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-4, 1.0), st.floats(0.01, 50.0), st.sampled_from([1.0, 2.0, 3.0, 8.0, 16.0]), st.integers(0, 3), st.floats(0.3, 20.0))
def test_both_cost_the_same_where_they_meet(dollars: float, capacity: float, gpus: float, spare: int, price: float) -> None:
    box = Machine(name="8xh100", accelerator="h100", n_devices=8, domain=8, price_per_hour=price)
    met = break_even(dollars, capacity, gpus, box, spare)
    tries = np.linspace(0.01, 1.0, 400) * (200 * capacity if met.never else 3 * met.first)
    own = np.asarray(month(tries, capacity, gpus, box, spare))
    api = dollars * MONTH * tries
    if met.never:
        assert np.all(own > api * (1 - 1e-9))
        return
    at = float(month(met.first, capacity, gpus, box, spare))
    assert at <= dollars * MONTH * met.first * (1 + 1e-6)
    assert np.all(own[tries < met.first * (1 - 1e-6)] > api[tries < met.first * (1 - 1e-6)] * (1 - 1e-9))
    assert met.month_dollars == pytest.approx(at)
    if math.isfinite(met.always):
        later = met.always * np.linspace(1.0 + 1e-6, 6.0, 400)
        assert np.all(np.asarray(month(later, capacity, gpus, box, spare)) <= dollars * MONTH * later * (1 + 1e-9))


def test_a_month_is_that_of_a_fleet() -> None:
    box = catalog.machine("8xh100")
    traffic = Traffic(isl=1000, osl=100, utilisation=0.5)
    for rate, spare, gpus in ((0.1, 0, 8.0), (7.3, 1, 4.0), (55.0, 2, 2.0)):
        of = fleet(2.0, gpus, box, traffic, FleetNeed(rate=rate, spare=spare))
        assert float(month(rate, 1.0, gpus, box, spare)) == pytest.approx(float(of.month_dollars))


# --- machines of one's own ------------------------------------------------------------------------------------------


def test_own_machines_beside_an_api() -> None:
    list_ = "novita/deepseek/deepseek-r1"
    answer = rackmath.bill(list_, input=8000, output=1000, on="8xh200")
    met = answer.break_even
    assert met.model == "deepseek-ai/DeepSeek-R1"  # the list's own weights
    assert met.api_request == answer.dollars
    assert met.rate * MONTH * answer.dollars == pytest.approx(met.month_dollars)
    planned = rackmath.plan(met.model, on="8xh200", isl=8000, osl=1000, min_interactivity=20)
    assert met.layout.label == planned.best["layout"]["label"]
    assert met.requests_per_replica == pytest.approx(planned.best["estimate"]["request_rate"])
    assert met.own_request == pytest.approx(planned.best["cost"]["request"])
    assert met.month_dollars == pytest.approx(2 * 8 * met.price_per_gpu_hour * 730)  # one box and a spare one
    assert met.rate_low <= met.rate <= met.rate_high
    fleet_ = rackmath.plan(met.model, on="8xh200", isl=8000, osl=1000, min_interactivity=20, rate=met.rate).fleet
    assert fleet_["month_dollars"] == pytest.approx(met.month_dollars)


def test_a_price_below_every_cost_is_never_met() -> None:
    answer = rackmath.bill(input_price=0.01, output_price=0.1, input=8000, output=1000, on="8xh200", against="deepseek-ai/DeepSeek-R1")
    assert answer.break_even.rate is None
    assert answer.break_even.own_request > answer.break_even.api_request


def test_what_no_machine_serves_is_said() -> None:
    with pytest.raises(Infeasible, match="does not fit"):
        rackmath.bill(OPUS, input=8000, output=1000, on="h100", against="deepseek-ai/DeepSeek-R1")


def test_hosts_beside_a_quote_say_from_which_volume_own_machines_cost_less(capsys: pytest.CaptureFixture[str]) -> None:
    """One replica of 72 devices at $4.54: $326.88 an hour, over what a host asks for a request."""
    assert cli.run(["quote", "deepseek-ai/DeepSeek-V3", "--on", "gb200-nvl72", "--compare", "--json"]) == 0
    hosts = json.loads(capsys.readouterr().out)["hosts"]
    assert len(hosts) > 3
    for host in hosts:
        if host["break_even"] is not None and host["break_even"] < 30:  # within one replica
            assert host["break_even"] * host["request"] * 3600 == pytest.approx(72 * 4.54)
    volumes = [host["break_even"] for host in hosts]
    assert volumes == sorted(volumes, reverse=True)  # hosts stand with the cheapest first


def test_the_snapshot_is_read_by_the_same_rule() -> None:
    assert price_list(GEMINI).at(200_000).above_input_tokens == 0
    assert price_list(GEMINI).at(200_001).above_input_tokens == 200_000
