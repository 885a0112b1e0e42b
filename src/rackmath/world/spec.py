"""A machine from its data file: text with units in, a `Machine` with a source for every value out.

The keys of a file are the fields of `Machine`; quantities are written with their unit ("3.35 TB/s"). `[source]` is
the origin of every value, `[sources]` names the exceptions. `scaleup` and `scaleout` name a kind of fabric in
`data/facts/fabrics.toml` (its latency), `host` a set of memory tiers in `data/facts/tiers.toml`. See
docs/concepts/machines.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import errors, units
from ..errors import BadInput, unknown
from ..limits import Limit
from .capacity import shown
from .machine import Machine, Price, Source, Tier

DIMENSIONS: dict[str, str] = {
    "n_devices": "count",
    "domain": "count",
    "dies": "count",
    "peak_bf16": "FLOP/s",
    "peak_fp8": "FLOP/s",
    "peak_fp4": "FLOP/s",
    "peak_int8": "FLOP/s",
    "hbm_nominal": "bytes",
    "hbm_capacity": "bytes",
    "hbm_reserved": "bytes",
    "hbm_bandwidth": "bytes/s",
    "scaleup_bandwidth": "bytes/s",
    "scaleup_latency": "s",
    "scaleout_bandwidth": "bytes/s",
    "scaleout_latency": "s",
    "power": "W",
    "overhead_power": "count",
    "host_capacity": "bytes",
    "host_bandwidth": "bytes/s",
    "host_compute": "FLOP/s",
    "price_per_hour": "$/h",
}
"""The numeric fields of a machine and the dimension each is written in."""

_DEVICES = Limit(least=1, most=1e6, whole=True)
_BYTES = Limit(least=1e6, most=1e18)
ANY = Limit(least=1e6, most=1e24)
LIMITS: dict[str, Limit] = {
    "n_devices": _DEVICES,
    "domain": _DEVICES,
    "dies": Limit(least=1, most=1000, whole=True),
    "overhead_power": Limit(least=1, most=100),
    "scaleup_latency": Limit(most=60),
    "scaleout_latency": Limit(most=60),
    "hbm_capacity": _BYTES,
    "hbm_nominal": _BYTES,
    "host_capacity": _BYTES,
    "hbm_reserved": Limit(most=1e18),
    "power": Limit(most=1e9),
    "price_per_hour": Limit(most=1e6),
}
"""Limits of the fields of a machine in SI units; of the others `ANY`."""

PRICE_KINDS = ("on_demand", "reserved", "owned", "spot")
"""Kinds of price; without a choice the first of the first three that is known is in force."""

_TEXTS = {"name", "vendor", "generation", "memory_type", "status", "scaleup", "scaleout", "host"}
_OTHER = {"aliases", "year", "notes", "source", "sources", "price", "slice_unit", "home"}
KEYS = {*DIMENSIONS, *_TEXTS, *_OTHER} - {"price_per_hour"}

OTHER_PRICE = "no on-demand price is known:"
NO_PRICE = "no price is known for this machine: its cost is unknown, not zero (set one with machine.price_per_hour)"


def quantity(value: Any, field: str, where: str) -> float:
    """A positive number in SI units for one field of a machine.

    >>> quantity("3.35 TB/s", "hbm_bandwidth", "h100")
    3350000000000.0
    """
    number = units.parse(value, DIMENSIONS[field], name=f"{where}: {field}")
    if not (number > 0 or (number == 0 and field == "hbm_reserved")):
        raise BadInput(f"{where}: {field} = {errors.shown(value)} is not above zero; give a positive quantity")
    if field == "overhead_power" and number < 1:
        given = errors.shown(value)
        raise BadInput(f"{where}: {field} = {given} is below 1; it is facility watts for each watt of a device")
    return LIMITS.get(field, ANY).check(number, f"{where}: {field}")


def build_machine(key: str, given: Mapping[str, Any], fabrics: Mapping[str, Any], tiers: Mapping[str, Any]) -> Machine:
    """One device as a `Machine`, from the mapping in its data file."""
    for name in given:
        if name not in KEYS:
            raise unknown(f"key in machine {key!r}", str(name), sorted(KEYS))
    source = _source(given.get("source", {}), key)
    overrides = given.get("sources", {})
    sources: dict[str, Source] = {}
    values: dict[str, Any] = {}
    for field in DIMENSIONS:
        if field in given:
            values[field] = quantity(given[field], field, key)
            sources[field] = _source(overrides[field], key) if field in overrides else source
    for level in ("scaleup", "scaleout"):
        if level not in given:
            continue
        fabric = _named(fabrics, given[level], "fabric", key)
        if f"{level}_latency" not in values:
            values[f"{level}_latency"] = units.parse(fabric["latency"], "s", name=f"fabric {given[level]}: latency")
            sources[f"{level}_latency"] = _source(fabric, key)
    for text in ("vendor", "generation", "memory_type"):
        if text in given:
            values[text] = str(given[text])
    _host(key, given, tiers, values, sources)
    values, sources = sized(values, sources, values.get("memory_type", "HBM"), values.get("vendor", ""))
    prices, price_sources = _prices(key, given.get("price", {}), values, tiers.get("ownership", {}))
    sources |= price_sources
    machine = Machine(
        name=key,
        accelerator=str(given.get("name", key)),
        year=int(given.get("year", 0)),
        home=_yes(given.get("home", given.get("status") == "consumer"), key),
        prices=prices,
        tiers=_tiers(key, given, tiers),
        notes=tuple(str(n) for n in given.get("notes", ())),
        sources=sources,
        **values,
    )
    for field in ("peak_bf16", "hbm_capacity", "hbm_bandwidth"):
        if field not in values:
            raise BadInput(f"machine {key!r} has no {field}; give one in its file")
    return priced(machine)


def sized(
    values: Mapping[str, Any], sources: Mapping[str, Source], memory_type: str, vendor: str
) -> tuple[dict[str, Any], dict[str, Source]]:
    """Both figures of a memory where one is given: the driver's by rule from the box's, the box's as the driver's.

    A new capacity alone is all a program's: what the driver of another size keeps of it is not known.

    >>> found, sources = sized({"hbm_nominal": 24e9}, {}, "GDDR6X", "NVIDIA")
    >>> round(found["hbm_capacity"] / 2**30, 2), sources["hbm_capacity"].verified
    (23.55, False)
    >>> sized({"hbm_capacity": 24e9}, {}, "GDDR6X", "NVIDIA")[0]
    {'hbm_capacity': 24000000000.0, 'hbm_nominal': 24000000000.0, 'hbm_reserved': 0.0}
    """
    found, origins = dict(values), dict(sources)
    if "hbm_capacity" in found:
        if "hbm_nominal" not in found:
            found["hbm_nominal"] = found["hbm_capacity"]
            if "hbm_capacity" in origins:
                origins["hbm_nominal"] = origins["hbm_capacity"]
        found.setdefault("hbm_reserved", 0.0)
    elif "hbm_nominal" in found:
        found["hbm_capacity"], origins["hbm_capacity"] = shown(found["hbm_nominal"], memory_type, vendor)
        found.setdefault("hbm_reserved", 0.0)
    return found, origins


def priced(machine: Machine, kind: str | None = None) -> Machine:
    """The machine with one kind of its prices in force: `kind`, "none", or else the first that is known.

    >>> from rackmath.world.machine import Machine, Price
    >>> m = priced(Machine(name="x", accelerator="x", prices=Price(reserved=2.0, owned=1.2)))
    >>> m.price_kind, m.price_per_hour
    ('reserved', 2.0)
    """
    if kind == "none":
        return replace(machine, price_per_hour=0.0, price_kind="none", notes=plain_notes(machine))
    if kind is not None:
        if kind not in PRICE_KINDS:
            raise unknown("kind of price", kind, PRICE_KINDS)
        value = getattr(machine.prices, kind)
        if value is None:
            known = [k for k in PRICE_KINDS if getattr(machine.prices, k) is not None]
            raise BadInput(f"{machine.name} has no {kind} price; known: {', '.join(known) or 'none'}")
        return replace(machine, price_per_hour=value, price_kind=kind, notes=plain_notes(machine))
    for choice in PRICE_KINDS[:3]:
        value = getattr(machine.prices, choice)
        if value is not None:
            note = () if choice == "on_demand" else (f"{OTHER_PRICE} the {choice} price is used",)
            return replace(machine, price_per_hour=value, price_kind=choice, notes=(*machine.notes, *note))
    return replace(machine, price_per_hour=0.0, price_kind="none", notes=(*machine.notes, NO_PRICE))


def reprice(machine: Machine, given: Mapping[str, Any], tiers: Mapping[str, Any]) -> Machine:
    """The machine with further prices from a `[price]` table, and the usual choice among them in force."""
    values = {"power": float(machine.power), "overhead_power": machine.overhead_power}
    prices, sources = _prices(machine.name, given, values, tiers.get("ownership", {}))
    known = {kind: getattr(prices, kind) for kind in PRICE_KINDS if getattr(prices, kind) is not None}
    merged = replace(machine.prices, **known)
    return priced(replace(machine, prices=merged, sources={**machine.sources, **sources}, notes=plain_notes(machine)))


def plain_notes(machine: Machine) -> tuple[str, ...]:
    """The notes without those about which price is in force."""
    return tuple(n for n in machine.notes if n != NO_PRICE and not n.startswith(OTHER_PRICE))


def _yes(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{where}: home = {value!r:.80} is not true or false")
    return value


def _source(given: Any, where: str) -> Source:
    if not isinstance(given, Mapping):
        raise BadInput(f"{where}: a source must be a table with text and date, not {given!r}")
    return Source(text=str(given.get("text", "")), date=str(given.get("date", "")), verified=bool(given.get("verified", True)))


def _named(table: Mapping[str, Any], name: Any, kind: str, where: str) -> Mapping[str, Any]:
    if name not in table:
        raise unknown(f"{kind} of machine {where!r}", str(name), sorted(table))
    found: Mapping[str, Any] = table[name]
    return found


def _prices(
    key: str, given: Mapping[str, Any], values: Mapping[str, float], ownership: Mapping[str, Any]
) -> tuple[Price, dict[str, Source]]:
    """Rental as written; owned as written, or derived from a purchase price, a life and the power drawn."""
    prices: dict[str, float] = {}
    sources: dict[str, Source] = {}
    for kind, entry in given.items():
        if kind not in PRICE_KINDS:
            raise unknown(f"kind of price of machine {key!r}", str(kind), PRICE_KINDS)
        if "capital" in entry:
            capital = _positive(units.parse(entry["capital"], "$", name=f"{key}: capital"), f"{key}: capital")
            hours = float(ownership["life_years"]) * 8766
            kilowatts = values.get("power", 0.0) * values.get("overhead_power", 1.0) / 1000
            prices[kind] = capital / hours + kilowatts * float(ownership["usd_per_kwh"])
        else:
            if "value" not in entry:
                raise BadInput(f"machine {key!r}: the {kind} price has neither a value nor a capital cost")
            name = f"{key}: price {kind}"
            prices[kind] = _positive(units.parse(entry["value"], "$/h", name=name), name)
        sources[f"prices.{kind}"] = _source(entry, key)
    return Price(**prices), sources


def _positive(price: float, name: str) -> float:
    if not 0 < price < 1e12:
        raise BadInput(f"{name} = {price:g} is not a price above zero")
    return price


def _host(key: str, given: Mapping[str, Any], tables: Mapping[str, Any], values: dict[str, Any], sources: dict[str, Source]) -> None:
    """What the processors of the host read their own memory with, where a machine's file does not say it."""
    if "host" not in given:
        return
    for field, entry in _named(tables["hosts"], given["host"], "host", key).get("memory", {}).items():
        if field not in values:
            values[field] = quantity(entry["value"], field, key)
            sources[field] = _source(entry, key)


def _tiers(key: str, given: Mapping[str, Any], tables: Mapping[str, Any]) -> tuple[Tier, ...]:
    """The memory tiers of the host this device sits in, each as one device's share."""
    if "host" not in given:
        return ()
    host = _named(tables["hosts"], given["host"], "host", key)
    found = []
    for share in host["tiers"]:
        kind = _named(tables["kinds"], share["kind"], "memory tier", key)
        price = kind.get("usd_per_gb_month")
        if price is None and "usd_per_gb" in kind:
            price = kind["usd_per_gb"] / (12 * kind.get("life_years", tables["ownership"]["life_years"]))
        found.append(
            Tier(
                name=str(kind["name"]),
                capacity=units.parse(share["capacity"], "bytes", name=f"{key}: tier capacity"),
                bandwidth=units.parse(share["bandwidth"], "bytes/s", name=f"{key}: tier bandwidth"),
                price_per_byte_month=None if price is None else price / 1e9,
                latency=units.parse(kind["latency"], "s", name=f"{key}: tier latency"),
                source=_source(kind["source"] | share.get("source", {}), key),
            )
        )
    return tuple(found)
