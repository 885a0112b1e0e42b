"""Price lists: known public facts, the snapshot against its packages, lists of one's own, and the command."""

import csv
import json
from itertools import pairwise

import pytest

import rackmath
from rackmath.economics import listings, pricelist, pricelist_genai
from rackmath.economics.comparison import KINDS, changes, device_hours, spread
from rackmath.economics.listings import PRICES
from rackmath.economics.pricelist import all_lists, price_list, price_lists, sold
from rackmath.economics.pricelist_file import find, from_prices, read_price_list
from rackmath.errors import BadInput
from rackmath.faces import cli
from rackmath.world import catalog

TOML = """
model = "acme/large-3"
input_mtok = 2.0
cache_read_mtok = 0.2
cache_write_5m_mtok = 2.5
output_mtok = 10.0
weights = "zai-org/glm-5.2"
[[long]]
above_input_tokens = 200_000
input_mtok = 4.0
output_mtok = 15.0
[[mode]]
name = "fast"
speed = 2.5
input_mtok = 12.0
output_mtok = 60.0
[measured]
output_speed = "60 tok/s"
ttft = "500ms"
"""


# --- public facts -------------------------------------------------------------------------------------------------


def test_opus_4_6_and_the_end_of_its_surcharge():
    """$5 and $25; above 200K twice the input and 1.5 times the output price until 13 March 2026."""
    now, before = price_list("claude-opus-4-6"), price_list("claude-opus-4-6", on="2026-03-12")
    assert (now.standard.input_mtok, now.standard.output_mtok) == (5.0, 25.0)
    assert now.long is None
    assert before.long is not None
    assert before.long.above_input_tokens == 200_000
    assert before.long.input_mtok / before.standard.input_mtok == 2
    assert before.long.output_mtok / before.standard.output_mtok == 1.5
    assert price_list("claude-opus-4-6", on="2026-03-13").long is None
    fast = now.mode("fast")[0]
    assert (fast.output_mtok / now.standard.output_mtok, fast.speed) == (6, 2.5)


@pytest.mark.parametrize(
    ("name", "above", "fresh", "out"),
    [
        ("google/gemini-3.1-pro-preview", 200_000, 2.0, 1.5),
        ("openai/gpt-5.4", 272_000, 2.0, 1.5),
        ("anthropic/claude-haiku-4-5", None, None, None),
    ],
)
def test_tiers_of_length(name, above, fresh, out):
    found = price_list(name)
    if above is None:
        assert found.long is None
        return
    assert found.long.above_input_tokens == above
    assert found.long.input_mtok / found.standard.input_mtok == fresh
    assert found.long.output_mtok / found.standard.output_mtok == out


def test_batch_is_half_price_where_the_providers_say_so():
    for name in ("anthropic/claude-opus-4-8", "openai/gpt-5.5", "google/gemini-2.5-pro", "mistral/mistral-large-4"):
        found = price_list(name)
        batch = found.mode("batch")[0]
        assert batch.input_mtok == pytest.approx(found.standard.input_mtok / 2), name
        assert batch.output_mtok == pytest.approx(found.standard.output_mtok / 2), name


def test_cached_writes_of_anthropic_are_a_quarter_and_the_double():
    lists = [p for p in all_lists() if p.provider == "anthropic" and p.standard.cache_write_1h_mtok]
    assert len(lists) > 10
    for one in lists:
        if one.model != "anthropic/claude-3-haiku":  # listed rounded: $0.30 for 1.25 times $0.25
            assert one.standard.cache_write_5m_mtok == pytest.approx(1.25 * one.standard.input_mtok), one.model
        assert one.standard.cache_write_1h_mtok == pytest.approx(2 * one.standard.input_mtok), one.model


# --- the snapshot -------------------------------------------------------------------------------------------------


def test_snapshot_is_small_and_quick_to_name():
    assert listings.SNAPSHOT.stat().st_size < 200_000
    with listings.SNAPSHOT.open(encoding="utf-8") as file:
        head = file.readline()
    assert "genai-prices 0.2.3 (MIT" in head
    assert "litellm 1.109.1 (MIT" in head
    assert listings.today("snapshot") in head


