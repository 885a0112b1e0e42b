"""The catalogue: machines and models by name, from the packaged data files and the user's own.

A user's files lie in $RACKMATH_HOME (or ~/.config/rackmath): machines/*.toml and models/*.toml, in the same form as
the packaged ones; they win over packaged entries of the same name.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import BadInput, shown, unknown
from ..files import parse_toml, read_text
from .description import build
from .machine import Machine, Source
from .meaning import not_found
from .model import Model
from .modelnames import forms, in_format, known_forms
from .names import Match, counts, match_machine, slug, words
from .overlay import Found, changed, check_machine, leave_out
from .overlay import found as user_files
from .override import override as override
from .spec import DIMENSIONS, build_machine, quantity, reprice, sized
from .spec import priced as priced

MOST_DEVICES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One line of a listing."""

    name: str
    summary: str


def home() -> Path:
    """The user's own directory of machines and models."""
    given = os.environ.get("RACKMATH_HOME")
    return Path(given or os.path.expanduser("~/.config/rackmath"))


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
        _why_left_out(slug(name), "machines")
        raise not_found("machine", "machine", name, [*_files(), *presets()], hint="; rackmath machines lists all")
    count, one = found
    total = count * one.n_devices
    if not 1 <= total <= MOST_DEVICES:
        raise BadInput(f"{name!r} is {total:g} devices; give from 1 to {MOST_DEVICES:,}")
    return one if count == 1 else replace(one, name=f"{count}x{one.name}", n_devices=float(total))


def _find(text: str, depth: int) -> tuple[int, Machine] | None:
    """A count and a machine for a spelling: an exact name, then a count of something, then the aliases."""
    key = slug(text)
    if key in presets() or key in _files():
        return 1, _entry(key)
    for count, rest in counts(text):  # before the aliases: it opens no other file
        if slug(rest) in presets() or slug(rest) in _files():
            return count, _entry(slug(rest))
    found = match_machine(text, _aliases(), _toml("names.toml")["machine"])
    if found is not None:
        reading = _slice(text, found)
        if reading is not None:
            return reading
    if depth > 3:
        return None
    for count, rest in counts(text):
        inner = _find(rest, depth + 1)
        if inner is not None:
            return count * inner[0], inner[1]
    bare = text.partition("(")[0].strip()
    return _find(bare, depth + 1) if "(" in text and bare else None


