"""The screen of prices of device-hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..views.machine_terms import of_machine
from . import records_prices
from .export import Face
from .show import heading, indented, line, money, numbers

if TYPE_CHECKING:
    from .ask_prices import HoursAnswer

HEADS = {"on_demand": "on demand", "reserved": "reserved", "spot": "spot", "owned": "owned"}


def face(answer: HoursAnswer) -> Face:
    """All faces of the answer."""
    one = len(answer.machines) == 1
    return Face(
        record=lambda: {"prices": records_prices.hours(answer)},
        rows=lambda: records_prices.hours(answer),
        screen=lambda c: screen(c, answer),
        tree=(lambda: of_machine(answer.machines[0], "price_per_hour", "price of a device-hour")) if one else None,
    )


def screen(c: Console, answer: HoursAnswer) -> None:
    """Print what an hour of each device costs, and where the prices are from."""
    rows = records_prices.hours(answer)
    c.print(Text.assemble(("What a device-hour costs", "bold"), ", in dollars"))
    c.print(Text("rented, cheapest first, then not for rent; owned: all an owner pays, with power", style="dim"))
    c.print()
    sources: dict[tuple[str, str, bool | None], int] = {}
    table = numbers("", *HEADS.values())
    table.add_column("source", no_wrap=True)
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for r in rows:
        by_name.setdefault(r["machine"], {})[r["kind"]] = r
    rented = [name for name, kinds in by_name.items() if set(kinds) != {"owned"}]
    for name in (*rented, *(n for n in by_name if n not in rented)):
        mine = by_name[name]
        keys = [(r["source"], r["date"], r["verified"]) for r in mine.values()]
        told = dict.fromkeys(sources.setdefault(key, len(sources) + 1) for key in keys)
        cells = ["" if kind not in mine else money(mine[kind]["usd_per_device_hour"]) for kind in HEADS]
        last = name == rented[-1] if rented else False
        table.add_row(name, *cells, Text(", ".join(map(str, told)), style="dim"), end_section=last)
    indented(c, table)
    heading(c, "Sources", "in the order of the columns")
    for (text, date, verified), n in sources.items():
        line(c, f"[dim]{n:>2}  {text}, {date}{'' if verified else ', not verified'}[/]")