def test_snapshot_agrees_with_the_installed_package():
    """Every entry that says it is from genai-prices alone is one of the adapter's, hosts under Hugging Face too."""
    theirs = {}
    for e in pricelist_genai.entries():
        key = tuple(getattr(e, price) for price in PRICES)
        theirs.setdefault((e.above_input_tokens, e.since, e.until), set()).add(tuple(round(v or 0, 5) for v in key))
    checked = 0
    with listings.SNAPSHOT.open(encoding="utf-8", newline="") as file:
        next(file)
        for row in csv.DictReader(file):
            if row["source"].startswith("genai-prices") and "litellm" not in row["source"]:
                key = tuple(round(float(row[price] or 0), 5) for price in PRICES)
                at = (float(row["above_input_tokens"] or 0), row["since"], row["until"])
                assert key in theirs[at], row
                checked += 1
    assert checked > 500


def test_every_list_is_sane():
    for one in all_lists():
        for e in one.entries:
            assert 0 < e.input_mtok <= 200, e
            assert 1 / 20 <= e.output_mtok / e.input_mtok <= 200, e
            assert e.cache_read_mtok is None or 0 < e.cache_read_mtok <= e.input_mtok, e
            assert e.cache_write_5m_mtok is None or e.cache_write_5m_mtok >= (e.cache_read_mtok or 0), e
            assert e.mode in ("standard", "batch", "flex", "priority", "fast"), e
            assert e.source, e
        if one.long:
            assert one.long.input_mtok >= one.standard.input_mtok, one


def test_entries_of_one_mode_and_threshold_do_not_overlap():
    for name in sold():
        rows = {}
        for e in price_list(name, on="2026-11-25").history:
            rows.setdefault((e.mode, e.above_input_tokens), []).append((e.since, e.until))
        for spans in rows.values():
            spans.sort()
            for (_, until), (since, _) in pairwise(spans):
                assert until, name
                assert until <= since, name


def test_open_models_and_their_hosts():
    known = {listing.name for listing in catalog.models()}
    lists = [p for p in all_lists() if p.weights]
    assert {p.weights for p in lists} <= known
    assert len({(p.weights, p.provider) for p in lists}) >= 80
    assert len({p.weights for p in lists}) >= 25
    assert len({p.provider for p in lists}) >= 12


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("together/openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("groq/llama-3.3-70b-versatile", "meta-llama/Llama-3.3-70B-Instruct"),
        ("novita/deepseek/deepseek-r1-0528", "deepseek-ai/DeepSeek-R1"),
        ("nebius/Qwen/Qwen3-235B-A22B-Instruct-2507", "Qwen/Qwen3-235B-A22B"),
        ("ovhcloud/DeepSeek-R1-Distill-Llama-70B", "meta-llama/Llama-3.3-70B-Instruct"),
        ("moonshotai/kimi-k2-0905-preview", "moonshotai/Kimi-K2-Instruct"),
        ("zai/glm-5.3", "zai-org/GLM-5.3"),
        ("zai/glm-5.3-flash", ""),  # a model of its own, not in the catalogue
        ("deepinfra/deepseek-ai/deepseek-v4-flash-0731", "deepseek-ai/DeepSeek-V4-Flash"),
        ("anthropic/claude-opus-4-6", ""),
    ],
)
def test_weights_of_a_listing(name, weights):
    assert price_list(name).weights == weights


def test_weights_behind_a_name_can_change():
    """Since 10 September 2026 DeepSeek answers deepseek-v4-flash with V4.1 Flash."""
    assert price_list("deepseek/deepseek-v4-flash").weights == ""
    before = price_list("deepseek/deepseek-v4-flash", on="2026-08-01")
    assert before.weights == "deepseek-ai/DeepSeek-V4-Flash"
    assert before.standard.output_mtok == 0.28


def test_fast_variants_are_modes_of_the_same_listing():
    fast = price_list("fireworks/glm-5p2").mode("fast")[0]
    assert fast.output_mtok / price_list("fireworks/glm-5p2").standard.output_mtok == pytest.approx(1.5)
    assert "fireworks/glm-5p2-fast" not in sold()


# --- names --------------------------------------------------------------------------------------------------------


