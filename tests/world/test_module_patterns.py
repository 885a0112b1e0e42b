"""Patterns of strangers: what they match is what Python's own would, and they end soon."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackmath.errors import BadInput
from rackmath.world.huggingface.modules import MOST_PATTERNS, Modules
from rackmath.world.huggingface.patterns import safe

PIECES = [
    ".*",
    ".+",
    "model",
    r"\.",
    "layers",
    "[0-3]",
    r"\d+",
    "1",
    "self_attn",
    "(?:q|k|o)_proj",
    "mlp",
    "(gate|gate_up)",
    "_proj",
    "experts",
    "(?!.*experts)",
    "^",
    "$",
    r"[a-z_]+",
    "13",
]
PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.gate_up_proj", "mlp.experts.0.up_proj")
NAMES = [f"model.layers.{i}.{part}" for i in (0, 3, 13, 21) for part in PARTS]


@settings(max_examples=800)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.booleans())
def test_a_pattern_matches_what_python_matches(pattern: str, search: bool) -> None:
    found = safe(pattern)
    if found is None:
        return
    plain = re.compile(pattern)
    for name in NAMES:
        assert found.names(name, search=search) == bool(plain.search(name) if search else plain.match(name))
    assert found.names("\n".join(NAMES)) == any(plain.match(name) for name in NAMES)


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        (r"re:model\.layers\.[0-3]\..*", {0, 1, 2, 3}),
        (r"re:.*layers\.(?:0|7)\.mlp\..*", {0, 7}),
        (r"re:^model\.language_model\.layers\.5\.mlp\.up_proj$", {5}),
        (r"re:.*\.mlp\.(gate|up)_proj.*", set(range(8))),
        (r"re:^(?!.*self_attn).*up_proj", set(range(8))),
        (r"re:.*layers\.1\..*self_attn.*", set()),
        (r"*.layers.[1-2].mlp*", {1, 2}),
        ("model.layers.3.mlp", {3}),
        ("mlp.up_proj", set(range(8))),
        ("up", set()),
    ],
)
def test_layers_a_name_covers(pattern: str, layers: set[int]) -> None:
    assert Modules.of([pattern], n_layers=8).layers(["mlp.up_proj"]) == layers


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*", "(a|b*)*c", r"\w*" * 9, "(", "[", "a" * 3000, r"(a)\1", "a**"])
def test_what_may_not_end_is_not_run(pattern: str) -> None:
    assert safe(pattern) is None


def test_many_wide_repeats_end_soon() -> None:
    found = safe("".join(f".*{c}" for c in "aaaaaaaaaaaaaaaaaaaaab"))
    assert found is not None
    assert not found.names("a" * 4000)


def test_a_list_of_many_patterns_is_refused() -> None:
    many = [rf"re:.*[{i % 9}-9].*{i}" for i in range(MOST_PATTERNS + 1)]
    with pytest.raises(BadInput, match="too many patterns"):
        Modules.of(many, n_layers=8)
    assert Modules.of([rf"re:model\.layers\.{i}\.mlp" for i in range(200)], n_layers=8).layers(["mlp.up_proj"])
