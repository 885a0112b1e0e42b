"""Machines by name: devices and presets of the data files, rented instances, and what people write for them.

A name is an exact key, a cloud's name for an instance, a count of something, or words that the aliases explain. One
that several machines bear is asked about, never guessed.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadInput, shown, unknown
from ..files import read_text
from ..shipped import FACTS
from . import cards
from .boxes import MOST_CARDS, mixed
from .machine import Machine, Source
from .meaning import not_found
from .names import Match, counts, instance, match_machine, slug, words
from .overlay import Found, changed, check_machine, leave_out
from .overlay import found as user_files
from .shelf import Listing, home, parsed, rows, table
from .spec import DIMENSIONS, build_machine, quantity, reprice, sized

MOST_DEVICES = 1_000_000
CARDS = FACTS / "cards.csv"


def machine(name: str) -> Machine:
    """The machine with this name: a device, a count of devices ("8xh100", "h100x8"), or a preset ("gb200-nvl72").

    >>> eight = machine("8xh100")
    >>> eight.n_devices, eight.domain, eight.hbm_bandwidth
    (8.0, 8.0, 3350000000000.0)
    >>> machine("4xgb200").domain
    72.0
    """
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise BadInput(f"{shown(name)} is not the name of a machine; give one like 8xh200 or gb200-nvl72")
    found = _find(name, 0)
    if found is None:
        _why_left_out(slug(name))
        _sliced(name)
        raise not_found("machine", "machine", name, [*_files(), *presets()], hint="; rackmath machines lists all")
    count, one = found
    total = count * one.n_devices
    if not 1 <= total <= MOST_DEVICES:
        raise BadInput(f"{name!r} is {total:g} devices; give from 1 to {MOST_DEVICES:,}")
    return one if count == 1 else replace(one, name=f"{count}x{one.name}", n_devices=float(total))


def _find(text: str, depth: int) -> tuple[int, Machine] | None:
    """A count and a machine for a spelling: exact names, then a count of something, then aliases, then their sum."""
    readings = ((1, text), *counts(text))
    for exact in (_filed, _preset, _rented):  # before the aliases: those open every file
        for count, rest in readings:
            one = exact(rest)
            if one is not None:
                return count * one[0], one[1]
    found = match_machine(text, _aliases(), table("names.toml")["machine"])
    if found is not None:
        reading = _slice(text, found)
        if reading is not None:
            return reading
    if depth > 3:
        return None
    for count, rest in readings[1:]:
        inner = _find(rest, depth + 1)
        if inner is not None:
            return count * inner[0], inner[1]
    for mark in "(,":
        bare = text.partition(mark)[0].strip()
        if mark in text and bare:
            return _find(bare, depth + 1)
    parts = [_find(part, depth + 1) for part in re.split(r"\s*[+&]\s*|\s+and\s+", text)]
    each = [one for found in parts if found is not None for one in [found[1]] * min(found[0], MOST_CARDS + 1)]
    return None if len(parts) < 2 or None in parts else (1, mixed(each))


def _filed(text: str) -> tuple[int, Machine] | None:
    return (1, _entry(slug(text))) if slug(text) in _files() else None


def _preset(text: str) -> tuple[int, Machine] | None:
    return (1, _entry(slug(text))) if slug(text) in presets() else None


def _rented(text: str) -> tuple[int, Machine] | None:
    """What a cloud's name for an instance means; a family of instances is asked about."""
    rented = rows("instances.csv").get(instance(text))
    if rented is None:
        return None
    means = rented["machine"]
    if means.startswith("?"):
        raise BadInput(f"{text!r} is a family of instances; give one of them, like {_or(means[1:].split())}")
    return _find(means, 0)


