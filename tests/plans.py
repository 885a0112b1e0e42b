"""What tests ask of a plan: the record of the search behind the answer."""

from __future__ import annotations

from typing import Any

import rackmath
from rackmath.questions.registry import command


def plan(model: Any, on: Any, **given: Any) -> Any:
    """The search's own record of a plan: `PlanAnswer`, or `ModesAnswer` where two pools were asked about."""
    return rackmath.plan(model, on=on, **given).subject


def asked(**given: Any) -> Any:
    """The question of a plan."""
    return command("plan").read(given)
