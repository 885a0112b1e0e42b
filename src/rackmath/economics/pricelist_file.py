"""A price list of one's own: a TOML, JSON or CSV file, or prices given one by one.

Keys: model, input_mtok, output_mtok, cache_read_mtok, cache_write_5m_mtok, cache_write_1h_mtok,
cache_storage_mtok_hour (and hour), unit, currency, usd_per_unit, context_window, weights, source; [[long]] with
above_input_tokens and prices; [[mode]] with name, speed and prices; [measured] with output_speed and ttft. Prices are
dollars per million tokens unless `unit` says otherwise.
Slips of units and of sign are found and asked about, never guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown, unknown
from ..files import parse_json, parse_toml, read_text
from ..units import parse
from ..world import catalog
from .listings import PRICES as TOKEN_PRICES
from .listings import SOURCES
from .pricelist import ListPrice, PriceList, price_list

PRICES = (*TOKEN_PRICES, "cache_storage_mtok_hour")
UNITS = {"1M": 1.0, "1K": 1e3, "token": 1e6}
MODES = ("fast", "batch", "flex", "priority")
MEASURED = ("output_speed", "ttft")
ABOUT = ("model", "unit", "currency", "usd_per_unit", "context_window", "weights", "source", *MEASURED)
ENDINGS = (".toml", ".json", ".csv")
CHEAPEST, DEAREST = 0.10, 1000.0  # dollars per million output tokens outside which the unit must be stated
LOWEST, HIGHEST = 1 / 20, 200.0  # output over input
LEAST, MOST = 1e-6, 1e6  # dollars per million tokens beyond which no price is believed, whatever its unit
LONGEST = 1e9  # tokens of a threshold or of a context
FASTEST = 1e3  # output speed of a mode over the standard one


def find(text: str, *, on: str | None = None, source: str = "snapshot") -> PriceList:
    """The list in a file where `text` is the path of one, else the public list of that name."""
    if not text.lower().endswith(ENDINGS):
        return price_list(text, on=on, source=source)
    if on is not None:
        raise BadInput(f"{text!r} is a list of one day; leave the day out, or name a public list")
    if source != SOURCES[0]:
        raise BadInput(f"{text!r} is a file; leave the source {source} out, or name a public list")
    return read_price_list(text)


def read_price_list(path: str | Path) -> PriceList:
    """The price list in a TOML, JSON or CSV file; a CSV has one row for each mode and threshold."""
    file = Path(path)
    if file.suffix.lower() not in ENDINGS:
        raise BadInput(f"'{file}' is not a price list; give a file that ends in .toml, .json or .csv")
    text = read_text(file, give="give a price list that ends in .toml, .json or .csv")
    try:
        given = _READERS[file.suffix.lower()](text, shown(file.name))
    except csv.Error as error:
        raise BadInput(f"{shown(file.name)} is not valid CSV: {str(error).rstrip('.')}") from None
    if not isinstance(given, dict):
        raise BadInput(f"{file.name}: a price list has keys such as input_mtok and output_mtok; this has none")
    return _build({"source": file.name, **given}, f"{file.name}: ")


def from_prices(**given: Any) -> PriceList:
    """A price list from the same keys as a file has; those that are None are left out.

    >>> from_prices(input_mtok=5, output_mtok=25, cache_read_mtok=0.5).standard.cache_read_mtok
    0.5
    >>> from_prices(input_mtok=0.005, output_mtok=0.025)
    Traceback (most recent call last):
    ...
    rackmath.errors.BadInput: output_mtok = 0.025 is $0.025 per million tokens as it stands, or $25 if it was meant
    per 1K; say which with unit = "1M" or unit = "1K"
    """
    return _build({k: v for k, v in given.items() if v is not None}, "")


def _build(given: Mapping[str, Any], where: str) -> PriceList:
    try:
        return _price_list(given)
    except BadInput as error:
        raise BadInput(f"{where}{error}") from None


def _price_list(given: Mapping[str, Any]) -> PriceList:
    _known(given, (*PRICES, *ABOUT, "long", "mode", "measured"), "key of a price list")
    measured = _table(given.get("measured", {}), "measured")
    _known(measured, MEASURED, "key of [measured]")
    measured = {**{k: given[k] for k in MEASURED if k in given}, **measured}
    model, source = _text(given.get("model", "given/list"), "model"), _text(given.get("source", "given"), "source")
    model = model if "/" in model else f"given/{model}"
    factor = _factor(given)
    today = date.today().isoformat()
    entries = [_entry(given, "", factor)]
    for name, one in _tables(given, "long"):
        _known(one, ("above_input_tokens", *PRICES), f"key of {name}")
        entries.append(_entry(one, f"{name}.", factor, above_input_tokens=_threshold(one, name)))
    for name, one in _tables(given, "mode"):
        _known(one, ("name", "speed", "above_input_tokens", *PRICES), f"key of {name}")
        mode = one.get("name")
        if mode not in MODES:
            raise unknown(f"name of {name}", str(mode), MODES)
        above = _threshold(one, name) if "above_input_tokens" in one else 0.0
        speed = _positive(one.get("speed", 1.0), "count", f"{name}.speed")
        if speed > FASTEST:
            raise BadInput(f"{name}.speed = {speed:g} is out of range; give the multiple of the standard speed")
        entries.append(_entry(one, f"{name}.", factor, mode=mode, above_input_tokens=above, speed=speed))
    _stated(entries[0], given)
    _tiers(entries)
    return PriceList(
        model=model,
        day=today,
        entries=tuple(ListPrice(model=model, source=source, read=today, **e) for e in entries),
        context_window=_tokens(given, "", "context_window") if given.get("context_window") is not None else None,
        weights=catalog.model(_text(given["weights"], "weights")).name if given.get("weights") else "",
        output_speed=_maybe(measured, "output_speed", "1/s"),
        ttft=_maybe(measured, "ttft", "s"),
    )


def _entry(given: Mapping[str, Any], at: str, factor: float, **about: Any) -> dict[str, Any]:
    """One entry, checked by itself; `at` names the table it comes from, `about` holds its mode and threshold."""
    for needed in ("input_mtok", "output_mtok"):
        if given.get(needed) is None:
            raise BadInput(f"{at}{needed} is missing; give dollars per million tokens, such as {at}{needed} = 5")
    prices = {p: _positive(given[p], "$", at + p) * factor for p in PRICES if given.get(p) is not None}
    for name, price in prices.items():
        if not LEAST <= price <= MOST:
            raise BadInput(f"{at}{name} comes to ${price:g} per million tokens, which nobody asks; check its unit")
    fresh, out, read = prices["input_mtok"], prices["output_mtok"], prices.get("cache_read_mtok")
    if not LOWEST <= out / fresh <= HIGHEST:
        raise BadInput(
            f"{at}output_mtok is {out / fresh:.3g} times {at}input_mtok; lists have {LOWEST:g} to {HIGHEST:g} times,"
            " so check that both are in one unit"
        )
    if read is not None and read > fresh:
        raise BadInput(
            f"{at}cache_read_mtok = ${read:g} is above {at}input_mtok = ${fresh:g}; a cached read costs no more than"
            " fresh input, so check whether they are exchanged"
        )
    for write in ("cache_write_5m_mtok", "cache_write_1h_mtok"):
        if read is not None and write in prices and prices[write] < read:
            raise BadInput(
                f"{at}{write} = ${prices[write]:g} is below {at}cache_read_mtok = ${read:g}; a write costs no less"
                " than a read, so check whether they are exchanged"
            )
    short, hour = (prices.get(write) for write in ("cache_write_5m_mtok", "cache_write_1h_mtok"))
    if short is not None and hour is not None and hour < short:
        raise BadInput(
            f"{at}cache_write_1h_mtok = ${hour:g} is below {at}cache_write_5m_mtok = ${short:g}; keeping longer costs"
            " no less, so check whether they are exchanged"
        )
    return {"mode": "standard", "above_input_tokens": 0.0} | about | prices


def _stated(entry: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Ask for the unit where an output price without one could be in another."""
    out = entry["output_mtok"]
    if "unit" in given or CHEAPEST <= out <= DEAREST:
        return
    as_it_is = f"output_mtok = {out:g} is ${out:,g} per million tokens as it stands"
    if out > DEAREST:
        raise BadInput(
            f"{as_it_is}, or ${out / 100:g} if it was meant in cents, or ${out / 1000:g} if it was meant per 1B;"
            ' give dollars per million and unit = "1M", or per thousand and unit = "1K"'
        )
    per = "1K" if out * 1e3 <= DEAREST and out >= 1e-4 else "token"
    meant = f"${out * UNITS[per]:,g} if it was meant per {per}"
    raise BadInput(f'{as_it_is}, or {meant}; say which with unit = "1M" or unit = "{per}"')


