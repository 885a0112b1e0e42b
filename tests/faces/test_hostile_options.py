"""Options: every one with values nobody means, given twice, or given where it plays no part.

A seeded thousand of the hostile cases; `RACKMATH_SCAN=1` tries all of them, in parts, which takes an hour.
"""

from __future__ import annotations

import os

import pytest
from hostile_options import BASES, LLAMA, SLOW, Case, answered, cases, commands, fault, sampled

EVERY = bool(os.environ.get("RACKMATH_SCAN"))
SAMPLE = 1000
PARTS_OF_THE_SAMPLE = 10


def chosen(part: int) -> list[Case]:
    every = [c for c in cases() if c.command not in SLOW] if EVERY else sampled(SAMPLE)
    return every[part::PARTS_OF_THE_SAMPLE]


@pytest.mark.parametrize("part", range(PARTS_OF_THE_SAMPLE))
def test_no_option_ends_in_anything_but_an_answer_or_a_sentence(part: int) -> None:
    found = [(case.command, case.option, case.value[:40], said) for case in chosen(part) if (said := fault(case))]
    assert found == []


def test_the_sample_holds_every_option_of_every_quick_command() -> None:
    assert {name for name, _ in commands()} == set(BASES)
    every = {(c.command, c.option) for c in cases() if c.command not in SLOW}
    assert {(c.command, c.option) for c in sampled(SAMPLE)} == every


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["plan", LLAMA, "--on", "h100", "--isl", "1", "--isl", "2"], "--isl is given 2 times"),
        (["plan", LLAMA, "--on", "h100", "--set", "a=1", "--set", "a=2"], "--set names a twice"),
        (["forward", LLAMA, "--on", "h100", "--on", "h200"], "--on is given 2 times"),
        (["quote", LLAMA, "--on", "h100", "--round", "--exact"], "--round is given 2 times"),
        (["models", LLAMA, "-o", "a.csv", "--output", "b.csv"], "--output is given 2 times"),
        (["plan", LLAMA, "--on", "h100", "--depth", "2"], "--depth plays no part without --draft"),
        (["plan", LLAMA, "--on", "h100", "--spare", "2"], "--spare plays no part without --rate"),
        (["plan", LLAMA, "--on", "h100", "--prefill-on", "h200"], "--prefill-on"),
        (["allocate", "--traffic", "50M/s", "--isl", "4000"], "--isl plays no part without --on"),
        (["racks", LLAMA, "--on", "8xh100", "--dispatch", "fp8"], "--dispatch plays no part"),
        (["context", LLAMA, "--on", "h100", "--kinds", "dense", "--window", "9"], "--window plays no part"),
        (["lab", "memory", "--recorded", "--width", "32"], "--width plays no part with --recorded"),
        (["explain", "plan", LLAMA, "--on", "h100", "--depth", "2"], "--depth plays no part"),
        (["plan", LLAMA, "--on", "h100", "--rate", "1e300/s"], "at most 1,000,000"),
        (["plan", LLAMA, "--on", "h100", "--rate", "1/s", "--spare", "1e9"], "spare = 1e9 is out of range"),
        (["pipeline", LLAMA, "--on", "h100", "--set", "model.groups.0.count=1e9"], "from 1 to 4,096"),
        (["pipeline", LLAMA, "--on", "h100", "--set", "model.groups.0.count=1.5"], "is not a whole number"),
        (["plan", LLAMA, "--on", "h100", "--set", "machine.n_devices=1e7"], "from 1 to 1,000,000"),
        (["plan", LLAMA, "--on", "h100", "--set", "machine.n_devices=1.5"], "is not a whole number"),
    ],
)
def test_what_is_said_twice_or_plays_no_part_or_is_too_large_is_refused(line: list[str], says: str) -> None:
    code, out, err = answered(line)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_flags_may_be_repeated_and_lists_too() -> None:
    assert answered(["models", LLAMA, "--json", "--json"])[0] == 0
    assert answered(["explain", "models", LLAMA, "--explain"])[0] == 0
    assert answered(["plan", LLAMA, "--on", "h100", "--on", "h200", "--json"])[0] == 0
