"""Published facts the lecture leans on, with their sources, against what the library computes from them."""

import pytest

from rackmath.claims.ledger import claim_numbered
from rackmath.claims.verdicts import evaluate
from rackmath.decisions.modes.offers import fit_fast_mode
from rackmath.economics.pricelist import list_price, margin

MONTH = 365.25 / 12 * 86400


@pytest.mark.parametrize(
    ("tokens_a_month", "a_second"),
    [
        pytest.param(480e12, 183e6, id="Google, May 2025: 480 trillion"),
        pytest.param(1.3e15, 494e6, id="Google, October 2025: 1.3 quadrillion"),
        pytest.param(3.2e15, 1.2e9, id="Google, May 2026: 3.2 quadrillion"),
    ],
)
def test_google_token_counts_and_a_replica_of_the_lecture(tokens_a_month, a_second):
    """The lecture calls its replica of 128,000 tok/s a thousandth of Gemini; it is 1/1,400 to 1/9,500 of these."""
    assert tokens_a_month / MONTH == pytest.approx(a_second, rel=0.02)
    finding = evaluate(claim_numbered("4"), {"batch": 2000, "google_all": tokens_a_month / MONTH})
    replicas = next(p.value for p in finding.outcome.parts if "all of Google" in p.name)
    assert replicas == pytest.approx(a_second / 128_000, rel=0.02)
    assert replicas > 1400


def test_google_api_tokens():
    """16 billion tokens a minute on the lecture's date: about 2,100 such replicas."""
    finding = evaluate(claim_numbered("4"), {"batch": 2000})
    assert next(p.value for p in finding.outcome.parts if "API" in p.name) == pytest.approx(2083, rel=0.01)


def test_deepseek_in_flight():
    """14,800 tok/s a node on 18 nodes at 21 tok/s per user: about 12,700 sequences."""
    parts = evaluate(claim_numbered("5")).outcome.parts
    assert next(p.value for p in parts if p.name == "in flight") == pytest.approx(12_700, rel=0.002)


def test_fast_mode_prices():
    """Claude Opus 4.6: $5 and $25 standard, $30 and $150 fast: six times, on input and output alike."""
    standard, fast = list_price("claude-opus-4-6"), list_price("claude-opus-4-6", mode="fast")
    assert fast.output_mtok / standard.output_mtok == 6
    assert fast.input_mtok / standard.input_mtok == 6
    fit = fit_fast_mode(6, 2.5, input_price_ratio=6)
    assert fit.batch_ratio == pytest.approx(15)


def test_cache_prices():
    """Opus 4.6: a hit at a tenth, writes at 1.25 and 2 times the base price of $5."""
    row = list_price("claude-opus-4-6")
    assert row.cache_read_mtok / row.input_mtok == pytest.approx(0.1)
    assert row.cache_write_5m_mtok / row.input_mtok == pytest.approx(1.25)
    assert row.cache_write_1h_mtok / row.input_mtok == pytest.approx(2.0)


def test_margin_of_a_list_price():
    assert margin(5.0, 0.06) == pytest.approx(0.988)
