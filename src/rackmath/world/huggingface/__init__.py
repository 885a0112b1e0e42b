"""Hugging Face config.json to our own model description, by a row of key names for each family.

    model = read_model("path/to/config.json")

`describe` turns the raw keys into the mapping documented in `rackmath.world.description`; `build` there turns it
into a `Model`. A new family is a row of `data/facts/families.toml` (`table`, `byrow`), or of a user's file (`rows`).
What no row can say is a function decorated with `@family("model_type", "ArchitectureName")` in a module here.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import BadInput, did_you_mean, shown
from ...files import CONFIG, parse_json, read_text
from ..description import build
from ..model import Model
from .beside import BESIDE, section_of
from .byrow import read
from .config import Config, group_layers
from .context import context_limit
from .nearest import MOST_NAMED, nearest
from .quantization import read_precision
from .registry import FAMILIES, Family, family
from .rows import chosen
from .table import FamilyTable, packaged

__all__ = ["Config", "describe", "families", "family", "group_layers", "load_json", "read_model"]

_TEXT = ("thinker_config", "text_config", "llm_config", "language_config", "decoder", "decoder_config")
_BESIDE = {
    "vision_config": "vision encoder",
    "vq_config": "image tokenizer",
    "audio_config": "audio encoder",
    "audio_encoder_config": "audio encoder",
    "encoder_config": "speech encoder",
    "codec_config": "audio codec",
    "acoustic_tokenizer_encoder_config": "audio encoder",
    "depth_decoder_config": "depth decoder",
    "talker_config": "talker",
    "token2wav_config": "vocoder",
    "code2wav_config": "vocoder",
}
"""Sections of what stands beside a text model, and what each is."""


@functools.cache
def families() -> dict[str, Family]:
    """Every family this package reads, by `model_type` and by architecture."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for name, row in packaged().named.items():
        FAMILIES.setdefault(name, functools.partial(_by_row, packaged(), row))
    return FAMILIES


def _by_row(table: FamilyTable, row: str, config: Config) -> dict[str, Any]:
    return read(table.row(row), config)


def describe(config: Mapping[str, Any], *, name: str, quant: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Our description of the (text) model a config.json describes.

    `quant` is the section of a separate file, such as hf_quant_config.json, where the publisher ships one; it
    completes the config's own `quantization_config`.
    """
    if not isinstance(config, Mapping):
        raise BadInput(f"{name}: a config is a JSON object, not {shown(config)}")
    outer = Config(config, name)
    text = Config(_innermost(config), name)
    found, reader = _reader(text, outer)
    description: dict[str, Any] = {"name": name, "family": found, **reader(text)}
    context = context_limit(text)
    if context and "max_context" not in description:
        description["max_context"] = context
    precision, remarks = read_precision(outer, text, description, quant)
    description["precision"] = {**description.get("precision", {}), **precision}
    notes = [*description.get("notes", ()), *remarks]
    notes += _beside(config)
    description["notes"] = notes
    return description


def read_model(source: str | Path | Mapping[str, Any], name: str | None = None) -> Model:
    """The model a config.json describes, from its path (or its folder), or from the parsed object.

    Beside the file, `hf_quant_config.json` (or `<stem>_hf_quant_config.json`) is read where it exists, and so are
    the files of other tools in `beside.BESIDE`.
    """
    if isinstance(source, Mapping):
        return build(describe(source, name=name or "model"))
    path = Path(source)
    path = path / "config.json" if path.is_dir() else path
    named = name or (path.absolute().parent.name if path.name == "config.json" else path.stem.replace("--", "/"))
    return build(describe(load_json(path), name=named, quant=_sibling(path)))


def load_json(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; anything else is one clear `BadInput`."""
    found = parse_json(read_text(path, most=CONFIG, give="give the path of a config.json"), path.name)
    if not isinstance(found, Mapping):
        raise BadInput(f"{path.name} holds {shown(found)}, not a JSON object; give the path of a config.json")
    return found


def _sibling(path: Path) -> Mapping[str, Any] | None:
    """The quantisation section a tool wrote beside the config, under its own name or after the config's."""
    for beside in BESIDE:
        quant = path.with_name(f"{beside}.json" if path.name == "config.json" else f"{path.stem}_{beside}.json")
        if quant.is_file():
            return section_of(beside, load_json(quant))
    return None


def _beside(config: Mapping[str, Any]) -> list[str]:
    """What stands beside the text model, which is not costed."""
    levels = [config, *(config[key] for key in ("thinker_config",) if isinstance(config.get(key), Mapping))]
    listed = [word for level in levels for key, word in _BESIDE.items() if isinstance(level.get(key), Mapping)]
    found = list(dict.fromkeys(listed))
    if not found:
        whole = any(isinstance(level.get(key), Mapping) for level in levels for key in _TEXT)
        return ["what stands beside the text model is not costed; image tokens count as input"] if whole else []
    kinds = [kind for kind in ("image", "audio") if any((kind == "image") is _sees(word) for word in found)]
    named = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    return [f"the {named} {'is' if len(found) == 1 else 'are'} not costed; {' and '.join(kinds)} tokens count as input"]


def _sees(word: str) -> bool:
    return word.startswith(("vision", "image"))


def _innermost(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model's section, or the config itself; whether its head is its embedding the object around it says."""
    for _ in _TEXT:
        key = next((k for k in _TEXT if isinstance(config.get(k), Mapping)), None)
        if key is None:
            break
        said = config.get("tie_word_embeddings")
        config = config[key] if said is None else {**config[key], "tie_word_embeddings": said}
    return config


def _reader(text: Config, outer: Config) -> tuple[str, Family]:
    known = families()
    own = chosen()
    if own is not None:
        known = {**known, **{name: functools.partial(_by_row, own, row) for name, row in own.named.items()}}
    for given in _names(outer):  # what is refused as a whole is refused with any text model inside
        row = packaged().named.get(given)
        if row is not None and "refused" in packaged().own(row) and (own is None or given not in own.named):
            return given, known[given]
    seen: list[str] = []
    for config in (text, outer):
        for given in _names(config):
            if given in known:
                return given, known[given]
            seen.append(given)
    if not seen:
        raise BadInput(f"{outer.name}: the config names neither 'model_type' nor 'architectures'; {_BY_HAND}")
    names = " / ".join(dict.fromkeys(n[:60] for n in seen))
    raise BadInput(f"{outer.name}: no reader for the family {names}{_nearest(text, seen[-1], known)}; {_BY_HAND}")


def _names(config: Config) -> list[str]:
    """What a config calls its family, the most particular first."""
    architectures = config.raw.get("architectures")
    named = [*(architectures if isinstance(architectures, list) else ()), config.raw.get("model_type")]
    return [name for name in named if isinstance(name, str)]


def _nearest(text: Config, name: str, known: Mapping[str, Family]) -> str:
    """What is known that is nearest: by the config's keys, else by the name."""
    found = nearest(text.raw)
    if found is None:
        return did_you_mean(name, known)
    row, differ = found
    if not differ:
        return f"; by its keys it is like {row}: if its layers are, say so in a row with like = '{row}' (--family)"
    more = len(differ) - MOST_NAMED
    listed = ", ".join(key[:40] for key in differ[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"; the nearest known is {row}, which has no {listed}"


_BY_HAND = "give a row of key names (--family) or describe the model by hand instead (docs/concepts/models.md)"
