"""An SI value as people read it, by its unit: the one place for terminal, page, notebook and report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from ..units import show

PREFIXED = ("s", "B", "B/s", "FLOP", "FLOP/s", "W", "J", "params", "tok/s", "FLOP/B")
"""Units that take a prefix: 16.3 ms, 7.66 GB."""


def cell(value: Any, unit: str = "") -> str:
    """The text of a value in a unit; empty where it is unknown.

    Units beside those of `units.show`: "share" (0.287 is 28.7%), "percent" (29%), "signed" (+29%), "x" (2.39x),
    "number" (three digits; "number4" to "number6": more; "digits": zeros kept), "times" (2.4x), "power" (FLOPs of a
    run), "dollars" ($8.68 M), "change" (−3.8%), "count" and "tokens" (whole, with commas), "parameters" (671 B),
    "GiB" (binary, as engines log bytes), "K" (thousands), "above" (> 200K), "yes" (a check of what does not hold),
    "$" (dollars), "listed" (a list price to its last digit), "exact" (dollars to six
    digits and the cent).

    >>> cell(0.0163, "s"), cell(0.287, "share"), cell(2.39, "x"), cell(1549.2, "tokens"), cell(None, "s")
    ('16.3 ms', '28.7%', '2.39x', '1,549', '')
    >>> cell(70e9, "parameters"), cell(5.761e23, "power"), cell(2.30512, "number4")
    ('70.0 B', '5.76e+23', '2.305')
    >>> cell(0.115, "$"), cell(12.5, "$"), cell("direct"), cell(float("inf"), "s")
    ('$0.115', '$12.50', 'direct', '∞')
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return ""
    if unit == "yes":
        return "" if value else "no"
    if not unit or isinstance(value, str):
        return str(value)
    number = float(value)
    if unit in _WORDS and math.isfinite(number):
        return str(_WORDS[unit](number))
    return money(number, unit) if unit.startswith("$") else show(number, "" if unit in _WORDS else unit)


def _count(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.1f}"


def _exact(value: float) -> str:
    """Dollars of a bill: to the cent, and small ones to six digits.

    >>> _exact(0.00860376), _exact(1.4e-06), _exact(12345.678), _exact(0.0), _exact(2.5)
    ('$0.00860376', '$0.0000014', '$12,345.68', '$0.00', '$2.50')
    """
    places = 2 if not value else max(2, 5 - math.floor(math.log10(abs(value))))
    whole, _, cents = f"{abs(value):,.{places}f}".partition(".")
    return f"{'−' if value < 0 else ''}${whole}.{cents.rstrip('0').ljust(2, '0')}"


def _minus(text: str) -> str:
    """A number with a minus sign in place of a dash.

    >>> _minus("-14%")
    '−14%'
    """
    return text.replace("-", "−")


def _listed(value: float) -> str:
    """A listed price.

    >>> _listed(3.125), _listed(5.0), _listed(0.0028)
    ('$3.125', '$5.00', '$0.0028')
    """
    whole, _, cents = f"{value:.6g}".partition(".")
    return f"${int(whole):,}.{cents.ljust(2, '0')}"


_WORDS: dict[str, Any] = {
    "share": lambda v: _minus(f"{v:.1%}"),
    "percent": lambda v: _minus(f"{v:.0%}"),
    "signed": lambda v: _minus(f"{v:+.0%}"),
    "x": lambda v: f"{v:.3g}x" if abs(v) < 1000 else f"{v:,.0f}x",
    "digits": lambda v: show(v),
    "times": lambda v: f"{v:.1f}x",
    "x2": lambda v: f"{v:.2f}x",
    "multiple": lambda v: f"{v:.2f}x" if abs(v) < 10 else f"{v:,.0f}x",
    "price": lambda v: money(v, digits=2 if 0 < abs(v) < 0.01 else 3),
    "ratio": lambda v: f"{v:.2f}",
    "number": lambda v: show(v) if abs(v) >= 1000 else f"{v:.3g}",
    "number4": lambda v: f"{v:.4g}",
    "number5": lambda v: f"{v:.5g}",
    "number6": lambda v: f"{v:.6g}",
    "power": lambda v: f"{v:.3g}",
    "days": lambda v: f"{v:,.1f}",
    "kWh": lambda v: show(v * 1e3, "Wh"),
    "dollars": lambda v: f"{money(v / 1e6)} M" if abs(v) >= 1e6 else money(v),
    "change": lambda v: _minus(f"{v:+.1%}"),
    "count": _count,
    "whole": lambda v: f"{v:,.0f}",
    "parameters": lambda v: show(v, "params").removesuffix("params").strip(),
    "tokens": lambda v: f"{v:,.0f}",
    "GiB": lambda v: f"{v / 2**30:,.2f} GiB",
    "K": lambda v: f"{round(v / 1000):,}K",
    "above": lambda v: f"> {round(v / 1000):,}K",
    "listed": _listed,
    "exact": _exact,
}


def money(value: float | None, unit: str = "$", *, digits: int = 3) -> str:
    """Dollars with at least two places behind a point, or "unknown".

    >>> money(0.5), money(-4.0), money(None), money(2.1, "$/h")
    ('$0.500', '−$4.00', 'unknown', '$2.10/h')
    """
    if value is None:
        return "unknown"
    if value < 0:
        return f"−{money(-value, unit, digits=digits)}"
    text = show(float(value), "$", digits=digits)
    whole, dot, cents = text.partition(".")
    return (f"{whole}.{cents}0" if dot and len(cents) == 1 else text) + unit[1:]


def between(low: float | None, high: float | None, unit: str) -> str:
    """An interval, its unit said once where both ends share it; empty where an end is unknown.

    >>> between(0.0346, 0.0785, "s"), between(0.0005, 0.002, "s"), between(0.156, 0.354, "$")
    ('34.6 to 78.5 ms', '500 µs to 2.00 ms', '$0.156 to 0.354')
    """
    if low is None or high is None:
        return ""
    first, last = cell(low, unit), cell(high, unit)
    if unit.startswith("$"):
        return f"{first} to {last.removeprefix('$')}"
    if first.startswith("$"):
        last = last.removeprefix("$")
    number, _, of = first.partition(" ")
    return f"{number if of and last.endswith(' ' + of) else first} to {last}"


def round_time(seconds: float) -> str:
    """A round time in its own unit.

    >>> round_time(300.0), round_time(3600.0), round_time(86400.0), round_time(0.015)
    ('5 min', '1 h', '24 h', '15 ms')
    """
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size and seconds <= 48 * 3600 and abs(seconds / size - round(seconds / size)) < 1e-9:
            return f"{seconds / size:.0f} {unit}"
    return show(seconds, "s")


class _Sentence(Formatter):
    """Fields whose format is a unit: `{memory:B}`; other formats are Python's."""

    def format_field(self, value: Any, spec: str) -> str:
        if spec in _WORDS or spec in PREFIXED or spec.startswith("$"):
            return cell(value, spec)
        return str(super().format_field(value, spec))


_STRONG = re.compile(r"\*([^*]+)\*")


def pieces(text: str, values: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """A sentence with its numbers put in, in pieces of plain and of strong words.

    >>> pieces("crossing takes *{factor:x2}* as long", {"factor": 2.779})
    [('crossing takes ', False), ('2.78x', True), (' as long', False)]
    """
    parts = enumerate(_STRONG.split(text))
    return [(_Sentence().vformat(part, (), values), i % 2 == 1) for i, part in parts if part]
