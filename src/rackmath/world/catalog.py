"""The catalogue: machines and models by name, from the packaged data files and the user's own.

A user's files lie in $RACKMATH_HOME (or ~/.config/rackmath): machines/*.toml and models/*.toml, in the same form as
the packaged ones; they win over packaged entries of the same name.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import shipped
from ..errors import BadInput, shown
from .description import build
from .machines import described as described
from .machines import device as device
from .machines import devices as devices
from .machines import machine as machine
from .machines import machines as machines
from .machines import presets as presets
from .meaning import not_found
from .model import Model
from .modelnames import forms, in_format, known_forms
from .overlay import Found, changed, leave_out
from .overlay import found as user_files
from .override import override as override
from .shelf import Listing as Listing
from .shelf import home as home
from .shelf import parsed, table
from .spec import priced as priced


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
    words, names = table("names.toml")["model"], _model_lines()
    known = known_forms(names, words["aliases"], words)
    for form in forms(text, words):
        if form.format is not None and f"{form.key}:{form.format}" in known:
            return known[f"{form.key}:{form.format}"], None
        if form.key in known:
            return known[form.key], form.format
    short = {name.rpartition("/")[2] for name in names}
    _why_left_out(text)
    raise not_found("model", "model", text, [*names, *short], hint="; rackmath models lists all, or give a config.json")


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
    from .gguf_model import in_folder, read_gguf
    from .huggingface import load_json, read_model

    ending = path.suffix.lower()
    if ending == ".gguf":
        return read_gguf(path), False
    if path.is_dir() and ending not in (".toml", ".json"):
        file = in_folder(path)
        return read_gguf(file) if file else read_model(path), False
    given = parsed(path, changed(path)) if ending == ".toml" else load_json(path)
    inside = given.get("description")
    if "groups" not in given and isinstance(inside, dict) and "groups" in inside:
        given = inside  # what `rackmath models NAME --json` prints
    if "groups" in given:
        return build(given), True
    if ending == ".toml":
        raise BadInput(f"{path.name} describes no groups of layers; see docs/concepts/models.md for what a model file needs")
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


def _why_left_out(key: str) -> None:
    """Say what is wrong with the user's model of this name, where its file was left out."""
    for path, reason in _own_models(user_files(home() / "models", "toml", "json"))[1].items():
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
