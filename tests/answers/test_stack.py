"""Charts one above the other."""

from __future__ import annotations

from typing import Any

from rackmath.answers.charts import Axis, Series, curve
from rackmath.answers.stacked import stack


def one(x: list[float], *, log: bool = False) -> dict[str, Any]:
    return curve([Series("a", x, x)], title="One", x=Axis("Batch", log=log), y=Axis("Time", "s"))


def titles(whole: dict[str, Any]) -> list[str | None]:
    return [part["encoding"]["x"]["axis"]["title"] for part in whole["vconcat"]]


def test_panels_over_one_axis_write_it_once() -> None:
    three = stack([one([1, 2])] * 3, title="Three")
    assert titles(three) == [None, None, "Batch"]
    assert all(part["height"] < one([1, 2])["height"] for part in three["vconcat"])
    assert [part["encoding"]["x"]["axis"].get("labels", True) for part in three["vconcat"]] == [False, False, True]


def test_panels_over_other_axes_write_their_own() -> None:
    assert titles(stack([one([1, 2]), one([1, 3])], title="Two")) == ["Batch", "Batch"]
    assert titles(stack([one([1, 2]), one([1, 2], log=True)], title="Two")) == ["Batch", "Batch"]
