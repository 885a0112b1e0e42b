"""Plain cards: devices without a fabric of their own, a line each in `data/facts/cards.csv`.

What cards of a kind share (their host, how much faster than FP32 their matrix units are) stands in
`data/facts/card_kinds.toml`. A line becomes what the file of a machine holds, see `world.spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import shipped
from . import shelf

PEAKS = ("bf16", "fp8", "int8", "fp4")
HOST = ("domain", "scaleout_bandwidth", "overhead_power")


def known() -> tuple[str, ...]:
    """The keys of all cards, from the beginnings of their lines: every look-up needs them, few the rest."""
    lines = (shipped.FACTS / "cards.csv").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition(",")[0] for line in lines[1:])


def spellings(key: str) -> list[str]:
    """How a card is written beside its key.

    >>> spellings("rx-7900-xtx")
    ['rx 7900 xtx', '7900 xtx']
    """
    return shelf.rows("cards.csv")[key]["aliases"].split("; ")


def described(key: str) -> Mapping[str, Any]:
    """A card as the file of a machine holds it: quantities with their unit, sources, a price.

    >>> found = described("rtx-4070-super")
    >>> found["peak_bf16"], found["hbm_bandwidth"], found["source"]["date"]
    ('70.96 TFLOP/s', '504.2 GB/s', '2025-12')
    """
    row, table = shelf.rows("cards.csv")[key], shelf.table("card_kinds.toml")
    kind, rates, date = table["kind"][row["kind"]], table["rates"][row["rates"]], table["table"]["date"]
    peaks = {f"peak_{of}": f"{float(row['fp32']) * rates[of]:.4g} TFLOP/s" for of in PEAKS if of in rates}
    guess = {"date": date, "verified": False}
    sources = {field: {"text": rates["text"], **guess} for field in peaks}
    sources |= {field: {"text": kind["text"], **guess} for field in HOST}
    sources["scaleup_bandwidth"] = {"text": table["link"]["text"], "date": date}
    if row["note"]:
        sources |= {field: {"text": row["note"], **guess} for field in ("hbm_nominal", "hbm_bandwidth")}
    owned = {"capital": f"{row['usd']} USD", "text": table["usd"]["text"], **guess} if row["usd"] else None
    return {
        "name": row["name"],
        "vendor": row["vendor"],
        "year": int(row["year"]),
        "generation": row["generation"],
        "aliases": spellings(key),
        "dies": 1,
        "memory_type": row["memory"],
        "hbm_nominal": f"{row['size']} GB",
        "hbm_bandwidth": f"{row['bandwidth']} GB/s",
        "scaleup": "pcie",
        "scaleup_bandwidth": f"{row['link']} GB/s",
        "power": f"{row['power']} W",
        "source": table["table"],
        "sources": sources,
        **{k: v for k, v in kind.items() if k != "text"},
        **peaks,
        **({"price": {"owned": owned}} if owned else {}),
    }
