"""A price list entry, and what one provider asks for one model on one day."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrice:
    """One price list entry, dollars per million tokens; None where the provider names no such price.

    It holds for requests of more than `above_input_tokens` input tokens, up to the model's next entry. `speed` is
    the output speed against the standard mode, 1 where none is stated. `since` and `until` (exclusive) are ISO
    dates, empty where open. Storage of a cache is per million tokens and hour.
    """

    model: str
    input_mtok: float
    output_mtok: float
    cache_read_mtok: float | None = None
    cache_write_5m_mtok: float | None = None
    cache_write_1h_mtok: float | None = None
    cache_storage_mtok_hour: float | None = None
    mode: str = "standard"
    above_input_tokens: float = 0.0
    speed: float = 1.0
    since: str = ""
    until: str = ""
    source: str = ""
    read: str = ""

    @property
    def premiums(self) -> dict[float, float]:
        """Lifetime in seconds -> dollars per million tokens that a cached write costs beyond plain input.

        >>> ListPrice(model="a/b", input_mtok=5, output_mtok=25, cache_write_5m_mtok=6.25).premiums
        {300.0: 1.25}
        """
        written = {300.0: self.cache_write_5m_mtok, 3600.0: self.cache_write_1h_mtok}
        return {life: price - self.input_mtok for life, price in written.items() if price is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What one provider asks for one model on one day.

    `entries` are in force that day, one for each mode and threshold; `history` holds every known entry, older ones
    too. `weights` names the model in the catalogue where its weights are open, else empty. `output_speed` (tokens per
    second a user sees) and `ttft` (seconds) are measured, where known. Prices are dollars per million tokens.
    """

    model: str  # provider/name
    day: str
    entries: tuple[ListPrice, ...]
    history: tuple[ListPrice, ...] = ()
    context_window: float | None = None
    weights: str = ""
    output_speed: float | None = None
    ttft: float | None = None

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def standard(self) -> ListPrice:
        """The standard price of short requests."""
        return self.mode("standard")[0]

    @property
    def long(self) -> ListPrice | None:
        """The first standard entry for longer requests; None where length does not matter."""
        return next(iter(self.mode("standard")[1:]), None)

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes on offer, standard first."""
        return tuple(dict.fromkeys(["standard", *sorted(e.mode for e in self.entries)]))

    def mode(self, name: str) -> tuple[ListPrice, ...]:
        """The entries of a mode by threshold; empty where it is not offered."""
        return tuple(sorted((e for e in self.entries if e.mode == name), key=lambda e: e.above_input_tokens))

    def at(self, input_tokens: float, mode: str = "standard") -> ListPrice:
        """The entry of a mode on offer for a request of so many input tokens.

        >>> short = ListPrice(model="a/b", input_mtok=1.0, output_mtok=5.0)
        >>> long = ListPrice(model="a/b", input_mtok=2.0, output_mtok=9.0, above_input_tokens=200e3)
        >>> both = PriceList(model="a/b", day="2026-03-01", entries=(short, long))
        >>> both.at(8192).input_mtok, both.at(200e3).input_mtok, both.at(250e3).input_mtok
        (1.0, 1.0, 2.0)
        """
        first, *longer = self.mode(mode)
        return [first, *(e for e in longer if e.above_input_tokens < input_tokens)][-1]
