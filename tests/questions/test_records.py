"""Records in place of names: the question holds what describes them, and answers again."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import rackmath
from rackmath.errors import BadInput
from rackmath.faces.commandline import given_of
from rackmath.questions.registry import ask, command, entries
from rackmath.world import catalog, described
from rackmath.world.description import build
from rackmath.world.override import override

TINY = build(
    {
        "name": "tiny",
        "d_model": 4096,
        "vocab": 128256,
        "groups": [{"count": 32, "mixer": {"kind": "gqa", "n_heads": 32, "n_kv_heads": 8}, "ffn": {"kind": "mlp", "d_ff": 14336}}],
    }
)
BY_HAND = (
    {"hbm_bandwidth": "8TB/s"},
    {"price_per_hour": "$2/h"},
    {"price_kind": "reserved"},
    {"hbm_capacity": "100GB"},
    {"prices.spot": "$1/h", "scaleup_latency": "1us"},
)

TAKING = [name for name in entries() if any(s.record for s in command(name).specs.values())]


@pytest.mark.parametrize("listed", [one.name for one in catalog.machines()])
def test_every_machine_follows_from_its_mapping(listed: str) -> None:
    one = catalog.machine(listed)
    again = described.machine(json.loads(json.dumps(described.described(one))))
    assert again == one
    assert {k: s for k, s in again.sources.items() if s.text} == {k: s for k, s in one.sources.items() if s.text}


def test_every_model_follows_from_its_mapping() -> None:
    for listed in catalog.models():
        one = catalog.model(listed.name)
        assert described.model(json.loads(json.dumps(described.described(one)))) == one


@pytest.mark.parametrize("changes", BY_HAND)
def test_a_machine_that_was_changed_follows_too(changes: dict[str, str]) -> None:
    one = override(catalog.machine("8xh100"), changes)
    assert described.machine(json.loads(json.dumps(described.described(one)))) == one


@pytest.mark.parametrize("changes", [{"price_per_hour": 0.0}, {"scaleout_bandwidth": 0.0}, {"n_devices": 80.0}])
def test_a_machine_that_was_replaced_follows_too(changes: dict[str, float]) -> None:
    one = replace(catalog.machine("8xh100"), **changes)  # type: ignore[arg-type]
    assert described.machine(json.loads(json.dumps(described.described(one)))) == one


def test_a_model_by_another_name_or_in_another_format_follows_too() -> None:
    llama = catalog.model("meta-llama/Llama-3.1-8B")
    fp8 = catalog.model("meta-llama/Llama-3.1-8B-Instruct-FP8").precision
    for one in (replace(llama, name="mine"), replace(llama, precision=fp8), replace(llama, max_context=4096)):
        assert described.model(json.loads(json.dumps(described.described(one)))) == one


@pytest.mark.parametrize("name", TAKING)
def test_a_question_with_records_answers_again(name: str) -> None:
    one = command(name)
    given = dict(given_of(name, shlex.split(entries()[name].example)))
    for key, spec in one.specs.items():
        if key in given and spec.record:
            make = catalog.model if spec.field.complete == "models" else catalog.machine
            words = given[key][0] if isinstance(given[key], list) else given[key]
            if words in ("mtp", "ngram"):
                continue
            record = override(make(words), {"hbm_bandwidth": "5TB/s"}) if make is catalog.machine else make(words)
            given[key] = [record] if isinstance(given[key], list) else record
    answer = ask(name, **given)
    asked = json.loads(answer.to_json())["question"]
    assert ask(name, **asked).to_json() == answer.to_json()


def test_a_description_is_taken_for_a_model_or_a_machine() -> None:
    card = {"name": "mine", "base": "h100", "n_devices": 8, "set": {"hbm_bandwidth": "4 TB/s"}}
    answer = rackmath.forward(dict(TINY.description), on=card)
    assert answer.question["model"]["name"] == "tiny"
    assert answer.question["on"]["hbm_bandwidth"] == 4e12
    assert rackmath.forward(TINY, on=described.machine(card)).to_json() == answer.to_json()


def test_a_path_is_a_name(tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(dict(TINY.description)))
    assert rackmath.forward(file, on="h100").question["model"] == str(file)


@pytest.mark.parametrize(
    ("model", "on", "says"),
    [
        (replace(TINY, d_model=1), "h100", "does not follow from its description"),
        ({"name": "x"}, "h100", "names neither"),
        ({"groups": []}, "h100", "no 'name'"),
        (TINY, {"name": "x"}, "peak_bf16"),
        (TINY, {"name": "x", "hbm_capasity": "80GB"}, "did you mean hbm_capacity"),
        (TINY, {"base": "h100"}, "no 'name'"),
        (TINY, {"name": "x", "base": "h10"}, "did you mean h100"),
        (TINY, {"name": "x", "base": "h100", "price_kind": "spotted"}, "unknown key"),
        (TINY, {"name": "x", "price_kind": "spotted"}, "did you mean spot"),
        (TINY, {"name": "x", "price_kind": "spot", "hbm_bandwidth": "4 GB"}, "hbm_bandwidth"),
        (TINY, {"name": "x", "price_kind": "none", "tiers": [{"name": "disk"}]}, "needs name, capacity"),
        (TINY, {"name": "x", "base": "h100", "n_devices": float("nan")}, "n_devices"),
        (5, "h100", "is no name"),
        (TINY, catalog.model("gpt2"), "is no name"),
    ],
)
def test_what_describes_nothing_is_refused(model: object, on: object, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        rackmath.forward(model, on=on)
    assert "\n" not in str(caught.value)
