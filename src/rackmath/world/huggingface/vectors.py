"""Methods that store vectors by their number in a table, whose size matters: AQLM, VPTQ, QuIP#; and SpQR."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .config import Config
from .methods import modules_of
from .modules import Modules
from .scheme import Form, Override, Scheme, Shaped, bits_of

Row = Mapping[str, Any]
_MOST = 2**24


def aqlm(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """Codes of groups of weights; codebooks of 16 bits per matrix and a scale of 16 bits per group of outputs."""
    books, bits = (given.count("num_codebooks", default=1, most=64), given.count("nbits_per_codebook", default=16, most=24))
    d_in, d_out = (given.count("in_group_size", default=8, most=1024), given.count("out_group_size", default=1, most=1024))
    found = Shaped(bits=books * bits / (d_in * d_out), row=16 / d_out, matrix=float(books * 2**bits * d_in * d_out * 16))
    return Scheme(default=found, skipped=skipped)


def vptq(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """Indexes of centroids and residuals; centroids of 16 bits per matrix; scale, bias and order per input."""
    by_form: defaultdict[Form, list[str]] = defaultdict(list)
    for key in ("config_for_layers", "shared_layer_config"):
        layers = given.section(key)
        for module in layers.raw if layers else ():
            one = layers.section(module) if layers else None
            if one is not None:
                by_form[_vectors(one)].append(module)
    if not by_form:
        raise given.bad("config_for_layers", None, "describes no layer; correct the config")
    groups: tuple[Override, ...] = tuple((f, modules_of(given, of, n_layers)) for f, of in by_form.items())
    return Scheme(groups=groups, skipped=skipped)


def _vectors(one: Config) -> Shaped:
    (short, length), (few, many), (rest_few, rest) = (_pair(one, key) for key in ("vector_lens", "num_centroids", "num_res_centroids"))
    if length < 1 or many < 1:
        raise one.bad("vector_lens", one.raw.get("vector_lens"), "has no vectors to look up; correct the config")
    index = math.log2(many) + (math.log2(rest) if rest > 0 else 0.0)
    tables = one.count("group_num", default=1, most=4096)
    matrix = 16.0 * tables * length * (many + max(0, rest))
    column = 32.0 * one.flag("enable_norm", default=True) + 16.0 * one.flag("enable_perm", default=True)
    outliers = one.maybe("outlier_size", most=10**6) or 0
    row = 0.0
    if outliers and few > 0 and short > 0:  # columns kept apart, with a table of their own
        own = math.log2(few) + (math.log2(rest_few) if rest_few > 0 else 0.0)
        row = outliers * (own / short - index / length)
        matrix += 16.0 * short * (few + max(0, rest_few))
    return Shaped(bits=index / length, row=row, column=column, matrix=matrix)


def _pair(one: Config, key: str) -> tuple[int, int]:
    found = one.items(key) or [-1, -1]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and -1 <= n <= _MOST for n in found)
    if len(found) != 2 or not whole:
        raise one.bad(key, found, "is not a pair of whole numbers; correct the config")
    return found[0], found[1]


_SHAPE = re.compile(r"(.+)\.(dense_weights|row_offsets|col_vals|in_perm)\.shape")
_ENTRY = {"dense_weights": 64.0, "row_offsets": 32.0, "col_vals": 32.0, "in_perm": 16.0}


def spqr(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """64 bits for 16 weights, both levels of scales in them; 32 for every outlier, as far as `shapes` lists them."""
    bits_of(given, "bits", default=3)
    shapes = given.section("shapes")
    total: defaultdict[str, float] = defaultdict(float)
    for name in shapes.raw if shapes else ():
        match = _SHAPE.fullmatch(name)
        if match is None or shapes is None:
            continue
        value = shapes.raw[name]
        entries = value if not isinstance(value, list) else math.prod(v for v in value if isinstance(v, int))
        if isinstance(entries, bool) or not isinstance(entries, int) or not 0 <= entries < 2**40:
            raise given.bad(f"shapes: {name[:60]}", value, "is not a number of entries; correct the config")
        total[match[2]] += entries * _ENTRY[match[2]]
    if not total["dense_weights"]:
        return Scheme(default="w4a16_c", skipped=skipped, notes=("SpQR's outliers are not listed and left out",))
    bits = 4.0 * sum(total.values()) / total["dense_weights"]
    return Scheme(default=f"w{min(16.0, bits):.6g}a16_c", skipped=skipped)


_BOOKS = {"e8p12": 2.0, "e8p12rvq3b": 3.0, "e8p12rvq4b": 4.0, "d4": 2.0, "hi": 4.0}


def quip(given: Config, n_layers: int, skipped: Modules, row: Row) -> Scheme:
    """QuIP#: bits by codebook, and the signs that turn rows and columns, of 16 bits."""
    name = given.text("codebook", default="E8P12").lower()
    if name not in _BOOKS:
        raise given.bad("codebook", name, "is not one with a known number of bits; name the precision yourself")
    return Scheme(default=Shaped(bits=_BOOKS[name], row=16, column=16), skipped=skipped)
