"""Charts: the specification, the four kinds of file, the drawing in a terminal, and the errors."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rackmath.answers.scale import HEIGHT, LINE, WIDTH, Scale, text_width, tick_labels, ticks
from rackmath.errors import BadInput
from rackmath.faces import chart_file
from rackmath.faces.charts import Axis, Mark, Series, curve, draw, number, save, scatter, themed, write

BATCH = [2**i for i in range(14)]
X = Axis("Batch", log=True)
Y = Axis("Time per step", "s", log=True)
ESCAPE = "\x1b"


def step_time() -> dict[str, Any]:
    """A decode step of a model with 37 B active parameters: a floor, then compute."""
    bound = [max(3e-3, b * 2e-6) for b in BATCH]
    return curve(
        [Series("estimate", BATCH, [4e-3 + b * 3e-6 for b in BATCH]), Series("bound", BATCH, bound, look="dashed")],
        title="Decode step",
        x=X,
        y=Y,
        marks=[Mark("B* = 1.5k", 1500), Mark("capacity 6k", 6000), Mark("floor 3 ms", 1, 3e-3)],
    )


def layer(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in spec["layer"] if one["name"] == name)


def points(spec: dict[str, Any]) -> list[tuple[float, float]]:
    return [(row["x"], row["y"]) for row in spec["datasets"]["points"]]


# --- the specification ---


def test_the_specification_is_plain_data_with_everything_inside() -> None:
    spec = step_time()
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert len(spec["datasets"]["points"]) == 2 * len(BATCH)
    assert spec["encoding"]["x"]["scale"]["type"] == spec["encoding"]["y"]["scale"]["type"] == "log"
    assert [m["label"] for m in spec["datasets"]["marks"]] == ["B* = 1.5k", "capacity 6k", "floor 3 ms"]
    assert "10 ms" in spec["encoding"]["y"]["axis"]["labelExpr"]
    assert layer(spec, "lines")["encoding"]["color"]["scale"]["domain"] == ["estimate", "bound"]


def test_it_compiles_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    convert = pytest.importorskip("vl_convert")
    dots = scatter([Series("a", [1, 2], [3, 4])], title="t", x=Axis("x"), y=Axis("y"), marks=[Mark("m", 1, 3)])
    both = [Series("a", [1, 2], [3, 4]), Series("front", [1, 2], [3, 4], look="dashed", labels=["p", "q"])]
    mixed = scatter(both, title="t", x=Axis("x"), y=Axis("y"))
    for spec in (step_time(), dots, mixed):
        assert convert.vegalite_to_vega(spec, show_warnings=True)["marks"]
    assert "WARN" not in "".join(capfd.readouterr())


def test_numpy_columns_are_taken() -> None:
    columns: Any = np.array([1.0, 2.0]), np.array([3, 4])
    assert points(curve([Series("a", *columns)], title="t", x=Axis("x"), y=Axis("y"))) == [(1.0, 3.0), (2.0, 4.0)]


def test_points_that_cannot_be_drawn_are_left_out() -> None:
    x = [1.0, 2.0, math.nan, 4.0, 5.0, 0.0]
    y = [1.0, math.inf, 3.0, -4.0, 5.0, 6.0]
    both = curve([Series("a", x, y)], title="t", x=X, y=Y)
    assert points(both) == [(1.0, 1.0), (5.0, 5.0)]
    flat = curve([Series("a", x, y)], title="t", x=Axis("x"), y=Axis("y"))
    assert points(flat) == [(1.0, 1.0), (4.0, -4.0), (5.0, 5.0), (0.0, 6.0)]
    marked = curve([Series("a", x, y)], title="t", x=X, y=Y, marks=[Mark("gone", 0.0), Mark("gone", 2.0, math.nan)])
    assert marked["datasets"]["marks"] == []


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(("x", "y"), [([], []), ([3.0], [7.0]), ([1.0, 2.0], [5.0, 5.0]), ([2.0, 2.0], [0.001, 0.002]), ([1e-12], [1e15])])
def test_few_points_still_make_a_chart(x: list[float], y: list[float], log: bool) -> None:
    for build in (curve, scatter):
        spec = build([Series("a", x, y)], title="t", x=Axis("x", log=log), y=Axis("y", log=log))
        for name in "xy":
            low, high = spec["encoding"][name]["scale"]["domain"]
            assert math.isfinite(low)
            assert low < high
            assert all(low <= row[name] <= high for row in spec["datasets"]["points"])
        assert ("no finite point to draw" in draw(spec, 60, 16, False)) == (not x)
        if len(x) == 1:
            assert "●" in draw(spec, 60, 16, False)


def test_an_empty_series_is_left_out_of_the_legend() -> None:
    spec = curve([Series("a", [1, 2], [3, 4]), Series("none", [], [])], title="t", x=X, y=Y)
    assert spec["usermeta"]["rackmath"]["series"] == ["a"]


def test_limits_of_the_caller_hold() -> None:
    y = Axis("y", log=True, low=1e-3, high=1.0)
    spec = curve([Series("a", [1, 10], [1e-9, 1e9])], title="t", x=X, y=y, marks=[Mark("out", 5, 1e9), Mark("in", 5, 0.1)])
    assert spec["encoding"]["y"]["scale"]["domain"] == pytest.approx([1e-3, 1.0])
    assert [m["label"] for m in spec["datasets"]["marks"]] == ["in"]


def test_marks_widen_the_limits() -> None:
    spec = curve([Series("a", [1, 256], [1, 2])], title="t", x=X, y=Y, marks=[Mark("B*", 5440)])
    assert spec["encoding"]["x"]["scale"]["domain"][1] >= 5440


@pytest.mark.parametrize("low", [1e-9, 0.003, 1.0, 7.0, 1e6])
@pytest.mark.parametrize("ratio", [1.001, 1.5, 3.0, 4.0, 25.0, 8192.0, 1e12])
@pytest.mark.parametrize("log", [True, False])
def test_ticks_lie_inside_are_few_and_are_at_least_two(low: float, ratio: float, log: bool) -> None:
    scale = Scale(low, low * ratio, log)
    major, every = ticks(scale)
    assert 2 <= len(major) <= 9
    assert set(major) <= set(every)
    assert all(scale.holds(v) for v in every)
    assert len(set(tick_labels(major, "s"))) == len(major)


def test_numbers_on_axes() -> None:
    shown = [number(v, u) for v, u in [(1, ""), (1000, ""), (2.5e6, "tok"), (1e-4, "s"), (3e9, "B/s"), (0.05, "share")]]
    assert shown == ["1", "1k", "2.5M", "100 µs", "3 GB/s", "5 %"]
    assert [number(v, "$/Mtok") for v in (0.1, 1, 100, 0.005, 2500)] == ["$0.10", "$1", "$100", "$0.005", "$2.5k"]


def test_labels_of_close_marks_do_not_overlap() -> None:
    rules = [Mark(f"rule number {i}", 100 + 3 * i) for i in range(4)]
    spots = [Mark(f"point number {i}", 90 + i, 0.01 * (1 + 0.02 * i)) for i in range(3)]
    spec = curve([Series("a", BATCH, [0.01] * len(BATCH))], title="t", x=X, y=Y, marks=rules + spots)
    boxes = []
    for mark in spec["datasets"]["marks"]:
        places = []
        for name in "xy":
            low, high = spec["encoding"][name]["scale"]["domain"]
            places.append(math.log(mark[name] / low) / math.log(high / low) if name in mark else 1.0)
        width = text_width(mark["label"])
        left = places[0] * WIDTH + mark["dx"] - {"left": 0, "center": width / 2, "right": width}[mark["align"]]
        middle = (1 - places[1]) * HEIGHT + mark["dy"]
        boxes.append((left, middle - LINE / 2, left + width, middle + LINE / 2))
        assert left >= 0
        assert left + width <= WIDTH
    assert len(boxes) == 7
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6


def test_themes_differ_in_colour_only() -> None:
    light, dark = step_time(), themed(step_time(), "dark")
    assert light["config"]["background"] != dark["config"]["background"]
    assert {k: v for k, v in light.items() if k != "config"} == {k: v for k, v in dark.items() if k != "config"}
    assert not re.search(r"#[0-9a-f]{6}", json.dumps({k: v for k, v in light.items() if k != "config"}))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_can_be_read_on_its_ground(theme: str) -> None:
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    of = chart_file.config(theme)  # type: ignore[attr-defined]
    ground = luminance(of["background"])
    needed = dict.fromkeys(of["range"]["category"], 3.0)  # WCAG 2.2: 3 for graphics, 4.5 for text
    needed |= {of["axis"]["labelColor"]: 4.5, of["title"]["color"]: 4.5, of["style"]["label"]["color"]: 4.5}
    for color, ratio in needed.items():
        light, dark = sorted((ground, luminance(color)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= ratio, color


# --- files ---


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the unfiltered-enough raw bytes of a PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    raw, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            raw += png[at + 8 : at + 8 + size]
        at += 12 + size
    return width, height, zlib.decompress(raw)


def test_png(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    width, height, raw = pixels(write(step_time(), tmp_path / "a.png").read_bytes())
    assert width > 2 * WIDTH
    assert height > 2 * HEIGHT
    assert sum(1 for byte in raw if byte) > 20_000  # filtered rows: zero where a pixel equals its neighbour
    assert len(set(raw)) > 50


def test_svg_is_xml_with_the_words_and_a_solid_ground(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    text = write(step_time(), tmp_path / "a.svg").read_text()
    root = xml.etree.ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {t.strip() for t in root.itertext()}
    assert {"Decode step", "Batch", "Time per step", "estimate", "bound", "B* = 1.5k", "floor 3 ms", "10 ms"} <= words
    assert 'fill="#ffffff"' in text
    dark = write(step_time(), tmp_path / "b.svg", theme="dark").read_text()
    assert 'fill="#ffffff"' not in dark


def test_html_needs_no_network_and_cannot_be_broken_by_a_title(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    nasty = "</script><script>alert(1)</script> @script@ @data@"
    spec = curve([Series(nasty, [1, 2], [3, 4])], title=nasty, x=X, y=Y)
    text = write(spec, tmp_path / "a.html").read_text()
    assert re.findall(r"<script[^>]*>", text) == ['<script type="text/javascript">'] * 2
    around = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href|url)\s*[=(]|https?:", around)
    assert "default-src 'none'" in text
    assert "<title>&lt;/script&gt;" in text
    given = re.search(r"^const given = (.*);$", text, re.MULTILINE)
    assert given is not None
    assert json.loads(given[1])["spec"] == spec
    assert "prefers-color-scheme: dark" in text


def test_json_round_trip_draws_the_same(tmp_path: Path) -> None:
    spec = step_time()
    back = json.loads(write(spec, tmp_path / "a.json").read_text())
    assert back == spec
    assert draw(back, 80, 24, False) == draw(spec, 80, 24, False)


def test_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the ending '\.pdf'; use one of \.html, \.json, \.png, \.svg"):
        write(step_time(), tmp_path / "a.pdf")
    with pytest.raises(BadInput, match="it has no ending"):
        write(step_time(), tmp_path / "a")


@pytest.mark.parametrize("name", ["a.svg", "a.json"])
def test_missing_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"the folder '.*missing' does not exist; create it first"):
        write(step_time(), tmp_path / "missing" / name)


def test_without_the_converter_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(BadInput, match=r"pip install 'rackmath\[charts\]'"):
        write(step_time(), tmp_path / "a.svg")
    assert write(step_time(), tmp_path / "a.json").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rackmath.faces.chart_file.os.replace", full)
    with pytest.raises(BadInput, match=r"cannot write '.*a\.json': No space left on device"):
        write(step_time(), target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_saving_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    save(tmp_path / "link.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


# --- the terminal ---


@pytest.mark.parametrize("width", [40, 80, 133])
def test_terminal_drawing_has_words_and_the_size_asked_for(width: int) -> None:
    text = draw(step_time(), width, 24, False)
    lines = text.split("\n")
    assert len(lines) == 24
    assert max(len(line) for line in lines) == width
    assert ESCAPE not in text
    for word in ("Decode step", "Time per step", "Batch", "estimate", "bound", "B* = 1.5k", "capacity 6k", "floor 3 ms"):
        assert word in text
    assert re.search(r"^ *10 ms┤", text, re.MULTILINE)
    assert lines[-2].split()[0] == "1"
    assert "1k" in lines[-2]


def test_colour_changes_nothing_but_colour() -> None:
    spec = scatter(
        [Series("a", [1, 2, 3], [3, 2, 1]), Series("b", [1, 3], [1, 3])],
        title="t",
        x=Axis("Interactivity", "tok/s/user"),
        y=Axis("Output", "tok/s/GPU"),
        marks=[Mark("chosen", 2, 2)],
    )
    painted = draw(spec, 72, 20, True)
    assert ESCAPE in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == draw(spec, 72, 20, False)


def test_no_colour_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ESCAPE not in draw(step_time(), 80, 24)  # the tests' output is no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ESCAPE in draw(step_time(), 80, 24)
    monkeypatch.setenv("NO_COLOR", "1")
    assert ESCAPE not in draw(step_time(), 80, 24)


def test_a_rising_line_rises_in_the_terminal() -> None:
    spec = curve([Series("a", [0, 10], [0, 10])], title="t", x=Axis("x"), y=Axis("y"))
    rows = [line for line in draw(spec, 60, 20, False).split("\n") if "│" in line or "┤" in line]
    starts = [min(m.start() for m in re.finditer("[\u2801-\u28ffA]", row)) for row in rows if re.search("[\u2801-\u28ff]", row)]
    assert len(starts) > 10
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] < 8
    assert starts[0] > 50


def test_drawing_something_else_is_refused() -> None:
    with pytest.raises(BadInput, match="not a chart of rackmath"):
        draw({"mark": "bar"})


# --- errors ---


def test_errors_are_sentences_that_carry_the_fix() -> None:
    axis = Axis("x")
    with pytest.raises(BadInput, match="series 'a' has 2 x values and 1 y values; give one y for each x"):
        curve([Series("a", [1, 2], [3])], title="t", x=axis, y=axis)
    with pytest.raises(BadInput, match="two series are called 'a'"):
        curve([Series("a", [1], [3]), Series("a", [1], [3])], title="t", x=axis, y=axis)
    with pytest.raises(BadInput, match=r"look 'dot' .*did you mean dots"):
        curve([Series("a", [1], [3], look="dot")], title="t", x=axis, y=axis)
    with pytest.raises(BadInput, match="1 points and 2 labels"):
        scatter([Series("a", [1], [3], labels=["p", "q"])], title="t", x=axis, y=axis)
    with pytest.raises(BadInput, match="limit 0 of axis 'x' cannot be drawn; give a finite number above zero"):
        curve([Series("a", [1], [3])], title="t", x=Axis("x", log=True, low=0), y=axis)
    with pytest.raises(BadInput, match="low = 5 at or above high = 2"):
        curve([Series("a", [1], [3])], title="t", x=Axis("x", low=5, high=2), y=axis)
    with pytest.raises(BadInput, match="unknown theme 'drak'; did you mean dark"):
        themed(step_time(), "drak")


def test_importing_charts_is_light() -> None:
    code = "import sys, rackmath.faces.charts; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    heavy = ["numpy", "vl_convert", "typer", "rich", "pydantic", "click"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


EDGES = [0.0, 1.0, 3.0, -2.0, math.inf, -math.inf, math.nan, 1e300, -1.7e308, 1e-320]


@pytest.mark.parametrize("log", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("make", [curve, scatter])
def test_numbers_without_a_place_on_an_axis_are_left_out(make: Any, log: tuple[bool, bool]) -> None:
    x, y = Axis("x", log=log[0]), Axis("y", "s", log=log[1])
    for i in range(len(EDGES)):
        at = EDGES[i:] + EDGES[:i]
        marks = [Mark("rule", at[0]), Mark("point", at[1], at[2])]
        spec = make([Series("a", EDGES, at), Series("b", [1, 2], [3, 4])], title="t", x=x, y=y, marks=marks)
        assert all(abs(v) <= 1e100 for row in spec["datasets"]["points"] for v in (row["x"], row["y"]))
        assert draw(spec, width=80, color=False).count("\n") >= 10
