"""What requests cost by a price list: every rule of lengths, modes and cache minutes, part by part.

A request is counted as providers count it: `input` tokens in all, of them `cached` ones found in the cache and
`written` ones put into it; the rest is fresh. The length of the whole input chooses the entry of the list that holds
for all of its tokens. A part without a price of its own costs what plain input costs.
Storage of a cache, where a list charges it by the hour, costs the same in every mode that names no other price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, unknown
from .cost import HOUR, MTOK
from .listprice import ListPrice, PriceList

Column = NDArray[np.float64]

SHORT, LONG = 300.0, 3600.0
"""Seconds that written tokens are kept for at the two prices of a cache write; a list with one price has it for all
lifetimes."""

INPUT, READ, WRITE, WRITE_1H = "input", "cached read", "cache write", "cache write, 1 h"
STORAGE, OUTPUT = "cache storage", "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Requests as columns: tokens, the mode each is sent in, and seconds that what it writes is kept.

    `lifetime`: for which a cache write is paid, at most an hour. `stored`: for which storage is charged by the hour,
    where a list does that.
    """

    input: Column
    cached: Column
    written: Column
    output: Column
    mode: NDArray[np.str_]
    lifetime: Column
    stored: Column

    def __len__(self) -> int:
        return len(self.input)

    @property
    def fresh(self) -> Column:
        """Input tokens that are neither found in the cache nor written to it."""
        return self.input - self.cached - self.written


def usage(
    input: Sequence[float],
    cached: Sequence[float] | float = 0.0,
    written: Sequence[float] | float = 0.0,
    output: Sequence[float] | float = 0.0,
    *,
    mode: Sequence[str] | str = "standard",
    lifetime: Sequence[float] | float = SHORT,
    stored: Sequence[float] | float = 0.0,
) -> Usage:
    """Requests as columns, from columns or values that hold for all; refused where parts exceed their whole.

    >>> float(usage([27147], cached=27146, output=351).fresh[0])
    1.0
    """
    n = len(input)

    def column(value: Sequence[float] | float) -> Column:
        return np.broadcast_to(np.asarray(value, dtype=float), (n,))

    found = Usage(
        input=column(input),
        cached=column(cached),
        written=column(written),
        output=column(output),
        mode=np.broadcast_to(np.asarray(mode, dtype=str), (n,)),
        lifetime=column(lifetime),
        stored=column(stored),
    )
    short = np.flatnonzero(found.fresh < 0)
    if len(short):
        i = int(short[0])
        where = f"request {i + 1} has " if n > 1 else ""
        raise BadInput(
            f"{where}{found.cached[i]:,.0f} cached and {found.written[i]:,.0f} written tokens are more than the"
            f" {found.input[i]:,.0f} of the input; input counts them all"
        )
    late = np.flatnonzero(found.lifetime > LONG)
    if len(late):
        raise BadInput(f"ttl = {found.lifetime[late[0]]:g} s is longer than any list sells; give 5min or 1h")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One part at one entry of the list: tokens of so many requests, their price and the dollars they come to.

    `price` is per million tokens, of storage per million tokens and hour; `instead`: plain input's, since the list
    names none of its own.
    """

    mode: str
    above_input_tokens: float
    part: str
    requests: int
    tokens: float
    price: float
    dollars: float
    instead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Charges of requests, and the dollars of each request."""

    charges: tuple[Charge, ...]
    each: Column

    @property
    def dollars(self) -> float:
        return float(sum(c.dollars for c in self.charges))

    def of(self, part: str) -> float:
        """Dollars of one part."""
        return float(sum(c.dollars for c in self.charges if c.part == part))


def bill(prices: PriceList, requests: Usage) -> Bill:
    """What requests cost by a list.

    27,147 tokens in, all but one of them cached, and 351 out at $1.40, $0.26 and $4.40 per million:

    >>> entry = ListPrice(model="a/b", input_mtok=1.4, cache_read_mtok=0.26, output_mtok=4.4)
    >>> glm = PriceList(model="a/b", day="2026-11-25", entries=(entry,))
    >>> round(bill(glm, usage([27147], cached=27146, output=351)).dollars, 8)
    0.00860376
    """
    each = np.zeros(len(requests))
    charges: list[Charge] = []
    for mode in dict.fromkeys(requests.mode.tolist()):
        entries = prices.mode(mode)
        if not entries:
            raise unknown(f"mode of {prices.model}", mode, prices.modes)
        base = prices.standard
        ends = [e.above_input_tokens for e in entries[1:]]
        which = np.searchsorted(np.asarray(ends, dtype=float), requests.input, side="left")
        for i, entry in enumerate(entries):
            rows = np.flatnonzero((requests.mode == mode) & (which == i))
            if len(rows):
                stored = next((e for e in (entry, base) if e.cache_storage_mtok_hour is not None), None)
                charges += _charged(entry, requests, rows, each)
                charges += [] if stored is None else _stored(entry, stored, requests, rows, each)
    return Bill(charges=tuple(charges), each=each)


def _charged(e: ListPrice, of: Usage, rows: NDArray[np.intp], each: Column) -> list[Charge]:
    """The charges of some requests at one entry; what each costs is added to `each`."""
    long = (of.lifetime > SHORT) & (e.cache_write_1h_mtok is not None)
    tokens = {
        INPUT: (of.fresh, e.input_mtok),
        READ: (of.cached, e.cache_read_mtok),
        WRITE: (np.where(long, 0.0, of.written), e.cache_write_5m_mtok),
        WRITE_1H: (np.where(long, of.written, 0.0), e.cache_write_1h_mtok),
        OUTPUT: (of.output, e.output_mtok),
    }
    found = []
    for part, (column, price) in tokens.items():
        paid = e.input_mtok if price is None else price
        dollars = column[rows] * paid / MTOK
        each[rows] += dollars
        found.append(_charge(e, part, column[rows], paid, dollars, instead=price is None))
    return [c for c in found if c.tokens > 0]


def _stored(e: ListPrice, priced: ListPrice, of: Usage, rows: NDArray[np.intp], each: Column) -> list[Charge]:
    """Storage of what requests wrote, at the mode's own price or else that of the standard mode."""
    price = priced.cache_storage_mtok_hour or 0.0
    dollars = of.written[rows] * of.stored[rows] / HOUR * price / MTOK
    each[rows] += dollars
    kept = np.where(of.stored > 0, of.written, 0.0)[rows]
    one = _charge(e, STORAGE, kept, price, dollars, instead=False)
    return [one] if one.tokens > 0 else []


def _charge(e: ListPrice, part: str, tokens: Column, price: float, dollars: Column, *, instead: bool) -> Charge:
    return Charge(
        mode=e.mode,
        above_input_tokens=e.above_input_tokens,
        part=part,
        requests=int(np.count_nonzero(tokens)),
        tokens=float(tokens.sum()),
        price=price,
        dollars=float(dollars.sum()),
        instead=instead,
    )
