"""Write the tables of docs/concepts/machines.md from the catalogue: python tools/machine_table.py [--check]."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["RACKMATH_HOME"] = os.devnull  # the packaged machines only

from generated import END, page

from rackmath.units import show
from rackmath.world import catalog, shelf
from rackmath.world.machine import Machine

DOCS = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "machines.md"
BEGIN = "<!-- begin generated: python tools/machine_table.py -->"


def row(machine: Machine) -> str:
    """One line: what it multiplies, holds and costs, and which values are not verified."""
    peaks = " / ".join(
        f"{float(getattr(machine, f'peak_{kind}')) / 1e12:,.0f}" if getattr(machine, f"peak_{kind}") else "-"
        for kind in ("bf16", "fp8", "fp4")
    )
    price = f"{machine.price_per_hour:.2f} {machine.price_kind}" if machine.price_kind != "none" else "unknown"
    doubtful = sorted(n for n, source in machine.sources.items() if not source.verified and "latency" not in n)
    shown = f"{float(machine.hbm_capacity) / 2**30:.5g} GiB"
    memory = f"{show(machine.box, 'B')} | {shown} | {show(machine.hbm_bandwidth, 'B/s')}"  # type: ignore[arg-type]
    doubts = ", ".join(doubtful) if len(doubtful) < 9 else "most values"
    return f"| `{machine.name}` | {machine.accelerator} | {machine.dies:g} | {peaks} | {memory} | {machine.domain:g} | {price} | {doubts} |"


def table() -> str:
    """The generated part of the page."""
    head = "| name | accelerator | dies | BF16 / FP8 / FP4 TFLOP/s | memory | driver shows | bandwidth | domain | $/h | not verified |"
    lines = [BEGIN, "", head, "|---|---|---|---|---|---|---|---|---|---|"]
    lines += [row(catalog.machine(name)) for name in catalog.devices()]
    lines += ["", "Presets:", "", "| name | devices | what differs |", "|---|---|---|"]
    for name, given in catalog.presets().items():
        changes = ", ".join(f"{field} {value}" for field, value in given.get("set", {}).items())
        lines.append(f"| `{name}` | {given.get('n_devices', 1)} x `{given['base']}` | {changes} |")
    lines += ["", "Instances, as clouds name them:", "", "| cloud | instance | machine |", "|---|---|---|"]
    clouds: dict[tuple[str, str], list[str]] = {}
    for name, rented in shelf.rows("instances.csv").items():
        if not rented["machine"].startswith("?"):
            clouds.setdefault((rented["provider"], rented["machine"]), []).append(f"`{name}`")
    lines += [f"| {cloud} | {', '.join(names)} | `{machine}` |" for (cloud, machine), names in clouds.items()]
    return "\n".join([*lines, "", END])


def main() -> None:
    page(DOCS, {BEGIN: table()})


if __name__ == "__main__":
    main()
