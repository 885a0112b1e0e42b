"""Published active-parameter figures: one of our three definitions agrees within 3 %, and which one is recorded."""

import tomllib
from pathlib import Path

import pytest

from rackmath.kernel.counts import active_parameters, total_parameters
from rackmath.world import catalog

TABLE = tomllib.loads((Path(__file__).parents[1] / "against" / "active_parameters.toml").read_text())


@pytest.mark.parametrize("name", TABLE)
def test_the_recorded_definition_agrees(name):
    row = TABLE[name]
    counted = active_parameters(catalog.model(name))
    assert counted[row["definition"]] / 1e9 == pytest.approx(row["active"], rel=0.03)


@pytest.mark.parametrize("name", TABLE)
def test_definitions_are_ordered(name):
    model = catalog.model(name)
    counted = active_parameters(model)
    assert counted["with none"] < counted["with one"] <= counted["with both"] <= total_parameters(model)


def test_the_one_name_no_definition_agrees_with():
    """Qwen3-Next-80B-A3B activates 3.25 to 3.87 billion parameters; its name rounds down."""
    counted = active_parameters(catalog.model("Qwen/Qwen3-Next-80B-A3B-Instruct"))
    assert all(n / 1e9 > 3 * 1.03 for n in counted.values())
