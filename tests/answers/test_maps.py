"""Maps: regions cover the plane once, names stand inside them, letters and picture agree."""

from __future__ import annotations

import io
from itertools import pairwise

from rackmath.answers.maps import Map, centres
from rackmath.answers.scale import TIMES, Axis
from rackmath.faces import show
from rackmath.faces.terminal import draw

CELLS = [[0] * (40 - r) + [1] * (40 + r) for r in range(20)]
MAP = Map(
    title="Where",
    names=("memory", "disk", "tape"),
    cells=CELLS,
    x=Axis("Hold time", "s", log=True, low=0.1, high=86400.0, ticks=TIMES),
    y=Axis("Hits", log=True, low=0.1, high=1e3),
)


def test_regions_cover_each_row_once() -> None:
    for y in {p["y"] for p in MAP.spec["datasets"]["points"]}:
        row = sorted((p["x"], p["x2"]) for p in MAP.spec["datasets"]["points"] if p["y"] == y)
        assert row[0][0] == 0.1
        assert abs(row[-1][1] - 86400.0) < 1e-6
        assert all(abs(a[1] - b[0]) < 1e-9 * a[1] for a, b in pairwise(row))


def test_a_name_lies_inside_its_region_and_absent_ones_have_none() -> None:
    found = centres(CELLS)
    assert [i for i, _, _ in found] == [0, 1]
    assert all(CELLS[r][c] == i for i, r, c in found)
    assert MAP.present == [0, 1]
    assert sum(layer["name"].startswith("region label") for layer in MAP.spec["layer"]) == 2


def test_a_region_that_comes_again_is_an_area_of_its_own() -> None:
    again = Map(names=("a", "b"), cells=[[0, 0], [1, 1], [0, 0]], x=MAP.x, y=MAP.y)
    assert [p["run"] for p in again.spec["datasets"]["points"]] == ["a 1", "b 1", "a 2"]


def test_letters_show_both_regions_with_ticks_in_words() -> None:
    console = show.console(io.StringIO(), width=80)
    draw(MAP, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert " memory " in text
    assert " disk " in text
    assert "tape" not in text
    assert "1 min" in text
    assert "Hits" in text
    assert max(map(len, text.splitlines())) <= 80