def _tiers(entries: Sequence[Mapping[str, Any]]) -> None:
    """Every mode has each threshold once, and longer requests cost no less."""
    for mode in dict.fromkeys(e["mode"] for e in entries):
        rows = sorted((e for e in entries if e["mode"] == mode), key=lambda e: float(e["above_input_tokens"]))
        if rows[0]["above_input_tokens"] > 0:
            raise BadInput(f"the mode {mode} has no price for short requests; give one without above_input_tokens")
        for short, long in pairwise(rows):
            above = long["above_input_tokens"]
            if above == short["above_input_tokens"]:
                raise BadInput(f"the mode {mode} is priced twice above {above:,.0f} input tokens; keep one")
            for price in ("input_mtok", "output_mtok"):
                if long[price] < short[price]:
                    raise BadInput(
                        f"{price} above {above:,.0f} input tokens is ${long[price]:g}, below ${short[price]:g} for"
                        " shorter requests; long requests cost no less, so check whether they are exchanged"
                    )


def _factor(given: Mapping[str, Any]) -> float:
    """What turns the numbers given into dollars per million tokens."""
    unit = str(given.get("unit", "1M"))
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    currency = _text(given.get("currency", "USD"), "currency").upper()
    rate = _maybe(given, "usd_per_unit", "count")
    if rate is None and currency != "USD":
        raise BadInput(f"the prices are in {currency}; give them in USD, or with usd_per_unit, the dollars that one {currency} costs")
    if rate is not None and currency == "USD" and rate != 1:
        raise BadInput(f"usd_per_unit = {rate:g} contradicts the currency USD; name the currency or leave it out")
    return UNITS[unit] * (rate or 1.0)


