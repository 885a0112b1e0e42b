"""A user's own families: rows of key names in a TOML file, checked as a whole before any is used.

[my-model]
names = ["my_model", "MyModelForCausalLM"]
like = "llama"
attention = { qk_norm = "head" }
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ...errors import BadInput, shown, unknown
from ...files import parse_toml, read_text
from ..blocks import FFNS, MIXERS
from .formulas import compiled
from .table import RESERVED, FamilyTable, packaged

_TEXTS = ("about", "refused")
_LISTS = ("names", "notes", "listed")
_FLAGS = ("alone", "repeats", "head_if_untied")
_FORMULAS = (
    "layers",
    "norms",
    "norm_extra",
    "final_norms",
    "final_extra",
    "embedding",
    "head",
    "vocab",
    "routed",
    "draft",
    "tied",
    "times",
    "shared_norms",
)
_SECTIONS = ("attention", "mlp", "experts", "bridge", "adapter")
_OTHERS = ("like", "keys", "defaults", "words", "order", "others", "stack", "mixers", "shared")
ROW = (*_TEXTS, *_LISTS, *_FLAGS, *_FORMULAS, *_SECTIONS, *_OTHERS)
"""What a row may hold."""

OWN = ("block", "bias", "qk_norm", "more")
"""Keys of a section beside the facts of its block."""

MOST_ROWS = 200

_chosen: ContextVar[FamilyTable | None] = ContextVar("families", default=None)


def chosen() -> FamilyTable | None:
    """The user's table in force, if there is one."""
    return _chosen.get()


@contextlib.contextmanager
def using(path: str | Path | None) -> Iterator[None]:
    """Read configs by the rows of a file too, which go before the packaged ones of the same name."""
    token = _chosen.set(_chosen.get() if path is None else read_rows(path))
    try:
        yield
    finally:
        _chosen.reset(token)


def read_rows(path: str | Path) -> FamilyTable:
    """The table in a user's file; whatever in it is not understood is one sentence."""
    where = Path(path).name[:60]
    given = parse_toml(read_text(path, give="give a TOML file of families (docs/concepts/models.md)"), where)
    if not given or len(given) > MOST_ROWS:
        raise BadInput(f"{where} holds {len(given)} rows; a table of families has from 1 to {MOST_ROWS}")
    named: dict[str, str] = {}
    for name, row in given.items():
        at = f"{where}: row {shown(name)}"
        if name in RESERVED or not isinstance(row, Mapping):
            raise BadInput(f"{at} is not a family; give a table with names, like [my-model]")
        check_row(at, row, given)
        named |= dict.fromkeys(row["names"], name)
    table = FamilyTable(dict(given), {}, named)
    for name in given:
        table.row(name)  # whether it ends
    return table


def check_row(at: str, row: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
    """Refuse a row that holds what no row may, in one sentence."""
    _known(at, row, ROW)
    if not row.get("names"):
        raise BadInput(f"{at} has no names; list its model_type and architectures")
    for key in _LISTS:
        _strings(f"{at}: {key}", row.get(key, []))
    for key in _TEXTS:
        if not isinstance(row.get(key, ""), str):
            raise BadInput(f"{at}: {key} = {shown(row[key])} is not text")
    for key in _FLAGS:
        if not isinstance(row.get(key, False), bool):
            raise BadInput(f"{at}: {key} = {shown(row[key])} is not true or false")
    if "like" in row and (not isinstance(row["like"], str) or row["like"] not in {*beside, *packaged().texts}):
        raise unknown(f"family ({at}: like)", str(row["like"]), [*beside, *packaged().texts])
    for key in _FORMULAS:
        _formula(f"{at}: {key}", row.get(key, 0))
    for key in _SECTIONS:
        check_section(f"{at}: {key}", row.get(key, {}), {"attention": "gqa", "experts": "moe"}.get(key, "mlp"))
    for kind, section in _table(f"{at}: mixers", row.get("mixers", {})).items():
        check_section(f"{at}: mixers.{kind}", section, "gqa")
    _check_kinds(at, row)


def check_section(at: str, section: Any, usual: str) -> None:
    """Refuse a section whose keys are no facts of its block."""
    block = _table(at, section).get("block", usual)
    kinds = {**MIXERS, **FFNS}
    if not isinstance(block, str) or block not in (*kinds, "none"):
        raise unknown(f"block ({at})", str(block), kinds)
    facts = () if block == "none" else tuple(inspect.signature(kinds[block]).parameters)
    _known(at, section, (*OWN, *(fact for fact in facts if fact != "d_model")))
    for key, value in section.items():
        if key in ("bias", "qk_norm"):
            _letters(f"{at}.{key}", value, key, block)
        elif key != "block":
            _formula(f"{at}.{key}", value)


def _letters(at: str, value: Any, key: str, block: str) -> None:
    """Which projections have a bias, or which norm queries and keys have, each with its condition."""
    if key == "bias" and block != "gqa":
        return _formula(at, value)
    for word, when in (value if isinstance(value, Mapping) else {value: True}).items():
        good = set(word) <= set("qkvo") if key == "bias" else word in ("", "head", "full")
        if not isinstance(word, str) or not good:
            wanted = "letters of qkvo" if key == "bias" else "head or full"
            raise BadInput(f"{at} = {shown(word)} is not {wanted}")
        _formula(at, when)
    return None


def _check_kinds(at: str, row: Mapping[str, Any]) -> None:
    for key in ("keys", "defaults", "words", "stack", "shared"):
        _table(f"{at}: {key}", row.get(key, {}))
    for usual, others in row.get("keys", {}).items():
        _strings(f"{at}: keys.{usual}", [others] if isinstance(others, str) else others)
    for word, kind in row.get("words", {}).items():
        _strings(f"{at}: words.{word}", [kind])
    for kind, parts in row.get("stack", {}).items():
        _strings(f"{at}: stack.{kind}", parts)
    order = row.get("order", {})
    if isinstance(order, list):
        _strings(f"{at}: order", order)
        if not order:
            raise BadInput(f"{at}: order is empty; name a kind for each layer of a period")
    else:
        for kind, rule in _table(f"{at}: order", order).items():
            _formula(f"{at}: order.{kind}", rule)
    _strings(f"{at}: others", [row.get("others", "")])


def _table(at: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadInput(f"{at} = {shown(given)} is not a table of keys")
    return given


def _strings(at: str, given: Any) -> None:
    if not isinstance(given, list) or not all(isinstance(one, str) and len(one) <= 2000 for one in given):
        raise BadInput(f"{at} = {shown(given)} is not a list of texts")


def _formula(at: str, given: Any) -> None:
    if isinstance(given, bool | int | float) and abs(given) <= 1e18:
        return
    if not isinstance(given, str):
        raise BadInput(f"{at} = {shown(given)} is not a key, a number or a formula of keys")
    try:
        compiled(given)
    except BadInput as error:
        raise BadInput(f"{at}: {error}") from None


def _known(at: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise unknown(f"key in {at}", str(key), sorted(known))