def _slice(text: str, found: Match) -> tuple[int, Machine] | None:
    """The count and machine a match means; None where it leaves a number without a meaning."""
    key = _chosen(text, found)
    one = _entry(key)
    if found.size is not None and _sold_in_sizes(key) and found.size < float(one.box):
        values, sources = sized({"hbm_nominal": found.size}, one.sources, one.memory_type, one.vendor)
        one = replace(one, **values, sources=sources)
    if found.size is not None and abs(found.size / float(one.box) - 1) > 0.15:
        raise BadInput(
            f"{text!r} names {found.size / 1e9:g} GB, but the {one.accelerator} known has "
            f"{float(one.box) / 1e9:g} GB; name it {key} and set machine.hbm_capacity"
        )
    if found.chips is not None:
        return found.chips, one
    if found.cores is None:
        return 1, one
    unit = _file(key).get("slice_unit") if key in _files() else None
    return None if not unit or found.cores % unit else (found.cores // unit, one)


def _chosen(text: str, found: Match) -> str:
    """The key that a match means: of those that bear the same name, or share a chip, the one of the size given."""
    several = table("names.toml")["machine"]["several"].get(found.key.removeprefix("?"), [])
    if not found.key.startswith("?"):
        size = 0.0 if found.size is None else found.size / 1e9
        same = (k for k, given in presets().items() if given.get("base") == found.key and size in given.get("sizes", ()))
        return next(same, found.key)
    known = {key: machine(key) for key in several}
    size = found.size or 0.0
    fit = [key for key, one in known.items() if one.n_devices == 1 and abs(size / float(one.box) - 1) < 0.08]
    if len(fit) == 1 and all(one.n_devices == 1 for one in known.values()):
        return str(fit[0])
    said = [f"{key} ({one.n_devices * float(one.box) / 1e9:g} GB)" for key, one in known.items()]
    raise BadInput(f"{text!r} may be {_or(said)}; give one of them")


def _or(words: list[str]) -> str:
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]


SLICE = re.compile(r"\b\d+g\.\d+gb\b|\bmig\b", re.IGNORECASE)


def _sliced(text: str) -> None:
    """Refuse a part of a device (MIG) with the name of the whole."""
    whole = _find(SLICE.sub(" ", text), 3) if SLICE.search(text) else None
    if whole is not None:
        raise BadInput(f"{text!r} is a slice of a device, which is not described; give all of it: {whole[1].name}")


def _sold_in_sizes(key: str) -> bool:
    """Whether a computer with this chip is sold with less memory than it can have: the memory is the computer's."""
    given = _file(key) if key in _files() else presets()[key]
    described = _file(str(given["base"])) if "base" in given else given
    return described.get("host") == "unified"


def _entry(key: str) -> Machine:
    return described(key, _file(key) if key in _files() else presets()[key])


def described(key: str, given: Mapping[str, Any]) -> Machine:
    """The machine of what its file would hold: a device with its values, or a base with those that differ."""
    if "base" in given:
        return _derived(key, given)
    return build_machine(key, given, table("fabrics.toml"), table("tiers.toml"))


def device(key: str) -> Machine:
    """One device by its exact key, as its data file describes it."""
    return described(key, _read(_files()[key]))


def _derived(key: str, given: Mapping[str, Any], files: Mapping[str, Path] | None = None) -> Machine:
    """A machine described by another: its base, how many, and the values that differ."""
    base, files = str(given["base"]), _files() if files is None else files
    if base not in files or "base" in _read(files[base]):
        raise unknown(f"base of machine {key!r}", base, [k for k in files if "base" not in _read(files[k])])
    one = described(base, _read(files[base]))
    for field in given.get("set", {}):
        if field not in DIMENSIONS:
            raise unknown(f"value set by machine {key!r}", field, DIMENSIONS)
    source = given.get("source", {})
    named = Source(text=source.get("text", ""), date=source.get("date", ""), verified=source.get("verified", True))
    changed: dict[str, Any] = {f: quantity(v, f, key) for f, v in given.get("set", {}).items()}
    values, sources = sized(changed, {**one.sources, **dict.fromkeys(changed, named)}, one.memory_type, one.vendor)
    found = replace(
        one,
        name=key,
        n_devices=quantity(given.get("n_devices", 1), "n_devices", key),
        notes=(*one.notes, *given.get("notes", ())),
        sources=sources,
        **values,
    )
    return reprice(found, given["price"], table("tiers.toml")) if "price" in given else found


def machines() -> tuple[Listing, ...]:
    """Every device and preset of the catalogue, with one line about each."""
    found = [Listing(name=key, summary=_summary(machine(key))) for key in _files()]
    return (*found, *(Listing(name=key, summary=_summary(machine(key))) for key in presets()))