def _maybe(given: Mapping[str, Any], key: str, dimension: str) -> float | None:
    return _positive(given[key], dimension, key) if given.get(key) is not None else None


def _threshold(given: Mapping[str, Any], name: str) -> float:
    if given.get("above_input_tokens") is None:
        raise BadInput(f"{name}.above_input_tokens is missing; give the length from which it applies, such as 200000")
    return _tokens(given, f"{name}.", "above_input_tokens")


def _tokens(given: Mapping[str, Any], at: str, key: str) -> float:
    """A number of tokens."""
    found = _positive(given[key], "count", at + key)
    if not 1 <= found <= LONGEST:
        raise BadInput(f"{at}{key} = {found:g} is out of range; give a number of tokens from 1 to {LONGEST:,.0f}")
    return found


def _positive(given: Any, dimension: str, name: str) -> float:
    if not isinstance(given, str | int | float):
        raise BadInput(f"{name} = {given!r:.60} is not a number; give one")
    if isinstance(given, int) and given > 10**18:
        raise BadInput(f"{name} has {len(str(given))} digits; give an ordinary number")
    value = parse(given, dimension, name=name)
    if value <= 0:
        raise BadInput(f"{name} = {given!r} is out of range; give a number above 0")
    return value


def _text(given: Any, name: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise BadInput(f"{name} = {given!r:.60} is not a name; give one")
    text = given.strip()
    if not text.isprintable() or len(text) > 300:
        raise BadInput(f"{name} = {text!r:.60} is not an ordinary name; give one line of at most 300 letters")
    return text


def _known(given: Mapping[str, Any], keys: Sequence[str], kind: str) -> None:
    for key in given:
        if key not in keys:
            raise unknown(kind, str(key), keys)


def _table(given: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadInput(f"{name} = {given!r:.60} is not a table; write it as one")
    return given


def _tables(given: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables of a list of tables, each with its name."""
    found = given.get(key, ())
    if not isinstance(found, list | tuple):
        raise BadInput(f"{key} = {found!r:.60} is not a list of tables; write each as [[{key}]]")
    return [(f"{key}[{i}]", _table(one, f"{key}[{i}]")) for i, one in enumerate(found)]


def _from_csv(text: str, name: str) -> dict[str, Any]:
    try:
        return _entries(text)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _entries(text: str) -> dict[str, Any]:
    """The keys of a table: what its rows share, then each row as an entry."""
    own, shared = _rows(text)
    plain = [r for r in own if r.get("mode", "standard") == "standard"]
    short = [r for r in plain if "above_input_tokens" not in r]
    if len(short) != 1:
        found = "no row is" if not short else f"{len(short)} rows are"
        raise BadInput(
            f"{found} of the standard mode for short requests; give one with mode and above_input_tokens left empty,"
            " and the others with theirs"
        )
    given: dict[str, Any] = {**shared, **{k: v for k, v in short[0].items() if k not in ("mode", "speed")}}
    given["long"] = [{k: v for k, v in r.items() if k not in ("mode", "speed")} for r in plain if r is not short[0]]
    given["mode"] = [{("name" if k == "mode" else k): v for k, v in r.items()} for r in own if r not in plain]
    return given


def _rows(text: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """What each row has of its own, empty cells and thresholds of 0 left out; and what all of them share."""
    reader = csv.DictReader(text.splitlines())
    names = [name.strip() for name in reader.fieldnames or ()]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"its header names {twice!r:.60} twice; keep one")
    reader.fieldnames = names
    rows = [{k: v for k, v in row.items() if v not in (None, "")} for row in reader]
    if not rows:
        raise BadInput("there is no row; give a header and one row for each mode and threshold")
    if wide := next((i for i, row in enumerate(rows, 1) if None in row), None):
        raise BadInput(f"row {wide} has more cells than the header has names; give as many")
    shared = {k: rows[0][k] for k in ABOUT if k in rows[0]}
    for row in rows:
        differing = next((k for k in ABOUT if k in row and row[k] != shared.get(k)), None)
        if differing is not None:
            raise BadInput(f"the rows have more than one {differing}; keep the rows of one list")
    own = [{k: v for k, v in row.items() if k not in ABOUT and (k, v) not in _NO_THRESHOLD} for row in rows]
    return own, shared


_NO_THRESHOLD = (("above_input_tokens", "0"), ("above_input_tokens", "0.0"))
_READERS: Mapping[str, Callable[[str, str], Any]] = {".toml": parse_toml, ".json": parse_json, ".csv": _from_csv}