def test_a_bare_name_needs_one_seller():
    assert price_list("gpt-5.4") == price_list("OpenAI/GPT-5.4")
    with pytest.raises(BadInput, match=r"has \d+ price lists; name one of them: aws/.* or \d+ more"):
        price_list("openai/gpt-oss-120b")
    with pytest.raises(BadInput, match="did you mean"):
        price_list("claude-opus-4-99")
    found = price_lists("OpenAI/gpt-oss-120b")
    assert {p.provider for p in found} >= {"groq", "together", "cerebras", "deepinfra", "aws"}
    assert [p.standard.output_mtok for p in found] == sorted(p.standard.output_mtok for p in found)
    assert price_lists("facebook/opt-13b") == ()


def test_the_installed_package_as_source():
    ours, theirs = price_list("gpt-5.5"), price_list("openai/gpt-5.5", source="genai-prices")
    assert theirs.standard.output_mtok == ours.standard.output_mtok
    assert price_list("gpt-5.5", source="genai-prices").model == "openai/gpt-5.5"  # resellers stand aside
    assert "peak" in price_list("deepseek/deepseek-v4-pro", source="genai-prices").modes
    with pytest.raises(BadInput, match="unknown source"):
        price_list("gpt-5.4", source="web")


def test_an_absent_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    pricelist_genai._package.cache_clear()
    with pytest.raises(BadInput, match=r"pip install 'rackmath\[prices\]'"):
        pricelist_genai.entries()
    pricelist_genai._package.cache_clear()


def test_time_of_day_and_dates_in_the_adapter():
    rows = [e for e in pricelist_genai.entries("deepseek") if e.model == "deepseek/deepseek-v4-pro"]
    quiet = [e for e in rows if e.mode == "standard"]
    assert [(e.since, e.until) for e in quiet] == [("", "2026-08-17"), ("2026-08-17", "")]
    peak = next(e for e in rows if e.mode == "peak" and not e.until)
    assert peak.output_mtok == 2 * quiet[-1].output_mtok
    assert "off-peak" in quiet[-1].source
    with pytest.raises(BadInput, match="unknown provider"):
        pricelist_genai.entries("nobody")


# --- lists of one's own -------------------------------------------------------------------------------------------


