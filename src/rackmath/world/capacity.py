"""How much of the memory on the box a driver shows, where nobody has published the figure of that very device.

A device's memory has two figures. The box says 80 GB; the driver of an H100 shows programs 79.19 GiB, which is 85.0e9
bytes. Neither is the other in other units: makers keep a part for error correction, for firmware and for cells that
fail. `Machine.hbm_nominal` is the first figure and `hbm_capacity` the second.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .. import shipped, units
from .machine import Source

GIB = 2.0**30


@cache
def _kinds() -> dict[str, Any]:
    return shipped.read(shipped.FACTS / "memory_kinds.toml")


def shown(nominal: float, memory_type: str, vendor: str = "") -> tuple[float, Source]:
    """Bytes that a driver is expected to show of `nominal` bytes on the box, and the rule that says so.

    >>> round(shown(24e9, "GDDR6X")[0] / GIB, 2)          # RTX 3090: 23.58 measured
    23.55
    >>> round(shown(16e9, "LPDDR5", "Apple")[0] / 2**20)  # M4 with 16 GB: 10,922 MiB measured
    10923
    """
    box = nominal / 1e9
    table = _kinds()
    if vendor == "Apple":
        apple = table["apple"]
        share = [s for size, s in zip(apple["sizes"], apple["shares"], strict=True) if size <= box][-1]
        return box * GIB * share, Source(text=apple["text"], date="2026-11", verified=box in apple["seen"])
    for kind in table["kind"]:
        if memory_type.upper().startswith(tuple(kind["names"])) and kind.get("vendor", vendor) == vendor:
            keeps = units.parse(kind.get("keeps", "0 GiB"), "bytes", name="memory_kinds.toml: keeps")
            least = nominal / 2  # of a small memory
            found = max(box * GIB * kind.get("share", 1.0) - keeps, least)
            return found, Source(text=kind["text"], date="2026-11", verified=False)
    return nominal, Source(text="as on the box: no rule for this kind of memory", date="2026-11", verified=False)
