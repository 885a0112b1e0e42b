"""Spellings of models: paths, renamed organisations, number formats and tuning suffixes, brought to one model.

"amd/DeepSeek-R1-0528-MXFP4-Preview" is DeepSeek-R1 in MXFP4. A spelling is reduced step by step (path, number
format, tuning, dates and versions) and each form is looked up among the same forms of the known names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .gguf import mixture, mixtures
from .model import Model
from .precision import format_named

_FORMATS: tuple[tuple[str, str | None], ...] = (
    (r"nvfp4a16", "nvfp4_w4a16"),
    (r"nvfp4", "nvfp4"),
    (r"(?:unsloth-)?bnb-4bit", "nf4_double"),
    (r"(?:gptq|awq|autoround)-(?:int)?8(?:-?bit)?", "w8a16_g128"),
    (r"(?:gptq|awq|autoround)-(?:int)?3(?:-?bit)?", "w3a16_g128"),
    (r"(?:(?:gptq|awq|autoround)-(?:int)?4(?:-?bit)?|int4-(?:autoround|awq|gptq))(?:-g128)?", "w4a16"),
    (r"w4a16-g128", "w4a16"),
    (r"mx-?fp4", "mxfp4"),
    (r"mx-?fp8", "mxfp8"),
    *((name.replace("_", "-"), of) for name, of in mixtures()),
    (r"q4", "q4_0"),
    (r"(?:fp8-block|block-fp8)", "fp8_block"),
    (r"(?:w8a8-)?fp8", "fp8"),
    (r"(?:int4|awq|gptq|w4a16)", "w4a16"),
    (r"w4a8", "w4a8"),
    (r"(?:int8|w8a8)", "int8"),
    (r"(?:bf16|fp16|f16)", "bf16"),
    (r"fp4", None),  # NVFP4, or MXFP4 from AMD
    (r"(?:exl[23]-)?[1-8](?:\.\d{1,2})?bpw(?:-exl[23])?", None),  # ExLlama: bits of linear weights
    (r"[2-8]-?bit", None),  # MLX, or groups of 128
)
_FORMAT = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(f'(?P<f{i}>{p})' for i, (p, _) in enumerate(_FORMATS))})(?:-v\d)?(?![a-z0-9])")
_PACKING = re.compile(
    r"(?<![a-z0-9])(?:[\d.]+-gi?b|gguf|kv|weights|dynamic|static|pertensor|hf|config|preview|quantized|autoround)(?![a-z0-9])"
)
_LATE = re.compile(  # versions below 1, dates, context lengths, accuracy targets
    r"(?<![a-z0-9])(?:v0\.\d+|20\d{6}|2[3-9](?:0\d|1[0-2])|(?:0\d|1[0-2])[0-3]\d|\d+k|1m|99(?:\.9)?|exp)(?![a-z0-9.])"
)
_RUN = re.compile(  # how a training or inference run was laid out
    r"(?<![a-z0-9])(?:zb-\dp|1f1b(?:-i)?|ptd-p|zero-\d|tp\d+|inference-(?:prefill|decode)"
    r"|multiquery-sharded-over-(?:heads|batch)|one-transformer-layer)(?![a-z0-9])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """One form of a name to look up, and the number format that was taken off it, if any."""

    key: str
    format: str | None = None


def forms(text: str, ignored: Mapping[str, Iterable[str]]) -> Iterator[Spelling]:
    """The forms of a spelling, from the whole text to its barest.

    >>> words = {"makers": ["amd"], "tuning": ["instruct"]}
    >>> [s.key for s in forms("amd/DeepSeek-R1-0528-MXFP4-Preview", words)]
    ['amddeepseekr10528mxfp4preview', 'deepseekr10528mxfp4preview', 'deepseekr10528', 'deepseekr1']
    >>> list(forms("org/Llama-3.1-8B-Instruct-FP8", words))[-1]
    Spelling(key='llama3.18b', format='fp8')
    """
    seen: set[Spelling] = set()
    for spelling in _forms(text.lower().strip(), ignored):
        if spelling.key and spelling not in seen:
            seen.add(spelling)
            yield spelling


def _forms(text: str, ignored: Mapping[str, Iterable[str]]) -> Iterator[Spelling]:
    yield Spelling(key=_squeeze(text))
    flat = re.sub(r"[\s_]+", "-", re.sub(r"\([^)]*\)", " ", text).strip())
    last = flat.replace("--", "/").rstrip("/").rpartition("/")[2]
    yield Spelling(key=_squeeze(last))
    found: str | None = None
    for match in _FORMAT.finditer(last):
        index = next(i for i in range(len(_FORMATS)) if match.group(f"f{i}"))
        found = _FORMATS[index][1] or _by_maker(match.group(f"f{index}"), flat)
    bare = _RUN.sub("", _PACKING.sub("", _FORMAT.sub("", last)))
    makers = set(ignored["makers"])
    parts = [p for p in bare.split("-") if p]
    while len(parts) > 1 and parts[0] in makers:
        parts = parts[1:]
    yield Spelling(key=_squeeze("".join(parts)), format=found)
    tuning = set(ignored["tuning"])
    parts = [p for p in parts if p not in tuning]
    yield Spelling(key=_squeeze("".join(parts)), format=found)
    yield Spelling(key=_squeeze(_LATE.sub("", "-".join(parts))), format=found)


def _by_maker(word: str, name: str) -> str:
    """The format of a word whose meaning depends on who made the checkpoint.

    >>> [_by_maker(*of) for of in (("fp4", "amd/x"), ("4.65bpw", "x"), ("4bit", "mlx-community/x"), ("8bit", "x"))]
    ['mxfp4', 'w4.65a16_c', 'mlx_4bit', 'w8a16_g128']
    """
    if word == "fp4":
        return "mxfp4" if re.match(r"amd[/-]", name) else "nvfp4"
    if "bpw" in word:
        return f"w{float(re.sub(r'-?exl[23]-?|bpw', '', word)):g}a16_c"
    bits = word[0]
    if name.startswith("mlx-community") and mixture(f"mlx_{bits}bit"):
        return f"mlx_{bits}bit"
    return "w4a16" if bits == "4" else f"w{bits}a16_g128"


def _squeeze(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "", text.lower()).strip(".")


def known_forms(names: Iterable[str], aliases: Mapping[str, str], ignored: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Every form of every known name, to that name. Longer forms and names without a number format go first."""
    table = {_squeeze(alias): name for alias, name in aliases.items()}
    listed = [(name, list(forms(name, ignored))) for name in names]
    for level in range(5):
        for plain in (True, False):
            for name, spellings in listed:
                if level < len(spellings) and plain == (spellings[-1].format is None):
                    spelling = spellings[level]
                    suffix = "" if plain or level < 2 else f":{spelling.format}"
                    table.setdefault(spelling.key + suffix, name)
    return table


