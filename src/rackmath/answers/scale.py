"""Where things stand on a chart: limits, ticks, numbers on axes, and places for labels that cover nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from ..errors import BadInput
from ..units import show

WIDTH, HEIGHT = 680, 380  # of the plotting area, in pixels
FONT = 11.5  # size of a mark's label, in pixels
LINE = 1.35 * FONT  # height of a line of text at that size
PREFIXED = ("s", "B", "B/s", "bytes", "FLOP", "FLOP/s", "W", "Wh", "J")  # units written with each number


TIMES = (
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (300.0, "5 min"),
    (3600.0, "1 h"),
    (21600.0, "6 h"),
    (86400.0, "1 d"),
    (604800.0, "1 wk"),
    (30 * 86400.0, "30 d"),
    (365.25 * 86400.0, "1 y"),
)
"""Ticks of a time axis that spans from moments to months."""


@dataclass(frozen=True)
class Axis:
    """What an axis measures, its unit as in `rackmath.units`, and limits where the data should not set them.

    `ticks`: values with their words, where round numbers of the unit would not do (TIMES).
    """

    title: str
    unit: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def heading(self) -> str:
        """The title, with the unit unless every number on the axis carries it.

        >>> Axis("Cost", "$/Mtok").heading, Axis("Time per step", "s").heading
        ('Cost ($/Mtok)', 'Time per step')
        """
        shown = self.unit and self.unit not in (*PREFIXED, "share", "%")
        return f"{self.title} ({self.unit})" if shown else self.title


def number(value: float, unit: str = "", *, digits: int = 3) -> str:
    """A number as it stands on an axis: short, with its unit where the unit takes a prefix.

    >>> number(0.01, "s"), number(2500), number(80e9, "B"), number(0.5, "$/Mtok"), number(0.25, "share")
    ('10 ms', '2.5k', '80 GB', '$0.50', '25 %')
    """
    if unit in (*PREFIXED, "share", "%"):
        return trim(show(value, unit, digits=digits))
    for scale, prefix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale * 0.9995:
            value, tail = value / scale, prefix
            break
    else:
        tail = ""
    sign, dollar = "−" if value < 0 else "", "$" if unit.startswith("$") else ""
    text = trim(show(abs(value), digits=digits))
    cents = "0" if dollar and not tail and re.fullmatch(r"\d+\.\d", text) else ""
    return f"{sign}{dollar}{text}{cents}{tail}"


def tick_labels(values: list[float], unit: str) -> list[str]:
    """The numbers of an axis with as many digits as tell them apart.

    >>> tick_labels([0.003, 0.0030005, 0.003001], "s")
    ['3 ms', '3.0005 ms', '3.001 ms']
    """
    texts: list[str] = []
    for digits in range(3, 13):
        texts = [number(value, unit, digits=digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def trim(text: str) -> str:
    """The same number without closing zeros after the point."""
    return re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", text).replace(". ", " ").removesuffix(".")


@dataclass(frozen=True)
class Scale:
    """The limits of an axis, and a value's place between them as a share from 0 to 1."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        if self.log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + (self.high - self.low) * place

    def holds(self, value: float) -> bool:
        return self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9) if self.log else -1e-9 <= self.place(value) <= 1 + 1e-9


def scale_of(axis: Axis, values: list[float], pad: float) -> Scale:
    """Limits that hold every value, with a share `pad` of room at each end that the caller did not fix."""
    for limit in (axis.low, axis.high):
        if limit is not None and not usable(limit, axis.log):
            kind = "a finite number above zero" if axis.log else "a finite number"
            raise BadInput(f"limit {limit!r} of axis {axis.title!r} cannot be drawn; give {kind}")
    low = min(values, default=1.0 if axis.log else 0.0) if axis.low is None else axis.low
    high = max(values, default=10.0 if axis.log else 1.0) if axis.high is None else axis.high
    if axis.low is not None and axis.high is not None and low >= high:
        raise BadInput(f"axis {axis.title!r} has low = {low!r} at or above high = {high!r}; give low below high")
    if axis.log:
        if low >= high * 0.999:
            low, high = (low if axis.low else high / 3), (high if axis.high else low * 3)
        ends = Scale(low, high, True)
    else:
        if axis.low is None and 0 < low < 0.6 * high:
            low = 0.0
        if low >= high:
            room = abs(low) / 2 or 1.0
            low, high = ((low if axis.low is not None else high - room), (high if axis.high is not None else low + room))
        ends = Scale(low, high, False)
    start = 0.0 if axis.low is not None or (not axis.log and low == 0.0) else -pad
    return Scale(ends.value(start), ends.value(1.0 if axis.high is not None else 1.0 + pad), axis.log)


FARTHEST = 1e100
"""Numbers beyond it, and those as near to zero on a logarithmic axis, are not drawn: infinite for a person's use."""