def _slice(text: str, found: Match) -> tuple[int, Machine] | None:
    """The count and machine a match means; None where it leaves a number without a meaning."""
    one = _entry(found.key)
    if found.size is not None and _sold_in_sizes(found.key) and found.size < float(one.box):
        values, sources = sized({"hbm_nominal": found.size}, one.sources, one.memory_type, one.vendor)
        one = replace(one, **values, sources=sources)
    if found.size is not None and abs(found.size / float(one.box) - 1) > 0.15:
        raise BadInput(
            f"{text!r} names {found.size / 1e9:g} GB, but the {one.accelerator} known has "
            f"{float(one.box) / 1e9:g} GB; name it {found.key} and set machine.hbm_capacity"
        )
    if found.chips is not None:
        return found.chips, one
    if found.cores is None:
        return 1, one
    unit = _file(found.key).get("slice_unit") if found.key in _files() else None
    return None if not unit or found.cores % unit else (found.cores // unit, one)


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
    return build_machine(key, given, _toml("fabrics.toml"), _toml("tiers.toml"))


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
    return reprice(found, given["price"], _toml("tiers.toml")) if "price" in given else found


def model(name: str | Path) -> Model:
    """The model with this name, or the one a file describes: a config.json, its folder, a .gguf, or our own TOML.

    A number format in the name ("nvidia/DeepSeek-R1-FP4") sets the weights where that checkpoint itself is unknown.

    >>> model("deepseek-ai/DeepSeek-V3").n_layers
    61
    >>> model("amd/DeepSeek-R1-0528-MXFP4-Preview").precision.experts.name
    'mxfp4'
    """
    text = str(name)
    if not text.strip() or len(text) > 4096 or "\0" in text:
        raise BadInput(f"{shown(text)} is not the name of a model; give one like deepseek-ai/DeepSeek-V3")
    if text in _model_lines():
        return _named_model(text)
    path = Path(text)
    if path.suffix.lower() in (".json", ".toml", ".gguf") or path.is_dir():
        return _described(path)[0]
    exact, number_format = find_model(text)
    found = _named_model(exact)
    return build(in_format(found, number_format)) if number_format else found


def find_model(text: str) -> tuple[str, str | None]:
    """The catalogue's name for a spelling, and the number format it asks for beyond that entry's own.

    >>> find_model("/models/DeepSeek-R1"), find_model("meta-llama/Llama-3.1-8B-Instruct-FP8")
    (('deepseek-ai/DeepSeek-R1', None), ('meta-llama/Llama-3.1-8B-Instruct', 'fp8'))
    """
    words, names = _toml("names.toml")["model"], _model_lines()
    table = known_forms(names, words["aliases"], words)
    for form in forms(text, words):
        if form.format is not None and f"{form.key}:{form.format}" in table:
            return table[f"{form.key}:{form.format}"], None
        if form.key in table:
            return table[form.key], form.format
    short = {name.rpartition("/")[2] for name in names}
    _why_left_out(text, "models")
    raise not_found(
        "model", "model", text, [*names, *short], hint="; rackmath models lists all, or give a config.json"
    )


def models() -> tuple[Listing, ...]:
    """Every model of the catalogue and of the user, with one line about each."""
    found = []
    lines = _model_lines()
    twice = {at.stem for name, at in lines.items() if isinstance(at, Path) and name != at.stem}
    for name in sorted((name for name in lines if name not in twice), key=str.lower):
        given = _description(name)
        layers = sum(group.get("count", 1) for group in given["groups"])
        shape = f"{layers} layers, {given['d_model']} wide"
        moe = next((g["ffn"] for g in given["groups"] if (g.get("ffn") or {}).get("kind") == "moe"), None)
        experts = f", {moe['top_k']} of {moe['n_experts']} experts" if moe else ""
        formats = "/".join(sorted(set(given.get("precision", {}).values()) - {"bf16"}))
        found.append(Listing(name=name, summary=f"{shape}{experts}{f', {formats}' if formats else ''}"))
    return tuple(found)


def _described(path: Path) -> tuple[Model, bool]:
    """A model from a file, and whether that is a description of our own."""
    from .gguf_model import read_gguf
    from .huggingface import load_json, read_model

    ending = path.suffix.lower()
    if ending == ".gguf":
        return read_gguf(path), False
    if path.is_dir() and ending not in (".toml", ".json"):
        return read_model(path), False
    given = _parsed(path, changed(path)) if ending == ".toml" else load_json(path)
    inside = given.get("description")
    if "groups" not in given and isinstance(inside, dict) and "groups" in inside:
        given = inside  # what `rackmath models NAME --json` prints
    if "groups" in given:
        return build(given), True
    if ending == ".toml":
        raise BadInput(
            f"{path.name} describes no groups of layers; see docs/concepts/models.md for what a model file needs"
        )
    return read_model(path), False


def _model_lines() -> Mapping[str, str | Path]:
    """Names of all models, with the line or the file that describes each; the user's come last and win.

    A user's file is found by the `name` inside it and by its own name without the ending.
    """
    good, bad = _own_models(user_files(home() / "models", "toml", "json"))
    for path, reason in bad.items():
        leave_out(path, reason)
    inside = {name: path for path, name in good.items() if name}
    return {**_packaged_models(), **inside, **{p.stem: p for p in good}}


@functools.cache
def _own_models(files: Found) -> tuple[dict[Path, str], dict[Path, str]]:
    """The user's descriptions with the `name` inside each, and those that cannot be read with the reason."""
    good, bad = dict[Path, str](), dict[Path, str]()
    for path, _ in files:
        try:
            found, own = _described(path)
        except BadInput as error:
            bad[path] = str(error)
        else:
            good[path] = found.name if own else ""
    return good, bad


def _why_left_out(key: str, folder: str) -> None:
    """Say what is wrong with the user's file of this name, where one was left out."""
    files = user_files(home() / folder, *(("toml",) if folder == "machines" else ("toml", "json")))
    bad = _own_machines(files)[1] if folder == "machines" else _own_models(files)[1]
    for path, reason in bad.items():
        if path.stem == key:
            raise BadInput(reason if str(path) in reason else f"{path}: {reason}")


def _named_model(name: str) -> Model:
    """A model by its exact name, with a note where a user's file stands in for a packaged one."""
    found, at = build(_description(name)), _model_lines()[name]
    if isinstance(at, Path) and name in _packaged_models():
        return replace(found, notes=(*found.notes, f"{at} takes the place of the packaged description"))
    return found


@functools.cache
def _packaged_models() -> dict[str, str]:
    start = len('{"name":"')
    lines = (shipped.FACTS / "models.jsonl").read_text(encoding="utf-8").splitlines()
    return {line[start : line.index('"', start)]: line for line in lines}


def _description(name: str) -> Mapping[str, Any]:
    found = _model_lines()[name]
    if isinstance(found, Path):
        return _described(found)[0].description
    given: Mapping[str, Any] = json.loads(found)
    return given


def machines() -> tuple[Listing, ...]:
    """Every device and preset of the catalogue, with one line about each."""
    found = [Listing(name=key, summary=_summary(machine(key))) for key in _files()]
    return (*found, *(Listing(name=key, summary=_summary(machine(key))) for key in presets()))


def _summary(m: Machine) -> str:
    count = f"{m.n_devices:g} x " if m.n_devices > 1 else ""
    price = f"${m.price_per_hour:.2f}/h {m.price_kind}" if m.price_kind != "none" else "no price known"
    return (
        f"{count}{m.accelerator}, {float(m.box) / 1e9:g} GB at {float(m.hbm_bandwidth) / 1e12:g} TB/s, "
        f"domain {m.domain:g}, {price}"
    )


@functools.cache
def _toml(name: str) -> Mapping[str, Any]:
    return shipped.read(shipped.FACTS / name)


def presets() -> Mapping[str, Any]:
    """The packaged presets as their file has them: base, n_devices, and the values that differ."""
    return _toml("presets.toml")


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
    return {p.stem: p for p in sorted((shipped.FACTS / "accelerators").glob("*.toml"))}


def _file(key: str) -> Mapping[str, Any]:
    return _read(_files()[key])


def _read(path: Path) -> Mapping[str, Any]:
    if path.parent == shipped.FACTS / "accelerators":
        return _parsed(path, 0)
    given = _parsed(path, changed(path))
    check_machine(str(path), given)
    return given


@functools.cache
def _parsed(path: Path, changed: int) -> Mapping[str, Any]:
    return parse_toml(read_text(path, give="give a TOML file of a model or machine"), str(path))


def _aliases() -> Mapping[frozenset[str], str]:
    """Every alias of every device and preset as a set of words."""
    found: dict[frozenset[str], str] = {}
    for key in _files():
        _add(found, key, (key, *_file(key).get("aliases", ())))
    for key, given in presets().items():
        _add(found, key, (key, *given.get("aliases", ())))
    return found


def _add(found: dict[frozenset[str], str], key: str, spellings: Iterable[str]) -> None:
    for spelling in spellings:
        found[frozenset(words(spelling))] = key
