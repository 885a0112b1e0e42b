"""Requests from a file, one a row: CSV, JSON lines or a JSON list; or the usage that an API reported for each.

Columns: input, cached, written, output, and where they differ mode, ttl and stored. In their place the usage objects
of two kinds of API, by their own names: OpenAI's counts cached tokens inside the prompt, Anthropic's beside input.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput, did_you_mean, shown
from ..files import RUNS, parse_json, read_text
from ..units import parse
from .bill import Usage, usage

ENDINGS = (".csv", ".jsonl", ".ndjson", ".json")
TOKENS = ("input", "cached", "written", "output")
COLUMNS = (*TOKENS, "mode", "ttl", "stored")
MOST = 1_000_000
"""Most requests of a file."""

LONGEST = 1e9
"""Most tokens of a request."""

Row = Mapping[str, Any]


def read_requests(path: str | Path, mode: str, lifetime: float, stored: float) -> tuple[Usage, tuple[str, ...]]:
    """The requests of a file, and the columns that were not read; what a row does not say is as given."""
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in ENDINGS:
        raise BadInput(f"'{file}' holds no requests; give a file that ends in {', '.join(ENDINGS)}")
    text = read_text(file, most=RUNS, give="give requests as CSV or JSON lines")
    name = shown(file.name)
    try:
        rows = list(_READERS[kind](text, name))
    except csv.Error as error:
        raise BadInput(f"{name} is not valid CSV: {str(error).rstrip('.')}") from None
    if not rows:
        raise BadInput(f"{name} holds no request; give a header and a row for each")
    if len(rows) > MOST:
        raise BadInput(f"{name} holds {len(rows):,} requests; give at most {MOST:,}")
    unread = _unread(rows, name)
    found = [_request(row, f"{name}: request {i}: ") for i, row in enumerate(rows, 1)]
    return usage(
        [one["input"] for one in found],
        [one["cached"] for one in found],
        [one["written"] for one in found],
        [one["output"] for one in found],
        mode=[one.get("mode", mode) for one in found],
        lifetime=[one.get("ttl", lifetime) for one in found],
        stored=[one.get("stored", stored) for one in found],
    ), unread


def _unread(rows: Iterable[Row], name: str) -> tuple[str, ...]:
    """Columns that play no part; one that is nearly the name of a column is asked about."""
    every = list(dict.fromkeys(key for row in rows for key in row))
    known = {*COLUMNS, *(key for kind in _USAGES for key in kind), *_PARTS, "usage"}
    unread = tuple(key for key in every if key not in known)
    for key in unread:
        if near := did_you_mean(key, [c for c in COLUMNS if c not in every]):
            raise BadInput(f"{name} has the column {shown(key)}{near}")
    return unread


def _request(row: Row, where: str) -> dict[str, Any]:
    """Tokens of a request, and its mode, ttl and time of storage where it names them."""
    counted = row.get("usage", row)
    if not isinstance(counted, Mapping):
        raise BadInput(f"{where}usage = {shown(counted)} is no object; give the one that the API reported")
    style = next((make for keys, make in _USAGES.items() if set(keys) <= set(counted)), None)
    try:
        given = dict(row) if style is None else style(counted)
        found: dict[str, Any] = {key: _tokens(given.get(key), key) for key in TOKENS}
    except BadInput as error:
        raise BadInput(f"{where}{error}") from None
    if given.get("input") in (None, "") and given.get("output") in (None, ""):
        raise BadInput(f"{where}it has neither input nor output tokens; columns are {', '.join(COLUMNS)}")
    for key in ("ttl", "stored"):
        if row.get(key) not in (None, ""):
            found[key] = parse(row[key], "s", name=f"{where}{key}")
    if row.get("mode") not in (None, ""):
        found["mode"] = str(row["mode"]).strip().lower()
    return found


def _tokens(given: Any, name: str) -> float:
    if given is None or given == "":
        return 0.0
    value = parse(given, "count", name=name)
    if not 0 <= value <= LONGEST:
        raise BadInput(f"{name} = {given} is out of range; give tokens from 0 to {LONGEST:,.0f}")
    return value


def _inside(of: Row, key: str, name: str) -> Any:
    """A number of an object inside; None where there is none."""
    inner = of.get(key)
    return inner.get(name) if isinstance(inner, Mapping) else None


def _chat(of: Row) -> dict[str, Any]:
    details = "prompt_tokens_details"
    return {
        "input": of["prompt_tokens"],
        "output": of["completion_tokens"],
        "cached": _inside(of, details, "cached_tokens"),
        "written": _inside(of, details, "cache_write_tokens"),
    }


def _messages(of: Row) -> dict[str, Any]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    fresh, read, written = (_tokens(of[name], name) for name in names)
    return {"input": fresh + read + written, "cached": read, "written": written, "output": of["output_tokens"]}


def _responses(of: Row) -> dict[str, Any]:
    cached = _inside(of, "input_tokens_details", "cached_tokens")
    return {"input": of["input_tokens"], "output": of["output_tokens"], "cached": cached}


_USAGES: Mapping[tuple[str, ...], Callable[[Row], dict[str, Any]]] = {
    ("prompt_tokens", "completion_tokens"): _chat,
    ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"): _messages,
    ("input_tokens", "output_tokens"): _responses,
}
"""How APIs report the tokens of a request, by the keys that all of them have."""

_PARTS = ("prompt_tokens_details", "input_tokens_details", "total_tokens")


def _from_csv(text: str, name: str) -> Iterable[Row]:
    reader = csv.DictReader(text.splitlines())
    names = [column.strip() for column in reader.fieldnames or ()]
    if twice := next((column for column in names if names.count(column) > 1), None):
        raise BadInput(f"{name} names the column {shown(twice)} twice; keep one")
    reader.fieldnames = names
    for i, row in enumerate(reader, 1):
        if None in row:
            raise BadInput(f"{name}: request {i} has more cells than the header has names; give as many")
        yield row


def _from_lines(text: str, name: str) -> Iterable[Row]:
    for i, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _object(parse_json(line, f"line {i} of {name}"), f"line {i} of {name}")


def _from_list(text: str, name: str) -> Iterable[Row]:
    found = parse_json(text, name)
    if not isinstance(found, list):
        raise BadInput(f'{name} is no list; give [{{"input": 8000, "output": 500}}, ...]')
    for i, one in enumerate(found, 1):
        yield _object(one, f"{name}: request {i}")


def _object(one: Any, where: str) -> Row:
    if not isinstance(one, Mapping):
        raise BadInput(f"{where} = {shown(one)} is no object; give one with {', '.join(TOKENS)}")
    return one


_READERS: Mapping[str, Callable[[str, str], Iterable[Row]]] = {
    ".csv": _from_csv,
    ".jsonl": _from_lines,
    ".ndjson": _from_lines,
    ".json": _from_list,
}
