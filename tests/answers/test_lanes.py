"""Lanes of bars: the picture, the letters, and that both hold the same bars."""

from __future__ import annotations

import io

import pytest

from rackmath.answers.lanes import BarKind, Lanes, TimeBar
from rackmath.answers.stacked import stack
from rackmath.faces import show
from rackmath.faces.letters import cells
from rackmath.faces.page import html
from rackmath.faces.terminal import draw

KINDS = {"F": BarKind("F", "forward"), "B": BarKind("B", "backward"), "idle": BarKind("·", "idle")}
BARS = {
    "device 1": [TimeBar(0.0, 1.0, "F", label="1"), TimeBar(1.0, 2.0, "F", label="2"), TimeBar(2.0, 4.0, "B")],
    "device 2": [TimeBar(0.0, 1.0, "idle"), TimeBar(1.0, 4.0, "F", small=True)],
}
LANES = Lanes(lanes=BARS, kinds=KINDS, span=4.0, title="A step", labels="micro-batches")


def drawn(block: Lanes, width: int = 80) -> list[str]:
    console = show.console(io.StringIO(), width=width)
    draw(block, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_picture_holds_every_bar_and_writes_labels_in_their_middle() -> None:
    spec = LANES.spec
    rows = spec["data"]["values"]
    assert [(r["lane"], r["kind"], r["start"], r["end"]) for r in rows][:2] == [
        ("device 1", "forward", 0.0, 1.0),
        ("device 1", "forward", 1.0, 2.0),
    ]
    assert [(t["text"], t["at"]) for t in spec["layer"][1]["data"]["values"]] == [("1", 0.5), ("2", 1.5)]
    assert "Time (s)" in str(spec)
    assert "micro-batches" in spec["description"]
    assert "&quot;takes&quot;: &quot;2.00 s&quot;" in html(LANES)


def test_letters_fill_each_lane_from_end_to_end() -> None:
    lines = drawn(LANES)
    one, two = (line.split()[-1] for line in lines if line.startswith("  device "))
    assert len(one) == len(two)
    assert one.strip("1") == one.replace("1", "")
    assert [one.count(letter) / len(one) for letter in "12B"] == pytest.approx([0.25, 0.25, 0.5], abs=0.02)
    assert set(two) == {"·", "f"}
    assert any("1 to 2: micro-batches" in line for line in lines)


def test_a_long_span_is_drawn_by_its_ends() -> None:
    long = Lanes(lanes={"a": [TimeBar(0.0, 1000.0, "F")]}, kinds=KINDS, span=1000.0, unit="", cell=1.0)
    text = "\n".join(drawn(long))
    assert "the first" in text
    assert "the last" in text


def test_a_gap_is_idle_and_the_longest_bar_wins_a_cell() -> None:
    found = cells([TimeBar(0.0, 0.4, "F"), TimeBar(0.4, 1.0, "B"), TimeBar(2.0, 3.0, "F")], 0.0, 3.0, 3)
    assert [bar and bar.kind for bar in found] == ["B", None, "F"]


def test_amounts_are_the_record_and_the_legend() -> None:
    said = Lanes(lanes=BARS, kinds=KINDS, span=4.0, amounts={"F": 3.0, "B": 1.0, "idle": 0.0})
    assert said.record() == {"F": 3.0, "B": 1.0, "idle": 0.0}
    text = "\n".join(drawn(said))
    assert "forward 3.00 s (75%)" in text
    assert "idle 0" not in text


def test_lanes_stack_with_one_legend() -> None:
    both = stack([LANES.spec, LANES.spec], title="Two steps")
    assert len(both["vconcat"]) == 2
    assert "resolve" not in both
    assert len({layer["name"] for part in both["vconcat"] for layer in part["layer"]}) == 4
