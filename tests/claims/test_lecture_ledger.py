"""The ledger: every row of the lecture's table is there, verdicts follow from inputs, both outcomes are reachable."""

import math

import pytest

from rackmath.claims.compute import COMPUTED
from rackmath.claims.ledger import claim_numbered, claims
from rackmath.claims.verdicts import evaluate
from rackmath.errors import BadInput

EXPECTED = {
    "1": "holds if",
    "2": "holds",
    "3": "does not hold",
    "4": "does not hold",
    "5": "holds",
    "6": "holds",
    "7": "does not hold",
    "8": "holds",
    "9": "holds if",
    "14": "holds",
    "15": "holds",
    "18": "sourced, not computed",
    "19": "does not hold",
    "20": "holds if",
    "10": "holds if",
    "11": "holds if",
    "12": "holds if",
    "13": "sourced, not computed",
    "16": "holds if",
    "21": "holds if",
    "22": "does not hold",
    "23": "holds if",
    "24": "does not hold",
    "T1": "does not hold",
    "25": "holds if",
    "26": "does not hold",
    "27": "does not hold",
    "28": "holds",
    "29": "holds",
    "30": "holds",
    "32": "holds",
    "T2": "holds",
    "T3": "holds",
    "T4": "holds",
    "17": "holds if",
    "31": "holds",
}

# one change of inputs that must turn each verdict into another
OTHERWISE = {
    "25": ({"rate": 38.6e6, "share": 0.185}, "holds"),
    "26": ({"months": 1.55}, "holds"),
    "27": ({"efficiency": 1 / 6}, "holds if"),
    "28": ({"rl_flops": 6}, "does not hold"),
    "29": ({"net_flipped": 0.4}, "holds if"),
    "30": ({"step_ratio": 2}, "holds if"),
    "32": ({"answers_differential": 0.1}, "holds if"),
    "1": ({"input_price_ratio": 1}, "holds"),
    "2": ({"peak": "312 TFLOP/s", "bandwidth": "2.039 TB/s", "weight_bytes": "2B"}, "does not hold"),
    "3": ({"total": 671e9, "active": 671e9 / 8}, "holds"),
    "4": ({"batch": 2000}, "holds"),
    "5": ({"balance": 2400}, "does not hold"),
    "6": ({"batch": 100_000, "context": 100_000, "peak": "0.5 PFLOP/s"}, "does not hold"),
    "7": ({"weights": "288 GB"}, "holds"),
    "8": ({"top_k": 2048, "index": "128 B"}, "holds if"),
    "9": ({"bytes_per_token": "70 KB"}, "holds"),
    "14": ({"users_growth": 1}, "does not hold"),
    "15": ({"link": "0.5 GB/s"}, "does not hold"),
    "10": ({"served_on": 64, "served_domain": 72}, "holds"),
    "11": ({"GB200_out": "100 GB/s"}, "holds"),
    "12": ({"dies_per_package": 1}, "holds"),
    "16": ({"out": "100 GB/s"}, "holds"),
    "19": ({"index": 0.0, "top_k": 0, "entry": "1B"}, "does not hold"),
    "20": ({"input_above": 3, "longest": 300_000}, "holds"),
    "21": ({"context": 1_000_000}, "holds"),
    "22": ({"disk_bandwidth": "6 GB/s", "flash_bandwidth": "400 GB/s"}, "holds"),
    "23": ({"weight_bytes": "1B"}, "holds"),
    "24": ({"list_price": 0.1}, "holds"),
    "T1": ({"total": 100e9, "active": 30e9}, "holds if"),
    "T2": ({"load": 1.2}, "holds if"),
    "T3": ({"micro_batches": 1000}, "holds if"),
    "T4": ({"total": 30e12}, "holds if"),
    "17": ({"experts": 2}, "does not hold"),
    "31": ({"significand": 24}, "holds if"),
}


def test_every_row_of_the_table_is_listed():
    assert [c.number for c in claims()] == [*map(str, range(1, 33)), "T1", "T2", "T3", "T4"]
    assert all(c.title and c.section for c in claims())


@pytest.mark.parametrize("number", EXPECTED)
def test_verdicts(number):
    finding = evaluate(claim_numbered(number))
    assert finding.outcome.verdict == EXPECTED[number]
    assert finding.outcome.because
    assert all(i.source for i in finding.inputs)


@pytest.mark.parametrize("number", [n for n in OTHERWISE if n != "19"])
def test_verdicts_follow_from_inputs(number):
    changes, verdict = OTHERWISE[number]
    finding = evaluate(claim_numbered(number), changes)
    assert finding.outcome.verdict == verdict
    assert verdict != EXPECTED[number]
    assert finding.changed == tuple(changes)


def test_sparse_reads_can_pass_for_a_square_root_in_between():
    """Between all-linear and all-constant there is an index width at which the growth looks like a square root."""
    verdicts = {evaluate(claim_numbered("19"), {"index": f"{w} B"}).outcome.verdict for w in (0.1, 3, 5, 9, 20, 40, 128)}
    assert verdicts == {"holds", "does not hold"}


@pytest.mark.parametrize(
    ("number", "ours"),
    [
        ("2", 312.5),
        ("3", 5440),
        ("4", 153_600),
        ("5", 2.33),
        ("7", 0.0144),
        ("9", 10.17),
        ("10", 18),
        ("11", 9),
        ("12", 144),
        ("15", 1.00335),
        ("16", 0.853),
        ("17", 3.67),
        ("22", 23.4 * 3600),
        ("23", 833),
        ("25", 20.1),
        ("26", 2.592e14),
        ("27", 6 / 0.3 / 6),
        ("28", 1.5),
        ("31", 1),
        ("T2", 0.04),
        ("T3", 3 / 11),
        ("T4", 1e12 / (72 * 186e9)),
    ],
)
def test_our_numbers(number, ours):
    assert evaluate(claim_numbered(number)).outcome.ours == pytest.approx(ours, rel=0.015)


def test_rows_not_computed_say_so():
    for claim in claims():
        if claim.number not in COMPUTED:
            outcome = evaluate(claim).outcome
            assert outcome.verdict in ("not yet computed", "sourced, not computed")
            assert math.isnan(outcome.ours)


@pytest.mark.parametrize(
    ("number", "sets", "words"),
    [
        ("4", {"batches": 2000}, "did you mean batch"),
        ("4", {"batch": "many"}, "not a number"),
        ("4", {"batch": -1}, "negative"),
        ("4", {"batch": math.nan}, "not finite"),
        ("2", {"bandwidth": "8 TB"}, "bytes/s is needed"),
        ("2", {"bandwidth": "0 TB/s"}, "0"),
        ("3", {"active": 0}, "0"),
        ("22", {"disk_bandwidth": "0 B/s"}, "0"),
    ],
)
def test_bad_inputs(number, sets, words):
    with pytest.raises(BadInput, match=words):
        evaluate(claim_numbered(number), sets)


def test_unknown_claim():
    with pytest.raises(BadInput, match="rackmath lecture lists them"):
        claim_numbered("99")
