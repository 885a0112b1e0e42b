"""Write src/rackmath/data/facts/price_snapshot.csv from genai-prices (installed) and the wheel of litellm, both MIT.

    pip download --no-deps litellm==1.109.1 -d FOLDER
    python tools/price_snapshot.py [--check] FOLDER/litellm-1.109.1-....whl

price_names.toml beside this script says which listings are kept, what a seller is called here, and which weights of
the catalogue a listing runs. genai-prices has the days on which prices changed and comes first; litellm adds modes
and writes that it lacks, where both agree on the standard prices, and the sellers that only it lists. With --check
nothing is written and the exit status says whether the packaged file is what would be written.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rackmath import shipped
from rackmath.economics.listings import COLUMNS, ListPrice
from rackmath.economics.pricelist_genai import context_windows, entries, version
from rackmath.world import catalog

HERE = Path(__file__).resolve().parent
OUT = shipped.FACTS / "price_snapshot.csv"
TABLE = "litellm/model_prices_and_context_window_backup.json"
PRICES = ("input_mtok", "cache_read_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok", "output_mtok")
LITELLM = {  # our maker -> theirs, and what they put before a name
    "anthropic": ("anthropic", ""),
    "openai": ("openai", ""),
    "google": ("gemini", "gemini/"),
    "x-ai": ("xai", "xai/"),
    "mistral": ("mistral", "mistral/"),
    "deepseek": ("deepseek", "deepseek/"),
    "moonshotai": ("moonshot", "moonshot/"),
    "zai": ("zai", "zai/"),
    "minimax": ("minimax", "minimax/"),
}
FIELD = re.compile(
    r"(?P<price>input_cost_per_token|output_cost_per_token|cache_read_input_token_cost|cache_creation_input_token_cost)"
    r"(?P<hour>_above_1hr)?(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<mode>batches|flex|priority))?"
)
OURS = {
    "input_cost_per_token": "input_mtok",
    "output_cost_per_token": "output_mtok",
    "cache_read_input_token_cost": "cache_read_mtok",
    "cache_creation_input_token_cost": "cache_write_5m_mtok",
}


@dataclass(frozen=True)
class Row:
    """An entry with what belongs to its listing."""

    entry: ListPrice
    context_window: float | None
    weights: str


@dataclass(frozen=True)
class Names:
    """price_names.toml, with its table of weights turned around."""

    given: Mapping[str, Any]
    weights: Mapping[str, str]

    @classmethod
    def read(cls) -> Names:
        given = tomllib.loads((HERE / "price_names.toml").read_text(encoding="utf-8"))
        turned: dict[str, str] = {}
        known = {model.name for model in catalog.models()}
        for name, listings in given["weights"].items():
            if name not in known:
                raise SystemExit(f"{name} is not in the catalogue")
            for listing in listings:
                if listing in turned or listing != listing.lower():
                    raise SystemExit(f"{listing} is named twice or not in lower case")
                turned[listing] = name
        return cls(given, turned)

    def row(self, entry: ListPrice, window: float | None) -> Row:
        """The entry under the name it is sold by here, with its weights."""
        maker, _, name = entry.model.partition("/")
        weights = self.weights.get(name.lower()) or self.weights.get(entry.model.lower(), "")
        for change in self.given["moved"]:
            if entry.model == change["model"] and (not entry.until or entry.until > change["since"]):
                weights = change["weights"]
        standard = self.given["fast"].get(name.lower())
        if standard is not None and entry.mode == "standard":
            entry = replace(entry, model=f"{maker}/{standard}", mode="fast")
        return Row(entry, window, weights)

    def leaves_out(self, maker: str, name: str) -> bool:
        beginnings = tuple(self.given["makers"][maker])
        return name.lower() in self.given["exactly"].get(maker, ()) or name.lower().startswith(beginnings)


def from_genai(names: Names) -> Iterator[Row]:
    """The makers' line-ups, then the open weights that other sellers list."""
    windows = context_windows()
    for maker in names.given["makers"]:
        for entry in entries(maker):
            name = entry.model.partition("/")[2]
            if not names.leaves_out(maker, name):
                window = windows.get(entry.model)
                yield names.row(entry, window)
                for also in names.given["also"].get(entry.model, ()):
                    yield names.row(replace(entry, model=f"{maker}/{also}"), window)
    for listed, seller in names.given["hosts"].items():
        for entry in entries(listed):
            name = entry.model.partition("/")[2]
            if name.lower() in names.weights:
                through = entry.source + (" through Hugging Face" if listed.startswith("huggingface") else "")
                yield names.row(replace(entry, model=f"{seller}/{name}", source=through), windows.get(entry.model))