def in_format(model: Model, name: str) -> dict[str, Any]:
    """The description of a model with its weights in another number format, as a quantised checkpoint has them.

    In a mixture of experts a 4-bit format that is multiplied as such (NVFP4, MXFP4, W4A8) is taken for experts and
    MLPs, and attention stays as published; everything else (AWQ, GPTQ, bitsandbytes) goes to all linear layers.
    Embeddings, head and router stay as published; a GGUF file has its own mixture for everything.
    """
    if mixture(name):
        return {**model.description, "precision": {"file": name}}
    form = format_named(name)
    four_bit = form.bytes < 0.75 and (form.compute != "bf16" or name == "nvfp4_w4a16")
    routed = any(group.ffn is not None and group.ffn.n_experts for group in model.groups)
    parts = ("mlp", "experts", "shared_experts") if four_bit and routed else ("attention", "mlp", "experts", "shared_experts")
    given = dict(model.description.get("precision", {}))
    given.pop("name", None)
    if any(published.split("_")[0] == name for published in given.values()):
        return dict(model.description)  # published in this format already, if not in every part
    note = f"weights in {name}, read from the model's name: no config of that checkpoint is known"
    return {**model.description, "precision": {**given, **dict.fromkeys(parts, name)}, "notes": [*model.notes, note]}