def _summary(m: Machine) -> str:
    count = f"{m.n_devices:g} x " if m.n_devices > 1 else ""
    price = f"${m.price_per_hour:.2f}/h {m.price_kind}" if m.price_kind != "none" else "no price known"
    return f"{count}{m.accelerator}, {float(m.box) / 1e9:g} GB at {float(m.hbm_bandwidth) / 1e12:g} TB/s, domain {m.domain:g}, {price}"


def presets() -> Mapping[str, Any]:
    """The packaged presets as their file has them: base, n_devices, and the values that differ."""
    return table("presets.toml")


def devices() -> tuple[str, ...]:
    """The keys of all devices, the user's included."""
    return tuple(_files())


def _files() -> Mapping[str, Path]:
    """Keys of all devices and their files; the user's come last and win, and broken ones are left out."""
    files = user_files(home() / "machines", "toml")
    if not files:
        return _packaged()
    good, bad = _own_machines(files)
    for path, reason in bad.items():
        leave_out(path, reason)
    return _packaged() | good


@functools.cache
def _own_machines(files: Found) -> tuple[dict[str, Path], dict[Path, str]]:
    """The user's machines that can be built, and those that cannot with the reason; bases before what they carry."""
    good, bad, derived = dict[str, Path](), dict[Path, str](), dict[str, Path]()
    for path, _ in files:
        try:
            if "base" in _read(path):
                derived[path.stem] = path
            else:
                described(path.stem, _read(path))
                good[path.stem] = path
        except BadInput as error:
            bad[path] = str(error)
    bases = _packaged() | good
    for key, path in derived.items():
        try:
            _derived(key, _read(path), bases)
            good[key] = path
        except BadInput as error:
            bad[path] = str(error)
    return good, bad


@functools.cache
def _packaged() -> dict[str, Path]:
    """Every packaged device; a card is a line of a table, and its path is the table's with its key."""
    files = {p.stem: p for p in (FACTS / "accelerators").glob("*.toml")} | {key: CARDS / key for key in cards.known()}
    return dict(sorted(files.items()))


def _file(key: str) -> Mapping[str, Any]:
    return _read(_files()[key])


def _read(path: Path) -> Mapping[str, Any]:
    if path.parent == CARDS:
        return cards.described(path.name)
    if path.parent == FACTS / "accelerators":
        return parsed(path, 0)
    given = parsed(path, changed(path))
    check_machine(str(path), given)
    return given


def _aliases() -> Mapping[frozenset[str], str]:
    """Every alias of every device and preset as a set of words; "?" before a name that several bear."""
    own = {key: path for key, path in _files().items() if key not in _packaged()}
    if not own:
        return _spelt()
    found = dict(_spelt())
    for key in own:
        _add(found, key, (key, *_file(key).get("aliases", ())))
    return found


@functools.cache
def _spelt() -> Mapping[frozenset[str], str]:
    found: dict[frozenset[str], str] = {}
    for key, path in _packaged().items():
        _add(found, key, (key, *(cards.spellings(key) if path.parent == CARDS else _aliases_in(path))))
    for key, given in presets().items():
        _add(found, key, (key, *given.get("aliases", ())))
    for name in table("names.toml")["machine"]["several"]:
        _add(found, f"?{name}", (name,))
    return found


def _aliases_in(path: Path) -> Iterable[str]:
    """The aliases of a packaged file, from their line alone: all files are looked through for a spelling."""
    text = read_text(path, give="give a TOML file of a machine")
    line = next((line for line in text.splitlines() if line.startswith("aliases")), "aliases = []")
    found: Iterable[str] = tomllib.loads(line)["aliases"]
    return found


def _add(found: dict[frozenset[str], str], key: str, spellings: Iterable[str]) -> None:
    for spelling in spellings:
        found[frozenset(words(spelling))] = key


def _why_left_out(key: str) -> None:
    """Say what is wrong with the user's machine of this name, where its file was left out."""
    for path, reason in _own_machines(user_files(home() / "machines", "toml"))[1].items():
        if path.stem == key:
            raise BadInput(reason if str(path) in reason else f"{path}: {reason}")