def from_litellm(names: Names, table: Mapping[str, Any], source: str) -> Iterator[Row]:
    """The open weights that only litellm's sellers list."""
    for listed, seller in names.given["litellm_hosts"].items():
        for key, given in table.items():
            name = key.partition("/")[2]
            if given.get("litellm_provider") == listed and name.lower() in names.weights:
                for entry in litellm_entries(f"{seller}/{name}", given, source):
                    yield names.row(entry, given.get("max_input_tokens"))


def litellm_entries(model: str, given: Mapping[str, Any], source: str) -> Iterator[ListPrice]:
    """Their prices per token of one model by mode and threshold; a price without a tier holds at every length."""
    found: dict[tuple[str, float], dict[str, float]] = {}
    for field, value in given.items():
        match = FIELD.fullmatch(field)
        if match is None or not isinstance(value, int | float) or not value:
            continue
        mode = {None: "standard", "batches": "batch"}.get(match["mode"], match["mode"])
        ours = "cache_write_1h_mtok" if match["hour"] else OURS[match["price"]]
        found.setdefault((mode, 1000.0 * float(match["above"] or 0)), {})[ours] = float(value) * 1e6
    for (mode, above), prices in sorted(found.items()):
        all_of_it = found.get((mode, 0.0), {}) | prices
        if all_of_it.get("input_mtok") and all_of_it.get("output_mtok"):
            yield ListPrice(model=model, mode=mode, above_input_tokens=above, source=source, **all_of_it)  # type: ignore[arg-type]


def enriched(rows: list[Row], table: Mapping[str, Any], source: str, day: str) -> Iterator[Row]:
    """The makers' rows, with modes and writes that only litellm has, where the standard prices of both agree."""
    by_name = {(v.get("litellm_provider"), k.lower()): v for k, v in table.items() if isinstance(v, dict)}
    listings: dict[str, list[Row]] = {}
    for row in rows:
        listings.setdefault(row.entry.model, []).append(row)
    for model, listed in listings.items():
        maker, _, name = model.partition("/")
        theirs, before = LITELLM.get(maker, ("", ""))
        given = by_name.get((theirs, before + name.lower()))
        now = [r for r in listed if r.entry.mode == "standard" and in_force(r.entry, day)]
        more = list(litellm_entries(model, given, source)) if given and now else []
        standard = {e.above_input_tokens: e for e in more if e.mode == "standard"}
        agree = bool(now) and all(
            (e := standard.get(r.entry.above_input_tokens)) is not None
            and same(e.input_mtok, r.entry.input_mtok)
            and same(e.output_mtok, r.entry.output_mtok)
            for r in now
        )
        for row in listed:
            yield filled(row, standard, source) if agree and row in now else row
        had = {r.entry.mode for r in listed}
        for entry in more if agree else ():
            if entry.mode not in had:
                yield replace(now[0], entry=replace(entry, since=now[0].entry.since))


def in_force(entry: ListPrice, day: str) -> bool:
    return entry.since <= day and (not entry.until or day < entry.until)


def same(a: float, b: float) -> bool:
    return abs(a / b - 1) < 1e-6