def test_the_three_kinds_of_file_read_alike(tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text(TOML)
    found = read_price_list(toml)
    assert found.model == "acme/large-3"
    assert found.weights == "zai-org/GLM-5.2"
    assert (found.output_speed, found.ttft) == (60.0, 0.5)
    assert (found.long.above_input_tokens, found.long.output_mtok) == (200_000, 15.0)
    assert (found.mode("fast")[0].speed, found.mode("fast")[0].output_mtok) == (2.5, 60.0)
    as_json = tmp_path / "mine.json"
    given = {
        "model": "acme/large-3",
        "input_mtok": 2,
        "cache_read_mtok": 0.2,
        "cache_write_5m_mtok": 2.5,
        "output_mtok": 10,
        "weights": "zai-org/GLM-5.2",
        "output_speed": "60 tok/s",
        "ttft": "500ms",
        "long": [{"above_input_tokens": 200000, "input_mtok": 4, "output_mtok": 15}],
        "mode": [{"name": "fast", "speed": 2.5, "input_mtok": 12, "output_mtok": 60}],
    }
    as_json.write_text(json.dumps(given))
    as_csv = tmp_path / "mine.csv"
    as_csv.write_text(
        "model,mode,above_input_tokens,input_mtok,cache_read_mtok,cache_write_5m_mtok,output_mtok,speed,weights,"
        "output_speed,ttft\n"
        "acme/large-3,standard,,2,0.2,2.5,10,,zai-org/GLM-5.2,60 tok/s,500ms\n"
        "acme/large-3,standard,200000,4,,,15,,zai-org/GLM-5.2,60 tok/s,500ms\n"
        "acme/large-3,fast,,12,,,60,2.5,zai-org/GLM-5.2,60 tok/s,500ms\n"
    )
    plain = [
        [
            (e.mode, e.above_input_tokens, e.input_mtok, e.cache_read_mtok, e.cache_write_5m_mtok, e.output_mtok, e.speed)
            for e in one.entries
        ]
        for one in (found, find(str(as_json)), find(str(as_csv)))
    ]
    assert plain[0] == plain[1] == plain[2]
    with pytest.raises(BadInput, match="list of one day"):
        find(str(as_csv), on="2026-01-01")
    with pytest.raises(BadInput, match="is a file; leave the source"):
        find(str(as_csv), source="genai-prices")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.toml", "input_mtok = 1\noutput_mtok = 3\n"),
        ("mine.json", '{"input_mtok": 1, "output_mtok": 3}'),
        ("mine.csv", " mode, above_input_tokens,input_mtok,output_mtok\n,0.0,1,3\n"),
    ],
)
def test_a_file_may_begin_with_a_byte_order_mark(name, text, tmp_path):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8-sig")
    assert read_price_list(file).standard.output_mtok == 3


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("mine.json", '{"input_mtok": 1, "input_mtok": 2, "output_mtok": 3}', "names 'input_mtok' twice"),
        ("mine.json", '{"input_mtok": ' + "9" * 5000 + ', "output_mtok": 3}', "a number in it has 5,000 digits"),
        ("mine.toml", "input_mtok = 1\ninput_mtok = 2\n", "is not valid TOML"),
        ("mine.csv", "input_mtok,input_mtok,output_mtok\n1,2,3\n", "its header names 'input_mtok' twice"),
        ("mine.csv", "input_mtok,output_mtok\n1,3,4\n", "row 1 has more cells than the header"),
        ("mine.csv", "mode,input_mtok,output_mtok\nbatch,1,3\n", "no row is of the standard mode"),
        ("mine.csv", "input_mtok,output_mtok\n1,3\n2,4\n", "2 rows are of the standard mode"),
        ("mine.csv", "input_mtok\n" + "1" * 200_000, "is not valid CSV"),
        ("mine.csv", "", "there is no row"),
    ],
)
def test_a_file_that_says_things_twice_or_not_at_all_is_refused(name, text, says, tmp_path, capsys):
    file = tmp_path / name
    file.write_text(text)
    assert cli.run(["prices", str(file)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_units_and_currencies():
    assert from_prices(input_mtok=0.005, output_mtok=0.025, unit="1K").standard.output_mtok == pytest.approx(25)
    assert from_prices(input_mtok="5e-6", output_mtok="2.5e-5", unit="token").standard.input_mtok == pytest.approx(5)
    assert from_prices(input_mtok=0.02, output_mtok=0.03, unit="1M").standard.output_mtok == 0.03
    assert from_prices(input_mtok=150, output_mtok=600).standard.output_mtok == 600
    euros = from_prices(input_mtok=1, output_mtok=4, currency="EUR", usd_per_unit=1.1)
    assert euros.standard.output_mtok == pytest.approx(4.4)


BAD = [
    ({"output_mtok": 25}, "input_mtok is missing"),
    ({"input_mtok": 5}, "output_mtok is missing"),
    ({"input_mtok": 0, "output_mtok": 25}, "input_mtok = 0 is out of range"),
    ({"input_mtok": 5, "output_mtok": -25}, "output_mtok = -25 is out of range"),
    ({"input_mtok": float("nan"), "output_mtok": 25}, "is not finite"),
    ({"input_mtok": 5, "output_mtok": "inf"}, "is not finite"),
    ({"input_mtok": True, "output_mtok": 25}, "is not a number"),
    ({"input_mtok": 10**400, "output_mtok": 25}, "digits"),
    ({"input_mtok": 1e300, "output_mtok": 1e300, "unit": "1M"}, "is out of range"),
    ({"input_mtok": 1e-300, "output_mtok": 1e-300, "unit": "1M"}, "is out of range"),
    ({"input_mtok": "5 EUR", "output_mtok": 25}, "write it like '$5'"),
    ({"input_mtok": 5, "output_mtok": 25, "cache_write_5m_mtok": 9, "cache_write_1h_mtok": 6}, "keeping longer"),
    ({"input_mtok": 5, "output_mtok": 25, "currency": ""}, "currency = '' is not a name"),
    ({"input_mtok": 5, "output_mtok": 25, "model": "a/b\u0007"}, "is not an ordinary name"),
    ({"input_mtok": 5, "output_mtok": 25, "source": "two\nlines"}, "is not an ordinary name"),
    ({"input_mtok": 5, "output_mtok": 25, "context_window": 1e30}, "context_window = 1e+30 is out of range"),
    (
        {"input_mtok": 5, "output_mtok": 25, "long": [{"above_input_tokens": 0.5, "input_mtok": 6, "output_mtok": 30}]},
        "long[0].above_input_tokens = 0.5 is out of range",
    ),
    (
        {"input_mtok": 5, "output_mtok": 25, "mode": [{"name": "fast", "speed": 1e9, "input_mtok": 6, "output_mtok": 30}]},
        "mode[0].speed = 1e+09 is out of range",
    ),
    ({"input_mtok": 5, "output_mtok": [25]}, "is not a number"),
    ({"input_mtok": 0.005, "output_mtok": 0.025}, '$25 if it was meant per 1K; say which with unit = "1M"'),
    ({"input_mtok": 5e-6, "output_mtok": 2.5e-5}, "$25 if it was meant per token"),
    ({"input_mtok": 500, "output_mtok": 2500}, "$25 if it was meant in cents"),
    ({"input_mtok": 5, "output_mtok": 25, "unit": "1B"}, "unknown unit '1B'"),
    ({"input_mtok": 5, "output_mtok": 0.2}, "is 0.04 times input_mtok"),
    ({"input_mtok": 0.5, "output_mtok": 150}, "is 300 times input_mtok"),
    ({"input_mtok": 5, "output_mtok": 25, "cache_read_mtok": 6}, "cache_read_mtok = $6 is above input_mtok = $5"),
    ({"input_mtok": 5, "output_mtok": 25, "cache_read_mtok": 1, "cache_write_5m_mtok": 0.5}, "is below cache_read"),
    ({"input_mtok": 5, "output_mtok": 25, "cache_raed_mtok": 1}, "did you mean cache_read_mtok"),
    ({"input_mtok": 5, "output_mtok": 25, "currency": "EUR"}, "the prices are in EUR"),
    ({"input_mtok": 5, "output_mtok": 25, "usd_per_unit": 2}, "contradicts the currency USD"),
    ({"input_mtok": 5, "output_mtok": 25, "weights": "no/model"}, "unknown model"),
    ({"input_mtok": 5, "output_mtok": 25, "model": 7}, "is not a name"),
    ({"input_mtok": 5, "output_mtok": 25, "measured": {"sped": 1}}, "unknown key of [measured] 'sped'"),
    ({"input_mtok": 5, "output_mtok": 25, "output_speed": "60 furlongs"}, "unit"),
    ({"input_mtok": 5, "output_mtok": 25, "long": {"input_mtok": 6}}, "is not a list of tables"),
    ({"input_mtok": 5, "output_mtok": 25, "long": [{"input_mtok": 6, "output_mtok": 30}]}, "above_input_tokens is"),
    (
        {"input_mtok": 5, "output_mtok": 25, "long": [{"above_input_tokens": 2e5, "input_mtok": 4, "output_mtok": 30}]},
        "input_mtok above 200,000 input tokens is $4, below $5",
    ),
    ({"input_mtok": 5, "output_mtok": 25, "mode": [{"name": "fats", "input_mtok": 6, "output_mtok": 30}]}, "did you mean fast"),
    ({"input_mtok": 5, "output_mtok": 25, "mode": [{"name": "fast", "input_mtok": 6, "output_mtok": 30}] * 2}, "priced twice"),
    (
        {"input_mtok": 5, "output_mtok": 25, "mode": [{"name": "fast", "above_input_tokens": 9, "input_mtok": 6, "output_mtok": 30}]},
        "has no price for short requests",
    ),
]


@pytest.mark.parametrize(("given", "says"), BAD)
def test_a_slip_is_one_sentence(given, says):
    with pytest.raises(BadInput) as caught:
        from_prices(**given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("given", "says"), [b for b in BAD if "nan" not in str(b[0])])
def test_a_slip_in_a_file_exits_with_2(given, says, tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(given))
    assert cli.run(["prices", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "mine.json" in captured.err
    assert says in captured.err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "input_mtok = ", "is not valid TOML"),
        ("a.json", "[1]", "a price list has keys"),
        ("a.json", "{", "is not valid JSON"),
        ("a.csv", "", "there is no row"),
        ("a.csv", "model,input_mtok,output_mtok\nx/a,1,2\nx/b,1,2\n", "more than one model"),
    ],
)
def test_a_broken_file_exits_with_2(name, text, says, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    assert cli.run(["prices", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert says in captured.err


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody"], "unknown list price 'nobody'"),
        (["--provider", "firewroks"], "did you mean fireworks"),
        (["gpt-5.4", "--on-date", "soon"], "is not a day"),
        (["gpt-5.4", "--on-date", "2020-01-01"], "give a day from 2026-03-05 on"),
        (["gpt-5.4", "--open"], "names a list already"),
        (["gpt-5.4", "--source", "web"], "unknown source"),
        (["--machines", "--open"], "--machines"),
        (["--machines", "h100x9999999"], "devices"),
        (["--machines", "-o", "x.png"], "there is nothing to draw"),
        (["--explain"], "a listing has no terms"),
        (["gone.toml"], "there is no file of that name"),
    ],
)
def test_bad_words_are_one_sentence_and_exit_2(words, says, capsys):
    assert cli.run(["prices", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err


@pytest.mark.parametrize("width", ["80", "120"])
def test_screens(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    for words, says in (
        (["claude-opus-4-6"], ("$6.25", "2.5x", "2026-03-13", "held in memory only")),
        (["openai/gpt-oss-120b"], ("groq/openai/gpt-oss-120b", "median")),
        (["--open"], ("models with open weights",)),
        (["--provider", "zai"], ("GLM-5.3-Flash", "one of them")),
        (["--machines", "h100"], ("$2.95", "Sources")),
        (["kimi-k3", "--on-date", "2026-01-01"], ("no first day is known",)),
        (["gpt-5.4", "--explain"], ("standard > 272K",)),
    ):
        assert cli.run(["prices", *words]) == 0
        out = capsys.readouterr().out
        assert all(part in out for part in says), (words, out)
        assert max(len(line) for line in out.splitlines()) <= int(width)


def test_json_and_csv(capsys):
    assert cli.run(["prices", "gemini-3.1-pro-preview", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    long = next(r for r in found["ratios"] if r["above_input_tokens"] == 200_000 and r["mode"] == "standard")
    assert (long["input_over_standard"], long["output_over_standard"], long["output_over_input"]) == (2, 1.5, 4.5)
    assert cli.run(["prices", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == len(all_lists())
    assert all(float(r["output_over_input"]) > 0 for r in rows)


def test_history_and_spread():
    terra = price_list("gpt-5.6-terra")
    change = next(r for r in changes(terra) if not r["above_input_tokens"])
    assert (change["day"], change["output_before"], change["output_after"]) == ("2026-07-30", 15.0, 12.0)
    assert change["output_change"] == pytest.approx(-0.2)
    planned = changes(price_list("gemini-3.8-flash"))[0]
    assert planned["planned"]
    assert planned["day"] == "2027-01-01"
    answer = rackmath.prices("zai-org/GLM-5.2")
    outs = sorted(p.standard.output_mtok for p in answer.subject)
    assert answer.spread.output_mtok == spread(answer.subject, "output_mtok")
    assert (answer.spread.output_mtok.least, answer.spread.output_mtok.greatest) == (outs[0], outs[-1])
    assert answer.spread.output_mtok.greatest_over_least == pytest.approx(outs[-1] / outs[0])


def test_device_hours_are_the_catalogues():
    rows = rackmath.prices(machines=True).rows()
    assert rows == device_hours(rackmath.prices(machines=True).subject)
    h100 = {r["kind"]: r["usd_per_device_hour"] for r in rows if r["machine"] == "h100"}
    prices = catalog.machine("h100").prices
    assert h100 == {k: v for k in KINDS if (v := getattr(prices, k)) is not None}
    assert len({r["machine"] for r in rows}) > 40


@pytest.mark.parametrize("words", [["gpt-5.4"], ["openai/gpt-oss-120b"], []])
def test_charts(words, tmp_path):
    file = tmp_path / "prices.svg"
    assert cli.run(["prices", *words, "-o", str(file)]) == 0
    assert file.read_text(encoding="utf-8").startswith("<svg")


def test_medium_is_known_of_the_makers_that_say_it():
    assert pricelist.medium("openai/gpt-5.4").source
    assert pricelist.medium("nobody/x") is None
