"""Rows of intervals and marked values: the same axis in letters and in the picture."""

import io

import pytest

from rackmath.answers.parts import Answer, Say
from rackmath.answers.ranges import Point, Range, Ranges
from rackmath.answers.scale import Axis
from rackmath.answers.stacked import stack
from rackmath.errors import BadInput
from rackmath.faces import chart_file, page, show
from rackmath.faces.ranges import draw


def block(*rows: Range, log: bool = True, **more: object) -> Ranges:
    kinds = {"bound": "triangle-right", "open": "ring", "cost": "circle"}
    return Ranges(rows=rows, axis=Axis("Cost", "$", log=log), kinds=kinds, **more)  # type: ignore[arg-type]


def drawn(of: Ranges, width: int = 80) -> list[str]:
    console = show.console(io.StringIO(), width=width)
    draw(of, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


A = Range(name="a", low=1.0, high=100.0, points=(Point("cost", 10.0),))
B = Range(name="b", points=(Point("bound", 1.0), Point("cost", 100.0, "somebody")))


def test_values_stand_where_the_axis_says() -> None:
    legend, a, b, *_ = drawn(block(A, B))
    assert legend.split() == ["▸", "bound", "●", "cost"]
    assert (a.index("├"), a.index("┤")) == (b.index("▸"), b.index("●"))
    assert abs(a.index("●") - (a.index("├") + a.index("┤")) / 2) <= 0.5  # 10 is halfway from 1 to 100


def test_what_has_no_place_on_the_axis_is_left_out() -> None:
    none = Range(name="c", low=0.0, high=5.0, points=(Point("cost", float("nan")), Point("bound", 0.0)))
    lines = drawn(block(A, none))
    assert lines[2].strip() == "c  │"
    assert block(A, none).points(none) == []
    assert block(A, none).ends(none) is None
    assert all(p["name"] == "a" for layer in block(A, none).spec["layer"] for p in layer["data"]["values"])


@pytest.mark.parametrize("log", [True, False])
def test_picture_and_page_hold_every_row(log: bool, tmp_path: object) -> None:
    of = block(A, B, A, log=log, at=7.0, picture="A title", written=True)
    names = of.spec["encoding"]["y"]["scale"]["domain"]
    assert names == ["a", "b", "a (2)"]
    assert {layer["name"] for layer in of.spec["layer"]} == {"intervals", "rule", "dots", "numbers"}
    both = [layer["name"] for part in stack([of.spec, of.spec], title="Two")["vconcat"] for layer in part["layer"]]
    assert len(both) == len(set(both))
    assert 'data-spec="' in page.html(of)
    pytest.importorskip("vl_convert")
    file = chart_file.write(stack([of.spec, of.spec], title="Two"), f"{tmp_path}/two.svg")
    assert file.read_text().count("A title") >= 2


def test_rows_are_in_the_record_and_pictures_among_the_charts() -> None:
    answer = Answer(title=Say("one"), blocks=(block(A, B, key="prices"),), table="prices")
    assert answer.record["prices"][0]["low"] == 1
    assert [row["name"] for row in answer.rows()] == ["a", "b"]
    assert len(answer.charts) == 1


@pytest.mark.parametrize("width", [40, 72, 100, 140])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    long = Range(name="a name that is far too long for a narrow terminal of forty columns", low=2.0, high=3.0)
    assert all(len(line) <= width for line in drawn(block(A, long, at=3.0), width))


def test_limits_that_cannot_be_drawn_are_refused() -> None:
    of = Ranges(rows=(A,), axis=Axis("Cost", "$", log=True, low=0.0), kinds={"cost": "circle"})
    with pytest.raises(BadInput, match="cannot be drawn"):
        _ = of.spec
