"""What a quantisation section says, by the tool that wrote it: formats, and the modules they are said of.

Every tool states the same facts in another way: a default format of linear layers, the modules kept out of it, and
the modules given another one. What a method stores is a row of `data/facts/quantization.toml`. A key that is neither
read nor known to change nothing about bytes is named in a note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...errors import BadInput, did_you_mean
from .compressed import compressed_tensors, tensor
from .config import Config
from .methods import FACTS, METHODS, fp8, modules_of
from .modules import Modules
from .scheme import Override, Scheme, stored, unread
from .tools import READERS, plain

SKIPPED: tuple[str, ...] = tuple(FACTS["keys"]["skipped"])
NO_BYTES = frozenset(FACTS["keys"]["no_bytes"]) | set(SKIPPED)


def read_scheme(given: Config, n_layers: int) -> Scheme:
    """The scheme a quantisation section describes."""
    method, algorithm = given.text("quant_method").lower(), given.text("quant_algo").lower()
    skipped = modules_of(given, _names(given), n_layers)
    row = METHODS.get(_key(method), {})
    known = set(row.get("keys", ()))
    if row.get("reads") == "mlx":  # its overrides stand beside its own keys
        known |= {key for key in given.raw if "." in key} | {"lm_head", "embed_tokens"}
    listed = given.section("quantized_layers")
    if listed is not None:
        scheme = _listed(given, listed, n_layers, method, skipped)
    elif algorithm and algorithm != "mixed_precision":
        scheme = Scheme(default=_algorithm(given, algorithm), skipped=skipped)
    elif given.has("config_groups") or given.has("sparsity_config") or _key(method) == "compressed-tensors":
        scheme = compressed_tensors(given, n_layers, skipped)
        known |= {"sparsity_config", "transform_config"}
    elif row:
        scheme = READERS.get(str(row.get("reads")), plain)(given, n_layers, skipped, row)
    else:
        scheme = Scheme(default=_algorithm(given, method), skipped=skipped)
    experts = given.text("moe_quant_algo").lower()  # experts beside a default
    if experts:
        known.add("moe_quant_algo")
        scheme = replace(scheme, experts=_algorithm(given, experts))
    return replace(scheme, notes=(*scheme.notes, *unread(given, NO_BYTES | known)))


def cache_format(given: Config) -> str | None:
    """The format of the cache, where one is named."""
    scheme = given.raw.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return tensor(Config(scheme, f"{given.name}: kv_cache_scheme"), act="8")
    name = given.text("kv_cache_quant_algo", "kv_cache_scheme", "static_kv_dtype").lower().removeprefix("torch.")
    if name in ("static", "dynamic") or name.startswith(("float8", "fp8")):  # a word on how its scales are made
        return "fp8"
    if name in ("", "auto", "none", "bfloat16", "float16", "bf16", "fp16", "float32"):
        return _quark_cache(given) if not name else None
    found: str | None = FACTS["algorithms"].get(name.replace("-", "_"))
    if found is None:
        raise given.bad("kv_cache_scheme", name, "is no format of a cache that is known; correct it, or take it out")
    return found


def _quark_cache(given: Config) -> str | None:
    """Quark describes the outputs of key and value projections."""
    layers = given.raw.get("kv_cache_quant_config")
    for how in layers.values() if isinstance(layers, Mapping) else ():
        out = how.get("output_tensors") if isinstance(how, Mapping) else None
        dtype = out.get("dtype") if isinstance(out, Mapping) else None
        if isinstance(dtype, str):
            return "fp8" if dtype.startswith("fp8") else "int8" if dtype in ("int8", "uint8") else None
    return None


def _names(given: Config) -> Iterator[object]:
    for key in SKIPPED:
        yield from given.items(key) or ()


def _key(name: str) -> str:
    return name.replace("_", "-")


def _algorithm(given: Config, name: str) -> str:
    found: str | None = FACTS["algorithms"].get(name.replace("-", "_"))
    if found is None:
        near = did_you_mean(name[:40], [*METHODS, *FACTS["algorithms"]])
        raise BadInput(
            f"{given.name}: the quantisation {name[:40] or 'without a name'!r} is not known{near}; remove "
            "the section and name the precision yourself"
        )
    group = given.maybe("group_size", least=-1, most=10**6)
    if found == "w4a16" and group is not None:
        return stored(4, group, zero=4 if given.flag("has_zero_point", default=False) else 0)
    return found


def _listed(given: Config, listed: Config, n_layers: int, method: str, skipped: Modules) -> Scheme:
    """modelopt's mixed precision: every quantised module by name, with its algorithm."""
    by_format: defaultdict[str, list[str]] = defaultdict(list)
    known: dict[tuple[str, Any], str] = {}
    for module, how in listed.raw.items():
        name = how.get("quant_algo") if isinstance(how, Mapping) else None
        if not isinstance(name, str):
            raise listed.bad(module[:60], how, "names no quant_algo; correct the config")
        key = name, str(how.get("group_size"))[:20]
        if key not in known:
            known[key] = _algorithm(Config(how, f"{listed.name}: {module[:60]}"), name.lower())
        by_format[known[key]].append(module)
    groups: tuple[Override, ...] = tuple((name, modules_of(given, of, n_layers)) for name, of in by_format.items())
    if method == "fp8":  # over a default of FP8 the exclusions are from the second format
        return Scheme(default=fp8(given), groups=groups)
    return Scheme(groups=groups, skipped=skipped)