def usable(value: float, log: bool) -> bool:
    """Whether a number has a place on an axis.

    >>> usable(-3.0, False), usable(-3.0, True), usable(math.inf, False), usable(math.nan, True), usable(1e300, True)
    (True, False, False, False, False)
    """
    return abs(value) <= FARTHEST and (value >= 1 / FARTHEST or not log)


def ticks(scale: Scale, most: int = 8) -> tuple[list[float], list[float]]:
    """Values with a label, and values with a fine line only.

    >>> ticks(Scale(1, 8192, True))[0]
    [1.0, 10.0, 100.0, 1000.0]
    >>> ticks(Scale(0, 9, False))[0]
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if scale.log and scale.high / scale.low >= 4:
        first, last = math.floor(math.log10(scale.low) + 1e-9), math.ceil(math.log10(scale.high) - 1e-9)
        every = [float(f"{d}e{p}") for p in range(first, last + 1) for d in range(1, 10)]
        inside = [v for v in every if scale.holds(v)]
        tens = [v for v in inside if f"{v:e}".startswith("1.0000")]
        fine = [v for v in inside if f"{v:e}"[0] in "125"]
        if len(tens) < 3:
            return fine if len(fine) > 2 else inside, inside
        step = math.ceil(len(tens) / most)
        return tens[::step], (inside if len(tens) <= 6 else tens)
    span = scale.high - scale.low
    power = 10.0 ** math.floor(math.log10(span / (most - 2)))
    step_size = next((power * m for m in (1, 2, 2.5, 5, 10) if span / (power * m) <= most - 2), power * 10)
    start = math.ceil(scale.low / step_size - 1e-9)
    count = math.floor(scale.high / step_size + 1e-9) - start + 1
    major = [float(f"{(start + i) * step_size:.12g}") for i in range(count)]
    return major, major


Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def text_width(label: str) -> float:
    """About how wide a mark's label is, in pixels."""
    return len(label) * 0.56 * FONT


def rule_rows(labels: list[tuple[float, float]]) -> list[tuple[int, bool]]:
    """For rules at x pixels with labels of a width: the row of each label, and whether it stands to the left.

    >>> rule_rows([(100, 50), (120, 50), (660, 60)])
    [(0, True), (0, False), (0, True)]
    """
    placed: list[tuple[int, float, float]] = []
    out: list[tuple[int, bool]] = []
    for at, width in labels:
        options = []
        for row in range(len(labels)):
            for left in (False, True):
                start = at - 6 - width if left else at + 4
                end = start + width + 2
                outside = start < 0 or end > WIDTH
                covers = any(r == row and start < e + 6 and s - 6 < end for r, s, e in placed)
                crosses = sum(start < other < end for other, _ in labels)
                options.append(((outside or covers, crosses, row, left), start, end))
        (_, _, row, left), start, end = min(options)
        placed.append((row, start, end))
        out.append((row, left))
    return out


@dataclass(frozen=True)
class Ink:
    """What labels should keep clear of: lines sampled every few pixels, boxes already taken, and marked points."""

    dots: list[tuple[float, float]]
    boxes: list[Box] = field(default_factory=list)
    marked: list[tuple[float, float]] = field(default_factory=list)

    def cost(self, box: Box) -> float:
        outside = max(0.0, -box[0]) + max(0.0, box[2] - WIDTH) + max(0.0, -box[1]) + max(0.0, box[3] - HEIGHT)
        crossed = sum(box[0] - 2 <= x <= box[2] + 2 and box[1] - 2 <= y <= box[3] + 2 for x, y in self.dots)
        return 50 * outside + 4 * crossed + sum(_overlap(box, other) for other in self.boxes)


def _apart(point: tuple[float, float], box: Box) -> float:
    """How far a point is from a box."""
    return math.hypot(max(box[0] - point[0], 0.0, point[0] - box[2]), max(box[1] - point[1], 0.0, point[1] - box[3]))


def beside(at: tuple[float, float], width: float, ink: Ink) -> tuple[float, float, str]:
    """The offset (dx, dy) and alignment of the label of a marked point that covers the least."""
    best: tuple[float, tuple[float, float, str], Box] | None = None
    for reach in (9.0, 20.0, 34.0):
        for dx, dy in ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1)):
            align = {1: "left", -1: "right", 0: "center"}[dx]
            shift_x = dx * (reach if dy == 0 else reach * 0.75)
            shift_y = dy * (reach + LINE / 3)
            left = at[0] + shift_x - {"left": 0.0, "right": width, "center": width / 2}[align]
            box = (left, at[1] + shift_y - LINE / 2, left + width, at[1] + shift_y + LINE / 2)
            closer = any(_apart(other, box) < _apart(at, box) + 4 for other in ink.marked if other != at)
            cost = ink.cost(box) + reach / 10 + 25 * closer
            if best is None or cost < best[0] - 1e-9:
                best = (cost, (shift_x, shift_y, align), box)
    assert best is not None
    ink.boxes.append(best[2])
    return best[1]