def filled(row: Row, standard: Mapping[float, ListPrice], source: str) -> Row:
    """The row with the cache prices that it lacks and litellm has."""
    there = standard[row.entry.above_input_tokens]
    lacking = [f for f in PRICES if getattr(row.entry, f) is None and getattr(there, f) is not None]
    if not lacking:
        return row
    values = {f: getattr(there, f) for f in lacking}
    return replace(row, entry=replace(row.entry, source=f"{row.entry.source}; cache prices {source}", **values))


def kept(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows without peak hours and without listings at Hugging Face that repeat one of the seller's own."""
    listings: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.entry.mode != "peak":
            origin = "Hugging Face" if "Hugging Face" in row.entry.source else ""
            listings.setdefault((row.entry.model.lower(), origin), []).append(row)
    own = {key: listed for key, listed in listings.items() if not key[1]}
    for (name, origin), listed in listings.items():
        if not origin or not any(repeats(name, listed, other, rows) for (other, _), rows in own.items()):
            yield from listed


def repeats(name: str, listed: list[Row], other: str, own: list[Row]) -> bool:
    """Whether a listing is another of the same seller and weights: by its name without maker, or by its prices."""
    alike = name.partition("/")[0] == other.partition("/")[0] and listed[-1].weights == own[-1].weights
    named = name.rpartition("/")[2] == other.rpartition("/")[2]
    return alike and (named or current(listed) == current(own))


def current(listed: list[Row]) -> tuple[str, str]:
    """The newest standard prices of a listing."""
    entry = [row.entry for row in listed if row.entry.mode == "standard"][-1]
    return number(entry.input_mtok), number(entry.output_mtok)


def joined(rows: list[Row]) -> Iterator[Row]:
    """Rows with every fast listing spelt like the standard one; all must have a standard one."""
    spelt = {r.entry.model.lower(): r.entry.model for r in reversed(rows) if r.entry.mode == "standard"}
    for row in rows:
        if row.entry.model.lower() not in spelt:
            raise SystemExit(f"{row.entry.model} has no standard price")
        yield replace(row, entry=replace(row.entry, model=spelt[row.entry.model.lower()]))


def place(row: Row) -> tuple[Any, ...]:
    """Where a row comes in the file."""
    e = row.entry
    return e.model.lower(), e.mode != "standard", e.mode, e.above_input_tokens, e.since


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if value < 1e5 else f"{value:.0f}"


def text(rows: list[Row], day: str, source: str) -> str:
    """The file: what it is and whom to thank, then one line for each model, mode, threshold and first day."""
    out = io.StringIO()
    out.write(f"# read {day}; dollars per million tokens; by tools/price_snapshot.py from {sources(source)}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        e = row.entry
        own = {"context_window": number(row.context_window), "weights": row.weights}
        own |= {"above_input_tokens": number(e.above_input_tokens or None)}
        own |= {field: number(getattr(e, field)) for field in PRICES}
        own |= {"speed": "" if e.speed == 1 else number(e.speed)}
        own |= {"source": e.source.replace(" (MIT)", "")}
        writer.writerow([own[c] if c in own else getattr(e, c) for c in COLUMNS])
    return out.getvalue()


def sources(source: str) -> str:
    return f"genai-prices {version()} (MIT, Pydantic) and {source} (MIT, Berri AI)"


def main(words: list[str]) -> int:
    check = "--check" in words
    wheel = Path(next(w for w in words if w != "--check"))
    source = f"litellm {wheel.name.split('-')[1]}"
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read(TABLE))
    names = Names.read()
    day = names.given["read"]
    rows = list(enriched(list(joined(list(from_genai(names)))), table, source, day))
    rows = sorted(kept(joined([*rows, *from_litellm(names, table, source)])), key=place)
    written = text(rows, day, source)
    if check:
        return int(not OUT.is_file() or OUT.read_text(encoding="utf-8") != written)
    OUT.write_text(written, encoding="utf-8")
    of = {r.entry.model: r.weights for r in rows if r.weights}
    print(f"{len(rows)} rows, {len(written):,} bytes; {len(of)} lists of {len(set(of.values()))} open weights")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
